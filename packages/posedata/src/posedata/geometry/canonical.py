"""Poses and keypoints freed of what does not belong to the pose: place, heading, body size.

V-VIPE (Levy and Shrivastava, 2024, section 3.1) turns every pose to one body frame and gives it the limbs of
one "universal" skeleton; PR-VIPE (Sun et al., ECCV 2020, section 3.1 and appendix) says in which unit poses
are compared. The unit is the torso: the way from the pelvis over the spine to the thorax is 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.geometry.align import kabsch, root_relative
from posedata.skeleton import Skeleton

_HELD = ("left_hip", "right_hip", "spine")
_WHERE = ((0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_HIPS_TO_SHOULDERS = 0.6
"""The width of the hips over that of the shoulders, as joints have it."""


def body_rotation(joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch 3 3"]:
    """The rotation into the body's own frame (V-VIPE, equation 1).

    It takes left hip, right hip and spine, seen from the root, nearest to (0, -1, 0), (0, 1, 0) and (0, 0, 1)
    in least squares, by the Kabsch algorithm: always a proper rotation. So the hips lie along y, the right
    one ahead, the spine points up z, and the person looks along -x. ``joints @ rotation.mT`` turns a
    root-relative pose.

    Args:
        joints: (..., J, 3), any unit, any frame.
        skeleton: theirs; it has pelvis, hips and a spine.
    """
    held = root_relative(joints, skeleton.root)[..., [skeleton.index(name) for name in _HELD], :]
    return kabsch(held, held.new_tensor(_WHERE).expand_as(held))


def to_body_frame(joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch J 3"]:
    """The pose with its root at the origin, in the frame of `body_rotation`; size unchanged."""
    return root_relative(joints, skeleton.root) @ body_rotation(joints, skeleton).mT


def facing_x(joints: Float[Tensor, "K T J 3"], skeleton: Skeleton) -> Float[Tensor, "K T J 3"]:
    """Clips turned about the vertical through the origin so that in the middle frame the person faces x.

    A person faces across the line from the right to the left hip and shoulder.

    Args:
        joints: K clips of T frames, z up.
    """
    middle = joints[:, joints.shape[1] // 2]
    left, right = (
        [skeleton.index(f"{side}_{part}") for part in ("hip", "shoulder")] for side in ("left", "right")
    )
    across = (middle[:, left] - middle[:, right]).sum(1)
    angle = torch.atan2(-across[:, 0], across[:, 1])
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    rows = [cosine, sine, zero, -sine, cosine, zero, zero, zero, torch.ones_like(angle)]
    turn = torch.stack(rows, -1).view(-1, 1, 3, 3)
    return joints @ turn.mT


def bone_lengths(joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch J"]:
    """Distance of every joint from its parent; 0 for the root."""
    parents = [child if parent < 0 else parent for child, parent in enumerate(skeleton.parents)]
    return torch.linalg.vector_norm(joints - joints[..., parents, :], dim=-1)


def universal_lengths(joints: Float[Tensor, "N J 3"], skeleton: Skeleton) -> Float[Tensor, " J"]:
    """Bone lengths of one skeleton for all: the mean over the poses, the same left and right."""
    mean = bone_lengths(joints, skeleton).mean(0)
    return (mean + mean[list(skeleton.mirror)]) / 2


def with_bone_lengths(
    joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton, lengths: Float[Tensor, " J"]
) -> Float[Tensor, "*batch J 3"]:
    """The pose of the same bone directions with other bone lengths, its root in place.

    A bone without length has no direction and stays without length.
    """
    made = list(joints.unbind(-2))
    for joint in skeleton.root_first:
        parent = skeleton.parents[joint]
        if parent >= 0:
            bone = torch.nn.functional.normalize(joints[..., joint, :] - joints[..., parent, :], dim=-1)
            made[joint] = made[parent] + lengths[joint] * bone
    return torch.stack(made, dim=-2)


def torso_length(joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch"]:
    """The way from pelvis over spine to thorax, in the unit of the joints."""
    pelvis, spine, thorax = (joints[..., skeleton.index(n), :] for n in ("pelvis", "spine", "thorax"))
    return torch.linalg.vector_norm(spine - pelvis, dim=-1) + torch.linalg.vector_norm(thorax - spine, dim=-1)


def in_torsos(joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch J 3"]:
    """The root-relative pose divided by its own torso: the unit in which a hit is at most 0.1."""
    return root_relative(joints, skeleton.root) / torso_length(joints, skeleton)[..., None, None]


def torso_across(
    keypoints: Float[Tensor, "*batch J 2"], skeleton: Skeleton, seen: Bool[Tensor, "*batch J"]
) -> Float[Tensor, "*batch"]:
    """PR-VIPE's measure of a person in 2D: the largest of the six distances among shoulders and hips.

    Args:
        seen: which joints count.

    Returns:
        (...), in the unit of the keypoints; NaN where no hip or no shoulder was seen, or all of them at one
        place: there is no centre or no scale.

    Raises:
        ValueError: a skeleton without shoulders or hips.
    """
    corners = [skeleton.index(name) for name in _TORSO]
    there = seen[..., corners]
    places = torch.where(there[..., None], keypoints[..., corners, :], 0)
    apart = torch.linalg.vector_norm(places[..., :, None, :] - places[..., None, :, :], dim=-1)
    size = torch.where(there[..., :, None] & there[..., None, :], apart, 0).amax(dim=(-2, -1))
    known = there[..., :2].any(-1) & there[..., 2:].any(-1) & (size > 0)
    return size.masked_fill(~known, torch.nan)


def torso_seen(
    keypoints: Float[Tensor, "*batch J 2"], skeleton: Skeleton, seen: Bool[Tensor, "*batch J"]
) -> Bool[Tensor, "*batch"]:
    """Where `torso_across` is a number.

    Raises:
        ValueError: a skeleton without shoulders or hips.
    """
    corners = [skeleton.index(name) for name in _TORSO]
    there = seen[..., corners]
    left, right = there.unflatten(-1, (2, 2)).unbind(-1)
    places = keypoints[..., corners, :]
    low = places.masked_fill(~there[..., None], torch.inf).amin(-2)
    high = places.masked_fill(~there[..., None], -torch.inf).amax(-2)
    extent = (high - low).amax(-1)
    return (left | right).all(-1) & (extent > 0) & (extent < torch.inf)


def normalise_on_torso(
    keypoints: Float[Tensor, "*batch J 2"],
    skeleton: Skeleton,
    seen: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch J 2"]:
    """PR-VIPE's 2D input: the middle of the hips at the origin, the torso half a unit.

    The torso is `torso_across`. It needs neither a box nor a camera.

    Args:
        seen: which joints count; all, if left out. Where one hip was not seen, the middle lies beside the
            other one, by 0.3 of the way from shoulder to shoulder (by nothing, unless both were seen).

    Returns:
        (..., J, 2). A joint that was not seen is at the origin. NaN throughout where `torso_across` is NaN.
    """
    corners = [skeleton.index(name) for name in _TORSO]
    if seen is None:
        seen = torch.ones_like(keypoints[..., 0], dtype=torch.bool)
    keypoints = torch.where(seen[..., None], keypoints, 0)
    there = seen[..., corners]
    shoulders, hips = keypoints[..., corners[:2], :], keypoints[..., corners[2:], :]
    across = torch.where(there[..., :2].all(-1)[..., None], shoulders[..., 0, :] - shoulders[..., 1, :], 0)
    side = (there[..., 3].to(across) - there[..., 2].to(across))[..., None]  # 1 where only the right was seen
    count = there[..., 2:].sum(-1)[..., None]
    centre = hips.sum(-2) / count + _HIPS_TO_SHOULDERS / 2 * side * across
    size = torso_across(keypoints, skeleton, seen)[..., None, None]
    scaled = (keypoints - centre[..., None, :]) / (2 * size)
    return torch.where(seen[..., None], scaled, 0).masked_fill(size.isnan(), torch.nan)
