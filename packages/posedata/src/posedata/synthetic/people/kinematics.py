"""Forward kinematics of the body and inverse kinematics of a leg.

Body frame: x forward, y left, z up. A ball joint turns by a twist about z, then a swing about a horizontal
axis of the parent's frame: R = exp(swing) exp(twist z), so that no pose which people take is singular.
"""

import torch
from jaxtyping import Float
from roma import rotvec_to_rotmat
from torch import Tensor

from posedata.skeleton import Skeleton, get_skeleton
from posedata.synthetic.people.body import DOF, Body, average_bodies

CLAVICLE_SHARE = 1 / 6
"""Inman, Saunders and Abbott, J. Bone Joint Surg. 26, 1944: of an arm's 180 degrees of elevation the clavicle
contributes 30."""

_SPINE_SHARE = 0.47
_NECK_LEAN = (0.25, 0.0, 0.968)
_SIDES = (("left", 1.0), ("right", -1.0))


def ball(
    flexion: Float[Tensor, "*batch"], abduction: Float[Tensor, "*batch"], twist: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3 3"]:
    """The rotation whose swing is the vector (abduction, -flexion, 0), after a twist about z; radians.

    A hanging limb goes forward by flexion, to the left by abduction.
    """
    swing = rotvec_to_rotmat(torch.stack([abduction, -flexion, torch.zeros_like(flexion)], -1))
    return swing @ _about_z(twist)


def unball(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The (flexion, abduction, twist) of `ball`, radians; undefined for a swing of exactly 180 degrees."""
    z = rotation[..., :, 2]
    sine = torch.linalg.vector_norm(z[..., :2], dim=-1)
    scale = torch.where(sine > 1e-6, torch.atan2(sine, z[..., 2]) / sine.clamp(min=1e-6), 1.0)
    flexion, abduction = -z[..., 0] * scale, -z[..., 1] * scale
    swing = ball(flexion, abduction, torch.zeros_like(flexion))
    untwisted = swing.transpose(-1, -2) @ rotation
    return torch.stack([flexion, abduction, torch.atan2(untwisted[..., 1, 0], untwisted[..., 0, 0])], -1)


def root_rotation(
    heading: Float[Tensor, "*batch"], tilt: Float[Tensor, "*batch"], roll: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3 3"]:
    """Pelvis to world: roll to the right and tilt forward, then heading to the left about z; radians."""
    return _about_z(heading) @ ball(-tilt, roll, torch.zeros_like(tilt))


def forward_kinematics(
    body: Body,
    angles: Float[Tensor, "people frames dof"],
    rotation: Float[Tensor, "people frames 3 3"],
    position: Float[Tensor, "people frames 3"],
) -> Float[Tensor, "people frames 17 3"]:
    """Joints in h36m17 order, metres, of each person and frame.

    angles: radians in the order of `people.body.DOF`; rotation and position: pelvis to world.
    """

    def angle(name: str) -> Tensor:
        return angles[..., DOF[name]]

    def trunk(name: str) -> Tensor:
        return ball(-angle(f"{name}_flexion"), angle(f"{name}_bend"), angle(f"{name}_twist"))

    def bone(frame: Tensor, name: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Tensor:
        direction = frame.new_tensor([x, y, z])
        return (frame @ direction) * body.length(name)[:, None, None]

    place = {"pelvis": position}
    lumbar = rotation @ trunk("lumbar")
    thorax = lumbar @ trunk("thoracic")
    neck = thorax @ trunk("neck")
    place["spine"] = position + bone(lumbar, "trunk", z=_SPINE_SHARE)
    place["thorax"] = place["spine"] + bone(thorax, "trunk", z=1 - _SPINE_SHARE)
    place["neck"] = place["thorax"] + bone(neck, "neck", *_NECK_LEAN)
    place["head"] = place["neck"] + bone(neck, "head", z=1.0)
    for side, sign in _SIDES:
        flexion, abduction = angle(f"{side}_shoulder_flexion"), angle(f"{side}_shoulder_abduction")
        upper = thorax @ ball(flexion, sign * abduction, -sign * angle(f"{side}_shoulder_rotation"))
        fore = upper @ _about_y(-angle(f"{side}_elbow_flexion"))
        raised = thorax @ _about_x(sign * CLAVICLE_SHARE * torch.hypot(flexion, abduction))
        shoulder = place["thorax"] + bone(raised, "shoulder", y=sign) + bone(raised, "drop", z=-1.0)
        elbow = shoulder + bone(upper, "upper_arm", z=-1.0)
        place |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow}
        place[f"{side}_wrist"] = elbow + bone(fore, "forearm", z=-1.0)

        flexion, abduction = angle(f"{side}_hip_flexion"), angle(f"{side}_hip_abduction")
        thigh = rotation @ ball(flexion, sign * abduction, -sign * angle(f"{side}_hip_rotation"))
        shank = thigh @ _about_y(angle(f"{side}_knee_flexion"))
        hip = position + bone(rotation, "hip", y=sign)
        knee = hip + bone(thigh, "thigh", z=-1.0)
        place |= {
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_ankle": knee + bone(shank, "shank", z=-1.0),
        }
    return torch.stack([place[name] for name in get_skeleton("h36m17").joints], -2)


def mean_bones(skeleton: Skeleton) -> Float[Tensor, " bones"]:
    """Lengths of a skeleton's `edges` in the mean of the average woman and the average man, metres.

    They stand with hanging arms; joints that the h36m17 set lacks are made by `Skeleton.convert`.
    """
    still = torch.zeros(2, 1, 3)
    standing = forward_kinematics(
        average_bodies(), torch.zeros(2, 1, len(DOF)), torch.eye(3).expand(2, 1, 3, 3), still
    )
    joints = get_skeleton("h36m17").convert(standing[:, 0], skeleton, lossy=True)
    child, parent = torch.tensor(skeleton.edges).unbind(1)
    return torch.linalg.vector_norm(joints[:, child] - joints[:, parent], dim=-1).mean(0)


def leg_angles(
    body: Body,
    side: str,
    rotation: Float[Tensor, "people frames 3 3"],
    position: Float[Tensor, "people frames 3"],
    ankle: Float[Tensor, "people frames 3"],
    toes: Float[Tensor, "people frames 3"],
) -> Float[Tensor, "people frames 4"]:
    """Hip flexion, abduction, rotation and knee flexion (radians) that put the ankle at `ankle`.

    rotation, position: the pelvis; ankle: metres, world; toes: the direction in which the knee points. A
    target out of reach is approached along the straight leg.
    """
    sign = dict(_SIDES)[side]
    thigh, shank = body.length("thigh")[:, None], body.length("shank")[:, None]
    hip = position + sign * rotation[..., 1] * body.length("hip")[:, None, None]
    reach = torch.linalg.vector_norm(ankle - hip, dim=-1)
    down = (ankle - hip) / reach[..., None]
    reach = torch.minimum(reach, thigh + shank).clamp(min=0.05)
    at_hip = _angle_of_triangle(thigh, reach, shank)
    left = torch.nn.functional.normalize(torch.linalg.cross(toes, down), dim=-1)
    front = torch.linalg.cross(down, left)
    z = -(at_hip.cos()[..., None] * down + at_hip.sin()[..., None] * front)
    frame = torch.stack([torch.linalg.cross(left, z), left, z], -1)
    flexion, abduction, twist = unball(rotation.transpose(-1, -2) @ frame).unbind(-1)
    knee = torch.pi - _angle_of_triangle(thigh, shank, reach)
    return torch.stack([flexion, sign * abduction, -sign * twist, knee], -1)


def _angle_of_triangle(a: Tensor, b: Tensor, opposite: Tensor) -> Tensor:
    return ((a**2 + b**2 - opposite**2) / (2 * a * b)).clamp(-1, 1).acos()


def _about_x(angle: Tensor) -> Tensor:
    return _rotation(angle, (1, 2))


def _about_y(angle: Tensor) -> Tensor:
    return _rotation(angle, (2, 0))


def _about_z(angle: Tensor) -> Tensor:
    return _rotation(angle, (0, 1))


def _rotation(angle: Tensor, plane: tuple[int, int]) -> Tensor:
    i, j = plane
    matrix = torch.eye(3, dtype=angle.dtype, device=angle.device).repeat(*angle.shape, 1, 1)
    cosine, sine = angle.cos(), angle.sin()
    matrix[..., i, i], matrix[..., j, j] = cosine, cosine
    matrix[..., j, i], matrix[..., i, j] = sine, -sine
    return matrix
