"""Single frames as the students see them, how they are varied in training, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from posedata.geometry.camera import Camera
from posedata.sharing import shared
from posedata.skeleton import Skeleton
from posedata.views.crops import median_depth
from poseenc.anchor.depth import depth_picture, to_camera
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .clips import Clips
from .students import Kind, Student

BATCH = 64
SHIFT, SCALE = 0.06, 0.1
"""A picture is moved by up to 6 % of its side, and made up to 10 % larger or smaller."""


@dataclass(frozen=True)
class Frames:
    """F frames, in host memory: the person's depth (F, S, S) metres, pictures (F, 3, S, S) uint8 or None,
    cameras (F,), the person's median depth (F,) metres."""

    person: Float[Tensor, "F S S"]
    image: Shaped[Tensor, "F 3 S S"] | None
    camera: Camera
    middle: Float[Tensor, " F"]
    skeleton: Skeleton

    @classmethod
    def of(cls, clips: Clips) -> Frames:
        """The frames of all clips, clip by clip."""
        frames = clips.frames
        person = clips.person_depth(slice(None)).flatten(0, 1)
        index = torch.arange(len(clips)).repeat_interleave(frames)
        return cls(
            person,
            None if clips.image is None else clips.image.flatten(0, 1),
            clips.camera[index],
            median_depth(person, person),
            clips.skeleton,
        )

    def __len__(self) -> int:
        return len(self.person)

    def __getitem__(self, rows: Int[Tensor, " B"]) -> Frames:
        """Some of the frames."""
        image = None if self.image is None else self.image[rows]
        return Frames(self.person[rows], image, self.camera[rows], self.middle[rows], self.skeleton)

    def pictures(
        self, kind: Kind, rows: Int[Tensor, " B"], device: torch.device | str = "cpu"
    ) -> Float[Tensor, "B C S S"]:
        """What a student of this kind is given, on a device.

        Raises:
            ValueError: the frames have no pictures for an RGB student.
        """
        if kind == "depth":
            return depth_picture(self.person[rows].to(device), self.middle[rows].to(device))
        if self.image is None:
            raise ValueError(
                "these frames are depth alone; an RGB student needs pictures, set data.rgb=false"
            )
        return self.image[rows].to(device).float() / 255

    def reference(self, kind: Kind, joints: Float[Tensor, "F J 3"]) -> Float[Tensor, " F"]:
        """The depth that z counts from: measured for depth, the root's (of `joints`) for RGB."""
        return self.middle if kind == "depth" else joints[:, self.skeleton.root, 2]

    def targets(self, kind: Kind, joints: Float[Tensor, "F J 3"]) -> Float[Tensor, "F J 3"]:
        """Joints of the camera's frame as pixels of the picture and metres beyond the reference."""
        depth = joints[..., 2] - self.reference(kind, joints)[:, None]
        return torch.cat([self.camera.project_camera(joints), depth[..., None]], dim=-1)

    def joints(
        self, kind: Kind, estimate: Float[Tensor, "F J 3"], reference: Float[Tensor, " F"]
    ) -> Float[Tensor, "F J 3"]:
        """The way back from `targets`."""
        return to_camera(estimate, reference, self.camera)


def vary(
    pictures: Float[Tensor, "B C S S"],
    target: Float[Tensor, "B J 3"],
    skeleton: Skeleton,
    turn: float,
    mirror: bool,
    generator: torch.Generator,
    kind: Kind,
) -> tuple[Float[Tensor, "B C S S"], Float[Tensor, "B J 3"]]:
    """Pictures turned, moved, scaled and mirrored at random, and where their joints then lie.

    Args:
        target: pixels and metres.
        turn: degrees to either side.
        mirror: whether half of the pictures are mirrored.
    """

    def uniform(reach: float) -> Tensor:
        drawn = torch.rand(len(pictures), generator=generator, device=generator.device)
        return ((drawn * 2 - 1) * reach).to(pictures)

    angle, scale = torch.deg2rad(uniform(turn)), 1 + uniform(SCALE)
    shift = torch.stack([uniform(2 * SHIFT), uniform(2 * SHIFT)], -1)
    flip = (uniform(1.0) < 0) & mirror
    side = torch.where(flip, -1.0, 1.0)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    # forward: q = A p + shift on [-1, 1]; grid_sample wants where each new pixel comes from
    matrix = torch.stack([side * cosine, -sine, side * sine, cosine], -1).view(-1, 2, 2)
    back = torch.linalg.inv(matrix)
    theta = torch.cat([back, -(back @ shift[..., None])], -1)
    far = 1.0 if kind == "depth" else 0.0
    grid = affine_grid(theta, list(pictures.shape), align_corners=False)
    mode = "nearest" if kind == "depth" else "bilinear"
    varied = grid_sample(pictures - far, grid, mode=mode, align_corners=False) + far
    half = pictures.shape[-1] / 2
    place = (target[..., :2] + 0.5) / half - 1
    moved = ((place @ matrix.mT + shift[:, None]) + 1) * half - 0.5
    joints = torch.cat([moved, target[..., 2:]], -1)
    return varied, torch.where(flip[:, None, None], joints[:, list(skeleton.mirror)], joints)


@torch.no_grad()
def predict_frames(model: Student, frames: Frames, reference: Float[Tensor, " F"]) -> Float[Tensor, "F J 3"]:
    """A student's joints of all frames, camera frame, metres; found where it is, given on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    parts = torch.arange(len(frames)).split(BATCH)
    said = shared(lambda part: model(frames.pictures(model.kind, part, device)).float().cpu(), parts)
    return frames.joints(model.kind, torch.cat(said), reference)
