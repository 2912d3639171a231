"""RGB-D recordings: a folder of depth and colour images with intrinsics, or organised point clouds.

A folder holds `depth/` (16-bit PNG, or `.npy` of millimetres as integers or of metres as floats), if there is
colour `rgb/` (or `color/`), and `intrinsics.json` (or `camera_intrinsic.json`, `camera.json`):

    {"width": 640, "height": 480, "fx": 525, "fy": 525, "cx": 319.5, "cy": 239.5,
     "distortion": [k1, k2, p1, p2, k3], "depth_scale": 1000, "fps": 30,
     "rgb": {"width": ..., "rotation": 3x3, "translation": [metres]}, "frames": {"NAME": {"fx": ...}}}

Only size, focal lengths and centre are needed; Open3D's own `intrinsic_matrix` (nine numbers by column) does
too. `depth_scale` is the units of a metre, 1000 unless given; a folder with TUM's `depth.txt` has 5000. Depth
that can be no room's in that unit is refused. `rgb` describes a colour camera of its own, placed by what
takes the depth frame to its frame; without it the two must be registered. `frames` holds what changes between
them.
Images are paired by name; names that are times (seconds) by the nearest time. They come in the order of the
numbers in their names, 2 before 10. A frame without colour is noted and left out where others have it.

A `.pcd` file with rows and columns is a recording of one frame; its intrinsics follow from its points.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from jaxtyping import UInt8, UInt16

from posedata.geometry.camera import Camera
from posedata.readers.files.depth import TUM_SCALE, read_depth
from posedata.readers.files.intrinsics import finite, json_camera, part
from posedata.readers.files.kinect import read_colour, register_colour
from posedata.readers.files.pcd import cloud_images
from posedata.readers.files.safe_text import read_json
from posedata.readers.listing import is_junk

RATE = 30.0
APART = 1 / 30
"""Seconds that a colour image may lie from its depth image."""
INTRINSICS = ("intrinsics.json", "camera_intrinsic.json", "camera.json")
COLOUR = ("rgb", "color", "colour")


class RgbdFrame(NamedTuple):
    """One moment: depth in millimetres (0: none), colour on the same pixels if there is any, the camera of
    both (in its own frame), the time in seconds, and the file's name."""

    depth: UInt16[np.ndarray, "H W"]
    rgb: UInt8[np.ndarray, "H W 3"] | None
    camera: Camera
    time: float
    name: str


class _Pair(NamedTuple):
    name: str
    time: float
    depth: Path
    colour: Path | None
    camera: Camera


class _Scale(NamedTuple):
    """Units of a metre, whether the user gave them for these files, and what to tell of them."""

    units: float
    given: bool = False
    notes: tuple[str, ...] = ()


class RgbdSequence:
    """Frames of one recording with intrinsics that belong to each; images are read when they are asked for.

    `open_rgbd` makes one. Iteration holds one frame in memory.

    Attributes:
        name: of the folder or file.
        fps: frames a second.
        notes: what was taken for granted, one line each.
        lost: pixels of depth that were "negative", "not finite" or "beyond 65.5 m" in the frames read so far.
    """

    def __init__(
        self, name: str, fps: float, pairs: list[_Pair], scale: _Scale, colour: Camera | None
    ) -> None:
        self.name, self.fps = name, fps
        self.notes: tuple[str, ...] = scale.notes
        self.lost: Counter[str] = Counter()
        self._pairs, self._scale, self._colour = pairs, scale, colour

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first depth image, pixels."""
        width, height = self._pairs[0].camera.size.tolist()
        return int(width), int(height)

    @property
    def has_colour(self) -> bool:
        """Whether every frame has a colour image."""
        return all(pair.colour is not None or pair.depth.suffix == ".pcd" for pair in self._pairs)

    def without_colour(self) -> list[int]:
        """Numbers of the frames that have no colour image, in a recording where others have one."""
        bare = [number for number, pair in enumerate(self._pairs) if pair.colour is None]
        return bare if len(bare) < len(self) else []

    def __iter__(self) -> Iterator[RgbdFrame]:
        return (self[index] for index in range(len(self)))

    def camera(self, index: int) -> Camera:
        """The camera of a frame, without reading the frame."""
        return self._pairs[index].camera

    def losses(self) -> str:
        """ "pixels of depth left out: 12 negative, 3 not finite", of the frames read so far; or nothing."""
        listed = ", ".join(f"{count:,} {what}" for what, count in (+self.lost).items())
        return f"pixels of depth left out: {listed}" if listed else ""

    def names(self) -> list[str]:
        """The frames' names, those of the depth files."""
        return [pair.name for pair in self._pairs]

    def times(self) -> list[float]:
        """The frames' times, seconds."""
        return [pair.time for pair in self._pairs]

    def depth(self, index: int) -> UInt16[np.ndarray, "H W"]:
        """The depth of a frame, without reading its colour. Raises ValueError where the image is damaged."""
        pair = self._pairs[index]
        if pair.depth.suffix == ".pcd":
            return cloud_images(pair.depth)[0]
        width, height = pair.camera.size.tolist()
        return read_depth(
            pair.depth,
            self._scale.units,
            (int(width), int(height)),
            given=self._scale.given,
            tum=_time(pair.depth) is not None,
            lost=self.lost,
        )

    @overload
    def __getitem__(self, index: int) -> RgbdFrame: ...
    @overload
    def __getitem__(self, index: slice) -> RgbdSequence: ...
    def __getitem__(self, index: int | slice) -> RgbdFrame | RgbdSequence:
        """A frame, or a shorter sequence. Raises ValueError, naming the file, where an image is damaged."""
        if isinstance(index, slice):
            step = index.step or 1
            return RgbdSequence(
                self.name, self.fps / abs(step), self._pairs[index], self._scale, self._colour
            )
        pair = self._pairs[index]
        if pair.depth.suffix == ".pcd":
            depth, rgb = cloud_images(pair.depth)[:2]
            return RgbdFrame(depth, rgb, pair.camera, pair.time, pair.name)
        depth = self.depth(index)
        width, height = depth.shape[1], depth.shape[0]
        rgb = None if pair.colour is None else read_colour(pair.colour)
        if rgb is not None and self._colour is not None:
            rgb = register_colour(depth, rgb, pair.camera, self._colour)
        elif rgb is not None and rgb.shape[:2] != depth.shape:
            raise ValueError(
                f"{pair.colour}: is {rgb.shape[1]}x{rgb.shape[0]}, depth is {width}x{height}; register them,"
                " or describe the colour camera as 'rgb' in intrinsics.json"
            )
        return RgbdFrame(depth, rgb, pair.camera, pair.time, pair.name)


def open_rgbd(
    source: str | Path, intrinsics: str | Path | None = None, depth_scale: float | None = None
) -> RgbdSequence:
    """A recording: a folder as the module describes, one depth image (.png, .npy), or an organised .pcd.

    Args:
        source: folder or file.
        intrinsics: the JSON, where it does not lie in the folder (beside the image).
        depth_scale: units of a metre in the depth images, floats too, whatever the JSON says.

    Raises: FileNotFoundError; ValueError naming file, field and cure.
    """
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; give an RGB-D folder, .png, .npy or .pcd")
    if path.suffix.lower() == ".pcd":
        camera = cloud_images(path)[2]
        return RgbdSequence(
            path.stem, RATE, [_Pair(path.stem, 0.0, path, None, camera)], _Scale(1000.0), None
        )
    folder = path if path.is_dir() else path.parent
    depth = [path] if path.is_file() else images_in(path, ("depth",))
    if not depth:
        raise FileNotFoundError(f"{path}: has no depth/ with .png or .npy files; give the recording's folder")
    table = Path(intrinsics) if intrinsics is not None else _table_in(folder)
    fields = read_json(table)
    colour = images_in(path, COLOUR) if path.is_dir() else []
    scale = _scale_of(folder, fields, table, depth_scale)
    fps = finite(fields, "fps", table, RATE)
    rgb = None
    if "rgb" in fields:
        rgb = json_camera(part(fields, "rgb", table), f"{table}: rgb")
    frames = part(fields, "frames", table) if "frames" in fields else {}
    pairs = []
    for (name, time), file, matched in _paired(depth, colour, fps):
        given = frames.get(name)
        if given is not None and not isinstance(given, dict):
            raise ValueError(
                f"{table}: frames {name[:40]!r} is not an object; write what differs in that frame"
            )
        pairs.append(_Pair(name, time, file, matched, json_camera({**fields, **(given or {})}, str(table))))
    return RgbdSequence(path.stem if path.is_file() else path.name, fps, pairs, scale, rgb)


def _scale_of(folder: Path, fields: dict[str, Any], table: Path, given: float | None) -> _Scale:
    if given is not None:
        return _Scale(finite({"depth_scale": given}, "depth_scale", "--depth-scale"), given=True)
    if "depth_scale" not in fields and (folder / "depth.txt").is_file():
        text = (
            f"{folder / 'depth.txt'}: TUM's layout, so depth has 5000 units a metre; else give --depth-scale"
        )
        return _Scale(TUM_SCALE, notes=(text,))
    return _Scale(finite(fields, "depth_scale", table, 1000.0))


def images_in(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The images of the first of these folders that is there, in the order of the numbers in their names."""
    for name in names:
        if (folder / name).is_dir():
            kinds = (".png", ".npy") if name == "depth" else (".png", ".jpg", ".jpeg")
            files = (
                p for p in (folder / name).iterdir() if p.suffix.lower() in kinds and not is_junk(p.name)
            )
            return sorted(files, key=_place)
    return []


def _place(file: Path) -> tuple[list[tuple[float, str]], str]:
    """Sorts names by the numbers in them, and those that are times by the time."""
    time = _time(file)
    if time is not None:
        return [(time, "")], file.name
    words = enumerate(re.split(r"([0-9]+)", file.stem))
    return [(float(word), "") if i % 2 else (-1.0, word) for i, word in words], file.name


def _table_in(folder: Path) -> Path:
    for place in (folder, folder.parent):
        for name in INTRINSICS:
            if (place / name).is_file():
                return place / name
    raise FileNotFoundError(
        f"{folder / INTRINSICS[0]}: no such file; write width, height, fx, fy, cx, cy there"
    )


def _paired(
    depth: list[Path], colour: list[Path], fps: float
) -> Iterator[tuple[tuple[str, float], Path, Path | None]]:
    """Every depth image with its name and time, and the colour image that belongs to it."""
    times = [_time(file) for file in depth]
    timed = all(time is not None for time in times)
    by_name = {file.stem: file for file in colour}
    color_times = [_time(file) for file in colour]
    nearest = timed and bool(colour) and all(time is not None for time in color_times)
    when = np.array(color_times if nearest else [], dtype=float)
    for number, file in enumerate(depth):
        time = times[number] if timed else number / fps
        assert time is not None
        matched = by_name.get(file.stem)
        if nearest and matched is None:
            index = int(np.abs(when - time).argmin())
            matched = colour[index] if abs(when[index] - time) <= APART else None
        yield (file.stem, time), file, matched


def _time(file: Path) -> float | None:
    """Seconds, where a file's name is a time as TUM's RGB-D recordings write it."""
    return float(file.stem) if re.fullmatch(r"\d{1,12}\.\d{1,9}", file.stem, re.ASCII) else None
