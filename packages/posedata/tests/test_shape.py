"""Body-shape augmentation: lengths as drawn, directions kept, left like right."""

import pytest
import torch
from posedata.geometry.shape import random_shapes, scale_bones, turn_bones
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton

H36M = get_skeleton("h36m17")


def bones(joints, skeleton):
    child, parent = torch.tensor(skeleton.edges).T
    return joints[..., child, :] - joints[..., parent, :]


def test_every_bone_has_its_factor_and_its_direction():
    generator = torch.Generator().manual_seed(0)
    for skeleton in SKELETONS.values():
        joints = torch.randn(3, len(skeleton), 3, generator=generator, dtype=torch.float64)
        factors = 0.5 + torch.rand(3, len(skeleton), generator=generator, dtype=torch.float64)
        child = torch.tensor(skeleton.edges)[:, 0]
        got = bones(scale_bones(joints, skeleton, factors), skeleton)
        torch.testing.assert_close(got, bones(joints, skeleton) * factors[:, child, None])


def test_the_root_stays_and_parents_may_come_after_children():
    chain = Skeleton("chain", ("tip", "middle", "foot"), (1, 2, -1))
    joints = torch.tensor([[[0.0, 0, 3], [0, 0, 1], [0, 0, 0]]])
    scaled = scale_bones(joints, chain, torch.tensor([[2.0, 3.0, 9.0]]))
    assert torch.equal(scaled, torch.tensor([[[0.0, 0, 7], [0, 0, 3], [0, 0, 0]]]))


def test_shapes_are_symmetric_and_within_their_ranges():
    generator = torch.Generator().manual_seed(1)
    joints = torch.randn(400, 17, 3, generator=generator, dtype=torch.float64)
    shaped = random_shapes(joints, H36M, generator, stature=0.1, bones=0.05)
    ratio = bones(shaped, H36M).norm(dim=-1) / bones(joints, H36M).norm(dim=-1)
    assert 0.9 * 0.95 <= ratio.min() < 0.88
    assert 1.13 < ratio.max() <= 1.1 * 1.05
    ends = [child for child, _ in H36M.edges]
    other = [ends.index(H36M.mirror[child]) for child in ends]
    torch.testing.assert_close(ratio, ratio[:, other])
    alone = random_shapes(joints, H36M, generator, stature=0.1, bones=0.0)
    ratio = bones(alone, H36M).norm(dim=-1) / bones(joints, H36M).norm(dim=-1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_limbs_turn_evenly_up_to_an_angle_and_keep_their_lengths():
    generator = torch.Generator().manual_seed(2)
    joints = torch.randn(3000, 17, 3, generator=generator, dtype=torch.float64)
    turned = turn_bones(joints, H36M, generator, most=37.0)
    before, after = bones(joints, H36M), bones(turned, H36M)
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
    cosine = torch.cosine_similarity(before, after, dim=-1).clamp(-1, 1)
    angle = torch.rad2deg(torch.acos(cosine))
    limbs = torch.tensor([H36M.mirror[child] != child for child, _ in H36M.edges])
    assert int(limbs.sum()) == 12
    assert float(angle[:, ~limbs].max()) < 1e-4
    assert 36.5 < float(angle[:, limbs].max()) <= 37
    assert float(angle[:, limbs].mean()) == pytest.approx(37 / 2, rel=0.02)
    # about any axis across the bone: what is added to the direction has no mean
    away = after / after.norm(dim=-1, keepdim=True) - cosine[..., None] * before / before.norm(
        dim=-1, keepdim=True
    )
    assert float(away[:, limbs].mean((0, 1)).abs().max()) < 0.01


def test_a_clip_s_bones_turn_alike_and_bad_angles_are_refused():
    generator = torch.Generator().manual_seed(3)
    joints = torch.randn(4, 17, 3, generator=generator).repeat_interleave(5, 0)
    turned = turn_bones(joints, H36M, generator, most=90.0, frames=5)
    torch.testing.assert_close(turned[:5], turned[:1].expand(5, -1, -1))
    assert float((turned - joints).norm(dim=-1).mean()) > 0.1
    with pytest.raises(ValueError, match="most is 200; give an angle from 0 to 180"):
        turn_bones(joints, H36M, generator, most=200.0)
