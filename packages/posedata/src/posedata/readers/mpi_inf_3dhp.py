"""MPI-INF-3DHP (Mehta et al., 3DV 2017) as its scripts download it.

Training, S1 to S8 with two sequences each: `S1/Seq1/annot.mat` (MATLAB 5; `annot2`, `annot3`, `univ_annot3`
are 14 cells, one a camera, of (T, 28·2) pixels or (T, 28·3) millimetres in that camera's frame),
`camera.calibration` (text), `imageSequence/video_N.avi`. Test, TS1 to TS6: `TS1/annot_data.mat` (MATLAB 7.3,
which is HDF5; `annot2 (N, 1, 17, 2)`, `annot3`, `univ_annot3 (N, 1, 17, 3)`, `valid_frame`,
`activity_annotation`) and `imageSequence/img_%06d.jpg`, counted from 1.

The world's y axis points up in the calibration; it is turned to z. The test set has no calibration:
intrinsics are solved from `annot3` and `annot2`, which they join exactly, and the camera is taken to stand
level. Some training sequences run at 50 frames/s and others at 25; all are brought to 25. Annotations go on
beyond some videos: the authors' frame counts hold. Known fault: S6 Seq2 video_2.avi is too short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from posedata.readers._clips import stride_for
from posedata.readers.files.h5 import H5File
from posedata.readers.files.kinect import camera_of, read_colour, solve_intrinsics
from posedata.readers.files.mat5 import read_mat5
from posedata.readers.files.pictures import (
    SIZE_HELP,
    count_frames,
    crop_boxes,
    crop_size,
    crops,
    video_frames,
)
from posedata.readers.files.skeletool import read_calibration
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Total, Unit, option, register
from posedata.readers.listing import files_below, matching, nothing_found
from posedata.skeleton import get_skeleton

RATE = 25.0
CAMERAS = 14
CHEST = (0, 2, 4, 7, 8)
"""The five cameras at the height of the chest."""
VNECT = (0, 1, 2, 4, 5, 6, 7, 8)
"""The eight cameras that papers train on; the overhead ones are out."""
SEQUENCES = {
    "S1": ((25, 6416), (50, 12430)), "S2": ((25, 6502), (25, 6081)), "S3": ((50, 12488), (50, 12283)),
    "S4": ((25, 6171), (25, 6675)), "S5": ((50, 12820), (50, 12312)), "S6": ((25, 6188), (25, 6145)),
    "S7": ((25, 6239), (25, 6320)), "S8": ((25, 6468), (25, 6054)),
}  # fmt: skip
"""Frames a second and number of frames of Seq1 and Seq2, by the authors' `mpii_get_sequence_info`."""
TEST_JOINTS = (
    "head", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis",
    "spine", "neck",
)  # fmt: skip
"""The 17 of the test set, in our words (theirs: head_top, neck, ..., pelvis, spine, head)."""
ACTIVITIES = ("Stand-Walk", "Exercise", "Sit On Chair", "Crouch-Reach", "On the Floor", "Sports", "Misc")
TEST = tuple(f"TS{number}" for number in range(1, 7))
_LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_TEST_SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}
_SHORT = ("S6 Seq2", 2)
_RESIDUAL = 5.0
"""Pixels; in two frames of the real test set `annot2` is up to 1.7 off the projected `annot3`."""
_REACH = 1e6


@register
@dataclass(frozen=True)
class MpiInf3dhp(Format):
    """Training and test sequences below SRC; a clip is a sequence as one camera saw it."""

    name = "mpi_inf_3dhp"
    title = "MPI-INF-3DHP: annot.mat, camera.calibration, and the test set's annot_data.mat"
    terms = "MPI-INF-3DHP: research only, not commercial (vcai.mpi-inf.mpg.de/3dhp-dataset)"
    version = 2
    reference_fps = RATE
    totals = (Total("valid test frames", 2_929, "MPI-INF-3DHP's test set, TS1 to TS6", TEST),)

    cameras: str = option("all", "Training cameras: all, vnect (8), chest (5), or numbers such as 0,2,4.")
    joints: str = option("h36m17", "Joints: h36m17, or mpi_inf_3dhp28 (training only).")
    pose: str = option("metric", "metric: annot3; universal: univ_annot3, one height for all, as evaluated.")
    size: str = option("none", SIZE_HELP)

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a sequence."""
        self._check()
        every = files_below(source) if source.is_dir() else []
        train = matching(every, "S[1-9]*/Seq*/annot.mat")
        test = matching(every, "TS[1-9]*/annot_data.mat")
        if not train and not test:
            what = "has no S*/Seq*/annot.mat, nor TS*/annot_data.mat"
            raise nothing_found(source, what, "give their folder")
        _tell_left_out(every, {*train, *test}, context)
        units = [unit for file in train if (unit := self._training(file, context))]
        if test and self.joints != "h36m17":
            context.note(f"{test[0]}: the test set has 17 joints; give --joints h36m17 for it")
        elif test:
            units += [Unit(file.parent.name, self._test_files(file), {"kind": "test"}) for file in test]
        parts = {"train": [], "test": []} if not units else {
            "train": sorted({unit.name.split()[0] for unit in units if unit.detail["kind"] == "train"}),
            "test": [unit.name for unit in units if unit.detail["kind"] == "test"],
        }  # fmt: skip
        return Plan(units, "MPI-INF-3DHP", self.fps or RATE, self.joints, {"split": parts, "pose": self.pose})

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """A clip a camera in training; one or more a test sequence, by activity."""
        return self._read_test(unit, context) if unit.detail["kind"] == "test" else self._read(unit, context)

    def _training(self, file: Path, context: Context) -> Unit | None:
        sequence = file.parent
        subject, name = sequence.parent.name, f"{sequence.parent.name} {sequence.name}"
        known = SEQUENCES.get(subject, ())
        number = int(sequence.name[3:]) if re.fullmatch(r"Seq[12]", sequence.name) else 0
        if not known or not number:
            context.note(f"{file}: {name} is not of this data set (S1 to S8, Seq1 and Seq2); it is left out")
            return None
        rate, frames = known[number - 1]
        files = [file, sequence / "camera.calibration"]
        if self.size != "none":
            videos = (sequence / "imageSequence" / f"video_{camera}.avi" for camera in self._wanted())
            files += [video for video in videos if video.is_file()]
        return Unit(name, tuple(files), {"kind": "train", "rate": rate, "frames": frames})

    def _read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        annotations, calibration = unit.files[:2]
        known = read_calibration(calibration)
        field = "annot3" if self.pose == "metric" else "univ_annot3"
        cells = read_mat5(annotations, ("annot2", field))
        stride = stride_for(annotations, unit.detail["rate"], self.fps or RATE)
        for camera in self._wanted():
            if camera not in known:
                context.note(f"{calibration}: has no camera {camera}; that view of {unit.name} is left out")
                continue
            seen = known[camera]
            pose = _cell(cells, field, camera, 3, annotations)[: unit.detail["frames"]]
            pixels = _cell(cells, "annot2", camera, 2, annotations)[: unit.detail["frames"]]
            if len(pose) != len(pixels):
                context.note(
                    f"{annotations}: camera {camera} has {len(pose)} poses and {len(pixels)} in 2D; cut"
                )
            count = min(len(pose), len(pixels))
            chosen = _chosen("mpi_inf_3dhp28", self.joints)
            local = torch.from_numpy(pose[:count:stride, chosen] / 1000)
            world = camera_of(seen).camera_to_world(local).numpy().astype(np.float32)
            columns = self._columns(pixels[:count:stride, chosen], seen)
            images = None
            if (size := crop_size(self.size)) is not None:
                rows = np.arange(0, count, stride)
                video = annotations.parent / "imageSequence" / f"video_{camera}.avi"
                shown = rows < _video_length(video, unit.name, camera, count, context)
                columns["image"] = np.where(shown, np.cumsum(shown) - 1, -1)
                if shown.any():
                    images = crops(video_frames(video, rows[shown]), columns["boxes"][shown], size)
            subject, action = unit.name.split()
            yield Clip(world, subject, unit.name, action, columns, (seen,), images)

    def _test_files(self, file: Path) -> tuple[Path, ...]:
        shown = files_below(file.parent / "imageSequence") if self.size != "none" else []
        pictures = matching(shown, "img_*.jpg")
        return (file, *pictures)

    def _read_test(self, unit: Unit, context: Context) -> Iterator[Clip]:
        file = unit.files[0]
        with H5File(file) as data:
            valid = data.array("valid_frame", (None, 1), "fiub").all()[:, 0] == 1
            count = len(valid)
            pixels = data.array("annot2", (count, 1, 17, 2)).all()[:, 0].astype(np.float64)
            metric = data.array("annot3", (count, 1, 17, 3)).all()[:, 0].astype(np.float64) / 1000
            pose = metric
            if self.pose == "universal":
                pose = data.array("univ_annot3", (count, 1, 17, 3)).all()[:, 0].astype(np.float64) / 1000
            activity = data.array("activity_annotation", (count, 1), "fiub").all()[:, 0]
        stride = stride_for(file, RATE, self.fps)
        kept = np.flatnonzero(valid)
        kept = kept[kept % stride == 0]
        for name, values in (("annot2", pixels), ("annot3", metric), ("univ_annot3", pose)):
            if not (np.isfinite(values[kept]).all() and np.abs(values[kept]).max(initial=0) < _REACH):
                raise ValueError(f"{file}: {name} holds numbers that no position has; get it again")
        if not len(kept):
            context.note(f"{file}: valid_frame marks no frame; {unit.name} is left out")
            return
        camera = _level_camera(unit, metric[valid], pixels[valid], context)
        order = [TEST_JOINTS.index(joint) for joint in get_skeleton("h36m17").joints]
        local = torch.from_numpy(pose[kept][:, order])
        world = camera_of(camera).camera_to_world(local).numpy().astype(np.float32)
        columns = self._columns(pixels[kept][:, order].astype(np.float32), camera) | {"frame": kept // stride}
        edges = np.flatnonzero(np.diff(activity[kept], prepend=np.nan))
        for start, stop in zip(edges, [*edges[1:], len(kept)], strict=True):
            rows = slice(int(start), int(stop))
            part = {column: values[rows] for column, values in columns.items()}
            images = None
            if (size := crop_size(self.size)) is not None:
                pictures = [
                    file.parent / "imageSequence" / f"img_{number + 1:06d}.jpg" for number in kept[rows]
                ]
                images = crops((read_colour(picture) for picture in pictures), part["boxes"], size)
            yield Clip(
                world[rows], unit.name, unit.name, _activity(activity[kept[start]]), part, (camera,), images
            )

    def _columns(self, pixels: Float[np.ndarray, "T J 2"], camera: ClipCamera) -> dict[str, Any]:
        keypoints = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1).astype(np.float32)
        # a universal pose is not the one that was seen, so its keypoints are no projection of it
        columns = {"keypoints_true" if self.pose == "metric" else "keypoints_annotated": keypoints}
        if (size := crop_size(self.size)) is not None:
            columns["boxes"] = crop_boxes(keypoints, (int(camera.size[0]), int(camera.size[1])), size)
        return columns

    def _wanted(self) -> tuple[int, ...]:
        named = {"all": tuple(range(CAMERAS)), "vnect": VNECT, "chest": CHEST}
        if self.cameras in named:
            return named[self.cameras]
        wanted = self.cameras.split(",")
        if not all(part.isascii() and part.isdigit() and int(part) < CAMERAS for part in wanted):
            raise ValueError(
                f"cameras {self.cameras!r}: give all, vnect, chest, or numbers from 0 to {CAMERAS - 1}"
            )
        return tuple(sorted({int(part) for part in wanted}))

    def _check(self) -> None:
        self._wanted()
        crop_size(self.size)
        for field, known in (("joints", ("h36m17", "mpi_inf_3dhp28")), ("pose", ("metric", "universal"))):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} {getattr(self, field)!r} is not known; use {' or '.join(known)}")


def _tell_left_out(every: list[Path], used: set[Path], context: Context) -> None:
    """What lies there and is not read: annotations elsewhere, and sequences without any."""
    for file in matching(every, "annot.mat", "annot_data.mat"):
        if file not in used:
            context.note(f"{file}: lies in no folder such as S1/Seq1 or TS1; left out, move it there")
    for file in matching(every, "Seq*/camera.calibration"):
        if file.with_name("annot.mat") not in used:
            context.note(f"{file.parent}: has a calibration but no annot.mat; left out, download it")


def _chosen(source: str, wanted: str) -> list[int]:
    return [get_skeleton(source).index(joint) for joint in get_skeleton(wanted).joints]


def _cell(
    cells: dict[str, np.ndarray], field: str, camera: int, size: int, file: Path
) -> Float64[np.ndarray, "T 28 d"]:
    """One camera's annotations."""
    found = cells.get(field)
    if found is None or found.dtype != object or found.size != CAMERAS:
        raise ValueError(f"{file}: {field} is not a cell array of {CAMERAS} cameras; get it again")
    values = found.reshape(-1)[camera]
    if values.ndim != 2 or values.shape[1] != 28 * size:
        raise ValueError(
            f"{file}: {field} of camera {camera} has shape {values.shape}, wanted (T, {28 * size})"
        )
    if not (np.isfinite(values).all() and np.abs(values).max(initial=0) < _REACH):
        raise ValueError(
            f"{file}: {field} of camera {camera} holds numbers that no position has; get it again"
        )
    return values.reshape(-1, 28, size).astype(np.float64)


def _level_camera(unit: Unit, points: np.ndarray, pixels: np.ndarray, context: Context) -> ClipCamera:
    """The test camera's intrinsics by what it saw; it stands in the origin, level."""
    file = unit.files[0]
    try:
        solved = solve_intrinsics(points.reshape(-1, 3), pixels.reshape(-1, 2), radial=0)
    except ValueError as error:
        raise ValueError(f"{file}: annot3 and annot2: {error}; get it again") from None
    if not solved.residual < _RESIDUAL or solved.focal.min() <= 0:
        context.note(
            f"{file}: no camera joins annot3 and annot2 to {_RESIDUAL:g} pixels; take its 2D with care"
        )
    pictures = unit.files[1:]
    known = _TEST_SIZES.get(unit.name, (2048, 2048))
    size = read_colour(pictures[0]).shape[1::-1] if pictures else known
    return ClipCamera(unit.name, solved.focal, solved.centre, _LEVEL, np.zeros(3), size)


def _activity(number: float) -> str:
    known = np.isfinite(number) and 1 <= number <= len(ACTIVITIES)
    return ACTIVITIES[int(number) - 1] if known else "unknown"


def _video_length(video: Path, sequence: str, camera: int, poses: int, context: Context) -> int:
    if not video.is_file():
        context.note(f"{video}: is missing, its rows have no image; unpack imageSequence's archives")
        return 0
    frames = count_frames(video)
    if frames < poses and (sequence, camera) != _SHORT:
        context.note(f"{video}: has {frames} frames for {poses} poses; rows beyond have no image")
    return frames
