"""How the bodies of poses vary in training; read without torch, as a recipe is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from posedata.ranges import Fraction, NonNegative

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

    from posedata.skeleton import Skeleton


@dataclass(frozen=True)
class Bodies:
    """How poses are changed before they are seen: other movements, of other people.

    Attributes:
        mirror: share of poses that are mirrored; of views with a picture, picture and all.
        stature: bodies of views without a picture are scaled by 1 ± stature.
        bones: and each of their bones, left like right, by 1 ± bones.
        limbs: share of views without a picture whose poses get limbs of others, each with a chance of a half
            (`posedata.geometry.limbs`).
        turn: degrees by which each bone of the limbs is turned at most: other poses, taken by nobody.
    """

    mirror: Fraction = 0.0
    stature: Fraction = 0.0
    bones: Fraction = 0.0
    limbs: Fraction = 0.0
    turn: NonNegative = 0.0

    def of(
        self, joints: Float[Tensor, "B J 3"], skeleton: Skeleton, generator: torch.Generator, frames: int = 1
    ) -> Float[Tensor, "B J 3"]:
        """Poses on bodies drawn for them, one for so many neighbours, which are a clip."""
        import torch

        from posedata.geometry.limbs import random_limbs
        from posedata.geometry.shape import random_shapes, turn_bones

        if self.limbs:
            joints = random_limbs(joints, skeleton, generator, share=self.limbs, frames=frames)
        if self.mirror:
            turned = torch.rand(len(joints) // frames, 1, 1, generator=generator, device=generator.device)
            turned = turned.repeat_interleave(frames, 0)
            joints = torch.where(turned < self.mirror, skeleton.flip(joints), joints)
        if self.stature or self.bones:
            shape = {"stature": self.stature, "bones": self.bones}
            joints = random_shapes(joints, skeleton, generator, **shape, frames=frames)
        if self.turn:
            joints = turn_bones(joints, skeleton, generator, most=self.turn, frames=frames)
        return joints
