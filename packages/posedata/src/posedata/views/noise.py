"""What a 2D detector would have seen: a noise model for keypoints whose true place is known.

The kinds of error are those of Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation" (ICCV 2017): *jitter* (near the true place), *inversion* (left and right of one body confused),
*miss* (far from any body part). Their fourth kind, *swap* (a keypoint of another person), needs a second
person and is left out. To it come joints the detector does not report at all (low confidence).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.skeleton import get_skeleton

PART_SCALES: Mapping[str, float] = {
    "wrist": 1.6,
    "hand": 1.6,
    "ankle": 1.5,
    "foot": 1.5,
    "elbow": 1.3,
    "knee": 1.2,
    "hip": 1.1,
}
"""Jitter of a joint relative to that of the trunk and head, by a word in its name: the further out along a
limb, the worse (the order of the per-keypoint errors in Ronchi and Perona; the values are ours)."""


@dataclass(frozen=True)
class DetectorNoise:
    """Detector noise with stated parameters; lengths are fractions of the box size sqrt(width * height).

    The frequencies are choices of the order that Ronchi and Perona count for COCO detectors, set lower
    because one person stands whole in the frame; they are not a fit to a particular detector.

    Attributes:
        skeleton: whose joint names and mirror map apply.
        jitter: standard deviation per axis for a joint of scale 1 (0.01: 6 px in a box of 600 px).
        spread: how much the jitter's size varies: its scale is log-normal with this standard deviation of
            the logarithm, drawn per person and per joint, normalised so that the mean square stays.
        outlier: probability that a joint is far off (a "miss" in the taxonomy), with outlier_scale.
        outlier_scale: standard deviation per axis of such a joint.
        inversion: probability that the two joints of a left/right pair are exchanged.
        flip: probability that the whole person is taken for facing the other way.
        miss: probability that a joint is not found: it lies anywhere in the box, at low confidence.
    """

    skeleton: str = "h36m17"
    jitter: float = 0.01
    spread: float = 0.4
    outlier: float = 0.01
    outlier_scale: float = 0.1
    inversion: float = 0.01
    flip: float = 0.005
    miss: float = 0.01
    scales: Mapping[str, float] = field(default_factory=lambda: dict(PART_SCALES))

    def apply(
        self, keypoints: Float[Tensor, "B J 2"], box: Float[Tensor, "B 4"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B J 2"], Float[Tensor, "B J"]]:
        """Noisy keypoints and the confidence that goes with them.

        Confidence falls with the size of the jitter drawn from (not with the error made, which no
        detector knows): exp(-(s/3)^2 / 2) for a joint of relative scale s; an outlier's is drawn from
        0.2 to 0.7, a missed joint's from 0 to 0.2. Exchanged joints keep theirs: detectors are sure of them.

        Args:
            keypoints: true places in pixels.
            box: the person's box in pixels, x0 y0 x1 y1.
            generator: on any device.
        """
        draw = _Draws(generator, keypoints)
        extent = box[:, 2:] - box[:, :2]
        size = extent.prod(dim=-1).clamp(min=0).sqrt()[:, None, None]
        batch = keypoints.shape[:2]
        relative = self._joint_scales(keypoints)
        relative = relative * _log_normal(draw.normal(batch[0], 1), self.spread)
        relative = relative * _log_normal(draw.normal(*batch), self.spread)
        noise = draw.normal(*batch, 2) * relative[..., None] * self.jitter
        confidence = torch.exp(-0.5 * (relative / 3) ** 2)
        far = draw.uniform(*batch) < self.outlier
        noise = torch.where(far[..., None], draw.normal(*batch, 2) * self.outlier_scale, noise)
        confidence = torch.where(far, 0.2 + 0.5 * draw.uniform(*batch), confidence)
        order = self._exchanged(batch[0], draw).to(keypoints.device)
        seen = keypoints.gather(1, order[..., None].expand(-1, -1, 2)) + noise * size
        missed = draw.uniform(*batch) < self.miss
        anywhere = box[:, None, :2] + draw.uniform(*batch, 2) * extent[:, None]
        seen = torch.where(missed[..., None], anywhere, seen)
        return seen, torch.where(missed, 0.2 * draw.uniform(*batch), confidence)

    def _joint_scales(self, like: Tensor) -> Tensor:
        scales = [
            next((scale for part, scale in self.scales.items() if part in name), 1.0)
            for name in get_skeleton(self.skeleton).joints
        ]
        return like.new_tensor(scales)

    def _exchanged(self, count: int, draw: _Draws) -> Tensor:
        """(B, J) which joint is reported in the place of each."""
        mirror = torch.tensor(get_skeleton(self.skeleton).mirror, device=draw.device)
        same = torch.arange(len(mirror), device=draw.device)
        pair = torch.minimum(mirror, same)
        inverted: Bool[Tensor, "B J"] = (draw.uniform(count, len(mirror)) < self.inversion)[:, pair]
        flipped = draw.uniform(count, 1) < self.flip
        return torch.where(inverted ^ flipped, mirror, same)


NOISES: dict[str, DetectorNoise | None] = {"none": None, "detector": DetectorNoise()}
"""Noise models by name, as the command line takes them."""


class _Draws:
    """Random numbers of a generator, on the device and in the dtype of a tensor."""

    def __init__(self, generator: torch.Generator, like: Tensor) -> None:
        self._generator, self._dtype, self.device = generator, like.dtype, like.device

    def normal(self, *shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=self._generator, device=self._generator.device)
        return drawn.to(dtype=self._dtype, device=self.device)

    def uniform(self, *shape: int) -> Tensor:
        drawn = torch.rand(*shape, generator=self._generator, device=self._generator.device)
        return drawn.to(dtype=self._dtype, device=self.device)


def _log_normal(normal: Tensor, spread: float) -> Tensor:
    """exp of a normal, with mean square 1."""
    return torch.exp(spread * normal - math.pow(spread, 2))
