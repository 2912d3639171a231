"""What a teacher is built by, and which of its poses are believed."""

from dataclasses import dataclass
from typing import Literal

from posedata.ranges import Fraction, NonNegative, Positive, Rate


@dataclass(frozen=True)
class TeacherConfig:
    """The point-cloud network (`pointcloud_weak.networks`).

    Attributes:
        network: `clip` (transformer over the clip) or `pointnet2` (frame by frame).
        image: whether points attend to image tokens in training.
        image_share: share of clips that see their image in a step; the others' is dropped.
    """

    network: Literal["clip", "pointnet2"] = "clip"
    dim: Positive = 192
    layers: Positive = 3
    heads: Positive = 6
    references: Positive = 32
    neighbours: Positive = 16
    radius: Rate = 0.2
    image: bool = True
    image_share: Fraction = 0.5
    robust: Literal["huber", "geman_mcclure"] = "huber"


@dataclass(frozen=True)
class PseudoConfig:
    """Which of the teacher's predictions become labels (`pointcloud_weak.pseudo`).

    Attributes:
        ray: the largest mean distance from the 2D rays, metres.
        support: the largest mean violation of point support, metres.
        scale: metres at which a joint's weight falls to 1/e of its confidence.
        bones: shares of its usual length between which every bone must lie.
    """

    ray: Rate = 0.04
    support: NonNegative = 0.005
    scale: Rate = 0.05
    bones: tuple[float, float] = (0.6, 1.5)

    def __post_init__(self) -> None:
        shortest, longest = self.bones
        if not 0 <= shortest < longest:
            raise ValueError(
                f"bones: {shortest:g} to {longest:g} holds no length; give the smaller share first"
            )
