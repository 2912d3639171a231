"""What V-VIPE's and PR-VIPE's encoders are given of views: normalised keypoints and their confidences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from posedata.geometry.camera import Camera
from posedata.views.batch import DETECTED, MIXED, TRUE
from posedata.views.batch import see as see_views
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import Rig, station_cameras
from torch import Tensor

from .canonical import POSE, normalise, read_keypoints


@dataclass(frozen=True)
class Normalised:
    """What the encoder is given of views (`poseenc.canonical.normalise`), with any leading shape.

    Keypoints are NaN where a view shows no hip or no shoulder: they have no centre or no scale.
    """

    keypoints: Float[Tensor, "*n 13 2"]
    confidence: Float[Tensor, "*n 13"]

    def __getitem__(self, index: object) -> Normalised:
        return Normalised(self.keypoints[index], self.confidence[index])  # type: ignore[index]

    @classmethod
    def of(cls, points: Float[Tensor, "*n 13 3"]) -> Normalised:
        """Normalised of keypoints in pixels with confidences."""
        return cls(normalise(points[..., :2], points[..., 2]), points[..., 2])

    @property
    def valid(self) -> Bool[Tensor, "*n"]:
        """Which views have a centre and a scale."""
        return self.keypoints.isfinite().all(-1).all(-1)

    def flatten(self) -> Normalised:
        """All views in one row."""
        return Normalised(self.keypoints.reshape(-1, 13, 2), self.confidence.reshape(-1, 13))

    @classmethod
    def join(cls, parts: Iterable[Normalised], how: Callable[[list[Tensor]], Tensor]) -> Normalised:
        """Several as one, by `torch.stack` or `torch.cat`."""
        made = list(parts)
        return cls(how([v.keypoints for v in made]), how([v.confidence for v in made]))

    def to(self, device: torch.device | str) -> Normalised:
        return Normalised(self.keypoints.to(device), self.confidence.to(device))


def see(
    joints: Float[Tensor, "B J 3"],
    camera: Camera,
    generator: torch.Generator,
    noise: DetectorNoise | None = None,
    share: float = 1.0,
) -> Normalised:
    """Poses in the world as cameras see them, a share of them with a detector's noise."""
    views, name = see_views(joints, camera), TRUE
    if noise is not None and share > 0:
        views, name = views.detected(noise, generator).mixed(DETECTED, share, generator), MIXED
    return Normalised.of(read_keypoints(views.keypoints[name], POSE))


def see_by_stations(
    joints: Float[Tensor, "N J 3"],
    rigs: Sequence[Rig],
    generator: torch.Generator,
    noise: DetectorNoise | None = None,
) -> Normalised:
    """(N, cameras, ...): poses as the fixed cameras of the rigs see them."""
    cameras = station_cameras(joints, rigs, generator)
    return Normalised.join((see(joints, camera, generator, noise) for camera in cameras), beside)


def beside(parts: list[Tensor]) -> Tensor:
    """Views of the same poses along a second axis."""
    return torch.stack(parts, dim=1)
