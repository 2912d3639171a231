"""The terms of stage A: known answers, blindness to what was not seen, weights and switches."""

import math
from dataclasses import replace

import pytest
import torch
from pointcloud_weak.losses import (
    TERMS,
    Evidence,
    KeypointDepth,
    SkinOffset,
    WeakWeights,
    acceleration_loss,
    behind_loss,
    bone_range_loss,
    geman_mcclure,
    huber,
    keypoint_depth,
    lift_loss,
    reference_segments,
    skin_depths,
    stillness,
    support_loss,
    support_reaches,
    symmetry_margins,
    weak_loss,
    weak_terms,
)
from posedata import Camera, get_skeleton

ITOP = get_skeleton("itop15")


def camera(size=(20, 16), focal=10.0):
    centre = torch.tensor([(size[0] - 1) / 2, (size[1] - 1) / 2])
    return Camera(torch.full((2,), focal), centre, torch.eye(3), torch.zeros(3), size=size)


def test_robust_functions_are_metric():
    error = torch.tensor([0.0, 0.01, 0.05, 1.0])
    torch.testing.assert_close(huber(error), torch.tensor([0.0, 0.001, 0.025, 0.975]))
    expected = [0.0, 0.001 / 1.04, 0.0125, 0.025 * 400 / 401]
    torch.testing.assert_close(geman_mcclure(error), torch.tensor(expected))


def test_keypoint_depth_takes_the_median_and_refuses_edges_and_holes():
    image = torch.zeros(16, 20)
    image[2:7, 2:7] = 2.0
    image[4, 4] = 9.0  # a stray pixel spreads the window
    image[10:15, 2:7] = torch.tensor([1.9, 1.95, 2.0, 2.01, 2.02])
    image[10:15, 12:14], image[10:15, 14:17] = 2.0, 2.5
    image[0, 19] = 3.0  # in the corner: the rest of its window lies outside
    pixels = torch.tensor([[4.2, 3.8], [4.0, 12.0], [14.0, 12.0], [9.0, 7.0], [19.4, -0.3], [40.0, 8.0]])
    found = keypoint_depth(image, pixels)
    assert found.valid.tolist() == [False, True, False, False, True, False]
    torch.testing.assert_close(found.depth[[0, 1, 2, 4]], torch.tensor([2.0, 2.0, 2.5, 3.0]))
    assert found.depth[3] == 0
    millimetres = keypoint_depth((image * 1000).round().to(torch.uint16), pixels)
    torch.testing.assert_close(millimetres.depth, found.depth)
    both = keypoint_depth(torch.stack([image, image + 1]), torch.stack([pixels, pixels]))
    torch.testing.assert_close(both.depth[0], found.depth)
    assert both.valid[1].tolist() == [False, True, False, True, False, False]  # 1 m everywhere else


def test_lift_loss_by_hand():
    rays = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    surface = KeypointDepth(torch.tensor([2.0, 3.0, 1.0]), torch.tensor([True, True, False]))
    offset = torch.tensor([0.1, 0.05, 0.2])
    # 2.5 m along the first ray lies at z = 2; the joint is 0.1 m further along it
    exact = torch.tensor([[0.6 * 2.6, 0.0, 0.8 * 2.6], [0.0, 0.0, 3.05], [9.0, 9.0, 9.0]])
    assert lift_loss(exact, rays, surface, offset) < 1e-7
    off = exact + torch.tensor([0.0, 0.03, 0.0])
    near = 0.03**2 / 0.1
    torch.testing.assert_close(lift_loss(off, rays, surface, offset), torch.tensor(2 * near / 3))
    weights = torch.tensor([0.5, 0.0, 1.0])
    torch.testing.assert_close(lift_loss(off, rays, surface, offset, weights), torch.tensor(near / 6))
    far = exact + torch.tensor([0.0, 0.0, 10.0])
    assert lift_loss(far, rays, surface, offset, robust="geman_mcclure") < 2 / 3 * 0.025


def test_skin_offset_starts_where_told_learns_and_stays_positive():
    offset = SkinOffset(skin_depths(ITOP))
    torch.testing.assert_close(offset(), skin_depths(ITOP))
    assert skin_depths(ITOP)[[0, 8, 9]].tolist() == pytest.approx([0.1] * 3)
    assert skin_depths(ITOP)[[4, 7, 14]].tolist() == pytest.approx([0.05] * 3)
    rays = torch.tensor([0.0, 0.0, 1.0]).expand(15, 3)
    surface = KeypointDepth(torch.full((15,), 2.0), torch.ones(15, dtype=torch.bool))
    optimizer = torch.optim.Adam(offset.parameters(), lr=0.05)
    for depth in (2.07, 1.0):  # joints 7 cm under the skin; then in front of it, which no body is
        for _ in range(400):
            optimizer.zero_grad()
            joints = torch.tensor([0.0, 0.0, depth]).expand(15, 3)
            lift_loss(joints, rays, surface, offset()).backward()
            optimizer.step()
        learnt = offset().detach()
        if depth > 2:
            torch.testing.assert_close(learnt, torch.full((15,), 0.07), atol=2e-3, rtol=0)
    assert (learnt >= 0).all()
    assert learnt.max() < 0.01


def test_acceleration_by_hand_and_zero_for_steady_motion():
    steady = torch.arange(4.0)[:, None, None] * torch.tensor([0.1, -0.2, 0.05]).expand(2, 3)
    assert acceleration_loss(steady) < 1e-7
    jerked = steady.clone()
    jerked[1, 0] += torch.tensor([0.01, -0.02, 0.0])
    # frames 0-2 see -2 times the jerk, frames 1-3 once, for one of two joints
    torch.testing.assert_close(acceleration_loss(jerked), torch.tensor((0.06 + 0.03) / 4))
    weight = torch.tensor([[0.5, 1.0], [0.0, 1.0]])
    torch.testing.assert_close(acceleration_loss(jerked, weight), torch.tensor(0.03 / 4))
    assert acceleration_loss(jerked[:2]) == 0


def test_stillness_of_motion_in_metres():
    rays = torch.zeros(2, 3, 1, 3)
    rays[..., 2] = 1
    rays[0, 2, 0, 0] = 0.1  # 0.1 across two frames at 4 m: 0.2 m a frame
    torch.testing.assert_close(
        stillness(rays, torch.tensor([4.0, 4.0])), torch.tensor([[[math.exp(-2)]], [[1.0]]])
    )


def test_motion_of_what_was_not_seen_is_no_motion():
    rays = torch.zeros(3, 4, 3)
    rays[2, 0], rays[0, 1], rays[2, 2] = 1.0, torch.nan, 0.1
    confidence = torch.ones(3, 4)
    confidence[2, 0] = confidence[0, 1] = 0
    weight = stillness(rays, torch.tensor(2.0), confidence)
    torch.testing.assert_close(weight, torch.tensor([[1.0, 1.0, math.exp(-(2**0.5)), 1.0]]))


def test_support_by_hand():
    joints = torch.tensor([[[0.0, 0, 2], [1.0, 0, 2]]])
    points = torch.tensor([[[0.0, 0, 1.9], [0.0, 0.0, 1.5], [0.7, 0.4, 2.0]]])
    found = support_loss(joints, points, torch.tensor([0.15, 0.08]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.5 - 0.08]]))


def test_behind_by_hand():
    surface = torch.zeros(2, 16, 20)
    surface[:, :, :12] = 2.0
    cam = camera()
    joints = torch.tensor([[0.0, 0.0, 1.5], [0.0, 0.0, 2.5], [1.0, 0.0, 1.0], [5.0, 0.0, 1.0]])
    # in front of it, behind it, beside the person, beside the image
    found = behind_loss(joints.expand(2, 4, 3), surface, cam)
    torch.testing.assert_close(found, torch.full((2,), 0.48 / 4))
    moved = joints.clone().requires_grad_()
    behind_loss(moved[None], surface[:1], cam).sum().backward()
    torch.testing.assert_close(moved.grad[0], torch.tensor([0.0, 0.0, -0.25]))
    assert torch.equal(moved.grad[1:], torch.zeros(3, 3))


def test_range_by_hand():
    joints = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0.5, 0], [0.1, 0.5, 0.2]])
    found = bone_range_loss(joints, [(1, 0), (2, 1), (3, 2)], torch.tensor([0.2, 0.3, 0.2]))
    torch.testing.assert_close(found, torch.tensor((0.02 + 0.05 + 0.0) / 3))


@pytest.mark.parametrize("name", ["itop15", "h36m17", "coco17", "panoptic15", "ntu25"])
def test_what_is_known_of_bodies_fits_every_skeleton(name):
    skeleton = get_skeleton(name)
    segments, lengths = reference_segments(skeleton)
    assert len(segments) >= 10
    named = {
        frozenset((skeleton.joints[a], skeleton.joints[b])): x
        for (a, b), x in zip(segments, lengths.tolist(), strict=True)
    }
    assert named[frozenset(("left_hip", "left_knee"))] == pytest.approx(0.506)
    assert named[frozenset(("left_shoulder", "right_shoulder"))] == pytest.approx(0.363)
    margins = symmetry_margins(skeleton)
    assert (margins >= 0).all()
    assert margins.max() == pytest.approx(0.03)
    assert sorted(set(support_reaches(skeleton).tolist())) == pytest.approx([0.08, 0.15])


def evidence(joints, generator):
    """Clips in which everything agrees with the joints."""
    cam = camera((40, 40), 30.0)
    cameras = Camera.stack([cam] * len(joints))
    depth = torch.full(joints.shape[:-1], 9.0)
    return Evidence(
        rays=joints / joints[..., 2:],
        confidence=torch.ones(joints.shape[:-1]),
        depth=KeypointDepth(depth, torch.zeros_like(depth, dtype=torch.bool)),
        points=joints + 0.01 * torch.randn(joints.shape, generator=generator),
        surface=torch.zeros(*joints.shape[:2], 40, 40),
        camera=cameras,
    )


def test_terms_are_small_where_all_agrees_and_switch_off_one_by_one():
    generator = torch.Generator().manual_seed(0)
    pose = torch.tensor(
        [
            [0, -0.75, 0], [0, -0.5, 0], [0.18, -0.5, 0], [-0.18, -0.5, 0], [0.2, -0.2, 0], [-0.2, -0.2, 0],
            [0.2, 0.1, 0], [-0.2, 0.1, 0], [0, -0.25, 0], [0.11, 0, 0], [-0.11, 0, 0], [0.11, 0.45, 0],
            [-0.11, 0.45, 0], [0.11, 0.9, 0], [-0.11, 0.9, 0],
        ]
    )  # fmt: skip
    still = (pose + torch.tensor([0.0, 0.0, 3.0])).expand(2, 3, 15, 3)
    seen = evidence(still, generator)
    offset = skin_depths(ITOP)
    terms = weak_terms(still, seen, ITOP, offset)
    assert tuple(terms) == TERMS
    assert all(value.abs().max() < 1e-6 for value in terms.values())
    wild = still + 0.3 * torch.randn(still.shape, generator=generator)
    terms = weak_terms(wild, seen, ITOP, offset)
    weights = WeakWeights()
    for name in TERMS:
        without = replace(weights, **{name: 0.0})
        left = weak_terms(wild, seen, ITOP, offset, without)
        assert set(left) == set(TERMS) - {name}
        difference = weak_loss(terms, weights) - weak_loss(left, without)
        torch.testing.assert_close(difference, getattr(weights, name) * terms[name])
    assert all(terms[name].min() > 0 for name in TERMS if name not in ("lift", "behind"))
    with pytest.raises(ValueError, match="weight 0"):
        weak_loss({}, weights)


def test_weight_of_the_lift_falls_and_the_others_stay():
    weights = WeakWeights(lift=2.0)
    assert weights.at(0.0) == weights
    assert weights.at(0.5).lift == pytest.approx(1.3)
    assert weights.at(1.0).lift == pytest.approx(0.6)
    assert replace(weights.at(1.0), lift=2.0) == weights


def test_hands_of_which_nothing_is_known_beforehand_have_the_other_terms():
    """InterHand's skeleton has no segment of known length: that term is 0, not an error."""
    hands = get_skeleton("interhand42")
    joints = torch.rand(1, 3, 42, 3, generator=torch.Generator().manual_seed(0))
    assert bone_range_loss(joints, *reference_segments(hands)).tolist() == [[0.0] * 3]


def test_support_by_no_point_is_refused():
    with pytest.raises(ValueError, match="points: none"):
        support_loss(torch.zeros(1, 15, 3), torch.zeros(1, 0, 3), torch.zeros(15))
