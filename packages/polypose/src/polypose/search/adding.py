"""Sources into an index and out of it, in their order; killed at any moment, the rest is whole."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from posedata.errors import one_line
from posedata.store.names import is_text
from posedata.terminal import print_line

from polypose.capture.progress import Watch
from polypose.search.embedding import Embedder
from polypose.search.making import Here, Job, Maker, forget, take_over
from polypose.search.manifest import NAME, SEGMENTS, WORK, Entry, Manifest, writing
from polypose.search.reading import DEFAULT, Options, how_read
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
    maker: Maker | None = None,
    say: Say = print_line,
    watch: Watch = lambda name, done, total: None,
) -> list[Entry]:
    """Index what is under the paths; what is in the index already, by content, is passed over.

    A file that has changed replaces what it gave before. A run that was stopped goes on with the same call.

    Args:
        embedder: the models; the package's by default.
        maker: where sources are read and embedded, which changes nothing in the index; by default here,
            one after the other.

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
    with writing(index):
        manifest = _begun(index, embedder)
        tidy(index, manifest)
        adder = _Adder(index, manifest, embedder, options, maker or Here(), say, watch)
        adder.add(sources)
        with contextlib.suppress(OSError):
            (index / WORK).rmdir()
    if adder.faults and not adder.added and len(adder.faults) == len(sources):
        raise ValueError(adder.faults[0])
    return adder.added


def remove(index: Path, names: Sequence[str]) -> list[Entry]:
    """Take sources out by name or path, and leave the rest alone.

    Raises:
        FileNotFoundError, ValueError: there is no index, or nothing of that name in it.
    """
    Manifest.read(index)
    with writing(index):
        manifest = Manifest.read(index)
        gone: set[str] = set()
        for name in names:
            found = {e.name for e in manifest.entries if name in (e.name, e.path)}
            if not found:  # a name that another source has is no path: that one would go as well
                found = {e.name for e in manifest.entries if e.path == str(Path(name).resolve())}
            if not found:
                raise ValueError(f"{index}: holds no {name}; see polypose index info {index}")
            gone |= found
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
    """What is the same for all sources; models and detector are loaded when they are needed.

    Attributes:
        manifest: what is in the index.
        added: since it was begun.
        faults: of sources that are left out, a line each.
    """

    def __init__(
        self,
        index: Path,
        manifest: Manifest,
        embedder: Embedder | None,
        options: Options,
        maker: Maker,
        say: Say,
        watch: Watch,
    ) -> None:
        self.manifest = manifest
        self.added: list[Entry] = []
        self.faults: list[str] = []
        self._index, self._embedder, self._options = index, embedder, options
        self._maker, self._say, self._watch = maker, say, watch
        self._making: deque[tuple[Job, Callable[[], Entry]]] = deque()

    def add(self, sources: Iterable[Source]) -> None:
        """Index what is new of the sources: what comes of it is what one after the other gives."""
        for source in sources:
            with self._leaving_out(source):
                if (job := self._job(source)) is not None:
                    given = self._loaded(), self._options, self._say, self._watch
                    self._making.append((job, self._maker.begin(self._index, job, *given)))
            self._settle(self._maker.at_once - 1)
        self._settle(0)

    def _job(self, source: Source) -> Job | None:
        """What there is to do for a source; None where it is in the index already."""
        if not is_text(str(source.path)):
            raise ValueError(f"{source.path}: its name is not UTF-8; rename it")
        told = how_read(source, self._options)
        stamp = source.stamp()
        same = next((entry for entry in self.manifest.entries if entry.path == str(source.path)), None)
        if same and (same.stamp, same.how) == (stamp, told):
            return None
        digest = source.digest(told)
        if self._depends(digest, same.name if same else _name(self.manifest, source.name)):
            self._settle(0)
        if other := next((entry for entry in self.manifest.entries if entry.digest == digest), None):
            self._again(source, stamp, same, other)
            return None
        return Job(source, same.name if same else _name(self.manifest, source.name), digest, told, stamp)

    def _again(self, source: Source, stamp: tuple[int, int], same: Entry | None, other: Entry) -> None:
        """Content that is in the index: touched, moved, or beside another file that holds it.

        Args:
            same: what the same path gave before; unless it is the content's own entry it goes.
        """
        if other is not same:
            self._say(f"{source.name}: is {other.name}, which is in the index; passed over")
        kept = other
        if other is same or not Path(other.path).exists():
            kept = replace(other, path=str(source.path), stamp=stamp)
        entries = [kept if e is other else e for e in self.manifest.entries if e is other or e is not same]
        if kept is not other or len(entries) < len(self.manifest.entries):
            self._write(Manifest(self.manifest.models, tuple(entries)))

    def _write(self, manifest: Manifest) -> None:
        manifest.write(self._index)
        self.manifest = manifest
        tidy(self._index, manifest)

    def _depends(self, digest: str, name: str) -> bool:
        """Whether what is being made decides if a source is new, and what it is called."""
        begun = [job for job, _ in self._making]
        replaced = {str(job.source.path) for job in begun}
        return any(name == job.name or digest == job.digest for job in begun) or any(
            entry.digest == digest and entry.path in replaced for entry in self.manifest.entries
        )

    def _settle(self, left: int) -> None:
        """Take what was begun first into the index, until so many are left."""
        while len(self._making) > left:
            job, wait = self._making.popleft()
            with self._leaving_out(job.source):
                self._take(wait())

    def _take(self, entry: Entry) -> None:
        take_over(self._index, entry)
        models = self.manifest.models or self._loaded().made_by()
        self._write(Manifest(models, self.manifest.entries).replaced(entry))
        forget(self._index, entry)
        self.added.append(entry)
        self._say(f"{entry.name}: {entry.rows:,} poses" + "".join(f"; {note}" for note in entry.notes))

    @contextlib.contextmanager
    def _leaving_out(self, source: Source) -> Iterator[None]:
        """A source at fault is told and left out; models and machines at fault are not of one source."""
        try:
            yield
        except OtherModelsError:
            raise
        except (ValueError, OSError, ModuleNotFoundError) as error:
            if type(error) is OSError or getattr(error, "errno", None) in _OUR_TROUBLE:
                raise
            self.faults.append(one_line(error))
            self._say(f"{self.faults[-1]} [{source.name} is left out]")

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder.load()
            require_own(self._index, self.manifest, self._embedder)
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
