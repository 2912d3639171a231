"""Poses seen by cameras drawn anew in every step: unlimited pairs of 2D and 3D from 3D alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton
from posedata.store.mapped import MappedRows
from posedata.views.batch import DETECTED, Views, see
from posedata.views.bodies import Bodies
from posedata.views.clips import around
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import Rig, sample_cameras


@dataclass(frozen=True)
class VirtualViews:
    """Poses, and where cameras may stand around them.

    Attributes:
        joints: (N, J, 3) world metres, on the training device, or read from disk as they are drawn.
        skeleton: of the joints.
        rigs: the ranges that cameras are drawn from, each for an equal share of the views.
        noise: what stands for a detector.
        bodies: how poses are changed in training.
        sequence: (N,) of the joints, those of one side by side and in order of time, to draw clips.
    """

    joints: Float[Tensor, "N J 3"] | MappedRows
    skeleton: Skeleton
    rigs: tuple[Rig, ...]
    noise: DetectorNoise
    bodies: Bodies = field(default_factory=Bodies)
    sequence: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.joints)

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        *,
        noise: float = 0.0,
        augment: bool = False,
        frames: int = 1,
        cameras: int = 1,
    ) -> Views:
        """Poses at random, each seen by a camera drawn for it, or by several.

        Args:
            generator: on the joints' device.
            noise: share of views whose "mixed" keypoints are the noise model's; the others' are exact.
            augment: on other bodies.
            frames: of clips, odd: so many views of each, side by side, the pose drawn in the middle.
            cameras: so many views of each pose, or clip, side by side, on one body.
        """
        rows = torch.randint(len(self.joints), (count,), generator=generator, device=generator.device)
        joints = self.joints[rows if frames == 1 else self._clips(rows, frames).flatten()]
        if augment:
            joints = self.bodies.of(joints, self.skeleton, generator, frames)
        joints = joints.unflatten(0, (count, frames)).repeat_interleave(cameras, 0).flatten(0, 1)
        shares = joints[frames // 2 :: frames].tensor_split(len(self.rigs))
        eyes = [sample_cameras(some, rig, generator) for some, rig in zip(shares, self.rigs, strict=True)]
        each = torch.arange(count * cameras, device=joints.device).repeat_interleave(frames)
        views = see(joints, Camera.cat(eyes)[each], self.skeleton)
        if noise:
            views = views.detected(self.noise, generator)
        return views.mixed(DETECTED, noise, generator)

    def _clips(self, rows: Tensor, frames: int) -> Tensor:
        if self.sequence is None:
            raise ValueError(
                "these poses have no sequence, so no clips can be drawn of them; set frames to 1"
            )
        return torch.from_numpy(around(self.sequence, rows.cpu().numpy(), frames)).to(rows.device)
