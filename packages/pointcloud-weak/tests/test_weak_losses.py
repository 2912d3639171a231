"""Weak losses: values by hand, gradients by finite differences, nothing from what was not seen."""

import pytest
import torch
from pointcloud_weak.losses import bone_variance_loss, mirrored_bones, ray_loss, symmetry_loss
from posedata import Skeleton, get_skeleton

FORK = Skeleton("fork", ("root", "left_end", "right_end"), (-1, 0, 0))


def test_ray_loss_by_hand():
    rays = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 1.0], [3.0, 0.0, 4.0]])
    joints = torch.tensor([[0.03, 0.0, 1.0], [0.3, 0.4, 2.0], [0.06, 0.0, 0.08]])
    near = 0.03**2 / (2 * 0.05)  # quadratic
    far = 0.5 - 0.025  # linear
    front = 0.3 - 0.1  # on its ray, too near
    torch.testing.assert_close(ray_loss(joints, rays), torch.tensor((near + far + front) / 3))
    weights = torch.tensor([1.0, 0.5, 0.0])
    torch.testing.assert_close(ray_loss(joints, rays, weights), torch.tensor((near + far / 2) / 3))


def test_ray_loss_is_zero_along_the_ray_at_any_depth_and_blind_to_scale_of_rays():
    rays = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    depth = torch.linspace(0.5, 5, 20).view(4, 5, 1)
    unit = rays / rays.norm(dim=-1, keepdim=True)
    assert ray_loss(unit * depth, rays).max() < 1e-10
    off = unit * depth + 0.1
    torch.testing.assert_close(ray_loss(off, rays), ray_loss(off, rays * 7))


def test_what_was_not_seen_gives_no_value_and_no_gradient():
    joints = torch.tensor([[[torch.nan] * 3, [0.0, 0.1, 1.0]]], requires_grad=True)
    rays = torch.tensor([[[torch.nan] * 3, [0.0, 0.0, 1.0]]])
    loss = ray_loss(joints, rays, torch.tensor([[0.0, 1.0]]))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([(0.1 - 0.025) / 2]))
    assert torch.equal(joints.grad[0, 0], torch.zeros(3))
    assert joints.grad[0, 1].abs().max() > 0


def test_gradients_finite_on_the_ray_and_right_off_it():
    on = torch.tensor([[[0.0, 0.0, 1.0]]], requires_grad=True)
    ray_loss(on, torch.tensor([[[0.0, 0.0, 1.0]]])).sum().backward()
    assert torch.equal(on.grad, torch.zeros_like(on))
    generator = torch.Generator().manual_seed(1)
    joints = torch.randn(2, 3, 17, 3, dtype=torch.float64, generator=generator).requires_grad_()
    rays = torch.randn(2, 3, 17, 3, dtype=torch.float64, generator=generator)
    skeleton = get_skeleton("h36m17")
    assert torch.autograd.gradcheck(lambda j: ray_loss(j, rays), joints, atol=1e-6)
    assert torch.autograd.gradcheck(lambda j: symmetry_loss(j, skeleton), joints)
    assert torch.autograd.gradcheck(lambda j: bone_variance_loss(j, skeleton), joints)


def test_symmetry_by_hand():
    joints = torch.tensor([[0.0, 0, 0], [0.0, 0, 0.35], [0.3, 0, 0]])
    torch.testing.assert_close(symmetry_loss(joints, FORK), torch.tensor(0.05))
    torch.testing.assert_close(symmetry_loss(joints, FORK, 0.02), torch.tensor(0.03))
    assert symmetry_loss(joints, FORK, torch.tensor([0.06])) == 0


@pytest.mark.parametrize(("name", "pairs"), [("h36m17", 6), ("itop15", 6), ("coco17", 8)])
def test_mirrored_bones_cover_the_limbs_once(name, pairs):
    skeleton = get_skeleton(name)
    found = mirrored_bones(skeleton)
    children = [child for pair in found for child, _ in pair]
    assert len(children) == len(set(children))
    assert len(found) == sum("left_" in joint for joint in skeleton.joints)
    assert len(found) >= pairs
    for (child, parent), (other, above) in found:
        assert skeleton.joints[child] != skeleton.joints[other]
        assert skeleton.joints[child].split("_", 1)[1] == skeleton.joints[other].split("_", 1)[1]
        assert skeleton.mirror[parent] == above


def test_bone_variance_by_hand_and_blind_to_motion():
    still = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [-0.3, 0, 0]])
    turned = still[:, [1, 0, 2]] + 5
    assert bone_variance_loss(torch.stack([still, turned]), FORK) < 1e-12
    longer = still.clone()
    longer[1, 0] = 0.4
    expected = torch.tensor((0.05**2 + 0) / 2 / (2 * 0.05))
    torch.testing.assert_close(bone_variance_loss(torch.stack([still, longer]), FORK), expected)
