"""A batch of poses as all three modalities see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from posedata.geometry.aim import aim, reproject
from posedata.geometry.align import root_relative
from posedata.geometry.boxes import bounding_box, bounding_box_token, normalise_keypoints
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.views import BOX_ASPECT, BOX_MARGIN, Rig, sample_cameras
from posedata.views.noise import DetectorNoise
from torch import Tensor

Frame = Literal["aimed", "crop", "pixels"]


@dataclass(frozen=True)
class Sample:
    """Views of poses, one a row.

    Attributes:
        keypoints: (B, J, 2) in units of half the box (frame `pixels`: in pixels).
        confidence: (B, J), 1 for exact keypoints, 0 for missing ones.
        token: (B, 3) bounding-box token.
        joints: (B, J, 3) metres, relative to the root, in the frame of the encoders.
        rotation: (B, 3, 3) from the camera's frame to that frame.
        images: (B, 3, H, W) uint8 crops of the box.
    """

    keypoints: Float[Tensor, "B J 2"]
    confidence: Float[Tensor, "B J"]
    token: Float[Tensor, "B 3"]
    joints: Float[Tensor, "B J 3"]
    rotation: Float[Tensor, "B 3 3"]
    images: Tensor | None = None

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, rows: Tensor | slice) -> Sample:
        """Some of the rows."""
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device | str) -> Sample:
        """The same sample elsewhere."""
        return self._map(lambda value: value.to(device))

    def holds(self, modality: Literal["image", "2d", "3d"]) -> Bool[Tensor, " B"]:
        """Which rows have a person: `2d` a keypoint seen in a box with a size, `3d` a whole pose."""
        if modality == "2d":
            return (self.confidence > 0).any(-1) & self.token.isfinite().all(-1) & (self.token[:, 2] > 0)
        if modality == "3d":
            return self.joints.isfinite().all(-1).all(-1)
        return torch.ones_like(self.token[:, 0], dtype=torch.bool)

    def mirrored(self, which: Bool[Tensor, " B"]) -> Sample:
        """The sample with some rows mirrored: images too, left and right exchanged."""
        skeleton = get_skeleton("h36m17")
        swap = list(skeleton.mirror)
        side = torch.ones_like(self.token[:, :1]).where(~which[:, None], -1)  # the factor of x

        def turned(value: Tensor, other: Tensor) -> Tensor:
            return torch.where(which.view(-1, *[1] * (value.ndim - 1)), other, value)

        x = torch.cat([side, torch.ones_like(side), torch.ones_like(side)], dim=1)
        return Sample(
            turned(self.keypoints, skeleton.flip(self.keypoints)),
            turned(self.confidence, self.confidence[:, swap]),
            self.token * x,
            turned(self.joints, skeleton.flip(self.joints)),
            x[:, :, None] * self.rotation * x[:, None, :],
            None if self.images is None else turned(self.images, self.images.flip(-1)),
        )

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


def see(
    joints: Float[Tensor, "B J 3"],
    camera: Camera,
    *,
    box: Float[Tensor, "B 4"] | None = None,
    frame: Frame = "aimed",
    noise: DetectorNoise | None = None,
    share: float = 0.0,
    generator: torch.Generator | None = None,
) -> Sample:
    """Poses in the world seen by cameras.

    Args:
        joints: world, metres.
        camera: one a pose.
        box: the crops, in pixels; by default those that a store of views has (`posedata.views`).
        frame: "aimed" for the person-centred camera (`posedata.geometry.aim`); "crop" for joints in the
            camera's own frame and keypoints normalised by the box; "pixels" for the latter with keypoints
            in pixels.
        noise, share, generator: what a detector does to the keypoints of a random share of the poses.
    """
    pixels = camera.project(joints)
    if box is None:
        box = bounding_box(pixels, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    confidence = pixels.new_ones(pixels.shape[:-1])
    if noise is not None and generator is not None and share > 0:
        seen, sure = noise.apply(pixels, box, generator)
        hit = torch.rand(len(pixels), 1, generator=generator, device=pixels.device) < share
        pixels, confidence = torch.where(hit[..., None], seen, pixels), torch.where(hit, sure, confidence)
    return _sample(pixels, confidence, camera, box, root_relative(camera.world_to_camera(joints)), frame)


def see_at_random(
    joints: Float[Tensor, "B J 3"],
    rig: Rig,
    generator: torch.Generator,
    *,
    frame: Frame = "aimed",
    noise: DetectorNoise | None = None,
    share: float = 0.0,
) -> Sample:
    """Poses seen by virtual cameras drawn anew: unlimited 2D-3D pairs from 3D alone."""
    camera = sample_cameras(joints, rig, generator)
    return see(joints, camera, frame=frame, noise=noise, share=share, generator=generator)


def from_keypoints(
    points: Float[Tensor, "B J C"],
    camera: Camera,
    *,
    box: Float[Tensor, "B 4"] | None = None,
    joints: Float[Tensor, "B J 3"] | None = None,
    frame: Frame = "aimed",
) -> Sample:
    """A sample of given keypoints.

    Args:
        points: (B, J, 2) pixels, or (B, J, 3) with a confidence; joints of confidence 0 do not count.
        camera: one for all, or one a pose.
        box: the crops; by default those of the keypoints.
        joints: world, metres; zeros in the sample where they are not known.
    """
    pixels = points[..., :2]
    confidence = points[..., 2] if points.shape[-1] == 3 else torch.ones_like(points[..., 0])
    if box is None:
        box = bounding_box(pixels, confidence > 0, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    if joints is None:
        seen = pixels.new_zeros(*pixels.shape[:2], 3)
    else:
        seen = root_relative(camera.world_to_camera(joints))
    return _sample(pixels, confidence, camera, box, seen, frame)


def _sample(
    pixels: Tensor, confidence: Tensor, camera: Camera, box: Tensor, joints: Tensor, frame: Frame
) -> Sample:
    token = bounding_box_token(box, camera)
    eye = torch.eye(3, dtype=box.dtype, device=box.device).expand(len(box), 3, 3)
    if frame == "pixels":
        return Sample(pixels, confidence, token, joints, eye)
    if frame == "crop":
        return Sample(normalise_keypoints(pixels, box), confidence, token, joints, eye)
    aimed = aim(camera, box)
    turn = aimed.rotation @ camera.rotation.mT
    seen = reproject(pixels, camera, aimed)
    known = seen.isfinite().all(-1)  # a lens may bend no ray to a stray detection
    seen = torch.where(known[..., None], seen, 0)
    return Sample(seen, confidence * known, token, joints @ turn.mT, turn)
