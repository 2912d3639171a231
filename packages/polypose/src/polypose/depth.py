"""What a user holds of UniPose's depth student: people in depth images to 3D, without keypoints."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.skeleton import Skeleton, get_skeleton
from posedata.views.crops import median_depth
from posedata.views.squares import SQUARE_MARGIN, square
from poseenc.anchor import A2J, A2JTransformer
from poseenc.anchor.depth import depth_picture, to_camera
from poseenc.attention import quick_attention
from torch import Tensor, nn

from polypose.cameras import take_camera
from polypose.config import AnchorConfig, DepthSettings
from polypose.held import Kept
from polypose.inputs import Like, Say, as_array, warn
from polypose.packed import as_schema
from polypose.poses import Poses

FAR = 25.0
"""Metres that no depth camera for people reaches."""
FLESH = 0.05
"""Of the longer side of the joints' box: about what a silhouette stands out on either side."""
_LEAST = 20
"""Pixels that are no person."""


def anchor_network(
    config: AnchorConfig, skeleton: str, size: int, *, trained: bool = False
) -> A2J | A2JTransformer:
    """The network that a config says, for squares of so many pixels.

    Args:
        trained: to be filled from a file: the weights that its backbone began from are not looked for.
    """
    if config.network == "a2j":
        return A2J(
            len(get_skeleton(skeleton)),
            size=size,
            backbone=config.backbone,
            weights=None if trained else config.weights,
            channels=config.channels,
        )
    return A2JTransformer(
        len(get_skeleton(skeleton)),
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


class DepthNetwork(nn.Module):
    """Anchors that vote in depth, and how far off they usually are.

    Attributes:
        sd: (J,) metres along one axis, of each joint, measured on people that training did not see.
    """

    sd: Tensor

    def __init__(self, net: A2J | A2JTransformer, joints: int) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("sd", torch.zeros(joints))

    def forward(self, pictures: Float[Tensor, "B 1 S S"]) -> Float[Tensor, "B J 3"]:
        """Pixels, and metres beyond the person's median depth."""
        with quick_attention(pictures.device):
            return self.net(pictures).joints


class DepthLifter(Kept[DepthNetwork]):
    """UniPose's depth student (Ji et al., 2024): joints of a person in a depth image, by anchors.

    It was taught without a 3D label. Poses are of `itop15`; the root is the torso.

    Attributes:
        network: in evaluation mode.
        config, settings: how it is built, and was trained.
        source: where it came from, for messages.
    """

    kind = "depth"
    skeleton = get_skeleton("itop15")

    def __init__(
        self,
        network: DepthNetwork,
        config: AnchorConfig,
        settings: DepthSettings | None = None,
        source: str = "",
    ) -> None:
        super().__init__(network, source)
        self.config, self.settings = config, settings or DepthSettings()

    @torch.no_grad()
    def lift(
        self, depth: Any, intrinsics: Any, mask: Any = None, keypoints: Any = None, *, say: Say = warn
    ) -> Poses:
        """3D poses of people in depth images, one a picture, where they stand.

        Args:
            depth: (N, H, W) metres along the camera's axis, or millimetres as uint16; 0 where nothing was
                measured.
            intrinsics: fx, fy, cx, cy of the depth camera in pixels, or a 3x3 matrix; of all, or one each.
            mask: (N, H, W) which pixels are the person. Without it all that was measured is: cut the person
                out first (`pointcloud_weak.isolate_person` does by keypoints).
            keypoints: (N, 17, 3) COCO joints, pixels of the depth image and confidence, by which left is told
                from right: from behind, a surface looks much as it does from before.
            say: told what is probably wrong; Python's warnings by default.

        Returns:
            `valid` is False where no person is measured.

        Raises:
            ValueError: it is no depth in metres; the message says what to do.
        """
        metres = take_depth(depth)
        person = metres if mask is None else torch.where(_mask(mask, metres), metres, 0)
        count, height, width = person.shape
        camera = take_camera(intrinsics, (width, height), say=say)
        valid = (person > 0).flatten(1).sum(1) >= _LEAST
        joints = torch.full((count, len(self.skeleton), 3), torch.nan)
        if bool(valid.any()):
            rows = valid.nonzero()[:, 0]
            focal, centre = (x.expand(count, 2) for x in (camera.focal, camera.centre))
            each = Camera(focal, centre, torch.eye(3), torch.zeros(3), size=(width, height))
            joints[rows] = self._joints(person[rows], each[rows])
            if keypoints is not None:
                joints = name_sides(joints, camera, _keypoints(keypoints, count), self.skeleton)
        root = joints[:, self.skeleton.root]
        sd = torch.where(valid[:, None], self.network.sd.cpu(), torch.nan)
        relative, like = joints - root[:, None], Like.of(depth)

        def draw(count: int, seed: int) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn((count, *relative.shape), generator=generator)
            return relative + sd[..., None] * noise

        return Poses(
            like.give(relative),
            like.give(sd),
            like.give(valid),
            like.give(root),
            self.skeleton,
            _draw=draw,
            _like=like,
        )

    def _joints(self, person: Float[Tensor, "N H W"], camera: Camera) -> Float[Tensor, "N J 3"]:
        """Of pictures that hold one, in the camera's frame."""
        size, found = self.settings.size, []
        for part in torch.arange(len(person)).split(self.settings.batch):
            some = person[part]
            boxes = torch.stack([_box(image > 0) for image in some])
            cut = [
                torch.from_numpy(square(x[None].numpy(), b, size)) for x, b in zip(some, boxes, strict=True)
            ]
            squares = torch.cat(cut)
            middle = median_depth(squares, squares)
            pictures = depth_picture(squares, middle)
            estimate = self.network(pictures.to(self.device)).float().cpu()
            found.append(to_camera(estimate, middle, camera[part].crop(boxes, (size, size))))
        return torch.cat(found)

    def about(self) -> dict[str, Any]:
        return {"model": asdict(replace(self.config, weights=None)), **asdict(self.settings)}

    @classmethod
    def described(cls, about: dict[str, Any], source: str) -> DepthLifter:
        config = as_schema(AnchorConfig, about.pop("model"))
        settings = as_schema(DepthSettings, about)
        with torch.random.fork_rng(devices=[]):  # it knows where anchors lie, which no file holds
            net = anchor_network(config, cls.skeleton.name, settings.size, trained=True)
            network = DepthNetwork(net, len(cls.skeleton))
        return cls(network, config, settings, source)


def take_depth(depth: Any) -> Float[Tensor, "N H W"]:
    """Depth images in metres on the CPU; what is not finite is not measured.

    Raises:
        ValueError: they are no images, or in no metres.
    """
    values = as_array(depth, "depth")
    if values.ndim != 3 or not values.size:
        raise ValueError(f"depth: shape is {values.shape}; give (N, H, W), depth[None] of one image")
    whole = values.dtype.kind in "iu"
    metres = np.nan_to_num(values.astype(np.float32), nan=0, posinf=0, neginf=0) / (1000 if whole else 1)
    if (metres < 0).any():
        raise ValueError(
            f"depth: {metres.min():.2f} m is behind the camera; give 0 where nothing was measured"
        )
    seen = metres[metres > 0]
    if seen.size and (middle := float(np.median(seen))) > FAR:
        cure = "divide by 1000: they look like millimetres" if not whole else "give millimetres as integers"
        raise ValueError(f"depth: half of it is beyond {middle:.0f} m; {cure}")
    return torch.from_numpy(metres)


def name_sides(
    joints: Float[Tensor, "N J 3"], camera: Camera, keypoints: Float[Tensor, "N 17 3"], skeleton: Skeleton
) -> Float[Tensor, "N J 3"]:
    """The same places, left and right exchanged where their images are then nearer to the keypoints.

    Args:
        joints: metres, camera frame.
        camera: one, or one a pose.
        keypoints: COCO-17, pixels and confidence.
    """
    seen = convert_keypoints(keypoints, get_skeleton("coco17"), skeleton)
    both = torch.stack([joints, joints[:, list(skeleton.mirror)]])
    off = (camera.project_camera(both) - seen[..., :2]).norm(dim=-1)
    off = torch.where(seen[..., 2] > 0, off, 0) * seen[..., 2]
    exchanged = off[1].sum(-1) < off[0].sum(-1)
    return torch.where(exchanged[:, None, None], both[1], both[0])


def _keypoints(keypoints: Any, count: int) -> Float[Tensor, "N 17 3"]:
    values = as_array(keypoints, "keypoints")
    if values.shape != (count, 17, 3):
        raise ValueError(
            f"keypoints: shape is {values.shape}; give ({count}, 17, 3), COCO joints of each picture with a"
            " confidence"
        )
    return torch.from_numpy(np.nan_to_num(values.astype(np.float32)))


def _mask(mask: Any, depth: Tensor) -> Bool[Tensor, "N H W"]:
    values = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
    if values.shape != tuple(depth.shape) or values.dtype.kind not in "biu":
        told = f"{values.dtype} {values.shape}"
        raise ValueError(f"mask: is {told}; give booleans {tuple(depth.shape)}, as large as the depth")
    return torch.from_numpy(values > 0)


def _box(person: Bool[Tensor, "H W"]) -> Float[Tensor, 4]:
    """The square about a silhouette, as wide about the person as in training."""
    rows, columns = person.any(1).nonzero()[:, 0], person.any(0).nonzero()[:, 0]
    corners = torch.stack([columns[[0, -1]], rows[[0, -1]]], dim=-1).float()
    return bounding_box(corners, margin=SQUARE_MARGIN - FLESH, aspect=1.0)
