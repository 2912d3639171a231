"""Sources into an index and out of it, one after the other; killed at any moment, the rest is whole."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from posedata.errors import one_line
from posedata.terminal import print_line

from polypose.capture.progress import Watch
from polypose.search.embedding import Embedder
from polypose.search.manifest import NAME, SEGMENTS, WORK, Entry, Manifest, writing
from polypose.search.reading import DEFAULT, Options, how_read, read
from polypose.search.recorded import around
from polypose.search.segments import SegmentWriter
from polypose.search.sources import Say, Source, find

_OUR_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What is no fault of a source: a full disk must not leave sources out. The next run goes on."""


class OtherModelsError(ValueError):
    """An index is asked or added to by other models than made it."""


def add(
    index: Path,
    paths: Iterable[Path],
    embedder: Embedder | None = None,
    options: Options = DEFAULT,
    *,
    say: Say = print_line,
    watch: Watch = lambda name, done, total: None,
) -> list[Entry]:
    """Index what is under the paths; what is in the index already, by content, is passed over.

    A file that has changed replaces what it gave before. A run that was stopped goes on with the same call.

    Args:
        embedder: the models; the package's by default.

    Returns:
        what was added.

    Raises:
        FileNotFoundError, ValueError, OSError: there is nothing to index, the index was made by other
            models, or none of the sources could be read.
    """
    sources = [source for path in paths for source in find(path, options.form, options.photos, say)]
    sources = list({source.path: source for source in sources}.values())
    for source in sources:
        if index.resolve() == source.path or index.resolve() in source.path.parents:
            raise ValueError(f"{source.path}: lies in the index itself; name what is elsewhere")
    added: list[Entry] = []
    faults: list[str] = []
    with writing(index):
        manifest = _begun(index, embedder)
        tidy(index, manifest)
        adder = _Adder(index, manifest, embedder, options, say, watch)
        for source in sources:
            try:
                entry = adder.entry(manifest, source)
            except OtherModelsError:
                raise
            except (ValueError, OSError, ModuleNotFoundError) as error:
                if type(error) is OSError or getattr(error, "errno", None) in _OUR_TROUBLE:
                    raise
                faults.append(one_line(error))
                say(f"{faults[-1]} [{source.name} is left out]")
                continue
            if entry is not None:
                manifest = Manifest(manifest.models or adder.models(), manifest.entries).replaced(entry)
                manifest.write(index)
                tidy(index, manifest)
                added.append(entry)
        with contextlib.suppress(OSError):
            (index / WORK).rmdir()
    if faults and not added and len(faults) == len(sources):
        raise ValueError(faults[0])
    return added


def remove(index: Path, names: Sequence[str]) -> list[Entry]:
    """Take sources out by name or path, and leave the rest alone.

    Raises:
        FileNotFoundError, ValueError: there is no index, or nothing of that name in it.
    """
    Manifest.read(index)
    with writing(index):
        manifest = Manifest.read(index)
        gone = {entry.name for entry in manifest.entries if entry.name in names or entry.path in names}
        gone |= {e.name for e in manifest.entries if e.path in {str(Path(n).resolve()) for n in names}}
        known = {value for e in manifest.entries if e.name in gone for value in (e.name, e.path)}
        for name in names:
            if name not in known and str(Path(name).resolve()) not in known:
                raise ValueError(f"{index}: holds no {name}; see polypose index info {index}")
        manifest.without(gone).write(index)
        tidy(index, manifest.without(gone))
    return [entry for entry in manifest.entries if entry.name in gone]


def tidy(index: Path, manifest: Manifest) -> None:
    """Remove what no manifest names: of runs that were killed, of sources that were replaced."""
    kept = {entry.folder for entry in manifest.entries}
    for folder in (index / SEGMENTS).iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


class _Adder:
    """What is the same for all sources; models and detector are loaded when they are needed."""

    def __init__(
        self,
        index: Path,
        manifest: Manifest,
        embedder: Embedder | None,
        options: Options,
        say: Say,
        watch: Watch,
    ) -> None:
        self._index, self._made_by = index, manifest
        self._embedder, self._options = embedder, options
        self._say, self._watch = say, watch

    def models(self) -> dict[str, dict[str, str]]:
        return self._loaded().made_by()

    def entry(self, manifest: Manifest, source: Source) -> Entry | None:
        """Index one source; None where it is there already."""
        told = how_read(source, self._options)
        stamp = source.stamp()
        same = next((entry for entry in manifest.entries if entry.path == str(source.path)), None)
        if same and (same.stamp, same.how) == (stamp, told):
            return None
        digest = source.digest(told)
        if other := next((entry for entry in manifest.entries if entry.digest == digest), None):
            if other is not same:
                self._say(f"{source.name}: is {other.name}, which is in the index; passed over")
            return None
        name = same.name if same else _name(manifest, source.name)
        folder = self._index / SEGMENTS / f".{digest[:24]}.partial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        work = self._index / WORK / digest[:24]
        notes: list[str] = []
        writer = SegmentWriter(folder, name)
        try:
            for rows in read(
                source, self._options, work, say=self._say, tell=notes.append, watch=self._watch
            ):
                for part in around(rows, self._options.cameras):
                    writer.add(part, self._loaded().embed(part))
        except BaseException:
            writer.abandon()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        files = writer.close()
        if not writer.rows:
            notes.append("nobody was found in it")
        final = folder.with_name(digest[:24])
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
        shutil.rmtree(work, ignore_errors=True)
        self._say(f"{name}: {writer.rows:,} poses" + "".join(f"; {note}" for note in notes))
        counts = writer.rows, writer.recordings, writer.seconds
        path = str(source.path)
        return Entry(name, path, source.kind, digest, told, stamp, final.name, *counts, files, tuple(notes))

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder.load()
            require_own(self._index, self._made_by, self._embedder)
        return self._embedder


def _begun(index: Path, embedder: Embedder | None) -> Manifest:
    """The manifest, or one of an index that is new; models that differ from its own are refused."""
    if not (index / NAME).exists():
        return Manifest({})
    manifest = Manifest.read(index)
    if embedder is not None:
        require_own(index, manifest, embedder)
    return manifest


def require_own(index: Path, manifest: Manifest, embedder: Embedder) -> None:
    """Raise `OtherModelsError` where others made an index."""
    for view, told in embedder.made_by().items():
        made = manifest.models.get(view)
        if made is not None and made["weights"] != told["weights"]:
            raise OtherModelsError(
                f"{index}: was made by {made['run']} (weights {made['weights'][:12]}), not by {told['run']}"
                f" ({told['weights'][:12]}); name that model, or make a new index"
            )


def _name(manifest: Manifest, name: str) -> str:
    """The name, or with a number where another source has it."""
    taken = {entry.name for entry in manifest.entries}
    number = 2
    made = name
    while made in taken:
        made, number = f"{name} ({number})", number + 1
    return made
