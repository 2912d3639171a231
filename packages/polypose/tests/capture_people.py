"""People who move before cameras, and a detector whose errors last: jitter drifts, faults come in runs, and
each camera sees each joint somewhat elsewhere all the time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from polypose.capture.aside import ASIDE
from polypose.capture.rays import box_size, standing
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.motion import generate_motion
from posedata.views.noise import PART_SCALES

H36M = get_skeleton("h36m17")
SIZE = (1280, 960)
LIMBS = [
    [H36M.index(f"{side}_{part}") for part in parts]
    for side in ("left", "right")
    for parts in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
]


@dataclass(frozen=True)
class Detector:
    """Shares are of frames; lengths in units of the person's box. `posedata.views.noise`'s kinds of error.

    Attributes:
        jitter: sd of what drifts and of what flickers together, at the trunk.
        drifting: share of the jitter's variance that drifts.
        seconds: how long drift and faults last, on average.
        standing: of what never changes, in units of what `polypose.capture.rays` takes it for.
        aside: likewise of what is the same for all joints, in units of `polypose.capture.aside.ASIDE`.
        outlier, inversion, flip, miss, occluded: shares of frames of a joint, pair, body, joint, limb.
    """

    jitter: float = 0.01
    drifting: float = 0.6
    seconds: float = 0.3
    standing: float = 1.0
    aside: float = 0.0
    outlier: float = 0.01
    inversion: float = 0.01
    flip: float = 0.01
    miss: float = 0.01
    occluded: float = 0.0

    def watch(self, pixels: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T, 17, 3) pixels and confidence of exact pixels (T, 17, 2)."""
        frames, count = pixels.shape[:2]
        keep = np.exp(-1 / (rate * self.seconds))
        size = box_size(np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1))[:, None]

        def lasting(*shape: int) -> np.ndarray:
            out = rng.normal(size=(frames, *shape))
            for t in range(1, frames):
                out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * out[t]
            return out

        def runs(share: float, *shape: int) -> np.ndarray:
            """Of which `share` is True, in runs of `seconds`."""
            state = rng.uniform(size=shape) < share
            out = np.empty((frames, *shape), bool)
            for t in range(frames):
                again = rng.uniform(size=shape) > keep
                state = np.where(again, rng.uniform(size=shape) < share, state)
                out[t] = state
            return out

        part = np.array([next((s for p, s in PART_SCALES.items() if p in n), 1.0) for n in H36M.joints])
        relative = part * np.exp(0.4 * lasting(count) - 0.16)
        hidden = np.zeros((frames, count), bool)
        for limb, gone in zip(LIMBS, np.moveaxis(runs(self.occluded, len(LIMBS)), -1, 0), strict=True):
            hidden[:, limb] = gone[:, None]
        relative = np.where(hidden, relative * 4, relative)
        drift, flicker = lasting(count, 2), rng.normal(size=(frames, count, 2))
        error = np.sqrt(self.drifting) * drift + np.sqrt(1 - self.drifting) * flicker
        sure = np.exp(-0.5 * (relative / 3) ** 2)
        sure = np.where(hidden, rng.uniform(0.05, 0.4, hidden.shape), sure)
        error = error * relative[..., None] * self.jitter
        far = runs(self.outlier, count)
        error = np.where(far[..., None], 0.1 * lasting(count, 2), error)
        sure = np.where(far, rng.uniform(0.2, 0.7, far.shape), sure)
        mirror = np.array(H36M.mirror)
        exchanged = runs(self.inversion, count)[:, np.minimum(mirror, np.arange(count))]
        exchanged = exchanged ^ runs(self.flip, 1)
        order = np.where(exchanged, mirror, np.arange(count))
        found = np.take_along_axis(pixels, order[..., None], 1) + error * size[..., None]
        missed = runs(self.miss, count)
        sure = np.where(missed, 0.1, sure)
        found = np.where(missed[..., None], found + 0.2 * lasting(count, 2) * size[..., None], found)
        if self.standing:
            stands = self.standing * standing(H36M)[:, None] * rng.normal(size=(count, 2))
            found = found + stands * size[..., None]
        if self.aside:
            found = found + self.aside * ASIDE * rng.normal(size=2) * size[..., None]
        return np.concatenate([found, sure[..., None]], -1)


EXACT = Detector(jitter=1e-9, standing=0, outlier=0, inversion=0, flip=0, miss=0)
JITTER = Detector(standing=0, outlier=0, inversion=0, flip=0, miss=0)


def walker(frames: int = 90, seed: int = 1) -> np.ndarray:
    """(T, 17, 3) metres, z up: somebody of the synthetic people, 30 frames a second."""
    joints = generate_motion(1, 1, frames, seed=seed).joints.astype(np.float64)
    return joints - joints[:1, :1] * np.array([1.0, 1, 0])


def ring(count: int, target: np.ndarray, radius: float = 4.0, roll: float = 0.0) -> list[Camera]:
    """Cameras about a place, 80 degrees from each to the next."""
    middle = torch.from_numpy(np.asarray(target, np.float64))
    return [
        Camera.look_at(
            middle + torch.tensor([radius * np.cos(a), radius * np.sin(a), 0.5 + 0.2 * i]).double(),
            middle,
            1100.0,
            SIZE,
            roll,
        )
        for i, a in enumerate(np.radians(20 + 80 * np.arange(count)))
    ]


def watched(
    joints: np.ndarray,
    cameras: Sequence[Camera],
    detector: Detector = EXACT,
    rate: float = 30.0,
    seed: int = 0,
) -> np.ndarray:
    """(V, T, 17, 3) what a detector makes of what each camera sees."""
    rng = np.random.default_rng(seed)
    exact = [camera.project(torch.from_numpy(joints)).numpy() for camera in cameras]
    return np.stack([detector.watch(pixels, rate, rng) for pixels in exact])
