"""What lifting gives: poses, where they are, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from posedata.arrays import check_ending, write_poses
from posedata.skeleton import Skeleton
from torch import Tensor

from polypose.inputs import Like
from polypose.network import POSE_SKELETON
from polypose.samples import CAMERA

BODY = "body: hips along y, the right one ahead, spine up z, looking along -x; relative to the pelvis"
"""The frame of a view-invariant model, in words."""
WORLD = "world, z up; relative to the pelvis"
"""That of one which was taught poses as they are turned."""


@dataclass(frozen=True)
class BodyPoses:
    """N people lifted, freed of heading and size. Arrays are NumPy's, or tensors where tensors were given.

    Attributes:
        joints: (N, 17, 3) metres of the universal skeleton (`poseenc.canonical.Body`), relative to the
            pelvis; NaN where nobody is.
        valid: (N,) whether there is a person.
        frame: `BODY`, in words.
    """

    joints: Any
    valid: Any
    frame: str = BODY
    skeleton: Skeleton = POSE_SKELETON

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        return _told("BodyPoses", self.valid, [self.skeleton.name, f"{self.frame.partition(':')[0]} frame"])

    def save(self, path: str | Path) -> Path:
        """Write them as .npz or .csv, with names and units (`posedata.arrays.write_poses`)."""
        path = Path(path)
        check_ending(path)
        joints, valid = (np.asarray(torch.as_tensor(x).cpu()) for x in (self.joints, self.valid))
        write_poses(path, joints, self.skeleton, self.frame, valid)
        return path


@dataclass(frozen=True)
class Poses:
    """N people lifted. Arrays are NumPy's, or tensors where tensors were given.

    Attributes:
        joints: (N, 17, 3) metres, camera frame (x right, y down, z forward), relative to the pelvis; NaN
            where nobody is.
        sd: (N, 17) metres: the standard deviation of a joint along one axis: of this pose and these
            keypoints where the model has a spread (`polypose.spread`), as the packaged one has; else of all
            keypoints alike (`posediff.PoseDecoder`); NaN of a decoder that has none.
        valid: (N,) whether there is a person.
        translation: (N, 3) metres: where the pelvis is before the camera, from the keypoints and the
            intrinsics; as wrong as the intrinsics are.
    """

    joints: Any
    sd: Any
    valid: Any
    translation: Any
    skeleton: Skeleton = POSE_SKELETON
    _draw: Callable[[int, int], Tensor] | None = field(default=None, repr=False)
    _like: Like = field(default_factory=Like, repr=False)

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        sd = torch.as_tensor(self.sd)[torch.as_tensor(self.valid)][:, 1:]
        median = [f"median sd {1000 * float(sd.median()):.0f} mm"] if bool(sd.isfinite().any()) else []
        return _told("Poses", self.valid, [self.skeleton.name, "camera frame", *median])

    @property
    def placed(self) -> Any:
        """(N, 17, 3) metres in the camera's frame: `joints` about `translation`."""
        return self.joints + self.translation[:, None]

    def sample(self, count: int = 20, seed: int = 0) -> Any:
        """Poses that the keypoints allow, (count, N, 17, 3), of the same unit and frame as `joints`.

        Args:
            seed: decides everything random.

        Raises:
            ValueError: the model draws nothing (an MLP decoder), or `count` is below 1.
        """
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"count is {count}; draw one pose at least, a whole number")
        if self._draw is None:
            raise ValueError("these poses were read, not lifted; lift keypoints to draw more")
        return self._like.give(self._draw(int(count), int(seed)))

    def save(self, path: str | Path) -> Path:
        """Write all of it as .npz or .csv, with names and units (`posedata.arrays.write_poses`)."""
        path = Path(path)
        check_ending(path)
        joints, valid, sd, translation = (
            np.asarray(torch.as_tensor(x).cpu()) for x in (self.joints, self.valid, self.sd, self.translation)
        )
        write_poses(path, joints, self.skeleton, CAMERA, valid, sd=sd, translation=translation)
        return path


def _told(kind: str, valid: Any, parts: list[str]) -> str:
    people = int(valid.sum())
    nobody = len(valid) - people
    counted = f"{people} {'person' if people == 1 else 'people'}"
    return f"{kind}({', '.join([counted, *parts, *([f'{nobody} without a person'] if nobody else [])])})"
