"""RGB-D clips in memory: what training may see, and, kept apart from it, the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from posedata.geometry.boxes import crop_keypoints
from posedata.store import PoseStore
from posedata.views.batch import DETECTED, Views
from torch import Tensor

from .losses import Evidence, KeypointDepth, keypoint_depth


@dataclass(frozen=True)
class ClipBatch:
    """Clips as the teacher sees them, with what stage A may know of them.

    Attributes:
        points: (B, T, N, 3) camera frame, metres.
        images: (B, T, 3, S, S) uint8, or None of clips without pictures.
        seen: 2D detections and depth.
        index: (B,) which clips; all lie on its device.
    """

    points: Tensor
    images: Tensor | None
    seen: Evidence
    index: Tensor


class Clips:
    """K clips of T frames, in host memory. Nothing in here but `truth` comes from a 3D label.

    Args:
        store: of isolated people (`pointcloud_weak.isolated`).
        views: all that is in it, clip by clip, each of one person in one camera's square: with depth, mask,
            points, what a detector found and, where there are some, pictures.
        frames: T.
        count: N, points of a frame that a network is given.
        origin: the store that the people were isolated in, for messages.

    Attributes:
        dropped: how many clips were left out because a frame's person could not be isolated.
        keypoints: (K, T, J, 3) px of the squares, and confidence.
        points: (K, T, P, 3) metres, from which `count` a frame are drawn.
        depth: (K, T, S, S) metres; mask: (K, T, S, S); image: (K, T, 3, S, S), or None.
        surface: depth at the 2D joints.
        camera: (K,) of the squares.
    """

    def __init__(self, store: PoseStore, views: Views, frames: int, count: int, origin: Path) -> None:
        self.store, self._views, self.origin = store, views, origin
        self.frames, self.count, self.skeleton = frames, count, views.skeleton
        self.dropped: int = store.meta["dropped"]
        self.image = None if views.image is None else _clipped(views.image, frames)
        self.depth = _clipped(views.depth, frames)
        self.mask, self.points = _clipped(views.mask, frames), _clipped(views.points, frames)
        size = (self.depth.shape[-1],) * 2
        self.camera = views.camera[::frames].crop(views.box[::frames], size)
        self.keypoints = _clipped(crop_keypoints(views.seen_by(DETECTED), views.box, size), frames)
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
        images = None if self.image is None else self.image[rows].to(device)
        return ClipBatch(seen.points, images, seen, index)

    def labelled(self) -> Int[Tensor, " k"]:
        """Which clips have all true joints known in all frames."""
        return self.truth().isfinite().flatten(1).all(1).nonzero().flatten()

    def person_depth(self, index: Tensor | slice) -> Float[Tensor, "B T S S"]:
        """Depth of the person alone, metres, 0 elsewhere."""
        return torch.where(self.mask[index], self.depth[index], 0.0)

    def truth(self) -> Float[Tensor, "K T J 3"]:
        """True joints in the camera's frame, NaN where not known: for evaluation and for the supervised twins
        only."""
        return self._views.local.unflatten(0, (-1, self.frames))


def _clipped(values: Tensor | None, frames: int) -> Tensor:
    """(K, T, ...) of (K T, ...)."""
    if values is None:
        raise ValueError("clips need depth, mask and points; isolate the people first (open_clips)")
    return values.unflatten(0, (-1, frames))
