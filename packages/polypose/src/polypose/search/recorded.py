"""Motion capture, stores and keypoints in files, person by person."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from posedata.readers.files.packed import unpacked
from posedata.readers.format import UNKNOWN, Clip, Context
from posedata.readers.registry import get_format
from posedata.skeleton import Skeleton, get_skeleton
from posedata.store.pose_store import PoseStore
from posedata.store.schema import CAMERA_COLUMNS
from torch import Tensor

from polypose.capture.reading import read_motion
from polypose.inputs import take_keypoints, take_skeleton
from polypose.network import POSE_SKELETON
from polypose.reading import read_people
from polypose.search.rows import Rows
from polypose.search.sources import Say, Source

RATE = 30.0
"""Frames a second where a file tells none, and rows a second that are kept at most."""


def read_format(source: Source, rate: float, say: Say) -> Iterator[Rows]:
    """A data set by its reader, clip by clip.

    Raises:
        ValueError, FileNotFoundError: what the reader raises, or poses that are no body's.
    """
    options = {"missing": "mark"} if source.form in ("trc", "c3d") else {}
    form = get_format(str(source.form), **options)
    with tempfile.TemporaryDirectory(prefix="polypose-") as scratch:
        context = Context(Path(scratch), lambda text: say(f"note: {text}"))
        plan = form.plan(unpacked(source.path, context), context)
        skeleton = get_skeleton(plan.skeleton)
        single = len(plan.units) == 1 and source.path.is_file() and source.form != "joints"
        for unit in plan.units:
            for clip in form.read(unit, context):
                fps = float(plan.fps or clip.fps or RATE)
                yield from _clip(clip, skeleton, fps, rate, "" if single else clip.sequence)


def read_capture(source: Source, rate: float, say: Say) -> Iterator[Rows]:
    """What `polypose capture` or `lift` wrote, or another file of one motion."""
    motion = read_motion(source.path, say=say)
    step = stride(motion.rate, rate)
    for person in motion.people:
        kept = slice(None, None, step)
        joints = torch.from_numpy(person.joints.astype(np.float32))
        yield Rows(
            time=motion.times[person.frames][kept],
            frame=np.arange(len(motion))[person.frames][kept],
            person=str(person.id),
            joints=motion.skeleton.convert(joints, POSE_SKELETON, lossy=True)[kept],
        )


def read_keypoints(
    source: Source, size: tuple[int, int] | None, skeleton: str | None, say: Say
) -> Iterator[Rows]:
    """Keypoints in files; which camera saw them is not known but where the size of its images is told."""
    people = read_people(source.path, skeleton, say)
    kind = take_skeleton(people.values, people.skeleton, str(source.path))
    points = take_keypoints(people.values, kind.name, size=size, say=say, where=str(source.path), to=kind)
    frames = people.rows.get("detected_frame", np.arange(len(points)))
    names = people.rows.get("detected_person", np.full(len(points), ""))
    from polypose.cameras import take_camera

    for name in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero(names == name)
        mine = mine[np.argsort(frames[mine], kind="stable")]
        yield Rows(
            time=frames[mine] / RATE,
            frame=frames[mine],
            person=name,
            box=boxes(points[mine]),
            points=points[mine],
            skeleton=kind,
            seen_by=None if size is None else take_camera(None, size),
        )


def read_store(source: Source, rate: float, say: Say) -> Iterator[Rows]:
    """A store's rows by recording, person and camera, in the order of frames."""
    store = PoseStore.open(source.path)
    keys = [np.asarray(store.column(c)) for c in ("sequence", "subject", "camera") if c in store]
    frame = np.asarray(store.column("frame")) if "frame" in store else np.arange(len(store))
    order = np.lexsort([frame, *keys[::-1]])
    changes = [np.diff(key[order]) != 0 for key in keys]
    edges: Any = np.flatnonzero(np.any(changes, axis=0)) + 1 if changes else []
    fps = float(store.meta.get("fps") or RATE)
    for rows in np.split(order, edges):
        rows = rows[:: stride(fps, rate)]
        yield _stored(store, rows, frame[rows], fps, say)


def around(rows: Rows, cameras: int) -> Iterator[Rows]:
    """Poses that no camera saw, as so many level ones about the room would; as they are, of none."""
    if not cameras or rows.joints is None or rows.local is not None:
        yield rows
        return
    joints = rows.joints - rows.joints[:, :1]
    for number in range(cameras):
        angle = 2 * np.pi * number / cameras
        away = torch.tensor([np.cos(angle), np.sin(angle), 0.0], dtype=joints.dtype)
        down = torch.tensor([0.0, 0.0, -1.0], dtype=joints.dtype)
        turn = torch.stack([torch.linalg.cross(down, -away), down, -away])
        values = {**vars(rows), "camera": f"{round(np.degrees(angle))} degrees", "local": joints @ turn.mT}
        yield Rows(**values)


def stride(fps: float, most: float) -> int:
    """Of how many frames one is kept, so that there are about so many a second at most."""
    return max(1, round(fps / most))


def boxes(points: Float[Tensor, "n J 3"]) -> np.ndarray:
    """(n, 4) x, y, width, height around what was seen; NaN of nothing."""
    from polypose.capture.detectors.detector import box_around

    return box_around(points.numpy())


def _clip(clip: Clip, skeleton: Skeleton, fps: float, rate: float, recording: str) -> Iterator[Rows]:
    if not len(clip.joints):
        return
    kept = slice(None, None, stride(fps, rate))
    frame = np.asarray(clip.columns.get("frame", np.arange(len(clip.joints))))[kept]
    told: dict[str, Any] = {
        "recording": recording,
        "person": _told(clip.subject),
        "action": _told(clip.action),
    }
    column = next((name for name in clip.columns if name.startswith("keypoints_")), None)
    joints = np.array(clip.joints[kept], np.float32)
    if "valid" in clip.columns:
        joints[~np.asarray(clip.columns["valid"][kept], bool)] = np.nan
    joints[~np.isfinite(joints).all(-1)] = np.nan
    if column is not None and not np.isfinite(joints).any():
        points = torch.from_numpy(np.array(clip.columns[column][kept], np.float32))
        yield Rows(frame / fps, frame, **told, points=points, skeleton=skeleton, box=boxes(points))
        return
    body = skeleton.convert(torch.from_numpy(joints), POSE_SKELETON, lossy=True)
    local, name = None, ""
    if clip.cameras:
        index = np.asarray(clip.columns.get("camera", np.zeros(len(clip.joints), int)))[kept]
        name = clip.cameras[int(index[0])].name if len(clip.cameras) == 1 else ""
        turn = torch.from_numpy(np.stack([c.rotation for c in clip.cameras]).astype(np.float32))[index]
        shift = np.stack([np.asarray(c.translation) for c in clip.cameras]).astype(np.float32)
        local = body @ turn.mT + torch.from_numpy(shift)[index][:, None]
    yield Rows(frame / fps, frame, **told, camera=name, joints=body, local=local)


def _stored(store: PoseStore, rows: np.ndarray, frame: np.ndarray, fps: float, say: Say) -> Rows:
    told: dict[str, Any] = {
        ours: _told(store.names(theirs)[int(store.column(theirs)[rows[0]])])
        for ours, theirs in (("recording", "sequence"), ("person", "subject"), ("action", "action"))
        if theirs in store and store.names(theirs)
    }
    camera = None
    if "camera" in store and int(store.column("camera")[rows[0]]) >= 0:
        number = int(store.column("camera")[rows[0]])
        table = {name: torch.from_numpy(np.array(store.column(name)[number])) for name in CAMERA_COLUMNS}
        camera = Camera(**{name.removeprefix("camera_"): value for name, value in table.items()})
        names = store.meta.get("cameras")
        told["camera"] = str(names[number]) if names else str(number)
    box = None
    if "boxes" in store:
        box = np.array(store.column("boxes")[rows])
        box = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    joints = store.joints(rows)
    column = next((name for name in store.columns if name.startswith("keypoints_")), None)
    if column is not None and not np.isfinite(joints).any():
        points = torch.from_numpy(np.array(store.column(column)[rows]))
        box = boxes(points) if box is None else box
        seen: dict[str, Any] = {"points": points, "skeleton": store.skeleton, "seen_by": camera, "box": box}
        return Rows(frame / fps, frame, **told, **seen)
    body = store.skeleton.convert(torch.from_numpy(joints), POSE_SKELETON, lossy=True)
    local = None if camera is None else camera.world_to_camera(body)
    return Rows(frame / fps, frame, **told, joints=body, local=local, box=box)


def _told(name: str) -> str:
    return "" if name == UNKNOWN else name
