"""What is read of a source before it is embedded: one person, over time, as one camera saw it or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton
from torch import Tensor

Picture = tuple[int, bytes]
"""A row, and its thumbnail as JPEG, which serves until the next one."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One person in consecutive frames of one recording.

    Attributes:
        time: (n,) seconds, ascending.
        frame: (n,) numbers, as the recording counts.
        recording: within its source; empty where a source is one.
        person, action, camera: names; empty where not told.
        box: (n, 4) x, y, width, height in pixels; NaN where not seen.
        joints: (n, 17, 3) of `h36m17` in any unit and frame; NaN where not known.
        local: (n, 17, 3) metres in the frame of the camera that sees them.
        points: (n, J, 3) pixels and confidence, of `skeleton`; what is embedded where joints are not known.
        seen_by: the camera of the points.
        pictures: thumbnails, by ascending row.
    """

    time: np.ndarray
    frame: np.ndarray
    recording: str = ""
    person: str = ""
    action: str = ""
    camera: str = ""
    box: np.ndarray | None = None
    joints: Float[Tensor, "n 17 3"] | None = None
    local: Float[Tensor, "n 17 3"] | None = None
    points: Float[Tensor, "n J 3"] | None = None
    skeleton: Skeleton | None = None
    seen_by: Camera | None = None
    pictures: Sequence[Picture] = field(default=())

    def __len__(self) -> int:
        return len(self.time)
