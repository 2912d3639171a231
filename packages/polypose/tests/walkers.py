"""A motion whose truth is known: synthetic people who walk before two cameras, exactly projected."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from polypose.capture.motion import Motion, Person, View
from posedata.geometry.camera import Camera
from posedata.synthetic.people.motion import generate_motion

RATE = 25.0
SIZE = (640, 480)
PLACES = {"left": (-4.0, -5.0, 1.6), "right": (4.5, -4.0, 2.2)}


@cache
def walkers(people: int = 2, frames: int = 40, gaps: bool = False) -> Motion:
    """People of ids 1, 2, ..., each a second later than the one before; bones are constant.

    Args:
        gaps: person 1 lacks its left wrist in frames 3 to 6, and is nowhere in frame 8.
    """
    made = generate_motion(people, 1, frames, fps=RATE, seed=3)
    joints = made.joints.reshape(people, frames, 17, 3).astype(np.float64)
    joints += np.array([1.2, 0.0, 0.0]) * np.arange(people)[:, None, None, None]
    starts = (np.arange(people) * min(8, frames - 1)).tolist()
    times = 0.5 + np.arange(frames + starts[-1]) / RATE
    cameras = {name: _camera(place) for name, place in PLACES.items()}
    found = []
    for number, (first, places) in enumerate(zip(starts, joints, strict=True), start=1):
        if gaps and number == 1:
            places[3:7, 13] = np.nan
            places[8] = np.nan
        found.append(Person(number, first, places, *_uncertain(places), _seen(places, cameras)))
    views = tuple(View(name, camera, Path(f"{name}.mp4"), times, 0.5) for name, camera in cameras.items())
    return Motion(times, tuple(found), views, notes=("camera assumed level",))


def _camera(place: tuple[float, float, float]) -> Camera:
    at, target = (torch.tensor(x, dtype=torch.float64) for x in (place, (0.5, 0.0, 0.9)))
    return Camera.look_at(at, target, 500.0, SIZE)


def _uncertain(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sd (T, 17) and covariance (T, 17, 3, 3): larger away from the pelvis and along x."""
    known = np.isfinite(joints).all(-1)
    sd = np.where(known, 0.01 + 0.002 * np.arange(joints.shape[1]), np.nan)
    covariance = (sd**2)[..., None, None] * np.diag([2.0, 0.5, 0.5])
    return sd, covariance


def _seen(joints: np.ndarray, cameras: dict[str, Camera]) -> dict[str, np.ndarray]:
    """(T, 17, 3) of each view."""
    known = np.isfinite(joints).all(-1)
    seen = {}
    for name, camera in cameras.items():
        pixels = camera.project(torch.from_numpy(joints)).numpy()
        inside = known & (pixels >= 0).all(-1) & (pixels < SIZE).all(-1)
        seen[name] = np.concatenate([np.where(inside[..., None], pixels, 0), inside[..., None] * 0.9], -1)
    return seen
