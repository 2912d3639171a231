"""What a network of several senses is built by."""

from __future__ import annotations

from dataclasses import dataclass

from posedata.ranges import Count, Positive, Rate

SENSES = ("image", "2d", "3d", "depth", "cloud")


@dataclass(frozen=True)
class SpaceConfig:
    """What shares the space.

    Attributes:
        modalities: registered names (`poseenc.modality`; `cloud` needs pointcloud-weak).
        most: bound of the concentrations over the width.
        cloud_width: of the cloud encoder's first level.
        invariant: the first so many numbers of an embedding depend on the pose alone, the others on the view
            too (`poseenc.parts`); 0 for none such.
        labels: whether the poses of pictured people are known in training. Without, there is no 3D beside a
            picture or its depth, keypoints are a detector's, and 3D is learnt of other poses' keypoints.
    """

    modalities: tuple[str, ...] = SENSES
    most: Rate = 20.0
    cloud_width: Positive = 32
    invariant: Count = 0
    labels: bool = True

    def __post_init__(self) -> None:
        if not self.labels and (lacks := [name for name in ("2d", "3d") if name not in self.modalities]):
            raise ValueError(
                f"space.modalities: lacks {' and '.join(lacks)}, which join pictures without labels to poses"
            )
