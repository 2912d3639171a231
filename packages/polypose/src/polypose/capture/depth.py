"""How far away joints are, by the depth image of an RGB-D camera.

About each keypoint the surface is looked up; the joint lies beneath it, by as much flesh as people have there
(`FLESH`). So depth is one measurement more along a joint's ray, beside the lifter's: where something else
stands before the joint, or the keypoint lies beside the limb, the two disagree and the depth is not believed
(`polypose.capture.triangulate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

FLESH = {
    "pelvis": 0.11, "hip": 0.10, "spine": 0.11, "thorax": 0.10, "neck": 0.07, "head": 0.09, "shoulder": 0.065,
    "elbow": 0.045, "wrist": 0.03, "knee": 0.055, "ankle": 0.045,
}  # fmt: skip
"""Metres from the skin to the joint, along the ray, of a person of medium build; of other joints `_FLESH`."""
COMMON = 0.006
"""Share of the distance by which all joints of a person may be off together: by its girth, its clothes."""
_FLESH, _FLESH_SD = 0.05, 0.03
_AROUND = 0.03
"""Metres about a keypoint in which the surface is looked for."""
_NEARER, _THICK = 0.3, 0.08
"""Quantile of the depths about a keypoint that the limb is taken to be at, and metres within which it is."""
_OTHERS = 2.35
"""Standard deviations off where a surface is as likely another's: one joint in seven is hidden, by half a
metre at most, and a lifted joint is off by 8 cm along the ray."""
_FEW = 4
_LEAST_CONFIDENCE = 0.05

Images = Callable[[float], np.ndarray]
"""Depth (H, W), millimetres along the camera's axis and 0 where there is none, at a time of the film."""


@dataclass(frozen=True)
class Reach:
    """Joints' distances from the camera along their rays.

    Attributes:
        distance: (V, T, J) metres; NaN where nothing was measured.
        sd: (V, T, J) metres.
    """

    distance: np.ndarray
    sd: np.ndarray

    def within(self, some: slice | np.ndarray) -> Reach:
        """Of some frames."""
        return Reach(self.distance[:, some], self.sd[:, some])

    def of_the_body(self, away: np.ndarray, sd: np.ndarray) -> Reach:
        """Without what is of something before the joint, an arm before the trunk for one, or behind it.

        Args:
            away: (V, T, J) distances of the person's joints as they are lifted, right but for a common shift
                in each frame.
            sd: (V, T, J) of those.
        """
        off = self.distance - away
        known = np.isfinite(off)
        shift = np.full((*off.shape[:2], 1), np.nan)
        some = known.any(-1)
        shift[some, 0] = np.nanmedian(off[some], axis=-1)
        own = known & (np.abs(off - shift) < _OTHERS * np.hypot(self.sd, sd))
        return Reach(np.where(own, self.distance, np.nan), self.sd)


def measure(
    images: Images, camera: Camera, keypoints: np.ndarray, times: np.ndarray, skeleton: Skeleton
) -> Reach:
    """The distances of one person's joints from one camera.

    Args:
        camera: of the depth images, whose pixels are the keypoints'.
        keypoints: (T, J, 3) pixels and confidence.
        times: (T,) seconds.
    """
    points = torch.from_numpy(np.ascontiguousarray(keypoints[..., :2], np.float64))
    length = camera.to(dtype=torch.float64).rays(points).norm(dim=-1).numpy()
    flesh = np.array([next((v for p, v in FLESH.items() if p in n), _FLESH) for n in skeleton.joints])
    focal = float(camera.focal.mean())
    depth = np.full((*keypoints.shape[:2], 2), np.nan)
    for row, (time, frame) in enumerate(zip(times, keypoints, strict=True)):
        if (frame[:, 2] > 0).any():
            image = images(float(time))
            for joint in np.flatnonzero(frame[:, 2] > 0):
                depth[row, joint] = _surface(image, frame[joint, :2], focal)
    sure = np.clip(keypoints[..., 2], _LEAST_CONFIDENCE, 1)
    sensor = 0.0012 + 0.0019 * (depth[..., 0] - 0.4) ** 2
    sd = np.sqrt((_FLESH_SD**2 + sensor**2 + depth[..., 1] ** 2) / sure)
    return Reach((depth[..., 0] * length + flesh)[None], sd[None])


def size_by(reach: Reach, away: np.ndarray) -> float:
    """By what to multiply a person who is seen at distances (V, T, J) so that it is where depth says."""
    ratio = reach.distance / np.where(away > 0, away, np.nan)
    return float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1.0


def _surface(image: np.ndarray, place: np.ndarray, focal: float) -> tuple[float, float]:
    """Metres along the axis to the surface about a pixel, and how that spreads; NaN where there is none."""
    middle = _about(image, place, 2)
    if len(middle) < _FEW:
        return np.nan, np.nan
    radius = int(np.clip(focal * _AROUND / np.median(middle), 2, 24))
    values = middle if radius == 2 else _about(image, place, radius)
    near = np.quantile(values, _NEARER, method="lower")  # one of them, or a step in depth has nothing near
    mine = values[np.abs(values - near) < _THICK]
    found = float(np.median(mine))
    return found, 1.4826 * float(np.median(np.abs(mine - found)))


def _about(image: np.ndarray, place: np.ndarray, radius: int) -> np.ndarray:
    """Depths that are known in a square about a pixel, metres."""
    if not np.isfinite(place).all():
        return np.zeros(0)
    x, y = np.rint(np.clip(place, -1e6, 1e6)).astype(int)
    part = image[max(0, y - radius) : max(0, y + radius + 1), max(0, x - radius) : max(0, x + radius + 1)]
    return part[part > 0] / 1000.0
