"""Lists what lies in a source folder: one way for all readers.

Linked folders are followed, each folder once, so that links in a circle end and a folder that is linked twice
is not read twice. What macOS and Windows leave behind (`._walk.bvh`, `__MACOSX`, `.DS_Store`, `Thumbs.db`) is
nobody's data, nor are pose stores that were made in the same folder. Case does not count in names: `WALK.BVH`
is a BVH file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_JUNK = frozenset({"__macosx", ".ds_store", "thumbs.db", "desktop.ini"})
_UNFINISHED = (".prepare", ".partial")
_STORE = frozenset({"meta.json", "joints.npy"})
_SHOWN = 6
_LINK_TEXT = 1024


def is_junk(name: str) -> bool:
    """Whether an operating system, or a run of `prepare`, left a file or folder of this name behind."""
    return name.startswith("._") or name.lower() in _JUNK or (name[0] == "." and name.endswith(_UNFINISHED))


def files_below(source: Path) -> list[Path]:
    """Every file in the folder and below, sorted by path; the file itself, if the source is one.

    A link to a folder is followed unless it leads back above itself or to a folder that was listed already;
    of a folder and a link to it, the files stand under the folder's own name.
    """
    if source.is_file():
        return [source]
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    waiting = [source] if source.is_dir() else []
    while waiting:
        links: list[Path] = []
        for top in waiting:
            _list(top, seen, found, links)
        waiting = [link for link in sorted(links) if not _leads_up(link)]
    return sorted(found)


def _list(top: Path, seen: set[tuple[int, int]], found: list[Path], links: list[Path]) -> None:
    """Add the files below, and the links to folders, which are for later."""
    for place, folders, names in os.walk(top):
        stat = Path(place).stat()
        if (stat.st_dev, stat.st_ino) in seen or set(names) >= _STORE:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        here = Path(place)
        links += [here / name for name in folders if not is_junk(name) and (here / name).is_symlink()]
        folders[:] = sorted(n for n in folders if not is_junk(n) and not (here / n).is_symlink())
        found += [here / name for name in names if not is_junk(name) and (here / name).is_file()]


def _leads_up(link: Path) -> bool:
    return link.parent.resolve().is_relative_to(link.resolve())


def matching(files: Sequence[Path], *patterns: str) -> list[Path]:
    """Those files whose last parts match one of the patterns, e.g. "D3_Positions/*.cdf", in any case."""
    wanted = [PurePath(pattern.lower()).parts for pattern in patterns]
    return [file for file in files if any(_matches(file, parts) for parts in wanted)]


def _matches(file: Path, parts: tuple[str, ...]) -> bool:
    last = file.parts[-len(parts) :]
    return len(last) == len(parts) and all(
        fnmatchcase(name.lower(), part) for name, part in zip(last, parts, strict=True)
    )


def nothing_found(source: Path, what: str, cure: str) -> FileNotFoundError:
    """The error for a source without what was looked for ("no .bvh file there"); says what lies there."""
    if not source.exists():
        return FileNotFoundError(f"{source}: no such file or folder; check the path")
    lies = f"; {_lying_in(source)}" if source.is_dir() else ""
    return FileNotFoundError(f"{source}: {what}{lies}; {cure}")


def _lying_in(source: Path) -> str:
    files = files_below(source)
    broken = sorted(p for p in source.rglob("*") if p.is_symlink() and not p.exists())
    if broken:
        return f"{_name(broken[0], source)} is a link to {str(broken[0].readlink())[:80]}, which is not there"
    if not files:
        return "it is empty"
    for file in files:
        if target := _written_link(file):
            return (
                f"{_name(file, source)} is the text of a link to {target!r} and no folder: give that folder,"
                " or copy it there"
            )
    packed = [file for file in files if file.suffix.lower() in PACKED]
    if packed:
        more = f" (and {len(packed) - 1} more)" if len(packed) > 1 else ""
        how = ", or give that file" if packed[0].suffix.lower() == ".zip" else ""
        return f"{_name(packed[0], source)}{more} is packed: unpack it{how}"
    kinds = Counter(file.suffix.lower() or "no extension" for file in files)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_SHOWN))
    return f"there are {len(files)} files ({listed}), e.g. {_name(files[0], source)}"


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()[-100:]


def _written_link(file: Path) -> str | None:
    """What a small file names, where a copy without links made it of a link to a folder."""
    if file.suffix or not 0 < file.stat().st_size < _LINK_TEXT:
        return None
    text = file.read_bytes().decode("utf-8", "replace").strip()
    if "/" not in text or not text.isprintable() or " " in text:
        return None
    return text[:80]
