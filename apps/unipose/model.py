"""The teacher on point clouds, and the students on pictures and on depth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from pointcloud_weak.interaction import Interaction
from pointcloud_weak.losses import SkinOffset, skin_depths
from pointcloud_weak.networks import ClipTransformer, PointNet2
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton, get_skeleton
from poseenc.anchor import A2JTransformer, Estimate
from poseenc.tokens import exact
from posetrain.whole import ALONE, WholeBatch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from unipose.recipe import Recipe, StudentConfig, TeacherConfig

Kind = Literal["rgb", "depth"]
KINDS: tuple[Kind, ...] = ("rgb", "depth")


@dataclass(frozen=True)
class Turn:
    """Clips turned about the vertical through their middle, some mirrored; predictions are turned back.

    Attributes:
        rotation: (B, 3, 3).
        mirrored: (B,).
        skeleton: whose left and right change places.
    """

    rotation: Float[Tensor, "B 3 3"]
    mirrored: Bool[Tensor, " B"]
    skeleton: Skeleton

    @classmethod
    def draw(
        cls, count: int, degrees: float, mirror: bool, skeleton: Skeleton, generator: torch.Generator
    ) -> Turn:
        """Angles uniform to either side; half of the clips mirrored."""
        angle = (torch.rand(count, generator=generator, device=generator.device) * 2 - 1) * degrees
        sine, cosine = torch.deg2rad(angle).sin(), torch.deg2rad(angle).cos()
        zero, one = torch.zeros_like(sine), torch.ones_like(sine)
        rows = [cosine, zero, sine, zero, one, zero, -sine, zero, cosine]
        flip = torch.rand(count, generator=generator, device=generator.device) < 0.5
        return cls(torch.stack(rows, -1).view(-1, 3, 3), flip & mirror, skeleton)

    def apply(self, points: Float[Tensor, "B ... 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """Turned about `middle`."""
        shape, flat = points.shape, points.flatten(1, -2)
        sides = self._sides(flat)
        return (((flat - middle[:, None]) * sides) @ self.rotation.mT + middle[:, None]).view(shape)

    def undo(self, points: Float[Tensor, "B ... 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """The inverse of `apply`."""
        shape, flat = points.shape, points.flatten(1, -2)
        return (((flat - middle[:, None]) @ self.rotation) * self._sides(flat) + middle[:, None]).view(shape)

    def undo_joints(self, joints: Float[Tensor, "B T J 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """Predicted joints turned back, left and right exchanged where they were mirrored."""
        back = self.undo(joints, middle)
        swapped = back[:, :, list(self.skeleton.mirror)]
        return torch.where(self.mirrored[:, None, None, None], swapped, back)

    def _sides(self, like: Tensor) -> Tensor:
        sides = like.new_ones(len(like), 1, 3)
        sides[..., 0] = torch.where(self.mirrored, -1.0, 1.0)[:, None]
        return sides


class Teacher(nn.Module):
    """Joints of a clip from its points; in training some clips' points attend to their pictures too."""

    def __init__(self, config: TeacherConfig, skeleton: Skeleton, size: int) -> None:
        super().__init__()
        joints = len(skeleton)
        self.net: ClipTransformer | PointNet2
        if config.network == "clip":
            self.net = ClipTransformer(
                joints,
                dim=config.dim,
                layers=config.layers,
                heads=config.heads,
                references=config.references,
                neighbours=config.neighbours,
                radius=config.radius,
            )
        else:
            self.net = PointNet2(joints, neighbours=config.neighbours, radius=config.radius)
        self.offset = SkinOffset(skin_depths(skeleton))
        self.interaction = Interaction(self.net.dim, size) if config.image else None

    def forward(
        self,
        points: Float[Tensor, "B T N 3"],
        turn: Turn | None = None,
        images: Tensor | None = None,
        seen: Bool[Tensor, " B"] | None = None,
        camera: Camera | None = None,
    ) -> Float[Tensor, "B T J 3"]:
        """Joints in the camera's frame, metres.

        Args:
            points: camera frame, metres.
            turn: augmentation.
            images, seen, camera: pictures of the clips seen, which those are, and all clips' cameras.
        """
        middle = points.mean((1, 2))
        cloud = points if turn is None else turn.apply(points, middle)

        def interact(tokens: Tensor, places: Tensor) -> Tensor:
            assert self.interaction is not None
            assert images is not None
            assert seen is not None
            assert camera is not None
            back = places if turn is None else turn.undo(places, middle)
            return self.interaction(tokens, camera.project_camera(back), images, seen)

        use = self.interaction is not None and images is not None
        with quick_attention(points.device):
            joints = self.net(cloud, interact if use else None)
        return joints if turn is None else turn.undo_joints(joints, middle)


class Student(nn.Module):
    """Joints of a frame by anchors, from its picture or from its depth.

    x and y come in pixels, z against a reference depth: the person's median depth for the depth student,
    which can measure it; the root's own for the RGB student, which cannot: it is given it or leaves it open.

    Args:
        trained: to be filled from a checkpoint: the weights that its backbone began from are not looked for.
    """

    def __init__(
        self, config: StudentConfig, kind: Kind, joints: int, size: int, *, trained: bool = False
    ) -> None:
        super().__init__()
        self.kind = kind
        self.net = A2JTransformer(
            joints,
            size=size,
            backbone=config.backbone,
            weights=None if trained else config.weights,
            freeze=config.weights is not None,
            depth_range=config.depth_range,
            depths=config.depths,
            dim=config.dim,
            heads=config.heads,
            layers=(config.encoder_layers, config.decoder_layers),
            hidden=config.hidden,
            points=config.points,
        )

    def forward(self, pictures: Float[Tensor, "B C S S"]) -> Float[Tensor, "B J 3"]:
        """Pixels, and metres beyond the reference depth."""
        with quick_attention(pictures.device):
            return self.net(pictures).joints

    def loss(
        self,
        pictures: Float[Tensor, "B C S S"],
        target: Float[Tensor, "B J 3"],
        weight: Float[Tensor, "B J"],
        whole: WholeBatch = ALONE,
    ) -> dict[str, Tensor]:
        """The anchor network's losses, means over the joints of the whole batch that have a weight."""
        with quick_attention(pictures.device):
            said = self.net.estimates(pictures)
        with exact(target):
            estimate = Estimate(*(whole.gather(x.float(), 1) for x in said))
            return self.net.loss(estimate, whole.gather(target), whole.gather(weight))


class Models(nn.ModuleDict):
    """Teachers, students and their twins by the names of the stages that train them."""

    def get_teacher(self, name: str = "teacher") -> Teacher:
        """One that sees points."""
        found = self[name]
        assert isinstance(found, Teacher)
        return found

    def get_student(self, name: str) -> Student:
        """One that sees pictures or depth."""
        found = self[name]
        assert isinstance(found, Student)
        return found


def build(recipe: Recipe, trained: bool = False) -> Models:
    """All models of a recipe.

    Args:
        trained: to be filled from checkpoints (`Student`).
    """
    skeleton, size = get_skeleton(recipe.data.skeleton), recipe.data.image_size
    torch.manual_seed(recipe.loop.seed)
    models: dict[str, nn.Module] = {
        name: Teacher(recipe.model, skeleton, size) for name in ("teacher", "teacher_twin")
    }
    for twin in ("", "_twin"):
        for kind in KINDS:
            student = Student(recipe.student_model, kind, len(skeleton), size, trained=trained)
            models[f"student_{kind}{twin}"] = student
    return Models({name: model for name, model in models.items() if recipe.twins or "_twin" not in name})


def depth_picture(
    person: Float[Tensor, "B S S"], reference: Float[Tensor, " B"], reach: float = 1.0
) -> Float[Tensor, "B 1 S S"]:
    """A person's depth about a reference, in units of `reach` metres; 1 where the person is not."""
    near = ((person - reference[:, None, None]) / reach).clamp(-1, 1)
    return torch.where(person > 0, near, 1.0)[:, None]


def median_depth(person: Float[Tensor, "B S S"]) -> Float[Tensor, " B"]:
    """Median of a person's depth, metres."""
    return torch.where(person > 0, person, torch.nan).flatten(1).nanmedian(1).values


def to_camera(
    estimate: Float[Tensor, "B J 3"], reference: Float[Tensor, " B"], camera: Camera
) -> Float[Tensor, "B J 3"]:
    """A student's pixels and depths as joints in the camera's frame."""
    depth = reference[:, None] + estimate[..., 2]
    return camera.unproject(estimate[..., :2], depth)


@contextlib.contextmanager
def quick_attention(device: torch.device) -> Iterator[None]:
    """On a CPU, plain matrix products: for so few tokens flash attention's backward takes several times as
    long in bfloat16."""
    if device.type == "cpu":
        with sdpa_kernel(SDPBackend.MATH):
            yield
    else:
        yield
