"""Photos, films and recordings to people in 3D: what is seen in each, then what that is in the world."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posedata.terminal import print_line

from polypose.capture.detecting import Seen, detect_film, read_film
from polypose.capture.detectors import LIVE, identity, make_detector
from polypose.capture.detectors.detector import Detector
from polypose.capture.films import Film, Span, open_films
from polypose.capture.placing import check_height
from polypose.capture.progress import Watch
from polypose.capture.write.saving import FORMATS

if TYPE_CHECKING:
    from polypose.capture.calibration import Calibrated
    from polypose.capture.motion import Motion
    from polypose.model import Model

TOGETHER = "capture"
"""The name of what several cameras give."""
WORK = ".work"
"""A folder beside the results for what is not done yet."""

Paths = str | os.PathLike[str]
Say = Callable[[str], None]


def capture(
    *inputs: Paths,
    out: Paths | None = None,
    model: Model | Paths | None = None,
    calibration: Paths | None = None,
    height: float | None = None,
    detector: str | Paths | Callable[[], Detector] = "blazepose",
    network: str = "full",
    start: float = 0.0,
    end: float | None = None,
    every: int = 1,
    rate: float | None = None,
    together: bool = False,
    smooth: bool = True,
    formats: str | Sequence[str] = (),
    overwrite: bool = False,
    say: Say = print_line,
    watch: Watch = lambda name, done, total: None,
) -> Motion | list[Motion]:
    """People in 3D of photos, films, folders of photos and RGB-D folders.

        motion = polypose.capture("walk.mp4", height=1.78)
        motion = polypose.capture("cam01.mp4", "cam02.mp4", calibration="Calib.toml", out="results")

    Args:
        inputs: each is captured by itself, or all together where there is a `calibration`.
        out: a folder to write into; a run that was stopped there goes on.
        model: the lifter; else the package's.
        calibration: a file of the cameras; a single film's is taken by its name.
        height: of the person, metres; of one camera it decides how far away and how large people are.
        detector: blazepose, rtmlib, a file or folder of keypoints, or what makes a `Detector`.
        network: of blazepose: lite, full or heavy.
        start, end: seconds of the films.
        every: of the frames each n-th.
        rate: frames a second of a folder of photos, which then is one film.
        together: several films are of the same people though there is no calibration.
        smooth: over time.
        formats: to write; "all" or none is each of npz, csv, trc, c3d, bvh, glb, html.
        overwrite: results that are there.
        say: told what the user must know.
        watch: told how far a film is.

    Returns:
        a motion, or one each where inputs are captured by themselves. One in which nobody was found is left
        out, and told, where there are others.

    Raises:
        ValueError, OSError: an input, calibration or network is not what it should be; nobody was found.
    """
    if not inputs:
        raise ValueError("capture: no input; give a film, a photo, a folder of photos or an RGB-D folder")
    check_height(height)
    span = Span(start, float("inf") if end is None else end, every).checked()
    endings = _formats(formats)
    films = _named([film for path in inputs for film in open_films(Path(path), rate)])
    scenes, notes = _scenes(films, calibration, together)
    if rate is not None and not any(Path(path).is_dir() for path in inputs):
        raise ValueError(f"--rate {rate:g}: is of a folder of photos, and none is given; leave it out")
    folder = None if out is None else Path(out)
    if folder is not None:
        _check_folder(folder)
    if folder is not None and not overwrite:
        _refuse_to_overwrite(folder, scenes, endings)
    eye = _Eye.of(detector, network, alone=len(films) == 1)
    lifter = _loaded(model)
    made: list[Motion] = []
    empty: list[str] = []
    with _work(folder) as work:
        for scene in scenes:
            seen = [eye.see(film, work / film.name, span, say, watch) for film in scene.films]
            motion = _solved(lifter, seen, scene.cameras, height, smooth)
            if motion is None or not motion.people:
                found = "nobody was found in it" if motion is None else "nobody was seen well enough"
                empty.append(f"{scene.films[0].path}: {found}; film them whole and in the light")
                continue
            told = dict.fromkeys([*(note for one in seen for note in one.notes), *notes, *motion.notes])
            motion = replace(motion, notes=tuple(told))
            if folder is not None:
                _write(motion, folder, scene.name, endings)
                say(_summary(motion, folder / scene.name, endings))
            for note in motion.notes:
                say(f"note: {note}")
            made.append(motion)
        for film in films:
            shutil.rmtree(work / film.name, ignore_errors=True)
    if not made:
        raise ValueError(empty[0])
    for line in empty:
        say(line)
    return made[0] if len(scenes) == 1 else made


@dataclass(frozen=True)
class _Scene:
    """Films that are captured together, one or several, and the camera of each where it is known."""

    name: str
    films: list[Film]
    cameras: list[Calibrated | None]


def _scenes(films: list[Film], calibration: Paths | None, together: bool) -> tuple[list[_Scene], list[str]]:
    """All films as one scene, or each by itself; and what there is to tell of their calibration."""
    cameras, notes = _cameras(calibration, films)
    if together and len(films) < 2:
        raise ValueError(f"--together: {films[0].path} is one film; give two or more")
    if len(films) > 1 and (together or calibration is not None):
        return [_Scene(TOGETHER, films, cameras)], notes
    each = zip(films, cameras, strict=True)
    return [_Scene(film.name, [film], [camera]) for film, camera in each], notes


@contextmanager
def _work(folder: Path | None) -> Iterator[Path]:
    """Where what is not done yet lies: beside the results, so that a stopped run goes on."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="polypose-") as temporary:
            yield Path(temporary)
        return
    try:
        yield folder / WORK
    finally:
        with suppress(OSError):
            (folder / WORK).rmdir()


@dataclass(frozen=True)
class _Eye:
    """What sees people in films: a live detector, or the files of another program."""

    make: Callable[[], Detector]
    identity: str
    files: Path | None = None
    alone: bool = True

    @classmethod
    def of(cls, detector: Any, network: str, alone: bool) -> _Eye:
        if callable(detector):
            return cls(detector, f"own {getattr(detector, '__qualname__', type(detector).__name__)}")
        if detector not in LIVE:
            path = Path(detector)
            if not path.exists():
                raise ValueError(
                    f"--detector {detector}: no such detector or file; give blazepose, rtmlib, or a file"
                )
            return cls(lambda: make_detector("blazepose"), "", path, alone)
        first = [make_detector(detector, network)]  # so that what lacks is told before any work

        def make() -> Detector:
            return first.pop() if first else make_detector(detector, network)

        return cls(make, identity(detector, network))

    def see(self, film: Film, work: Path, span: Span, say: Say, watch: Watch) -> Seen:
        if self.files is not None:
            from polypose.capture.detectors.files import file_for

            return read_film(film, file_for(self.files, film.name, self.alone), span, say)
        length = film.count / film.rate if film.count and film.rate else None
        total = None if length is None else max(min(span.end, length) - span.start, 0.0)

        def progress(time: float) -> None:
            watch(film.name, time - span.start, total)

        return detect_film(film, self.make, self.identity, work, span, progress)


def _solved(
    model: Model,
    seen: list[Seen],
    cameras: list[Calibrated | None],
    height: float | None,
    smooth: bool,
) -> Motion | None:
    """The people of one film, or of several; what there is to tell stands in the motion's notes. None where
    nobody was found."""
    if not any(one.tracks for one in seen):
        return None
    known = [one.camera for one in cameras if one is not None]
    if len(seen) == 1:
        from polypose.capture.single import solve_single

        return solve_single(model, seen[0], known[0] if known else None, height, smooth, say=_nothing)
    from polypose.capture.multi import solve_multi

    whole = known if len(known) == len(seen) else None
    return solve_multi(model, seen, whole, height, smooth, say=_nothing)


def _nothing(text: str) -> None:
    """Tells nobody."""


def _cameras(calibration: Paths | None, films: list[Film]) -> tuple[list[Calibrated | None], list[str]]:
    """The camera of each film, where it is known."""
    from polypose.capture.calibration import Calibrated, cameras_of, read_calibration

    if calibration is None:
        own = [film.camera for film in films]
        return [None if one is None else Calibrated("its own", one, False) for one in own], []
    path = Path(calibration)
    found, notes = cameras_of(read_calibration(path), [(film.name, film.size) for film in films], path)
    return list(found), notes


def _named(films: list[Film]) -> list[Film]:
    """The films with names that differ: by their folders where files are called alike."""
    names = [film.name for film in films]
    if len(set(names)) == len(names):
        return films
    longer = [f"{film.path.resolve().parent.name}_{film.name}" for film in films]
    if len(set(longer)) < len(longer):
        twice = next(film.path for film in films if longer.count(longer[films.index(film)]) > 1)
        raise ValueError(f"{twice}: another input is called so too; give each a name of its own")
    return [replace(film, name=name) for film, name in zip(films, longer, strict=True)]


def _formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    given = re.split(r"[ ,]+", formats) if isinstance(formats, str) else list(formats)
    asked = [word.removeprefix(".").lower() for word in given if word]
    if not asked or "all" in asked:
        return FORMATS
    if unknown := [word for word in asked if word not in FORMATS]:
        raise ValueError(f"--formats {unknown[0][:40]}: give some of {', '.join(FORMATS)}, or all")
    return tuple(dict.fromkeys(asked))


def _check_folder(folder: Path) -> None:
    """Whether results can be written there, before any work."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            raise ValueError(f"{place}: is a file; name a folder")


def _refuse_to_overwrite(folder: Path, scenes: list[_Scene], endings: tuple[str, ...]) -> None:
    """What a run wrote that has not ended yet is its own."""
    for scene in scenes:
        if all((folder / WORK / film.name).exists() for film in scene.films):
            continue
        for ending in endings:
            if (path := folder / f"{scene.name}.{ending}").exists():
                raise ValueError(f"{path}: is there already; --overwrite, or name another --out")


def _write(motion: Motion, folder: Path, name: str, endings: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for ending in endings:
        motion.save(folder / f"{name}.{ending}")


def _summary(motion: Motion, path: Path, endings: tuple[str, ...]) -> str:
    people = f"{len(motion.people)} {'person' if len(motion.people) == 1 else 'people'}"
    frames = f"{len(motion)} frame{'s' if len(motion) > 1 else ''}"
    return f"{path}: {people}, {frames}; .{' .'.join(endings)}"


def _loaded(model: Model | Paths | None) -> Model:
    """Raises ValueError where it does not lift keypoints before a camera."""
    from polypose.loading import load
    from polypose.model import Model

    given = os.fspath(model) if isinstance(model, os.PathLike) else model
    lifter = load(given) if given is None or isinstance(given, str) else given
    if not isinstance(lifter, Model) or "2d" not in lifter.modalities:
        raise ValueError(f"{lifter}: lifts no keypoints before a camera; leave --model out, or give another")
    return lifter
