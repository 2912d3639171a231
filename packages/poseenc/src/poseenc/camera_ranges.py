"""Cameras that training draws anew; apart from what draws them, so that a recipe is read without torch."""

from dataclasses import dataclass
from typing import Literal

from posedata.ranges import Fraction

Span = tuple[float, float]


@dataclass(frozen=True)
class CameraAugmentation:
    """Views that no camera recorded. Angles in degrees.

    Attributes:
        share: of every batch that is seen by cameras drawn anew instead of the recorded ones.
        cameras: `near` as in PR-VIPE (`posedata.views.augment`), or `real` with the distances and focal
            lengths of cameras that see a whole person (`posedata.views.sample_cameras`).
        elevation, roll: ranges; the azimuth is any.
        depth: of `near` cameras, in torsos.
        distance, focal: of `real` cameras, in metres and in pixels of a frame of 1000.
        noise: share of augmented views with detector noise, where the others have it.
    """

    share: Fraction = 0.5
    cameras: Literal["near", "real"] = "near"
    elevation: Span = (-30.0, 30.0)
    roll: Span = (-30.0, 30.0)
    depth: Span = (2.0, 2.0)
    distance: Span = (3.0, 7.0)
    focal: Span = (1000.0, 1300.0)
    noise: Fraction = 0.0
