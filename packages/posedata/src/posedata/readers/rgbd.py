"""RGB-D recordings: a folder of depth and colour images with intrinsics, or organised point clouds.

A folder holds `depth/` (16-bit PNG, or `.npy` of millimetres as uint16 or of metres as floats), if there is
colour `rgb/` (or `color/`), and `intrinsics.json` (or `camera_intrinsic.json`, `camera.json`):

    {"width": 640, "height": 480, "fx": 525, "fy": 525, "cx": 319.5, "cy": 239.5,
     "distortion": [k1, k2, p1, p2, k3], "depth_scale": 1000, "fps": 30,
     "rgb": {"width": ..., "rotation": 3x3, "translation": [metres]}, "frames": {"NAME": {"fx": ...}}}

Only size, focal lengths and centre are needed; Open3D's own `intrinsic_matrix` (nine numbers by column) does
too. `depth_scale` is the units of a metre. `rgb` describes a colour camera of its own, placed by what takes
the depth frame to its frame; without it the two must be registered. `frames` holds what changes between them.
Images are paired by name; names that are times (seconds) by the nearest time. They come in the order of the
numbers in their names, 2 before 10. A frame without colour is told and left out where others have it.

A `.pcd` file with rows and columns is a recording of one frame; its intrinsics follow from its points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from jaxtyping import Float32, Int, UInt8, UInt16

from posedata.camera import Camera
from posedata.prepare.format import Clip, ClipCamera, Context, Format, Plan, Unit, option, register
from posedata.readers._intrinsics import array_of, finite, json_camera, part
from posedata.readers._kinect import Framing, batches, read_colour, read_depth_png, register_colour
from posedata.readers._pcd import cloud_images, millimetres
from posedata.readers._safe_text import read_json

RATE = 30.0
APART = 1 / 30
"""Seconds that a colour image may lie from its depth image."""
_INTRINSICS = ("intrinsics.json", "camera_intrinsic.json", "camera.json")
_COLOUR = ("rgb", "color", "colour")
_LARGEST = 8192


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


class RgbdSequence:
    """Frames of one recording with intrinsics that belong to each; images are read when they are asked for.

    `open_rgbd` makes one. Iteration holds one frame in memory.

    Attributes:
        name: of the folder or file.
        fps: frames a second.
    """

    def __init__(
        self, name: str, fps: float, pairs: list[_Pair], scale: float, colour: Camera | None
    ) -> None:
        self.name, self.fps = name, fps
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

    def names(self) -> list[str]:
        """The frames' names, those of the depth files."""
        return [pair.name for pair in self._pairs]

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
        depth = _read_depth(pair.depth, self._scale)
        width, height = pair.camera.size.tolist()
        if depth.shape != (height, width):
            raise ValueError(
                f"{pair.depth}: is {depth.shape[1]}x{depth.shape[0]}, the intrinsics say {width}x{height};"
                " give those of this image"
            )
        rgb = None if pair.colour is None else read_colour(pair.colour)
        if rgb is not None and self._colour is not None:
            rgb = register_colour(depth, rgb, pair.camera, self._colour)
        elif rgb is not None and rgb.shape[:2] != depth.shape:
            raise ValueError(
                f"{pair.colour}: is {rgb.shape[1]}x{rgb.shape[0]}, depth is {width}x{height}; register them,"
                " or describe the colour camera as 'rgb' in intrinsics.json"
            )
        return RgbdFrame(depth, rgb, pair.camera, pair.time, pair.name)


def open_rgbd(source: str | Path, intrinsics: str | Path | None = None) -> RgbdSequence:
    """A recording: a folder as the module describes, one depth image (.png, .npy), or an organised .pcd.

    Args:
        source: folder or file.
        intrinsics: the JSON, where it does not lie in the folder (beside the image).

    Raises: FileNotFoundError; ValueError naming file, field and cure.
    """
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; give an RGB-D folder, .png, .npy or .pcd")
    if path.suffix.lower() == ".pcd":
        camera = cloud_images(path)[2]
        return RgbdSequence(path.stem, RATE, [_Pair(path.stem, 0.0, path, None, camera)], 1000.0, None)
    folder = path if path.is_dir() else path.parent
    depth = [path] if path.is_file() else _images_in(path, ("depth",))
    if not depth:
        raise FileNotFoundError(f"{path}: has no depth/ with .png or .npy files; give the recording's folder")
    table = Path(intrinsics) if intrinsics is not None else _table_in(folder)
    told = read_json(table)
    colour = _images_in(path, _COLOUR) if path.is_dir() else []
    scale = finite(told, "depth_scale", table, 1000.0)
    fps = finite(told, "fps", table, RATE)
    rgb = None
    if "rgb" in told:
        rgb = json_camera(part(told, "rgb", table), f"{table}: rgb")
    frames = part(told, "frames", table) if "frames" in told else {}
    pairs = []
    for (name, time), file, matched in _paired(depth, colour, fps):
        given = frames.get(name)
        if given is not None and not isinstance(given, dict):
            raise ValueError(f"{table}: frames {name[:40]!r} is no object; write what differs in that frame")
        pairs.append(_Pair(name, time, file, matched, json_camera({**told, **(given or {})}, str(table))))
    return RgbdSequence(path.stem if path.is_file() else path.name, fps, pairs, scale, rgb)


def _images_in(folder: Path, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        if (folder / name).is_dir():
            kinds = (".png", ".npy") if name == "depth" else (".png", ".jpg", ".jpeg")
            return sorted((p for p in (folder / name).iterdir() if p.suffix.lower() in kinds), key=_place)
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
        for name in _INTRINSICS:
            if (place / name).is_file():
                return place / name
    raise FileNotFoundError(
        f"{folder / _INTRINSICS[0]}: no such file; write width, height, fx, fy, cx, cy there"
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


def _read_depth(path: Path, scale: float) -> UInt16[np.ndarray, "H W"]:
    if path.suffix.lower() == ".png":
        depth = read_depth_png(path)
        return depth if scale == 1000 else millimetres(depth * (1000 / scale))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: is no .npy array ({str(error)[:120]}); copy it anew") from None
    if array.ndim != 2 or array.dtype.kind not in "fu" or max(array.shape) > _LARGEST:
        raise ValueError(
            f"{path}: is {array.dtype} {array.shape}, wanted (H, W) of uint16 or floats; save it so"
        )
    return millimetres(array.astype(np.float64) * (1000 if array.dtype.kind == "f" else 1000 / scale))


@register
@dataclass(frozen=True)
class Rgbd(Format):
    """Recordings without 3D truth: images and cameras, and 2D keypoints from a COCO JSON if there is one."""

    name = "rgbd"
    title = "RGB-D recordings: depth/, rgb/ and intrinsics.json, or organised .pcd files"
    version = 2

    keypoints: str = option(
        "keypoints.json", "COCO keypoints in each recording's folder, by depth file's name."
    )
    size: str = option("full", "Images: full, or a crop around each person such as 256x256.")

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a recording; all run at the first one's rate unless their intrinsics say otherwise."""
        places = _recordings(source)
        if not places:
            raise FileNotFoundError(f"{source}: holds no depth/ folder and no .pcd file; give recordings")
        units = []
        for place in places:
            name = place.name if place == source else place.relative_to(source).as_posix()
            tables = [p for p in (place / self.keypoints, *(place / n for n in _INTRINSICS)) if p.is_file()]
            files = (
                [place] if place.is_file() else [*_images_in(place, ("depth",)), *_images_in(place, _COLOUR)]
            )
            units.append(Unit(name, (*files, *tables), str(place)))
        return Plan(units, "RGB-D recordings", None, "coco17")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a recording: a row a frame, or a row a person where there are keypoints."""
        place = Path(unit.detail)
        frames = open_rgbd(place)
        stride = 1 if self.fps is None else max(1, round(frames.fps / self.fps))
        table = place / self.keypoints if place.is_dir() else place.with_suffix(".keypoints.json")
        index, keypoints = (
            people_in(table, frames.names()) if table.is_file() else (np.arange(len(frames)), None)
        )
        kept = index % stride == 0
        if bare := frames.without_colour():
            first = _images_in(place, ("depth",))[bare[0]]
            context.note(
                f"{first}: has no colour image, as {len(bare)} of {len(frames)} frames of {unit.name}; their"
                " rows are left out, add the images"
            )
            kept &= ~np.isin(index, bare)
        index, keypoints = index[kept], None if keypoints is None else keypoints[kept]
        framing = Framing.parse(frames.size, self.size)
        around = np.zeros((len(index), 17, 3), np.float32) if keypoints is None else keypoints
        columns: dict[str, np.ndarray] = {
            "frame": index // stride,
            "valid": np.zeros((len(index), 17), bool),
            "boxes": framing.boxes(around),
        }
        if keypoints is not None:
            columns["keypoints_detector"] = keypoints
        cameras = [_clip_camera(unit.name, frames.camera(i)) for i in range(len(frames))]
        columns["camera"] = index
        images = batches(_cut(frames, index, framing, columns["boxes"]))
        joints = np.zeros((len(index), 17, 3), np.float32)
        yield Clip(joints, unit.name, unit.name, "unknown", columns, cameras, images, fps=frames.fps / stride)


def _recordings(source: Path) -> list[Path]:
    if source.is_file() or (source / "depth").is_dir():
        return [source] if source.exists() else []
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder; give recordings")
    inside = [p for p in sorted(source.iterdir()) if p.is_dir() and (p / "depth").is_dir()]
    return inside or sorted(p for p in source.iterdir() if p.suffix.lower() == ".pcd")


def _clip_camera(name: str, camera: Camera) -> ClipCamera:
    """The camera level in the world's origin, z up."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    values = (camera.focal.numpy(), camera.centre.numpy(), turn, np.zeros(3))
    width, height = camera.size.tolist()
    return ClipCamera(name, *values, (int(width), int(height)), camera.distortion.numpy())


def _cut(
    frames: RgbdSequence, index: Int[np.ndarray, " N"], framing: Framing, boxes: Float32[np.ndarray, "N 4"]
) -> Iterator[dict[str, np.ndarray]]:
    at, frame = -1, None
    for number, box in zip(index.tolist(), boxes, strict=True):
        if frame is None or number != at:
            at, frame = number, frames[number]
        images = {"depth": framing.cut(frame.depth, box)}
        if frame.rgb is not None:
            images["rgb"] = framing.cut(frame.rgb, box)
        yield images


def people_in(
    path: Path, names: Sequence[str]
) -> tuple[Int[np.ndarray, " N"], Float32[np.ndarray, "N 17 3"]]:
    """COCO-17 keypoints of everybody in a COCO JSON, whose images are named as these frames (endings aside).

    COCO's visibility 0, 1, 2 becomes confidence 0, 0.5, 1; a detector's scores stay as they are.

    Returns: the number of the frame of each, ascending, and pixels with confidence.

    Raises FileNotFoundError, or ValueError naming the file and what it lacks.
    """
    told = read_json(path)
    images, people = told.get("images"), told.get("annotations")
    if not isinstance(images, list) or not isinstance(people, list):
        raise ValueError(f"{path}: has no lists 'images' and 'annotations'; write COCO keypoints")
    place = {name: number for number, name in enumerate(names)}
    try:
        of = {image["id"]: Path(str(image["file_name"])).stem for image in images}
        found = [(place[of[person["image_id"]]], person["keypoints"]) for person in people]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: an annotation or image lacks or misnames {error}; name depth files"
        ) from None
    found.sort(key=lambda pair: pair[0])
    points = [array_of(values, (17, 3), f"{path}: keypoints") for _, values in found]
    keypoints = np.array(points, np.float32).reshape(-1, 17, 3)
    if keypoints[..., 2].max(initial=0) > 1:
        keypoints[..., 2] /= 2
    return np.array([number for number, _ in found], dtype=np.int64), keypoints
