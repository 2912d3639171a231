"""People in depth alone: recordings without colour, single depth images, organised point clouds.

UniPose's depth student sees them (`polypose.load("depth")`). Somebody who was cut out is taken as they are;
in a room people are looked for by `pointcloud_weak.find_people`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt16
from posedata.geometry.camera import Camera
from torch import Tensor

from polypose.capture.films import WHOLE, Span
from polypose.capture.progress import Watch
from polypose.network import POSE_SKELETON
from polypose.search.recorded import stride
from polypose.search.rows import Rows
from polypose.search.sources import Source

if TYPE_CHECKING:
    from posedata.readers.files.recording import RgbdSequence

    from polypose.depth import DepthLifter

_TALL, _DEEP = 2.6, 1.6
"""Metres that one person spans at most, across and along the camera's axis."""
_SAME = 0.5
"""Metres that somebody's middle moves from one frame to the next at most."""
_LOST = 1.0
"""Seconds after which somebody who comes back is another."""


@dataclass
class _Track:
    """One person over time."""

    times: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    joints: list[Tensor] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)

    def fits(self, time: float, joints: Tensor) -> float:
        """Metres from where they were; infinite for another's."""
        away = float((joints[0] - self.joints[-1][0]).norm())
        return away if self.times[-1] < time <= self.times[-1] + _LOST and away < _SAME else np.inf


def has_colour(path: Path) -> bool:
    """Whether all of a recording has colour, in which people are then looked for.

    Raises:
        ValueError, FileNotFoundError: what `posedata.readers.files.recording` finds.
    """
    from posedata.readers.files.recording import open_rgbd

    frames = open_rgbd(path)
    return frames.has_colour and (path.suffix.lower() != ".pcd" or frames[0].rgb is not None)


def read_depth(
    source: Source,
    rate: float,
    span: Span = WHOLE,
    watch: Watch = lambda name, done, total: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Rows]:
    """Everybody in a recording of depth, one after the other.

    Args:
        rate: frames a second that are looked at, at most.
        tell: told what the user must know of it.

    Raises:
        ValueError, FileNotFoundError: it is no depth, has no camera, or needs what is not installed.
    """
    from posedata.readers.files.recording import open_rgbd

    frames = open_rgbd(source.path)
    for note in frames.notes:
        tell(note)
    tracks: list[_Track] = []
    times = np.array(frames.times()) - frames.times()[0]
    chosen = np.flatnonzero((times >= span.start) & (times <= span.end))[:: stride(frames.fps, rate)]
    for number in chosen.tolist():
        for joints, box in _people(frames, number, source.path):
            _join(tracks, float(times[number]), number, joints, box)
        watch(source.name, float(times[number]), float(times[-1]))

    for name, track in enumerate(tracks, 1):
        local = torch.stack(track.joints)
        yield Rows(
            time=np.array(track.times),
            frame=np.array(track.frames),
            person=str(name),
            camera=source.path.stem,
            box=np.stack(track.boxes),
            joints=local,
            local=local,
        )


def _people(
    frames: RgbdSequence, number: int, path: Path
) -> Iterator[tuple[Float[Tensor, "17 3"], np.ndarray]]:
    """The people of a frame in the camera's frame, metres, and their boxes."""
    depth, camera = frames.depth(number), frames.camera(number)
    lifter = _lifter()
    for mask in _masks(depth, camera, path):
        focal, centre = camera.focal.tolist(), camera.centre.tolist()
        poses = lifter.lift(depth[None], (*focal, *centre), mask[None], say=lambda text: None)
        if not poses.valid[0]:
            continue
        placed = torch.from_numpy(np.asarray(poses.placed, np.float32))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        low, high = (np.array([columns[end], rows[end]]) for end in (0, -1))
        yield (
            lifter.skeleton.convert(placed, POSE_SKELETON, lossy=True)[0],
            np.concatenate([low, high - low + 1]),
        )


def _masks(depth: UInt16[np.ndarray, "H W"], camera: Camera, path: Path) -> Iterator[Bool[np.ndarray, "H W"]]:
    """Which pixels are each of the people's."""
    known = depth > 0
    if not known.any():
        return
    if _is_one(depth, known, camera):
        yield known
        return
    weak = _weak(path)
    try:
        found = weak.find_people(
            torch.from_numpy(depth), weak.DepthUnprojector(camera.to(dtype=torch.float32))
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}; cut the person out: 0 for all that is not theirs") from None
    for person in found:
        yield person.mask.numpy()


def _is_one(depth: np.ndarray, known: np.ndarray, camera: Camera) -> bool:
    """Whether what was measured is no larger than a person."""
    z = depth[known] / 1000
    near, far = np.quantile(z, (0.05, 0.95))
    if far - near > _DEEP:
        return False
    pixels = np.stack(np.nonzero(known)[::-1], 1)
    low, high = np.quantile(pixels, (0.05, 0.95), axis=0)
    return bool(((high - low) / camera.focal.numpy() * np.median(z) < _TALL).all())


def _join(tracks: list[_Track], time: float, frame: int, joints: Tensor, box: np.ndarray) -> None:
    """Give a pose to whom it fits best, or to somebody new."""
    away = [track.fits(time, joints) for track in tracks]
    if not away or not np.isfinite(min(away)):
        tracks.append(_Track())
        away = [np.inf] * (len(tracks) - 1) + [0.0]
    track = tracks[int(np.argmin(away))]
    track.times.append(time)
    track.frames.append(frame)
    track.joints.append(joints)
    track.boxes.append(box.astype(np.float64))


@cache
def _lifter() -> DepthLifter:
    from polypose.loading import load

    return load("depth")


def _weak(path: Path) -> Any:
    try:
        import pointcloud_weak
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: shows a room; cut the person out (0 for all that is not theirs), or let people be"
            " looked for in it: pip install 'polypose[depth]'"
        ) from None
    return pointcloud_weak
