"""Views of poses: what cameras saw of people, each with as much of it as there is.

Every trainer and every evaluation takes its batches from here, whether the views were recorded
(`posedata.views.recorded`) or are drawn (`posedata.views.virtual`): projection, boxes, detector noise and
mirroring are computed nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton, get_skeleton
from posedata.views.noise import DetectorNoise

BOX_MARGIN = 0.1
BOX_ASPECT = 192 / 256
TRUE, DETECTED, MIXED, GIVEN = "true", "detector", "mixed", "given"


@dataclass(frozen=True)
class Track:
    """Which moment a view shows: equal recordings and cameras make a clip, ordered by frame.

    Attributes:
        recording, camera, frame: (N,) numbers of the store's sequences, cameras and frames.
    """

    recording: Int[Tensor, " N"]
    camera: Int[Tensor, " N"]
    frame: Int[Tensor, " N"]

    def map(self, change: Callable[[Tensor], Tensor]) -> Track:
        """The same change to all three."""
        return Track(change(self.recording), change(self.camera), change(self.frame))


@dataclass(frozen=True)
class Views:
    """N views of poses.

    Attributes:
        camera: batch shape (N,), of the whole image.
        box: (N, 4) the person's crop, x0 y0 x1 y1 in pixels; NaN where nothing was seen.
        keypoints: (N, J, 3) pixels and confidence, by the detector's name; "true" are exact. Of confidence 0
            where not seen.
        joints: (N, J, 3) world, metres; NaN where not known.
        image: (N, 3, H, W) uint8, the box's crop.
        depth: (N, H, W) metres of the same crop, 0 where there is none; mask: (N, H, W) the person's pixels.
        points: (N, P, 3) the person's points in the camera's frame, metres.
        track: which moments they show.
        skeleton: of keypoints and joints.
    """

    camera: Camera
    box: Float[Tensor, "N 4"]
    keypoints: Mapping[str, Float[Tensor, "N J 3"]] = field(default_factory=dict)
    joints: Float[Tensor, "N J 3"] | None = None
    image: Tensor | None = None
    depth: Tensor | None = None
    mask: Tensor | None = None
    points: Tensor | None = None
    track: Track | None = None
    skeleton: Skeleton = field(default_factory=lambda: get_skeleton("h36m17"))

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, rows: Tensor | slice) -> Views:
        """Some of the views."""
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device | str) -> Views:
        """The same views elsewhere."""
        return self._map(lambda value: value.to(device))

    @property
    def local(self) -> Float[Tensor, "N J 3"]:
        """Joints in the camera's frame, metres; NaN where not known.

        Raises:
            ValueError: the views have no joints.
        """
        if self.joints is None:
            raise ValueError("these views have no 3D joints; take them from a store of 3D poses")
        return self.camera.world_to_camera(self.joints)

    def seen_by(self, detector: str) -> Float[Tensor, "N J 3"]:
        """Keypoints by the name of what found them.

        Raises:
            ValueError: naming those there are.
        """
        if detector not in self.keypoints:
            known = ", ".join(self.keypoints) or "none"
            raise ValueError(f"these views have no keypoints of {detector!r}; they have: {known}")
        return self.keypoints[detector]

    def detected(self, noise: DetectorNoise, generator: torch.Generator) -> Views:
        """The same views, with `keypoints["detector"]`: what such a detector makes of the exact."""
        exact = self.seen_by(TRUE)
        found, confidence = noise.apply(exact[..., :2], self.box, generator)
        seen = torch.cat([found, (confidence * (exact[..., 2] > 0))[..., None]], dim=-1)
        return replace(self, keypoints={**self.keypoints, DETECTED: seen})

    def mixed(self, detector: str, share: float, generator: torch.Generator) -> Views:
        """The same views, with `keypoints["mixed"]`: a detector's in a random share of them, else exact."""
        exact = self.seen_by(TRUE)
        if not share:
            return replace(self, keypoints={**self.keypoints, MIXED: exact})
        found = self.seen_by(detector)
        hit = torch.rand(len(self), 1, 1, generator=generator, device=generator.device).to(exact) < share
        return replace(self, keypoints={**self.keypoints, MIXED: torch.where(hit, found, exact)})

    def mirrored(self, which: Bool[Tensor, " N"]) -> Views:
        """Some of the views as a mirror beside the camera shows them: left is right, in pictures too.

        World, camera and image are mirrored alike, so that the mirrored camera projects the mirrored joints
        to the mirrored keypoints, lens and all.
        """
        side = torch.ones_like(self.box[:, 0]).where(~which, -1.0)
        axes = torch.stack([side, torch.ones_like(side), torch.ones_like(side)], dim=-1)
        middle = 2 * self.camera.centre[:, 0] * which
        distortion = self.camera.distortion.clone()
        distortion[:, 3] *= side
        camera = self.camera.replace(
            rotation=axes[:, :, None] * self.camera.rotation * axes[:, None, :],
            translation=self.camera.translation * axes,
            distortion=distortion,
        )
        x0, y0, x1, y1 = self.box.unbind(-1)
        turned = torch.stack([middle - x1, y0, middle - x0, y1], dim=-1)
        swap = list(self.skeleton.mirror)

        def sides(value: Tensor) -> Tensor:
            return torch.where(which[:, None, None], value[:, swap], value)

        def flat(points: Tensor) -> Tensor:
            x = points[..., 0] * side[:, None] + middle[:, None] * (points[..., 2] > 0)
            return sides(torch.cat([x[..., None], points[..., 1:]], dim=-1))

        def picture(value: Tensor | None) -> Tensor | None:
            where = None if value is None else which.view(-1, *[1] * (value.ndim - 1))
            return None if value is None or where is None else torch.where(where, value.flip(-1), value)

        return replace(
            self,
            camera=camera,
            box=torch.where(which[:, None], turned, self.box),
            keypoints={name: flat(points) for name, points in self.keypoints.items()},
            joints=None if self.joints is None else sides(self.joints * axes[:, None]),
            image=picture(self.image),
            depth=picture(self.depth),
            mask=picture(self.mask),
            points=None if self.points is None else self.points * axes[:, None],
        )

    @classmethod
    def cat(cls, parts: Sequence[Views]) -> Views:
        """Views one after the other, with what all of them have.

        Raises:
            ValueError: they are of different skeletons.
        """
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        if names := {part.skeleton.name for part in parts} - {first.skeleton.name}:
            raise ValueError(f"views of {first.skeleton.name} and of {names.pop()}; convert one of them")
        joined: dict[str, Any] = {"skeleton": first.skeleton}
        for name in (f.name for f in fields(cls) if f.name != "skeleton"):
            values = [getattr(part, name) for part in parts]
            joined[name] = None if any(v is None for v in values) else _joined(values)
        return cls(**joined)

    def _map(self, change: Callable[[Any], Any]) -> Views:
        """Views with every field changed, in its parts where it has some."""
        names = (f.name for f in fields(self) if f.name != "skeleton")
        return replace(self, **{name: _changed(getattr(self, name), change) for name in names})


def see(
    joints: Float[Tensor, "N J 3"],
    camera: Camera,
    skeleton: Skeleton | None = None,
    *,
    box: Float[Tensor, "N 4"] | None = None,
    track: Track | None = None,
) -> Views:
    """Poses in the world as cameras see them, with exact keypoints ("true").

    Args:
        joints: metres, finite.
        camera: one a pose.
        skeleton: of the joints; h36m17 by default.
        box: the crops; by default those around the joints, as a store of views has them.
    """
    pixels = camera.project(joints)
    if box is None:
        box = bounding_box(pixels, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    keypoints = {TRUE: torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)}
    return Views(camera, box, keypoints, joints, track=track, skeleton=skeleton or get_skeleton("h36m17"))


def given(
    points: Float[Tensor, "N J C"],
    camera: Camera,
    skeleton: Skeleton | None = None,
    *,
    box: Float[Tensor, "N 4"] | None = None,
) -> Views:
    """Views of which nothing but keypoints ("given") and cameras is known.

    Args:
        points: (N, J, 2) pixels, or (N, J, 3) with a confidence; of confidence 0 where not seen.
        camera: one for all, or one a view.
        box: the crops; by default those of the keypoints.
    """
    pixels = points[..., :2]
    sure = points[..., 2:] if points.shape[-1] == 3 else torch.ones_like(points[..., :1])
    if box is None:
        box = bounding_box(pixels, sure[..., 0] > 0, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    one = camera.replace(focal=camera.focal.expand(len(points), 2))
    keypoints = {GIVEN: torch.cat([pixels, sure], dim=-1)}
    return Views(one, box, keypoints, skeleton=skeleton or get_skeleton("h36m17"))


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: change(part) for name, part in value.items()}
    if isinstance(value, Track):
        return value.map(change)
    return change(value)


def _joined(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Camera):
        return Camera.cat(values)
    if isinstance(first, Mapping):
        shared = [name for name in first if all(name in value for value in values)]
        return {name: torch.cat([value[name] for value in values]) for name in shared}
    if isinstance(first, Track):
        return Track(*(torch.cat([getattr(v, f.name) for v in values]) for f in fields(Track)))
    return torch.cat(values)
