"""ITOP (Haque et al., Towards Viewpoint Invariant 3D Human Pose Estimation, ECCV 2016), as it is published.

Sixteen HDF5 files, gzipped or not: `ITOP_{side,top}_{train,test}_{labels,depth_map,point_cloud,images}.h5`.
Read here are the labels and the depth maps, or where these are lacking the point clouds, which hold the same
depth; `images` is a picture of the depth and not needed. Files of a view and part share the order of rows:

- labels: `id` (n,) "PP_FFFFF" (person, frame); `is_valid` (n,); `visible_joints` (n, 15);
  `image_coordinates` (n, 15, 2) whole pixels; `real_world_coordinates` (n, 15, 3) metres;
  `segmentation` (n, 240, 320), -1 the background.
- depth_map: `id`; `data` (n, 240, 320) metres. point_cloud: `id`; `data` (n, 76800, 3) metres.

Coordinates are x right, **y up**, z forward, with u = 160 + x / (0.0035 z) and v = 120 - y / (0.0035 z). Here
y is turned down, which makes the frame right-handed. The camera stands in the world's origin: level for the
side view, looking straight down for the top view (the files do not tell how it was tilted).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped, UInt16

from posedata.readers._clips import stride_for
from posedata.readers.files.h5 import H5Array, H5File
from posedata.readers.files.kinect import BATCH, Framing, batches, project
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Total, Unit, option, register
from posedata.readers.listing import files_below, matching, nothing_found

SIZE = (320, 240)
FOCAL = 1 / 0.0035
CENTRE = (160.0, 120.0)
RATE = 30.0
JOINTS = 15
PARTS = ("train", "test")
VIEWS = ("side", "top")
_ROTATIONS = {
    "side": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "top": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}
_LARGEST_UNPACKED = 64 << 30
_FARTHEST = 50.0
_PEOPLE = tuple(f"{person:02d}" for person in range(100))


def _sequences(part: str) -> tuple[str, ...]:
    return tuple(f"side {part} {person}" for person in _PEOPLE)


@register
@dataclass(frozen=True)
class Itop(Format):
    """ITOP's side or top view: depth, 15 joints, visibility, and the person's mask where it is given."""

    name = "itop"
    title = "ITOP: the published HDF5 files of one view, gzipped or not"
    terms = "ITOP: as its authors state (academic use)"
    reference_fps = RATE
    totals = (
        Total("side view, valid training frames", 17_991, "A2J, ICCV 2019", sequences=_sequences("train")),
        Total("side view, valid test frames", 4_863, "A2J, ICCV 2019", sequences=_sequences("test")),
    )

    view: str = option("side", "Which camera: side or top.")
    part: str = option("all", "Which part: all, train or test.", whole=("all",))
    frames: str = option("valid", "Which frames: valid (those with true joints) or all.", whole=("valid",))
    size: str = option("full", "Images: full, a crop around the person such as 256x256, or none.")

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a person."""
        self._check()
        units = []
        split: dict[str, list[str]] = {}
        for part in PARTS if self.part == "all" else (self.part,):
            files = self._files(source, part, context)
            if files is None:
                continue
            opened = {kind: str(_opened(file, context)) for kind, file in files.items()}
            rows = _people(Path(opened["labels"]))
            for person in rows:
                detail = {"person": person, "rows": rows[person], **opened}
                units.append(Unit(f"{self.view} {part} {person}", tuple(files.values()), detail))
            split[part] = list(rows)
        if not units:
            raise nothing_found(
                source, f"has no ITOP_{self.view}_*_labels.h5", "give the folder that holds ITOP's files"
            )
        other = next(view for view in VIEWS if view != self.view)
        if any(_find(source, f"ITOP_{other}_{part}_labels.h5") for part in PARTS):
            context.tell(f"{source}: holds the {other} view too, which is left out; --view {other} reads it")
        stride = stride_for(source, RATE, self.fps)
        return Plan(units, "ITOP", RATE / stride, "itop15", meta={"split": split, "view": self.view})

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip: a person's frames."""
        detail = unit.detail
        with H5File(detail["labels"]) as labels:
            count = len(labels.array("id", (None,), "S"))
            rows = _kept(detail["rows"], labels, count, self.frames, self._stride())
            if not len(rows):
                context.note(f"{detail['labels']}: person {detail['person']} has no valid frame; left out")
                return
            numbers = np.array([int(name[3:]) for name in _ids(labels)])[rows]
            camera = _camera(self.view)
            joints, valid = _joints(labels, rows, count)
            world = joints @ camera.rotation.astype(np.float32)
            seen = _rows(labels.array("visible_joints", (count, JOINTS)), rows) > 0
            columns = {"frame": numbers // self._stride(), "valid": valid, "visible_true": seen & valid}
            columns["keypoints_true"] = project(camera, world, valid)
            columns["keypoints_itop"] = _given_keypoints(labels, rows, count, valid)
            images = None
            if "depth" in detail:
                framing = Framing.parse(SIZE, self.size)
                columns["boxes"] = framing.boxes(columns["keypoints_true"])
                images = batches(_images(labels, detail, rows, framing, columns["boxes"]))
            yield Clip(world, detail["person"], unit.name, "unknown", columns, (camera,), images)

    def _stride(self) -> int:
        return stride_for(Path("ITOP"), RATE, self.fps)

    def _check(self) -> None:
        choices = {"view": VIEWS, "part": ("all", *PARTS), "frames": ("valid", "all")}
        for field, known in choices.items():
            if getattr(self, field) not in known:
                raise ValueError(
                    f"{field} {getattr(self, field)!r} is not known; use one of {', '.join(known)}"
                )
        if self.size != "none":
            Framing.parse(SIZE, self.size)

    def _files(self, source: Path, part: str, context: Context) -> dict[str, Path] | None:
        stem = f"ITOP_{self.view}_{part}_"
        labels = _find(source, f"{stem}labels.h5")
        if labels is None:
            if self.part != "all":
                raise FileNotFoundError(f"{source}: has no {stem}labels.h5; download it, or leave --part out")
            return None
        found = {"labels": labels}
        if self.size == "none":
            return found
        for kind in ("depth_map", "point_cloud"):
            file = _find(source, f"{stem}{kind}.h5")
            if file is not None:
                return found | {"depth": file}
        context.note(f"{source}: has no {stem}depth_map.h5; poses without images are read, or download it")
        return found


def _people(labels: Path) -> dict[str, np.ndarray]:
    """The rows of each person, by name in order."""
    with H5File(labels) as file:
        people = np.array([name[:2] for name in _ids(file)])
    return {str(person): np.flatnonzero(people == person) for person in np.unique(people)}


def _find(source: Path, name: str) -> Path | None:
    """The file in the folder or below, plain or gzipped."""
    folder = source.parent if source.is_file() else source
    every = files_below(folder)
    for wanted in (name, f"{name}.gz"):
        if found := matching(every, wanted):
            return found[0]
    return None


def _opened(file: Path, context: Context) -> Path:
    return _unpack(file, context.scratch) if file.suffix.lower() == ".gz" else file


def _unpack(packed: Path, scratch: Path) -> Path:
    target = scratch / packed.stem
    if target.is_file():
        return target
    scratch.mkdir(parents=True, exist_ok=True)
    unfinished = scratch / f"{packed.stem}.partial"
    try:
        with gzip.open(packed) as read, unfinished.open("wb") as write:
            _copy(read, write)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, say
            cause = f"{error.strerror}, while {packed.name} is unpacked there"
            raise OSError(error.errno, cause, str(unfinished)) from None
        reason = "it is longer than any file of ITOP" if isinstance(error, _TooLongError) else "it is damaged"
        raise ValueError(f"{packed}: does not unpack, {reason}; download it again") from None
    unfinished.rename(target)
    return target


class _TooLongError(ValueError):
    """More came out of a packed file than should."""


def _copy(read: gzip.GzipFile, write: BinaryIO) -> None:
    total = 0
    while block := read.read(1 << 22):
        total += len(block)
        if total > _LARGEST_UNPACKED:
            raise _TooLongError
        write.write(block)


def _ids(file: H5File) -> list[str]:
    """Names of all rows, each checked to be "PP_FFFFF"."""
    names = []
    for raw in file.array("id", (None,), "S").all():
        name = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)
        if not re.fullmatch(r"\d\d_\d{1,9}", name, re.ASCII):
            raise ValueError(f"{file.path}: id {name[:20]!r} is not PP_FFFFF; download the file again")
        names.append(name)
    return names


def _kept(
    rows: Int[np.ndarray, " n"], labels: H5File, count: int, frames: str, stride: int
) -> Int[np.ndarray, " m"]:
    """Those rows of a person that are wanted, in the order of their frames."""
    if frames == "valid":
        rows = rows[labels.array("is_valid", (count,)).all()[rows] == 1]
    numbers = np.array([int(name[3:]) for name in _ids(labels)])[rows]
    rows, numbers = rows[np.argsort(numbers, kind="stable")], np.sort(numbers)
    return rows[numbers % stride == 0]


def _joints(
    labels: H5File, rows: Int[np.ndarray, " n"], count: int
) -> tuple[Float32[np.ndarray, "n 15 3"], Shaped[np.ndarray, "n 15"]]:
    """Camera frame, x right, y down, z forward; and which are true."""
    given = _rows(labels.array("real_world_coordinates", (count, JOINTS, 3)), rows).astype(np.float32)
    valid = np.isfinite(given).all(-1) & (np.abs(given) < 100).all(-1)
    valid &= _rows(labels.array("is_valid", (count,)), rows)[:, None] == 1
    known = np.where(valid[..., None], given, np.float32(0))
    return known * np.array([1, -1, 1], np.float32), valid


def _given_keypoints(
    labels: H5File, rows: Int[np.ndarray, " n"], count: int, valid: Shaped[np.ndarray, "n 15"]
) -> Float32[np.ndarray, "n 15 3"]:
    pixels = _rows(labels.array("image_coordinates", (count, JOINTS, 2)), rows).astype(np.float32)
    known = valid & np.isfinite(pixels).all(-1)
    return np.concatenate([np.where(known[..., None], pixels, 0), known[..., None]], -1).astype(np.float32)


def _images(
    labels: H5File,
    detail: dict[str, Any],
    rows: Int[np.ndarray, " n"],
    framing: Framing,
    boxes: Float32[np.ndarray, "n 4"],
) -> Iterator[dict[str, np.ndarray]]:
    """Depth, and the mask where the labels have it, frame by frame; read some frames at a time."""
    width, height = SIZE
    count = len(labels.array("id", (None,), "S"))
    masks = labels.array("segmentation", (count, height, width)) if "segmentation" in labels else None
    with H5File(detail["depth"]) as file:
        if _ids(file) != _ids(labels):
            raise ValueError(f"{file.path}: id differs from {labels.path}'s; download both again")
        cloud = "point_cloud" in file.path.name
        depths = file.array("data", (count, width * height, 3) if cloud else (count, height, width), "f")
        for start in range(0, len(rows), BATCH):
            block = rows[start : start + BATCH]
            metres = _rows(depths, block)
            _check_metres(file.path, metres)
            people = None if masks is None else _rows(masks, block)
            for i, box in enumerate(boxes[start : start + BATCH]):
                depth = depth_from_cloud(metres[i]) if cloud else _millimetres(metres[i])
                images = {"depth": framing.cut(depth, box)}
                if people is not None:
                    images["mask"] = framing.cut((people[i] >= 0).astype(np.uint8), box)
                yield images


def _rows(array: H5Array, rows: Int[np.ndarray, " n"]) -> np.ndarray:
    """These rows in this order; HDF5 wants them ascending, and is quickest with a slice."""
    low, high = int(rows.min()), int(rows.max()) + 1
    if high - low <= 2 * len(rows):
        return array[low:high][rows - low]
    order = np.argsort(rows, kind="stable")
    return array[rows[order]][np.argsort(order)]


def _check_metres(path: Path, metres: Shaped[np.ndarray, " ..."]) -> None:
    depth = metres[..., 2] if metres.shape[-1] == 3 else metres
    known = depth[np.isfinite(depth) & (depth > 0)]
    if known.size and float(np.median(known)) > _FARTHEST:
        raise ValueError(
            f"{path}: values of {known.min():.4g} to {known.max():.4g} metres; these look like millimetres,"
            " ITOP's are metres; download the file again"
        )


def _millimetres(metres: Shaped[np.ndarray, " ..."]) -> UInt16[np.ndarray, " ..."]:
    values = np.where(np.isfinite(metres), metres, 0).astype(np.float64) * 1000
    return np.where((values > 0) & (values < 65535.5), np.rint(values), 0).astype(np.uint16)


def depth_from_cloud(cloud: Float[np.ndarray, "N 3"]) -> UInt16[np.ndarray, "240 320"]:
    """The depth image, mm, of a cloud in ITOP's frame (metres, y up), each point at its pixel."""
    x, y, z = cloud.astype(np.float64).T
    ahead = np.isfinite(cloud).all(-1) & (z > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.rint(np.where(ahead, CENTRE[0] + FOCAL * x / z, -1)).clip(-1, SIZE[0]).astype(np.int64)
        v = np.rint(np.where(ahead, CENTRE[1] - FOCAL * y / z, -1)).clip(-1, SIZE[1]).astype(np.int64)
    inside = ahead & (u >= 0) & (u < SIZE[0]) & (v >= 0) & (v < SIZE[1])
    out = np.zeros((SIZE[1], SIZE[0]), np.uint16)
    out[v[inside], u[inside]] = _millimetres(z[inside])
    return out


def _camera(view: str) -> ClipCamera:
    return ClipCamera(view, (FOCAL, FOCAL), CENTRE, _ROTATIONS[view], np.zeros(3), SIZE)
