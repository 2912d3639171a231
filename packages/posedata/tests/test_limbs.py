"""Limbs of other poses: bones keep their lengths, limbs point as they did on the trunk they come from."""

import math

import pytest
import roma
import torch
from posedata.geometry.canonical import bone_lengths
from posedata.geometry.limbs import LIMBS, exchange_limbs, random_limbs
from posedata.skeleton import get_skeleton
from posedata.views.bodies import Bodies

H36M = get_skeleton("h36m17")
ARM = [H36M.index(f"left_{part}") for part in ("shoulder", "elbow", "wrist")]


def standing(rows: int = 1) -> torch.Tensor:
    """A person who faces -y, arms hanging; z up, metres; float64."""
    places = {
        "pelvis": (0, 0, 1),
        "spine": (0, 0, 1.25),
        "thorax": (0, 0, 1.5),
        "neck": (0, 0, 1.6),
        "head": (0, 0, 1.75),
        **{f"{s}_hip": (x, 0, 1) for s, x in (("left", 0.13), ("right", -0.13))},
        **{f"{s}_knee": (x, 0, 0.55) for s, x in (("left", 0.13), ("right", -0.13))},
        **{f"{s}_ankle": (x, 0, 0.1) for s, x in (("left", 0.13), ("right", -0.13))},
        **{f"{s}_shoulder": (x, 0, 1.45) for s, x in (("left", 0.18), ("right", -0.18))},
        **{f"{s}_elbow": (x, 0, 1.15) for s, x in (("left", 0.18), ("right", -0.18))},
        **{f"{s}_wrist": (x, 0, 0.9) for s, x in (("left", 0.18), ("right", -0.18))},
    }
    pose = torch.tensor([places[name] for name in H36M.joints], dtype=torch.float64)
    return pose.expand(rows, -1, -1).clone()


def only(name: str) -> torch.Tensor:
    return torch.tensor([[limb == name for limb in LIMBS]])


def test_an_arm_points_from_this_trunk_as_it_did_from_the_others():
    # the other one lies on the back, turned, half as large again, the left arm straight ahead of the chest
    other = standing()
    shoulder, elbow, wrist = ARM
    other[:, elbow] = other[:, shoulder] + torch.tensor([0, -0.3, 0], dtype=torch.float64)
    other[:, wrist] = other[:, elbow] + torch.tensor([0, 0, 0.25], dtype=torch.float64)
    turn = roma.rotvec_to_rotmat(torch.tensor([1.2, 0.4, -0.8], dtype=torch.float64))
    other = 1.5 * other @ turn.mT + 3
    made = exchange_limbs(standing(), other, H36M, only("left arm"))
    expected = standing()
    expected[:, elbow] = torch.tensor([0.18, -0.3, 1.45], dtype=torch.float64)
    expected[:, wrist] = torch.tensor([0.18, -0.3, 1.7], dtype=torch.float64)
    torch.testing.assert_close(made, expected)


def test_legs_come_together_and_hang_on_the_pelvis():
    other = standing()
    for side, x in (("left", 0.4), ("right", -0.5)):
        hip, knee, ankle = (H36M.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        way = torch.tensor([math.sin(x), 0, -math.cos(x)], dtype=torch.float64)
        other[:, knee] = other[:, hip] + 0.45 * way
        other[:, ankle] = other[:, knee] + 0.45 * way
    torch.testing.assert_close(exchange_limbs(standing(), other, H36M, only("legs")), other)


def test_nothing_taken_is_the_pose_itself_and_lengths_always_stay():
    generator = torch.Generator().manual_seed(0)
    joints, others = torch.randn(2, 50, 17, 3, generator=generator, dtype=torch.float64)
    none = torch.zeros(50, len(LIMBS), dtype=torch.bool)
    torch.testing.assert_close(exchange_limbs(joints, others, H36M, none), joints)
    made = exchange_limbs(joints, others, H36M, ~none)
    torch.testing.assert_close(bone_lengths(made, H36M), bone_lengths(joints, H36M))
    assert (made - joints).norm(dim=-1)[:, ARM[1:]].min() > 0


def test_a_share_of_clips_is_changed_each_by_one_other_clip():
    generator = torch.Generator().manual_seed(0)
    # clip i holds its arm up by i degrees in all three frames
    joints = standing(600)
    angle = torch.arange(200).repeat_interleave(3).double().deg2rad() / 2
    way = torch.stack([angle.sin(), 0 * angle, -angle.cos()], -1)
    for end, start, length in ((ARM[1], ARM[0], 0.3), (ARM[2], ARM[1], 0.25)):
        joints[:, end] = joints[:, start] + length * way
    made = random_limbs(joints, H36M, generator, share=0.6, frames=3).unflatten(0, (200, 3))
    torch.testing.assert_close(made, made[:, :1].expand_as(made))
    moved = (made[:, 0] - joints[::3]).norm(dim=-1).amax(1) > 1e-6
    assert moved.double().mean().item() == pytest.approx(0.6 / 2, abs=0.08)


def test_bodies_get_limbs_before_they_are_scaled():
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(8, 17, 3, generator=generator, dtype=torch.float64)
    made = Bodies(limbs=1.0).of(joints, H36M, torch.Generator().manual_seed(1))
    torch.testing.assert_close(made, random_limbs(joints, H36M, torch.Generator().manual_seed(1), share=1.0))
    assert not torch.equal(made, joints)
