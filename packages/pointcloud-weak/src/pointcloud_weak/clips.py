"""RGB-D clips in memory: what training may see, and, kept apart from it, the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton
from posedata.store import PoseStore
from torch import Tensor

from .cloud import metric
from .losses import Evidence, KeypointDepth, keypoint_depth

ARRAYS = ("rows", "keypoints", "points", "depth", "mask", "rgb", "box")
"""Of every frame: its row in the store, 2D joints (J, 3), isolated points (P, 3), depth (S, S) uint16 mm,
mask (S, S) bool, picture (S, S, 3) uint8, and the square they show in pixels of the store's images."""


@dataclass(frozen=True)
class ClipBatch:
    """Clips as the teacher sees them, with what stage A may know of them.

    Attributes:
        points: (B, T, N, 3) camera frame, metres.
        images: (B, T, 3, S, S) uint8.
        seen: 2D detections and depth.
        index: (B,) which clips; all lie on its device.
    """

    points: Tensor
    images: Tensor
    seen: Evidence
    index: Tensor


class Clips:
    """K clips of T frames, in host memory. Nothing in here but `truth` comes from a 3D label.

    Args:
        store: that they are from.
        arrays: `ARRAYS`, frame by frame.
        frames: T.
        count: N, points of a frame that a network is given.
        skeleton: of the 2D joints.

    Attributes:
        keypoints: (K, T, J, 3) px of the squares, and confidence.
        points: (K, T, P, 3) metres, from which `count` a frame are drawn.
        depth, mask: (K, T, S, S); rgb: (K, T, S, S, 3).
        surface: depth at the 2D joints.
        camera: (K,) of the squares.
        dropped: how many clips were left out because a frame's person could not be isolated.
    """

    def __init__(
        self,
        store: PoseStore,
        arrays: dict[str, np.ndarray],
        frames: int,
        count: int,
        skeleton: Skeleton,
        dropped: int = 0,
    ) -> None:
        self.store, self.frames, self.count, self.skeleton = store, frames, count, skeleton
        self.dropped, self.rows = dropped, arrays["rows"]
        shaped = {n: torch.from_numpy(values).unflatten(0, (-1, frames)) for n, values in arrays.items()}
        self.keypoints, self.points, self.rgb = shaped["keypoints"], shaped["points"], shaped["rgb"]
        self.depth, self.mask = shaped["depth"], shaped["mask"]
        side = self.depth.shape[-1]
        camera = image_camera(store, self.rows[::frames])
        self.camera = camera.crop(shaped["box"][:, 0], (side, side))
        self.rays = self.camera.rays(self.keypoints[..., :2].flatten(1, 2)).view(*self.keypoints.shape[:3], 3)
        self.keypoints[..., 2] *= self.rays.isfinite().all(-1)  # a lens may bend no ray to a stray detection
        self.surface = keypoint_depth(self.person_depth(slice(None)), self.keypoints[..., :2])

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, index: Int[Tensor, " B"], generator: torch.Generator | None = None) -> ClipBatch:
        """Some clips on the index's device, with N points a frame: drawn by the generator, else the first N.

        Args:
            generator: on that device too.
        """
        rows, device = index.cpu(), index.device
        points = self.points[rows].to(device)
        if generator is not None:
            drawn = torch.rand(*points.shape[:3], generator=generator, device=device)
            order = drawn.argsort(-1)[..., : self.count, None].expand(-1, -1, -1, 3)
            points = points.gather(2, order)
        seen = Evidence(
            rays=self.rays[rows].to(device),
            confidence=self.keypoints[rows][..., 2].to(device),
            depth=KeypointDepth(*(part[rows].to(device) for part in self.surface)),
            points=points[:, :, : self.count],
            surface=self.person_depth(rows).to(device),
            camera=self.camera[rows].to(device),
        )
        return ClipBatch(seen.points, self.rgb[rows].to(device).permute(0, 1, 4, 2, 3), seen, index)

    def labelled(self) -> Int[Tensor, " k"]:
        """Which clips have all true joints known in all frames."""
        return self.truth().isfinite().flatten(1).all(1).nonzero().flatten()

    def person_depth(self, index: Tensor | slice) -> Float[Tensor, "B T S S"]:
        """Depth of the person alone, metres, 0 elsewhere."""
        return torch.where(self.mask[index], metric(self.depth[index]), 0.0)

    def truth(self) -> Float[Tensor, "K T J 3"]:
        """True joints in the camera's frame, NaN where not known: for evaluation and for the supervised twins
        only."""
        joints = torch.from_numpy(self.store.joints(self.rows))
        joints = self.store.camera(self.rows).world_to_camera(joints)
        if self.store.skeleton.name != self.skeleton.name:
            joints = self.store.skeleton.convert(joints, self.skeleton, lossy=True)
        return joints.unflatten(0, (-1, self.frames))


def image_camera(store: PoseStore, rows: Int[np.ndarray, " n"]) -> Camera:
    """The cameras of a store's images: of their crops, where it has such."""
    camera = store.camera(rows)
    if "boxes" not in store:
        return camera
    return camera.crop(torch.from_numpy(np.array(store.column("boxes")[rows])), store.image_size)
