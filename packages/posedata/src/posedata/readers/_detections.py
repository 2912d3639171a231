"""What the readers of 2D detections share: layouts of keypoints, checks of their numbers, and clips of them.

A detector gives 2D keypoints and no more, so the joints of these stores are NaN and `valid` nowhere, as in
COCO's; what there is stands in `keypoints_NAME`, pixels and confidence, and in `boxes`. A row is a person in
a frame. People that the detector tracked are clips of their own; of the others all are in one clip, and rows
of one frame follow each other.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from posedata.readers._clips import stride_for
from posedata.readers.files.safe_text import is_number
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option
from posedata.readers.listing import files_below, matching, nothing_found
from posedata.skeleton import get_skeleton

COCO17 = get_skeleton("coco17").joints
COCO18 = (
    "nose", "shoulder_centre", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's COCO model: the right side first, and a neck."""
LAYOUTS: dict[int, tuple[str, tuple[str, ...]]] = {
    17: ("coco17", COCO17),
    18: ("coco17", COCO18),
    25: ("openpose25", get_skeleton("openpose25").joints),
    26: ("halpe26", get_skeleton("halpe26").joints),
    133: ("coco17", COCO17),
    136: ("halpe26", get_skeleton("halpe26").joints),
}
"""By the number of keypoints: the skeleton, and the names of the first of them (the rest: hands and face)."""
_LARGEST = 1e6
_HIGHEST = 15.0
"""AlphaPose's scores reach 6, SimCC's 10; above this they are percent or something else."""
_FEW = 8
_FRAME = re.compile(r"(?P<name>.*?)[ _.\-]*(?P<frame>\d{1,12})(?:_keypoints)?", re.IGNORECASE)


class Person(NamedTuple):
    """One detection: `values` is a flat list x, y, score of each keypoint; the box is x0 y0 x1 y1."""

    frame: int
    values: Any
    track: int | None = None
    box: tuple[float, float, float, float] | None = None


class Recording(NamedTuple):
    """Detections in one video or folder: the files, and the frame of each, where a file is a frame."""

    name: str
    files: tuple[Path, ...]
    frames: tuple[int, ...]


class Found(NamedTuple):
    """What a recording holds: its people, and our names of their keypoints, where the file tells them."""

    people: list[Person]
    names: list[str] | None = None


@dataclass(frozen=True)
class Detections(Format):
    """A format of 2D detections; its readers say which recordings there are, and what a recording holds."""

    usual: ClassVar[str]
    """What the column of keypoints is called after."""
    native_rate: ClassVar[float | None] = None
    """Frames a second, where the format knows; None: `rate` tells."""

    rate: float | None = option(None, "Frames a second of the video, which the files do not tell.")
    detector: str = option("", "NAME of the column keypoints_NAME, if not the format's.")

    @abstractmethod
    def found(self, recording: Recording, context: Context) -> Found:
        """Everybody in a recording; ValueError, naming the file, where it is of another layout."""

    def recordings(self, source: Path) -> list[Recording]:
        """By default a file is a recording."""
        top = source if source.is_dir() else source.parent
        return [Recording(_name(file, top), (file,), (0,)) for file in json_files(source)]

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a recording; looks into each for how many keypoints a person has."""
        if not re.fullmatch(r"\w*", self.detector, re.ASCII):
            raise ValueError(f"detector {self.detector[:40]!r}: give letters, digits and _ alone")
        rate = self._rate(source, context)
        stride = stride_for(source, rate, self.fps)
        units, layouts, faults = [], {}, []
        for recording in self.recordings(source):
            try:
                layout = self._layout(recording, context)
            except ValueError as error:
                faults.append(str(error))
                continue
            if layout is None:
                context.note(f"{recording.files[0]}: nobody is in {recording.name}; left out")
                continue
            layouts[recording.name] = layout[0]
            detail = {
                "frames": recording.frames,
                "skeleton": layout[0],
                "joints": layout[1],
                "count": layout[2],
            }
            units.append(Unit(recording.name, recording.files, detail | {"stride": stride}))
        if not units:
            raise ValueError(faults[0] if faults else f"{source}: nobody is in any frame; check the files")
        for fault in faults:
            context.note(f"{fault} [left out]")
        if len(set(layouts.values())) > 1:
            one, other = list({kind: name for name, kind in layouts.items()}.items())[:2]
            raise ValueError(
                f"{source}: {one[1]} has the keypoints of {one[0]}, {other[1]} those of {other[0]}; prepare"
                " them apart"
            )
        return Plan(units, self.title.split(":")[0], rate / stride, units[0].detail["skeleton"])

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """A clip a person that was tracked, and one of the others."""
        recording = Recording(unit.name, unit.files, unit.detail["frames"])
        found = self.found(recording, context)
        joints = get_skeleton(unit.detail["skeleton"]).joints
        places = np.array(_places(joints, unit.detail["joints"]))
        rows = _Rows(str(unit.files[0]) if len(unit.files) == 1 else str(unit.files[0].parent))
        for person in found.people:
            rows.add(person, unit.detail["count"], places)
        rows.tell(context)
        rows.check(context)
        stride = unit.detail["stride"]
        tracks = np.array([-1 if person.track is None else person.track for person in rows.people])
        frames = np.array([person.frame for person in rows.people])
        if (tracks < 0).any() and len(np.unique(frames[tracks < 0])) < (tracks < 0).sum():
            context.tell(f"{rows.where}: people are not tracked; rows of a frame are in no order of persons")
        for track in np.unique(tracks).tolist():
            mine = np.flatnonzero((tracks == track) & (frames % stride == 0))
            mine = mine[np.argsort(frames[mine], kind="stable")]
            if len(mine):
                yield self._clip(unit.name, track, rows, mine, stride)

    def _clip(self, name: str, track: int, rows: _Rows, mine: np.ndarray, stride: int) -> Clip:
        keypoints = np.stack([rows.points[i] for i in mine]).astype(np.float32)
        who = name if track < 0 else f"{name} {track}"
        columns = {
            "frame": np.array([rows.people[i].frame // stride for i in mine]),
            "valid": np.zeros(keypoints.shape[:2], bool),
            "boxes": np.stack([_box(rows.people[i].box, rows.points[i]) for i in mine]),
            f"keypoints_{self.detector or self.usual}": keypoints,
        }
        return Clip(np.full(keypoints.shape, np.nan, np.float32), who, who, columns=columns)

    def _rate(self, source: Path, context: Context) -> float:
        rate = self.rate or self.native_rate
        if rate is None:
            context.tell(f"{source}: tells no frames a second, 30 are assumed; give --rate")
            return 30.0
        if not 0 < rate < 1e5:
            raise ValueError(f"rate is {rate:g}; give frames a second as a positive number")
        return rate

    def _layout(self, recording: Recording, context: Context) -> tuple[str, tuple[str, ...], int] | None:
        """Skeleton, names and number of the first person's keypoints; None where nobody is there."""
        quiet = Context(context.scratch, lambda text: None)
        fault: ValueError | None = None
        for start in range(0, len(recording.files), _FEW):
            part = recording._replace(
                files=recording.files[start : start + _FEW], frames=recording.frames[start : start + _FEW]
            )
            try:
                found = self.found(part, quiet)
            except ValueError as error:  # of some frames; told when all are read
                fault = fault or error
                continue
            for person in found.people:
                if isinstance(person.values, list) and person.values:
                    return _layout_of(found.names, len(person.values) // 3, recording.files[0])
        if fault is not None:
            raise fault
        return None


def _layout_of(names: list[str] | None, count: int, file: Path) -> tuple[str, tuple[str, ...], int]:
    if names is None or (len(names) in LAYOUTS and len(names) != count):
        if count not in LAYOUTS:
            known = ", ".join(str(number) for number in LAYOUTS)
            raise ValueError(
                f"{file}: a person has {count} keypoints, of which no order is known; use {known}"
            )
        return (*LAYOUTS[count], count)
    for skeleton in ("halpe26", "h36m17", "coco17"):
        places = _places(get_skeleton(skeleton).joints, names)
        if min(places) >= 0 or (skeleton == "coco17" and min(places[5:]) >= 0):
            return skeleton, tuple(names), len(names)
    raise ValueError(
        f"{file}: keypoints are {', '.join(names)[:160]}, which are not a body's; give results of a body"
        " model"
    )


def _places(joints: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where each joint stands among the names, -1 where it does not."""
    return [names.index(joint) if joint in names else -1 for joint in joints]


class _Rows:
    """People whose numbers can be used, as (J, 3) points; the others are counted by what is wrong."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.people: list[Person] = []
        self.points: list[Float64[np.ndarray, "J 3"]] = []
        self._faults: dict[str, list[int]] = {}

    def add(self, person: Person, count: int, places: np.ndarray) -> None:
        values = person.values
        if not isinstance(values, list) or not all(is_number(value) for value in values):
            return self._count("have keypoints that are not a list of finite numbers", person)
        if len(values) != 3 * count:
            return self._count(f"have {len(values)} numbers as keypoints, wanted {3 * count}", person)
        given = np.array(values, float).reshape(-1, 3)
        points = np.where(places[:, None] >= 0, given[places], 0.0)
        points[points[:, 2] <= 0] = 0
        if np.abs(points).max() > _LARGEST:
            return self._count("have keypoints that are not pixels", person)
        if not points.any():
            return self._count("have no keypoint", person)
        self.people.append(person)
        self.points.append(points)
        return None

    def _count(self, fault: str, person: Person) -> None:
        self._faults.setdefault(fault, []).append(person.frame)

    def tell(self, context: Context) -> None:
        for fault, frames in self._faults.items():
            say = context.tell if fault == "have no keypoint" else context.note
            say(f"{self.where}: {len(frames)} people (first in frame {frames[0]}) {fault}; left out")

    def check(self, context: Context) -> None:
        """Refuse what are not pixels or confidences; bring those above 1 to 1."""
        if not self.points:
            raise ValueError(f"{self.where}: has no person with a keypoint that can be used; check the file")
        every = np.concatenate(self.points)
        known = every[every[:, 2] > 0]
        if len(known) >= _FEW and np.abs(known[:, :2]).max() <= 1.0:
            raise ValueError(
                f"{self.where}: all keypoints lie between {known[:, :2].min():.3g} and"
                f" {known[:, :2].max():.3g}, so are not pixels; write pixels (OpenPose: --keypoint_scale 0)"
            )
        if (top := known[:, 2].max()) > _HIGHEST:
            raise ValueError(f"{self.where}: scores reach {top:.3g}, wanted 0 to 1; divide them")
        if top > 1.0:
            context.tell(f"{self.where}: scores reach {top:.3g}; those above 1 count as 1")
            for points in self.points:
                points[:, 2] = points[:, 2].clip(max=1.0)


def json_files(source: Path) -> list[Path]:
    """The .json files of a source.

    Raises FileNotFoundError if there is none.
    """
    found = matching(files_below(source), "*.json")
    if not found:
        raise nothing_found(source, "no .json file there", "give one, or a folder that holds some")
    return found


def by_frame(files: Sequence[Path], source: Path) -> list[Recording]:
    """Files that are a frame each, put together by folder and name, whose last number is the frame."""
    top = source if source.is_dir() else source.parent
    groups: dict[str, list[tuple[int, Path]]] = {}
    for file in files:
        match = _FRAME.fullmatch(file.stem)
        name = match["name"] if match else file.stem.removesuffix("_keypoints")
        folder = file.parent.relative_to(top).as_posix() if file.parent != top else ""
        key = "/".join(part for part in (folder, name) if part) or top.name
        groups.setdefault(key, []).append((int(match["frame"]) if match else 0, file))
    out = []
    for name, members in sorted(groups.items()):
        members.sort()
        frames = [frame for frame, _ in members]
        if len(set(frames)) != len(frames) or frames[-1] >= 1 << 31:
            frames = list(range(len(members)))
        out.append(Recording(name, tuple(file for _, file in members), tuple(frames)))
    return out


def frame_numbers(names: Iterable[Any]) -> dict[Any, int]:
    """Frames by the names of their images: the last number in them, or their order where that is no name."""
    listed = list(dict.fromkeys(names))
    numbers = [_frame_of(name) for name in listed]
    if None in numbers or len(set(numbers)) != len(numbers):
        return {name: place for place, name in enumerate(listed)}
    return {name: number for name, number in zip(listed, numbers, strict=True) if number is not None}


def _frame_of(name: Any) -> int | None:
    if isinstance(name, int) and not isinstance(name, bool):
        return name if 0 <= name < 1 << 31 else None
    match = _FRAME.fullmatch(Path(str(name).replace("\0", "")).stem)
    return int(match["frame"]) if match and int(match["frame"]) < 1 << 31 else None


def box_of(given: Any, *, corners: bool) -> tuple[float, float, float, float] | None:
    """x0 y0 x1 y1 of a box given so, or as x y width height; None for what is none."""
    while isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, list) or len(given) not in (4, 5) or not all(is_number(n) for n in given):
        return None
    x0, y0, x1, y1 = (float(n) for n in given[:4])
    if not corners:
        x1, y1 = x0 + x1, y0 + y1
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 and max(map(abs, (x0, y0, x1, y1))) < _LARGEST else None


def track_of(value: Any) -> int | None:
    """A track's number, however it is nested; None for none (-1 says so too)."""
    while isinstance(value, list) and value:
        value = value[0]
    whole = is_number(value) and float(value).is_integer() and 0 <= value < 1 << 31
    return int(value) if whole else None


def _box(
    given: tuple[float, float, float, float] | None, points: Float64[np.ndarray, "J 3"]
) -> Float32[np.ndarray, " 4"]:
    """The detector's box, or the keypoints'; at least a pixel wide."""
    if given is None:
        known = points[points[:, 2] > 0, :2]
        low, high = known.min(0), known.max(0)
        given = (*(low - 0.5).tolist(), *np.maximum(high + 0.5, low + 0.5).tolist())
    return np.array(given, np.float32)


def _name(file: Path, top: Path) -> str:
    return file.relative_to(top).with_suffix("").as_posix()
