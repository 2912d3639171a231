"""Human3.6M (Ionescu et al., TPAMI 2014) as its official archives unpack, with `metadata.xml`.

    S1/MyPoseFeatures/D3_Positions/ACTION[ N].cdf               world, millimetres, 32 joints, z up, 50 Hz
    S1/MyPoseFeatures/D2_Positions/ACTION[ N].CAMERA.cdf        pixels
    S1/MyPoseFeatures/D3_Positions_mono/ACTION[ N].CAMERA.cdf   camera frame; read where the world's lack
    S1/Videos/ACTION[ N].CAMERA.mp4
    metadata.xml                                                cameras
    data_2d_h36m_NAME.npz                                       detected 2D, VideoPose3D's (`--keypoints`)

The folders may lie anywhere below the source as long as a folder named after the subject is above them. Of
the 32 joints (copies and ends of bones among them) the 17 that papers use are kept; joints 1 to 3 are the
right leg. Subjects name two actions differently (TakingPhoto, WalkingDog); here they are Photo and WalkDog.
Known fault: S11 Directions has no video of camera 54138969.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from posedata.readers._clips import stride_for
from posedata.readers._videopose3d import Detections
from posedata.readers.files.cdf import read_cdf
from posedata.readers.files.h36m_cameras import CAMERAS, read_cameras
from posedata.readers.files.kinect import camera_of, project
from posedata.readers.files.pictures import (
    SIZE_HELP,
    count_frames,
    crop_boxes,
    crop_size,
    crops,
    video_frames,
)
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Total, Unit, option, register
from posedata.readers.listing import files_below, matching, nothing_found

JOINTS_17_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
RATE = 50.0
TERMS = "Human3.6M: academic use only, by its own agreement (vision.imar.ro/human3.6m)"
TRAIN, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
_CANONICAL = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
_FILE = re.compile(r"(?P<action>[A-Za-z]+)(?P<take> \d+)?(?:\.(?P<camera>\d{8}))?")
_WORLD, _MONO, _PIXELS, _VIDEOS = "D3_Positions", "D3_Positions_mono", "D2_Positions", "Videos"
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
)  # fmt: skip
_NEARLY_ALL = 10
"""Actions from which on a subject is taken for whole but for those that it lacks."""
_NO_VIDEO = ("S11 Directions", "54138969")
_Found = dict[tuple[str, str], dict[tuple[str, str], Path]]


@register
@dataclass(frozen=True)
class H36m(Format):
    """Each clip is an action as one camera saw it; without cameras, the poses alone."""

    name = "h36m"
    title = "Human3.6M: the official archives, unpacked, with metadata.xml"
    terms = TERMS
    version = 2
    reference_fps = RATE
    totals = (
        Total("training frames", 1_559_752, "Human3.6M, S1 S5 S6 S7 S8 by four cameras", TRAIN, views=4),
        Total("test frames", 550_644, "Human3.6M, S9 S11 by four cameras", TEST, views=4, at_least=548_819),
    )

    cameras: str = option(
        "all", "Cameras, e.g. 54138969,60457274; all, or none for the poses alone.", whole=("all", "none")
    )
    metadata: Path | None = option(None, "metadata.xml, where it does not lie in SRC.")
    subjects: str = option("all", "Subjects, e.g. S9,S11, or all.", whole=("all",))
    size: str = option("none", SIZE_HELP)
    keypoints: tuple[str, ...] = option(
        (),
        "Detected 2D, NAME=FILE, e.g. cpn=data_2d_h36m_cpn_ft_h36m_dbb.npz, VideoPose3D's; may be repeated.",
    )

    def options(self) -> dict[str, Any]:
        """Without the folders of the detections, which differ from machine to machine."""
        return super().options() | {"keypoints": [f"{d.name}={d.path.name}" for d in self._detections()]}

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit an action of a subject."""
        crop_size(self.size)
        wanted, detections = self._wanted(), self._detections()
        every = _files(source, context)
        if missing := self._missing({subject for subject, _ in every}):
            context.note(f"{source}: has no {', '.join(missing)}, which --subjects names; check it")
        files = {key: kinds for key, kinds in every.items() if self._selected(key[0])}
        files = _with_poses(files, context)
        metadata = None if not wanted else self.metadata or _metadata(source)
        if wanted and metadata is None:
            context.note(f"{source}: has no metadata.xml, so poses come without cameras; put it there")
            wanted = ()
        if detections and not wanted:
            raise ValueError(
                f"{detections[0].path}: keypoints need the cameras that saw them; give metadata.xml"
            )
        known = read_cameras(metadata) if metadata else {}
        units = []
        for (subject, sequence), kinds in sorted(files.items()):
            listed = [camera for camera in known.get(subject, []) if camera.name in wanted]
            if wanted and not listed:
                context.note(f"{metadata}: has no cameras of {subject}; {sequence} is left out")
                continue
            bare = [camera.name for camera in listed if (_PIXELS, camera.name) not in kinds]
            if 0 < len(bare) < len(listed):
                context.note(
                    f"{sequence}: has no {_PIXELS} of {', '.join(bare)}; there positions are projected,"
                    " unpack them"
                )
            used = {key: file for key, file in kinds.items() if self._uses(key, kinds, wanted)}
            shared = [*([metadata] if metadata else []), *(detected.path for detected in detections)]
            needed = tuple(sorted({*used.values(), *shared}))
            detail = {"subject": subject, "files": used, "cameras": listed, "keypoints": {}}
            units.append(Unit(sequence, needed, detail))
        if not units:
            raise FileNotFoundError(f"{source}: no subject's {_WORLD}/*.cdf are left; check --subjects")
        for detected in detections:
            _unpack(detected, units, context)
        stride = stride_for(source, RATE, self.fps)
        meta: dict[str, Any] = {"split": {"train": list(TRAIN), "test": list(TEST)}}
        if self.size != "none" and any(unit.name == _NO_VIDEO[0] for unit in units):
            meta["known_faults"] = [f"{_NO_VIDEO[0]}: camera {_NO_VIDEO[1]} has no video"]
        return Plan(units, "Human3.6M", RATE / stride, meta=meta)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a camera."""
        files, cameras = unit.detail["files"], unit.detail["cameras"]
        subject, stride = unit.detail["subject"], stride_for(unit.files[0], RATE, self.fps)
        action = unit.name.split()[1]
        world = _positions(files[_WORLD, ""]) if (_WORLD, "") in files else None
        if not cameras:
            if world is None:
                raise FileNotFoundError(f"{unit.name}: has no {_WORLD}/*.cdf; unpack Poses_D3_Positions too")
            yield Clip(world[::stride].astype(np.float32), subject, unit.name, action)
            return
        for camera in cameras:
            seen = world if world is not None else _from_mono(files, camera, unit.name, context)
            if seen is not None:
                yield self._view(unit, seen, camera, stride, action, context)

    def _view(
        self, unit: Unit, world: np.ndarray, camera: ClipCamera, stride: int, action: str, context: Context
    ) -> Clip:
        name = camera.name
        pixels = _pixels(unit.detail["files"].get((_PIXELS, name)))
        if pixels is not None and len(pixels) != len(world):
            file = unit.detail["files"][_PIXELS, name]
            context.note(f"{file}: has {len(pixels)} frames for {len(world)} poses; the common ones are kept")
        count = len(world) if pixels is None else min(len(world), len(pixels))
        joints = world[:count:stride].astype(np.float32)
        if pixels is None:
            keypoints = project(camera, joints, np.ones(joints.shape[:2], bool))
        else:
            kept = pixels[:count:stride]
            keypoints = np.concatenate([kept, np.ones_like(kept[..., :1])], -1).astype(np.float32)
        columns = {"keypoints_true": keypoints}
        for detected in self._detections():
            stem = unit.detail["keypoints"].get(detected.name)
            seen = detected.view(stem, CAMERAS.index(name), count, unit.name, context)
            columns[f"keypoints_{detected.name}"] = seen[::stride]
        images = None
        if (size := crop_size(self.size)) is not None:
            columns["boxes"] = crop_boxes(keypoints, (int(camera.size[0]), int(camera.size[1])), size)
            rows = np.arange(0, count, stride)
            video = unit.detail["files"].get((_VIDEOS, name))
            shown = rows < _video_length(video, unit.name, name, count, context)
            columns["image"] = np.where(shown, np.cumsum(shown) - 1, -1)
            if video is not None and shown.any():
                images = crops(video_frames(video, rows[shown]), columns["boxes"][shown], size)
        return Clip(joints, unit.detail["subject"], unit.name, action, columns, (camera,), images)

    def _detections(self) -> tuple[Detections, ...]:
        given = tuple(Detections.parse(text) for text in self.keypoints)
        names = [detected.name for detected in given]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"keypoints: {twice[0]!r} is given twice; give each detector a name")
        return given

    def _selected(self, subject: str) -> bool:
        return self.subjects == "all" or subject in self._named()

    def _named(self) -> list[str]:
        return [name.strip() for name in self.subjects.split(",")]

    def _missing(self, known: set[str]) -> list[str]:
        return [] if self.subjects == "all" else [name for name in self._named() if name not in known]

    def _wanted(self) -> tuple[str, ...]:
        if self.cameras in ("all", "none"):
            return CAMERAS if self.cameras == "all" else ()
        wanted = tuple(self.cameras.split(","))
        if unknown := sorted(set(wanted) - set(CAMERAS)):
            raise ValueError(f"cameras: {unknown[0]!r} is not known; use {', '.join(CAMERAS)}, all or none")
        return wanted

    def _uses(
        self, key: tuple[str, str], kinds: dict[tuple[str, str], Path], wanted: tuple[str, ...]
    ) -> bool:
        kind, camera = key
        if camera and camera not in wanted:
            return False
        if kind == _VIDEOS:
            return self.size != "none"
        return kind != _MONO or (_WORLD, "") not in kinds


def _files(source: Path, context: Context) -> _Found:
    """By subject and sequence ("S1 Walking 1"): files by kind and camera ("" for the world's).

    What lies there and cannot be used is told: folders that are not named after a subject, other names.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; give the one that holds S1, S5, ...")
    found: _Found = {}
    unnamed: dict[str, int] = {}
    every = files_below(source)
    for kind, ending in ((_WORLD, "cdf"), (_MONO, "cdf"), (_PIXELS, "cdf"), (_VIDEOS, "mp4")):
        for file in matching(every, f"{kind}/*.{ending}"):
            subject = _subject(file)
            match = _FILE.fullmatch(file.stem)
            if file.stem.startswith("_ALL"):  # joins all actions
                continue
            if subject is None:
                unnamed[_person_folder(file)] = unnamed.get(_person_folder(file), 0) + 1
            elif match is None or (kind == _WORLD) != (match["camera"] is None):
                context.note(f"{file}: is not named as {kind} are; left out, rename it")
            else:
                action = _CANONICAL.get(match["action"], match["action"])
                kinds = found.setdefault((subject, f"{subject} {action}{match['take'] or ''}"), {})
                if (kind, match["camera"] or "") in kinds:
                    context.note(f"{file}: is there twice; this one is left out, remove one")
                kinds.setdefault((kind, match["camera"] or ""), file)
    for folder, count in unnamed.items():
        context.note(f"{folder}: folders are named S1, S5, ...; its {count} files are left out, rename it")
    if not any(_has_poses(kinds) for kinds in found.values()):
        raise nothing_found(
            source, f"has no S*/MyPoseFeatures/{_WORLD}/*.cdf", "unpack Poses_D3_Positions_S*.tgz there"
        )
    for file in matching(every, "*.tgz", "*.tar.gz", "*.tar"):
        packed = re.search(r"D3_Positions_(S\d{1,2})\b", file.name)
        if packed and not any(subject == packed[1] and _has_poses(k) for (subject, _), k in found.items()):
            context.note(f"{file}: is packed, so {packed[1]} is left out; unpack it")
    return found


def _unpack(detected: Detections, units: list[Unit], context: Context) -> None:
    """Put a detector's views into the scratch, and their names into the units' details."""
    named = {
        (unit.detail["subject"], unit.name.partition(" ")[2]): f"seen-{number:05d}"
        for number, unit in enumerate(units)
    }
    found = detected.unpack(named, len(CAMERAS), context)
    for unit, stem in zip(units, named.values(), strict=True):
        if stem in found:
            unit.detail["keypoints"][detected.name] = stem


def _has_poses(kinds: dict[tuple[str, str], Path]) -> bool:
    return any(kind in (_WORLD, _MONO) for kind, _ in kinds)


def _with_poses(found: _Found, context: Context) -> _Found:
    """Those with positions; of the others a note a subject, or a sequence where the subject has others."""
    held = {key: kinds for key, kinds in found.items() if _has_poses(kinds)}
    subjects = {subject for subject, _ in held}
    lacking: dict[str, set[str]] = {}  # kinds that lie there without positions
    for (subject, sequence), kinds in found.items():
        if not _has_poses(kinds):
            name = sequence if subject in subjects else subject
            lacking.setdefault(name, set()).update(kind for kind, _ in kinds)
    for name, there in sorted(lacking.items()):
        subject = name.split()[0]
        text = f"{name}: {' and '.join(sorted(there))} without {_WORLD}; left out"
        if _PIXELS in there:
            context.note(f"{text}, unpack Poses_{_WORLD}_{subject}.tgz")
        else:
            context.tell(text)
    for subject in sorted(subjects):
        named = {sequence.split()[1] for other, sequence in found if other == subject}
        if len(named & set(ACTIONS)) >= _NEARLY_ALL and (missing := [a for a in ACTIONS if a not in named]):
            context.note(
                f"{subject}: lacks {', '.join(missing)} of the 15 actions; unpack its archives again"
            )
    return held


def _subject(file: Path) -> str | None:
    """The nearest folder above that is named after a subject; None where it is named so in another case."""
    named = (part for part in reversed(file.parts[:-1]) if re.fullmatch(r"[Ss]\d{1,2}", part))
    found = next(named, "")
    return found if found.startswith("S") else None


def _person_folder(file: Path) -> str:
    """What stands where a subject's folder should."""
    above = file.parent.parent
    return str(above.parent if above.name.lower() == "myposefeatures" else above)


def _metadata(source: Path) -> Path | None:
    here = matching(files_below(source), "metadata.xml")
    beside = source.parent / "metadata.xml"
    return here[0] if here else beside if beside.is_file() else None


def _positions(file: Path) -> Float64[np.ndarray, "T 17 3"]:
    """A CDF of 3D positions, in metres."""
    return _poses(file, 3) / 1000


def _pixels(file: Path | None) -> Float32[np.ndarray, "T 17 2"] | None:
    return None if file is None else _poses(file, 2).astype(np.float32)


def _poses(file: Path, size: int) -> Float64[np.ndarray, "T 17 d"]:
    values = read_cdf(file, "Pose")
    if values.ndim < 2 or values.shape[-1] != 32 * size or values.dtype.kind != "f":
        raise ValueError(f"{file}: Pose has shape {values.shape}, wanted (1, T, {32 * size}); get it again")
    with np.errstate(invalid="ignore"):  # a NaN that signals; refused below
        poses = values.reshape(-1, 32, size)[:, list(JOINTS_17_OF_32)].astype(np.float64)
    if not (np.isfinite(poses).all() and np.abs(poses).max(initial=0) < 1e6):
        raise ValueError(f"{file}: Pose holds numbers that no position has; get it again")
    return poses


def _from_mono(
    files: dict[tuple[str, str], Path], camera: ClipCamera, sequence: str, context: Context
) -> np.ndarray | None:
    """World positions from the camera frame's."""
    name = camera.name
    if (_MONO, name) not in files:
        context.note(f"{sequence}: has no positions for camera {name}; that view is left out")
        return None
    import torch

    local = torch.from_numpy(_positions(files[_MONO, name]))
    return camera_of(camera).camera_to_world(local).numpy()


def _video_length(video: Path | None, sequence: str, camera: str, poses: int, context: Context) -> int:
    if video is None:
        if (sequence, camera) != _NO_VIDEO:
            context.note(
                f"{sequence}: camera {camera} has no video; its rows have no image, unpack Videos too"
            )
        return 0
    frames = count_frames(video)
    if frames < poses:
        context.note(f"{video}: has {frames} frames for {poses} poses; rows beyond have no image")
    return frames
