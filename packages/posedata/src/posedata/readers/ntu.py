"""NTU RGB+D and NTU RGB+D 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020), as they are published.

`nturgb+d_skeletons/SsssCcccPpppRrrrAaaa.skeleton` (setup, camera, performer, repetition, action); depth
images, where they are there, of 512x424, in millimetres, counted from 1:
`nturgb+d_depth_masked/NAME/MDepth-%08d.png` (0 outside the people) or `nturgb+d_depth/NAME/Depth-%08d.png`.

A skeleton file is text: the number of frames; in each frame the number of bodies; for each body a line of
identity and ten states, the number of joints (25), and for each joint x y z (metres, camera frame, y up),
depthX depthY, colorX colorY (pixels), a quaternion, and the tracking state (0 not, 1 inferred, 2 tracked).

The sensor's frame is right-handed with x to **its** left, and its images are mirrored: somebody who faces the
camera has the left hand at the left of the image. Here images and pixels are turned back (u = 511 - depthX)
and x negated, so that camera and world are what they are everywhere else. Intrinsics are not published; they
follow from the joints, which the files give both in metres and in pixels: focal length, centre and two radial
coefficients, to a few thousandths of a pixel, and a third that keeps the lens one out to the image's corners,
where no joint tells it. The camera stands level in the world's origin; its tilt is not
known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from posedata.readers._clips import files_of, stride_for
from posedata.readers.files.kinect import Framing, batches, read_depth_png, solve_intrinsics
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Unit, option, register
from posedata.readers.listing import files_below, is_junk, matching

SIZE = (512, 424)
RATE = 30.0
JOINTS = 25
CROSS_SUBJECT_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
"""Performers to train on in NTU RGB+D's cross-subject protocol (CVPR 2016, section 3.2.1)."""

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_WORLD_TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_BODY, _JOINT = 10, 12
_LARGEST = 16 << 20
_MOST_BODIES = 32
_MOST_POINTS = 20_000
_LARGEST_RESIDUAL = 1.0


class Body(NamedTuple):
    """One tracked body: the sensor's name for it, the frames in which it is, and its joints' 12 numbers."""

    identity: str
    frames: Int[np.ndarray, " T"]
    joints: Float[np.ndarray, "T 25 12"]


@register
@dataclass(frozen=True)
class Ntu(Format):
    """Skeletons, and depth where its folders lie beside them; one unit a setup, camera and performer."""

    name = "ntu"
    title = "NTU RGB+D (60 and 120): .skeleton files and, beside them, depth images"
    terms = "NTU RGB+D: academic research, by its release agreement"
    version = 2

    size: str = option("256x256", "Images: a crop around the person such as 256x256, full, or none.")
    missing: Path | None = option(None, "List of recordings to leave out, as published beside the data set.")

    def plan(self, source: Path, context: Context) -> Plan:
        """Recordings of one setup, camera and performer share a unit, and so their camera."""
        if self.size != "none":
            Framing.parse(SIZE, self.size)
        left_out = set() if self.missing is None else _listed(self.missing)
        groups: dict[str, list[Path]] = defaultdict(list)
        for file in files_of(source, ".skeleton"):
            if not _NAME.fullmatch(file.stem):
                context.note(f"{file}: is not named like S001C001P001R001A001; left out")
            elif file.stem not in left_out:
                groups[file.stem[:12]].append(file)
        roots = [] if self.size == "none" else _depth_roots(source)
        units = [
            Unit(name, tuple(files), {file.stem: _depth_folder(roots, file.stem) for file in files})
            for name, files in sorted(groups.items())
        ]
        stride = stride_for(source, RATE, self.fps)
        performers = sorted({name[8:12] for name in groups})
        train = [name for name in performers if int(name[1:]) in CROSS_SUBJECT_60]
        split = {"train": train, "test": [name for name in performers if name not in train]}
        return Plan(units, "NTU RGB+D", RATE / stride, "ntu25", meta={"split": split} if units else {})

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a body and recording."""
        stride = stride_for(Path(unit.name), RATE, self.fps)
        recordings, faults = {}, []
        for file in unit.files:
            try:
                recordings[file] = read_skeleton(file)
            except ValueError as error:
                faults.append(error)
        if not recordings:
            raise faults[0]
        for fault in faults:
            context.note(str(fault))
        empty = [file for file, bodies in recordings.items() if not bodies]
        for file in empty:
            context.note(f"{file}: tracks nobody; left out")
        if len(empty) == len(recordings):
            return
        camera = self._camera(unit, recordings, context)
        for file, bodies in recordings.items():
            for number, body in enumerate(bodies):
                yield from self._clip(file, body, number, camera, unit.detail[file.stem], stride, context)

    def _camera(self, unit: Unit, recordings: dict[Path, list[Body]], context: Context) -> ClipCamera:
        every = np.concatenate(
            [b.joints.reshape(-1, _JOINT) for bodies in recordings.values() for b in bodies]
        )
        every = every[:: -(-len(every) // _MOST_POINTS)]
        try:
            solved = solve_intrinsics(_unmirrored(every[:, :3]), _pixels(every), size=SIZE)
        except ValueError as error:
            raise ValueError(f"{unit.files[0]}: {error}; copy it again") from None
        if solved.residual > _LARGEST_RESIDUAL:
            context.note(
                f"{unit.files[0]}: depthX and depthY lie up to {solved.residual:.1f} px from where x, y, z"
                " put them; get the file again"
            )
        return ClipCamera(
            unit.name[:8], solved.focal, solved.centre, _WORLD_TO_CAMERA, np.zeros(3), SIZE, solved.distortion
        )

    def _clip(
        self,
        file: Path,
        body: Body,
        number: int,
        camera: ClipCamera,
        folder: tuple[str, int] | None,
        stride: int,
        context: Context,
    ) -> Iterator[Clip]:
        kept = body.frames % stride == 0
        if not kept.any():
            return
        frames, numbers = body.frames[kept], body.joints[kept]
        state = numbers[..., 11]
        known = np.isfinite(numbers[..., :5]).all(-1)
        valid = known & (state >= 1)
        seen = np.where(valid[..., None], _unmirrored(numbers[..., :3]), 0)
        joints = (seen @ _WORLD_TO_CAMERA).astype(np.float32)
        pixels = np.where(valid[..., None], _pixels(numbers), 0)
        columns: dict[str, np.ndarray] = {"frame": frames // stride, "valid": valid}
        columns["visible_true"] = known & (state == 2)
        columns["keypoints_true"] = np.concatenate([pixels, valid[..., None]], -1).astype(np.float32)
        images = None
        if self.size != "none" and folder is not None:
            framing = Framing.parse(SIZE, self.size)
            columns["boxes"] = framing.boxes(columns["keypoints_true"])
            paths = _depth_files(Path(folder[0]), frames, context)
            there = np.array([path is not None for path in paths])
            columns["image"] = np.where(there, there.cumsum() - 1, -1)
            images = batches(_images(paths, framing, columns["boxes"]))
        name = file.stem if number == 0 else f"{file.stem} body {number + 1}"
        yield Clip(joints, file.stem[8:12], name, file.stem[16:20], columns, (camera,), images)


def read_skeleton(path: Path) -> list[Body]:
    """The bodies of a .skeleton file, the longest tracked first, joints as they stand there.

    Raises ValueError, naming the file and the frame, where it is cut short or is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path}: is larger than any skeleton file; get it again")
    words = path.read_bytes().split()
    try:
        numbers = np.array(words, dtype="S32").astype(np.float64)
    except ValueError:
        raise ValueError(f"{path}: holds something that is not a number; copy it again") from None
    count = _whole(numbers, 0, len(words), path, "the number of frames")
    frames: dict[str, list[int]] = defaultdict(list)
    places: dict[str, list[int]] = defaultdict(list)
    at = 1
    for frame in range(count):
        where = f"frame {frame + 1} of {count}"
        bodies = _whole(numbers, at, _MOST_BODIES, path, f"the number of bodies in {where}")
        at += 1
        for _ in range(bodies):
            if _whole(numbers, at + _BODY, JOINTS, path, f"the number of joints in {where}") != JOINTS:
                raise ValueError(f"{path}: {where} has a body without 25 joints; copy it again")
            start, at = at + _BODY + 1, at + _BODY + 1 + JOINTS * _JOINT
            if at > len(words):
                raise ValueError(f"{path}: ends in {where}; copy it again")
            identity = words[start - _BODY - 1].decode("ascii", "replace")
            if frames[identity] and frames[identity][-1] == frame:
                raise ValueError(f"{path}: {where} has body {identity[:20]} twice; copy it again")
            frames[identity].append(frame)
            places[identity].append(start)
    if at != len(words):
        raise ValueError(f"{path}: goes on after its {count} frames; copy it again")
    take = np.arange(JOINTS * _JOINT)
    found = [
        Body(name, np.array(at), numbers[np.array(places[name])[:, None] + take].reshape(-1, JOINTS, _JOINT))
        for name, at in frames.items()
    ]
    return sorted(found, key=lambda body: -len(body.frames))


def _whole(numbers: Float[np.ndarray, " n"], at: int, most: int, path: Path, what: str) -> int:
    if at >= len(numbers):
        raise ValueError(f"{path}: ends before {what}; copy it again")
    value = float(numbers[at])
    if not (0 <= value <= most and value == int(value)):
        raise ValueError(f"{path}: {what} is {value:g}; copy it again")
    return int(value)


def _unmirrored(points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """The sensor's frame (x to its left, y up) to x right, y down, z forward."""
    return points * np.array([-1.0, -1.0, 1.0])


def _pixels(numbers: Float[np.ndarray, "*n 12"]) -> Float[np.ndarray, "*n 2"]:
    """depthX and depthY in the image that is turned back."""
    return np.stack([SIZE[0] - 1 - numbers[..., 3], numbers[..., 4]], axis=-1)


def _listed(path: Path) -> set[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list; give NTU_RGBD_samples_with_missing_skeletons.txt")
    return {found.group() for found in _NAME.finditer(path.read_text(encoding="utf-8", errors="replace"))}


def _depth_roots(source: Path) -> list[Path]:
    """Folders of depth folders beside or above the skeletons, masked ones first."""
    top = source.parent if source.is_file() else source
    places = [top, *sorted(p for p in top.iterdir() if p.is_dir() and not is_junk(p.name)), top.parent]
    named = [p for place in places for p in sorted(place.glob("*depth*")) if p.is_dir()]
    return sorted(dict.fromkeys(named), key=lambda folder: "masked" not in folder.name)


def _depth_folder(roots: list[Path], name: str) -> tuple[str, int] | None:
    """The folder, and how many images it holds (so that a unit is read again where some were added)."""
    for root in roots:
        if (root / name).is_dir():
            return str(root / name), len(matching(files_below(root / name), "*.png"))
    return None


def _depth_files(folder: Path, frames: Int[np.ndarray, " T"], context: Context) -> list[Path | None]:
    found: list[Path | None] = []
    for frame in frames.tolist():
        names = (f"{kind}-{frame + 1:08d}.png" for kind in ("MDepth", "Depth"))
        found.append(next((folder / name for name in names if (folder / name).is_file()), None))
    lacking = sum(path is None for path in found)
    if lacking:
        context.note(f"{folder}: lacks the depth of {lacking} of {len(found)} frames; copy it again")
    return found


def _images(
    paths: list[Path | None], framing: Framing, boxes: Float32[np.ndarray, "T 4"]
) -> Iterator[dict[str, Any]]:
    for path, box in zip(paths, boxes, strict=True):
        if path is not None:
            yield {"depth": framing.cut(read_depth_png(path, SIZE)[:, ::-1], box)}
