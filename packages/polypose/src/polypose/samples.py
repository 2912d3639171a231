"""A batch of views as the encoders take it: normalised keypoints, box tokens, root-relative joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from posedata.geometry.aim import turn_to
from posedata.geometry.align import root_relative
from posedata.geometry.boxes import bounding_box_token, normalise_keypoints
from posedata.keypoints import holds_person
from posedata.skeleton import get_skeleton
from posedata.views.batch import TRUE, Views
from torch import Tensor

from polypose.config import Frame

CAMERA = "camera: x right, y down, z forward; relative to the pelvis"
"""The frame of what is lifted, in words."""


def finite(points: Float[Tensor, "*n 2"]) -> Bool[Tensor, "*n"]:
    """Which points have both coordinates: ten times as fast as a reduction over so few."""
    return points[..., 0].isfinite() & points[..., 1].isfinite()


@dataclass(frozen=True)
class Sample:
    """Views of poses, one a row.

    Attributes:
        keypoints: (B, J, 2) in units of half the box (frame `pixels`: in pixels).
        confidence: (B, J), 1 for exact keypoints, 0 for missing ones.
        token: (B, 3) bounding-box token.
        joints: (B, J, 3) metres, relative to the root, in the frame of the encoders; NaN where not known.
        rotation: (B, 3, 3) from the camera's frame to that frame.
        images: (B, 3, H, W) uint8 crops of the box.
    """

    keypoints: Float[Tensor, "B J 2"]
    confidence: Float[Tensor, "B J"]
    token: Float[Tensor, "B 3"]
    joints: Float[Tensor, "B J 3"]
    rotation: Float[Tensor, "B 3 3"]
    images: Tensor | None = None

    @classmethod
    def of(cls, views: Views, frame: Frame = "aimed", keypoints: str = TRUE) -> Sample:
        """Views as the encoders take them.

        Args:
            frame: "aimed" for the person-centred camera (`posedata.geometry.aim`); "crop" for joints in the
                camera's own frame and keypoints normalised by the box; "pixels" with those in pixels.
            keypoints: whose they are.
        """
        camera, box = views.camera, views.box
        pixels, confidence = views.seen_by(keypoints).split([2, 1], dim=-1)
        confidence = confidence[..., 0]
        if views.joints is None:
            joints = pixels.new_full((*pixels.shape[:2], 3), torch.nan)
        else:
            joints = root_relative(views.local)
        token = bounding_box_token(box, camera)
        if frame == "aimed":
            turn, focal = turn_to(camera, box)
            rays = camera.rays(pixels) @ turn.mT
            seen = rays[..., :2] / rays[..., 2:] * focal[..., None]
            known = finite(seen)  # a lens may bend no ray to a stray detection
            seen = torch.where(known[..., None], seen, 0)
            joints = joints if views.joints is None else joints @ turn.mT
            return cls(seen, confidence * known, token, joints, turn, views.image)
        eye = torch.eye(3, dtype=box.dtype, device=box.device).expand(len(box), 3, 3)
        seen = normalise_keypoints(pixels, box) if frame == "crop" else pixels
        return cls(seen, confidence, token, joints, eye, views.image)

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, rows: Tensor | slice) -> Sample:
        """Some of the rows."""
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device | str) -> Sample:
        """The same sample elsewhere."""
        return self._map(lambda value: value.to(device))

    def holds(self, modality: Literal["image", "2d", "3d"]) -> Bool[Tensor, " B"]:
        """Which rows have a person: `2d` a torso (`holds_person`) in a box with a size, `3d` a whole pose."""
        if modality == "2d":
            points = torch.cat([self.keypoints, self.confidence[..., None]], dim=-1)
            boxed = self.token.isfinite().all(-1) & (self.token[:, 2] > 0)
            return holds_person(points, get_skeleton("h36m17")) & boxed
        if modality == "3d":
            return self.joints.isfinite().all(-1).all(-1)
        return torch.ones_like(self.token[:, 0], dtype=torch.bool)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Sample:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {n: None if v is None else change(v) for n, v in values.items()}
        return Sample(**changed)

    @classmethod
    def cat(cls, samples: list[Sample]) -> Sample:
        """Samples one after the other; images only where all have them."""
        columns = {f.name: [getattr(s, f.name) for s in samples] for f in fields(cls)}
        joined: dict[str, Any] = {
            name: None if any(v is None for v in values) else torch.cat(values)
            for name, values in columns.items()
        }
        return cls(**joined)
