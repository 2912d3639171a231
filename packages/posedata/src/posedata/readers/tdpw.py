"""3DPW (von Marcard et al., ECCV 2018): `sequenceFiles/{train,validation,test}/NAME.pkl`, `imageFiles/NAME/`.

The files are pickles of Python 2, read without running anything in them. Of their fields these are used, each
but the camera's a list with an entry per person: `jointPositions (T, 72)` SMPL's 24 joints in the world,
metres; `poses2d (T, 3, 18)` detections in the order of COCO-18 (OpenPose); `campose_valid (T,)`; `cam_poses
(T, 4, 4)` world to camera, one a frame since the camera is carried; `cam_intrinsics (3, 3)`. Images are
`image_%05d.jpg`, counted from 0, 30 a second. Objects of foreign classes (`texture_maps` may hold some) are
stepped over.

Which axis points up is not told: by default it is the one along which both the cameras and the people stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64

from posedata.geometry.camera import Camera
from posedata.readers._clips import stride_for
from posedata.readers._smpl import JOINTS_HELP, as_skeleton, check_joints
from posedata.readers.files.kinect import read_colour
from posedata.readers.files.pictures import SIZE_HELP, crop_boxes, crop_size, crops
from posedata.readers.files.safe_pickle import read_plain_pickle
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Total, Unit, option, register
from posedata.readers.listing import files_below, matching, nothing_found
from posedata.skeleton import get_skeleton

RATE = 30.0
PARTS = ("train", "validation", "test")
COCO18 = (
    "nose", "", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
"""The right side comes first, unlike in COCO-17."""
_UPS = {
    "x": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]), "-x": np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]]),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), "-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "z": np.eye(3), "-z": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}  # fmt: skip
_MOST_PEOPLE = 16
_REACH = 1e4


def _sequences(*places: str) -> tuple[str, ...]:
    """Names out of "place: rest rest"."""
    return tuple(
        f"{place.split(': ')[0]}_{rest}" for place in places for rest in place.split(": ")[1].split()
    )


TRAIN = _sequences(
    "courtyard: arguing_00 backpack_00 basketball_00 bodyScannerMotions_00 box_00 capoeira_00 "
    "captureSelfies_00 dancing_01 giveDirections_00 golf_00 goodNews_00 jacket_00 laceShoe_00 "
    "rangeOfMotions_00 relaxOnBench_00 relaxOnBench_01 shakeHands_00 warmWelcome_00",
    "outdoors: climbing_00 climbing_01 climbing_02 freestyle_00 slalom_00 slalom_01",
)  # fmt: skip
TEST = _sequences(
    "downtown: arguing_00 bar_00 bus_00 cafe_00 car_00 crossStreets_00 downstairs_00 enterShop_00 "
    "rampAndStairs_00 runForBus_00 runForBus_01 sitOnStairs_00 stairs_00 upstairs_00 walkBridge_01 "
    "walkUphill_00 walking_00 warmWelcome_00 weeklyMarket_00 windowShopping_00",
    "flat: guitar_01 packBags_00",
    "office: phoneCall_00",
    "outdoors: fencing_01",
)  # fmt: skip
"""The sequences of the published split; the other twelve are for validation."""


@register
@dataclass(frozen=True)
class Tdpw(Format):
    """A clip is a person of a sequence: SMPL's joints, with the moving camera that saw them."""

    name = "3dpw"
    title = "3DPW: sequenceFiles/*/*.pkl, with imageFiles for pictures"
    terms = "3DPW: non-commercial research (virtualhumans.mpi-inf.mpg.de/3DPW)"
    version = 2
    reference_fps = RATE
    totals = (
        Total("training poses with a valid camera", 22_735, "3DPW, as SPIN (ICCV 2019) counts", TRAIN),
        Total("test poses with a valid camera", 35_515, "3DPW, as SPIN (ICCV 2019) counts", TEST),
    )

    part: str = option("all", "all, train, validation or test.", whole=("all",))
    frames: str = option(
        "valid", "valid: those whose camera pose is; all: the others too, without a camera.", whole=("valid",)
    )
    up: str = option("auto", "The world's vertical axis: auto, or x, -x, y, -y, z, -z.")
    joints: str = option("smpl24", JOINTS_HELP)
    size: str = option("none", SIZE_HELP)

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a sequence file."""
        self._check()
        files = _files(source, PARTS if self.part == "all" else (self.part,), context)
        split: dict[str, list[str]] = {}
        units = []
        for part, file in files:
            images = _images(file) / file.stem
            pictures = matching(files_below(images), "image_*.jpg") if self.size != "none" else []
            units.append(Unit(f"{part} {file.stem}", (file, *pictures), {"images": str(images)}))
            split.setdefault(part, []).append(file.stem)
        stride = stride_for(source, RATE, self.fps)
        return Plan(units, "3DPW", RATE / stride, self.joints, meta={"split": split})

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a person."""
        file, stride = unit.files[0], stride_for(unit.files[0], RATE, self.fps)
        data = read_plain_pickle(file, foreign=True)
        if not isinstance(data, dict):
            raise ValueError(f"{file}: holds no dict of fields; get it again")
        people = _list(data, "jointPositions", file)
        poses = [_array(value, (None, 72), f"{file}: jointPositions[{i}]") for i, value in enumerate(people)]
        count = len(poses[0])
        views = _array(data.get("cam_poses"), (count, 4, 4), f"{file}: cam_poses")
        lens = _array(data.get("cam_intrinsics"), (3, 3), f"{file}: cam_intrinsics")
        up = _UPS[self.up if self.up != "auto" else _vertical(views, poses)]
        pictures = self._pictures(unit, count, context)
        cameras = _Cameras(views, lens, up, file, pictures)
        for person, pose in enumerate(poses):
            if len(pose) != count:
                raise ValueError(f"{file}: jointPositions[{person}] has {len(pose)} frames, person 0 {count}")
            valid = _array(
                _list(data, "campose_valid", file, len(poses))[person], (count,), f"{file}: campose_valid"
            )
            rows = np.arange(0, count, stride)
            kept = rows[(valid[rows] > 0) | (self.frames == "all")]
            if not len(kept):
                context.note(f"{file}: person {person} has no frame with a valid camera; left out")
                continue
            seen = _list(data, "poses2d", file, len(poses))[person] if "poses2d" in data else None
            yield self._clip(unit, person, pose, kept, valid[kept] > 0, seen, cameras, pictures)

    def _clip(
        self, unit: Unit, person: int, pose: np.ndarray, kept: np.ndarray, valid: Bool[np.ndarray, " T"],
        detections: Any, cameras: _Cameras, pictures: list[Path],
    ) -> Clip:  # fmt: skip
        file = unit.files[0]
        upright = (pose[kept].reshape(-1, 24, 3) @ cameras.up.T).astype(np.float32)
        joints = as_skeleton(upright, self.joints)
        frame = kept // stride_for(file, RATE, self.fps)
        columns: dict[str, np.ndarray] = {"frame": frame, "camera": np.where(valid, np.arange(len(kept)), -1)}
        columns["keypoints_true"] = cameras.project(joints, kept, valid)
        if detections is not None:
            given = _array(detections, (len(pose), 3, 18), f"{file}: poses2d[{person}]")[kept]
            columns["keypoints_openpose"] = _from_coco18(given, self.joints)
        images = None
        if (size := crop_size(self.size)) is not None:
            columns["boxes"] = crop_boxes(columns["keypoints_true"], cameras.size, size)
            shown = np.array([number < len(pictures) for number in kept])
            columns["image"] = np.where(shown, np.cumsum(shown) - 1, -1)
            chosen = [pictures[number] for number in kept[shown]]
            if chosen:
                images = crops((read_colour(picture) for picture in chosen), columns["boxes"][shown], size)
        name = f"{file.stem} person {person}"
        action = re.sub(r"_\d+$", "", file.stem)
        return Clip(joints, file.stem, name, action, columns, cameras.of(kept), images)

    def _pictures(self, unit: Unit, count: int, context: Context) -> list[Path]:
        """The images in order, as far as there are any without a gap."""
        if self.size == "none":
            return []
        there = {file.name: file for file in unit.files[1:]}
        found: list[Path] = []
        while f"image_{len(found):05d}.jpg" in there and len(found) < count:
            found.append(there[f"image_{len(found):05d}.jpg"])
        if len(found) < count:
            context.note(
                f"{unit.detail['images']}: has images up to {len(found)} of {count}; rows beyond have none"
            )
        return found

    def _check(self) -> None:
        crop_size(self.size)
        check_joints(self.joints)
        known = {"part": ("all", *PARTS), "frames": ("valid", "all"), "up": ("auto", *_UPS)}
        for field, choices in known.items():
            if getattr(self, field) not in choices:
                raise ValueError(
                    f"{field} {getattr(self, field)!r} is not known; use one of {', '.join(choices)}"
                )


class _Cameras:
    """The carried camera, frame by frame, the world's z axis up."""

    def __init__(
        self, views: np.ndarray, lens: np.ndarray, up: np.ndarray, file: Path, pictures: list[Path]
    ) -> None:
        rotation = views[:, :3, :3]
        if np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(initial=0) > 1e-2:
            raise ValueError(f"{file}: cam_poses holds what is not a rotation; get it again")
        self.up, self._rotation, self._translation = up, rotation @ up.T, views[:, :3, 3]
        self._focal, self._centre = lens[[0, 1], [0, 1]], lens[[0, 1], [2, 2]]
        if self._focal.min() <= 0 or not ((self._centre > 0) & (self._centre < 1e4)).all():
            raise ValueError(f"{file}: cam_intrinsics is of no camera; get it again")
        if pictures:
            height, width = read_colour(pictures[0]).shape[:2]
            self.size = (int(width), int(height))
        else:
            self.size = (round(2 * self._centre[0]), round(2 * self._centre[1]))
        self._name = file.stem

    def of(self, frames: np.ndarray) -> tuple[ClipCamera, ...]:
        return tuple(
            ClipCamera(
                self._name, self._focal, self._centre, self._rotation[i], self._translation[i], self.size
            )
            for i in frames.tolist()
        )

    def project(
        self, joints: Float32[np.ndarray, "T J 3"], frames: np.ndarray, valid: Bool[np.ndarray, " T"]
    ) -> Float32[np.ndarray, "T J 3"]:
        """Exact pixels with confidence 1; 0 where the camera is not known or the joint behind it."""
        fields = (self._focal, self._centre, self._rotation[frames], self._translation[frames])
        camera = Camera(
            *(torch.from_numpy(np.ascontiguousarray(f, np.float64)) for f in fields), size=self.size
        )
        points = torch.from_numpy(joints.astype(np.float64))
        seen = camera.in_front(points).numpy() & valid[:, None]
        pixels = np.concatenate([camera.project(points).numpy(), np.ones((*seen.shape, 1))], -1)
        return np.where(seen[..., None], pixels, 0).astype(np.float32)


def _files(source: Path, parts: tuple[str, ...], context: Context) -> list[tuple[str, Path]]:
    if source.is_file() and source.suffix.lower() == ".pkl":
        part = source.parent.name
        return [(part if part in PARTS else "test", source)]
    every = matching(files_below(source), "*.pkl")
    found = [(part, file) for part in parts for file in matching(every, f"{part}/*.pkl")]
    if not found:
        raise nothing_found(
            source, f"has no sequenceFiles/{{{','.join(parts)}}}/*.pkl", "unpack sequenceFiles.zip there"
        )
    if others := [file for file in every if file.parent.name.lower() not in PARTS]:
        context.note(
            f"{others[0]}: {len(others)} .pkl files lie in no folder train, validation or test; left out,"
            " move them there"
        )
    return found


def _images(file: Path) -> Path:
    """The folder imageFiles that lies beside or above a sequence file's own."""
    near = [parent / "imageFiles" for parent in file.parents[1:5]]
    return next((folder for folder in near if folder.is_dir()), near[1])


def _list(data: Mapping[Any, Any], field: str, file: Path, count: int | None = None) -> list[Any]:
    values = data.get(field)
    if isinstance(values, np.ndarray) and values.ndim >= 1:
        values = list(values)
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= _MOST_PEOPLE:
        raise ValueError(f"{file}: {field} is not a list of people; get it again")
    if count is not None and len(values) != count:
        raise ValueError(f"{file}: {field} has {len(values)} entries for {count} people; get it again")
    return list(values)


def _array(value: Any, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    wanted = ", ".join("T" if n is None else str(n) for n in shape)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise ValueError(f"{where} is not an array of numbers, wanted ({wanted}); get it again")
    if value.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, value.shape, strict=True)):
        raise ValueError(f"{where} has shape {value.shape}, wanted ({wanted}); get it again")
    if not len(value) or not (np.isfinite(value).all() and np.abs(value.astype(np.float64)).max() < _REACH):
        raise ValueError(f"{where} is empty, or holds numbers that none of these is; get it again")
    return value.astype(np.float64)


def _vertical(views: np.ndarray, poses: list[np.ndarray]) -> str:
    """The axis that both the cameras' upright and the people's trunks lie along, with its sign."""
    cameras = -views[:, 1, :3].mean(axis=0)
    skeleton = get_skeleton("smpl24")
    pelvis, thorax = skeleton.index("pelvis"), skeleton.index("thorax")
    trunks = [
        (pose.reshape(-1, 24, 3)[:, thorax] - pose.reshape(-1, 24, 3)[:, pelvis]).mean(0) for pose in poses
    ]
    people = np.mean([trunk / max(np.linalg.norm(trunk), 1e-9) for trunk in trunks], axis=0)
    both = cameras / max(np.linalg.norm(cameras), 1e-9) + people
    axis = int(np.abs(both).argmax())
    return ("-" if both[axis] < 0 else "") + "xyz"[axis]


def _from_coco18(given: Float64[np.ndarray, "T 3 18"], skeleton: str) -> Float32[np.ndarray, "T J 3"]:
    """The twelve joints of the limbs, in the skeleton's order; the rest is not detected."""
    joints = get_skeleton(skeleton).joints
    out = np.zeros((len(given), len(joints), 3), np.float32)
    for place, joint in enumerate(COCO18):
        if joint in joints:
            out[:, joints.index(joint)] = given[:, :, place]
    return np.where(out[..., 2:] > 0, out, 0).astype(np.float32)
