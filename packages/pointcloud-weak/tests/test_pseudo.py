"""The filter of stage B on poses that break one rule each."""

import math

import pytest
import torch
from pointcloud_weak.config import PseudoConfig
from pointcloud_weak.pseudo import pseudo_labels
from posedata import get_skeleton

ITOP = get_skeleton("itop15")
RULE = PseudoConfig(support=0.0)
POSE = torch.tensor(
    [
        [0, -0.75, 3], [0, -0.5, 3], [0.18, -0.5, 3], [-0.18, -0.5, 3], [0.2, -0.2, 3], [-0.2, -0.2, 3],
        [0.2, 0.1, 3], [-0.2, 0.1, 3], [0, -0.25, 3], [0.11, 0, 3], [-0.11, 0, 3], [0.11, 0.45, 3],
        [-0.11, 0.45, 3], [0.11, 0.9, 3], [-0.11, 0.9, 3],
    ]
)  # fmt: skip


def test_each_rule_alone_throws_a_pose_out():
    good = POSE
    behind = POSE.clone()
    behind[13, 2] += 0.2  # on its ray's line to within centimetres, but far from the points
    long = POSE.clone()
    long[6] += torch.tensor([0.0, 0.25, 0.0])  # forearm of 55 cm
    joints = torch.stack([good, good, behind, long, good])
    rays = joints / joints[..., 2:]
    rays[1, :, 0] += 0.05 / 3  # 5 cm aside at 3 m
    points = torch.stack([good, good, good, long, good]) + 0.005
    confidence = torch.ones(5, 15)
    confidence[4] = 0
    found = pseudo_labels(joints, rays, confidence, points, ITOP, RULE)
    assert found.keep.tolist() == [True, False, False, False, False]
    torch.testing.assert_close(found.weight[0], torch.ones(15))
    assert torch.equal(found.weight[1:], torch.zeros(4, 15))
    rule = PseudoConfig(ray=0.1, support=0.05, bones=(0.2, 2.0))
    loose = pseudo_labels(joints, rays, confidence, points, ITOP, rule)
    assert loose.keep.tolist() == [True, True, True, True, False]


def test_weights_fall_where_the_teacher_disagrees_with_the_detector():
    rays = POSE / POSE[:, 2:]
    aside = torch.linalg.cross(rays[7], torch.tensor([0.0, 1.0, 0.0]))
    moved = POSE.clone()
    moved[7] += 0.03 * aside / aside.norm()
    confidence = torch.full((15,), 0.8)
    found = pseudo_labels(moved, rays, confidence, POSE + 0.005, ITOP, RULE)
    assert bool(found.keep)
    expected = torch.full((15,), 0.8)
    expected[7] *= math.exp(-0.03 / 0.05)
    torch.testing.assert_close(found.weight, expected, atol=1e-5, rtol=1e-4)


def test_a_joint_that_was_not_seen_neither_counts_nor_harms():
    rays = POSE / POSE[:, 2:]
    rays[3] = torch.nan
    confidence = torch.ones(15)
    confidence[3] = 0
    found = pseudo_labels(POSE, rays, confidence, POSE + 0.005, ITOP, RULE)
    assert bool(found.keep)
    torch.testing.assert_close(found.weight, confidence)


@pytest.mark.parametrize("bones", [(2.0, 1.0), (-0.1, 1.0), (math.nan, 1.0), (0.6, math.nan), (1.0, 1.0)])
def test_shares_that_no_bone_can_have_are_refused(bones: tuple[float, float]):
    with pytest.raises(ValueError, match="holds no length"):
        PseudoConfig(bones=bones)
