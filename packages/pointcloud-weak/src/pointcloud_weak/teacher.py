"""The teacher: a point-cloud network, what it is taught by, and what it says of clips."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from posedata.geometry.camera import Camera
from posedata.sharing import shared
from posedata.skeleton import Skeleton
from poseenc.attention import quick_attention
from poseenc.tokens import exact
from torch import Tensor, nn

from .clips import Clips
from .config import TeacherConfig
from .interaction import Interaction
from .losses import Evidence, SkinOffset, WeakWeights, huber, skin_depths, weak_loss, weak_terms
from .networks import ClipTransformer, PointNet2
from .turn import Turn

BATCH = 64


class Teacher(nn.Module):
    """Joints of a clip from its points; in training some clips' points attend to their pictures too.

    Args:
        net: the point-cloud network.
        skeleton: of its joints.
        image_size: side of the pictures, px; None: points attend to none.
    """

    def __init__(
        self, net: ClipTransformer | PointNet2, skeleton: Skeleton, image_size: int | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.offset = SkinOffset(skin_depths(skeleton))
        self.interaction = None if image_size is None else Interaction(net.dim, image_size)

    @classmethod
    def of(cls, config: TeacherConfig, skeleton: Skeleton, image_size: int | None = None) -> Teacher:
        """An untrained teacher, as a config says; of pictures it knows the size where it attends to them."""
        net: ClipTransformer | PointNet2
        if config.network == "clip":
            net = ClipTransformer(
                len(skeleton),
                dim=config.dim,
                layers=config.layers,
                heads=config.heads,
                references=config.references,
                neighbours=config.neighbours,
                radius=config.radius,
            )
        else:
            net = PointNet2(len(skeleton), neighbours=config.neighbours, radius=config.radius)
        return cls(net, skeleton, image_size if config.image else None)

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

    def weak_loss(
        self,
        joints: Float[Tensor, "B T J 3"],
        seen: Evidence,
        skeleton: Skeleton,
        weights: WeakWeights,
        robust: Literal["huber", "geman_mcclure"] = "huber",
    ) -> dict[str, Tensor]:
        """The weak losses of predicted joints by the skin depth learnt: their sum, and each term's mean."""
        with exact(joints):
            offset = self.offset()
            terms = weak_terms(joints, seen, skeleton, offset, weights, robust=robust)
            total = weak_loss(terms, weights).mean()
        logged = {name: value.detach().mean() for name, value in terms.items()}
        return {"loss": total, **logged, "skin": offset.detach().mean()}

    def skin_mm(self, skeleton: Skeleton) -> dict[str, float]:
        """How deep joints lie under the skin, as learnt, mm."""
        depths = self.offset().detach().mul(1000).tolist()
        return {name: round(depth, 1) for name, depth in zip(skeleton.joints, depths, strict=True)}


def label_loss(joints: Float[Tensor, "B T J 3"], truth: Float[Tensor, "B T J 3"]) -> dict[str, Tensor]:
    """The loss on 3D labels: what the same network could at best come to."""
    with exact(joints):
        error = torch.linalg.vector_norm(joints - truth, dim=-1)
        return {"loss": huber(error).mean(), "mpjpe_mm": error.detach().mean() * 1000}


@torch.no_grad()
def predict_clips(model: Teacher, clips: Clips) -> Float[Tensor, "K T J 3"]:
    """A teacher's joints of all clips, from points alone; found where the teacher is, given on the CPU."""
    model.eval()
    parts = torch.arange(len(clips)).split(BATCH)
    device = next(model.parameters()).device
    count = clips.count
    return torch.cat(shared(lambda part: model(clips.points[part, :, :count].to(device)).cpu(), parts))
