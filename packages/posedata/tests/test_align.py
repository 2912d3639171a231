"""Alignment against the SVD it replaces, also where the answer is not unique."""

import pytest
import roma
import torch
from posedata.geometry.align import (
    _quaternion_to_rotation,
    align,
    kabsch,
    procrustes,
    root_relative,
    rotation_from_covariance,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def kabsch_svd(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    u, s, vh = torch.linalg.svd(covariance)
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u @ vh).sign()
    return (u * sign[..., None, :]) @ vh, (s * sign).sum(-1)


def align_svd(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    centre = target.mean(-2, keepdim=True)
    source, target = source - source.mean(-2, keepdim=True), target - centre
    rotation, trace = kabsch_svd(target.mT @ source)
    scale = trace / source.square().sum((-2, -1))
    return scale[..., None, None] * source @ rotation.mT + centre


def rotations(count: int, seed: int = 0) -> torch.Tensor:
    return kabsch_svd(randn(count, 3, 3, seed=seed))[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_known_similarity_is_found_again(dtype: torch.dtype) -> None:
    rotation = rotations(64).to(dtype)
    source = randn(64, 17, 3, seed=1, dtype=dtype)
    scale, shift = torch.linspace(0.2, 3, 64, dtype=dtype), randn(64, 3, seed=2, dtype=dtype)
    target = scale[:, None, None] * source @ rotation.mT + shift[:, None]
    found = procrustes(source, target)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found.rotation, rotation, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.scale, scale, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.translation, shift, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.apply(source), target, atol=10 * tolerance, rtol=0)
    assert found.rotation.dtype == dtype


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.1, 1.0])
def test_equals_the_svd_on_bodies_near_and_far_also_mirrored(noise: float, mirrored: bool) -> None:
    target = randn(500, 17, 3) * torch.tensor([0.25, 0.1, 0.5])
    source = target @ rotations(500, seed=3).mT * 0.7 + noise * randn(500, 17, 3, seed=4)
    if mirrored:
        source = source * torch.tensor([-1.0, 1.0, 1.0])
    assert (align(source, target) - align_svd(source, target)).abs().max() < 1e-9


@pytest.mark.parametrize("thickness", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_equals_the_svd_on_nearly_collinear_and_nearly_planar_points(thickness: float) -> None:
    for spread in ([1.0, thickness, thickness], [1.0, 0.6, thickness], [1.0, thickness, 0.3 * thickness]):
        target = randn(200, 17, 3) * torch.tensor(spread, dtype=torch.float64)
        source = target @ rotations(200, seed=5).mT + 0.1 * thickness * randn(200, 17, 3, seed=6)
        assert (align(source, target) - align_svd(source, target)).abs().max() < 1e-6


def test_trace_is_optimal_and_rotation_proper_for_any_spectrum() -> None:
    """The best trace is unique even where the rotation is not."""
    spectra = [
        [1, 1, 1],
        [1, 1, -1],
        [1, 0.5, -0.5],
        [1, 0.5, -0.4999999],
        [1, 0, 0],
        [1, 1, 0],
        [1, 1e-9, 0],
    ]
    spectra += [[0, 0, 0], [1e-20, 1e-21, 1e-22], [1e20, 1e19, -1e19], [1, 0.2, -0.19]]
    diagonal = torch.diag_embed(torch.tensor(spectra, dtype=torch.float64))
    covariance = rotations(len(spectra), seed=7) @ diagonal @ rotations(len(spectra), seed=8)
    rotation = rotation_from_covariance(covariance)
    best = kabsch_svd(covariance)[1]
    size = covariance.flatten(1).norm(dim=1).clamp_min(1e-300)
    assert ((rotation * covariance).sum((1, 2)) / size - best / size).abs().max() < 1e-9
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(spectra), dtype=torch.float64))
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation.mT @ rotation, identity, atol=1e-12, rtol=0)


def test_degenerate_points_give_finite_values_and_gradients() -> None:
    line = torch.linspace(-1, 1, 17, dtype=torch.float64)[:, None] * randn(3)
    cases = {
        "collinear to body": (line, randn(17, 3)),
        "body to collinear": (randn(17, 3), line),
        "same line": (line, line),
        "all equal": (torch.ones(17, 3, dtype=torch.float64), randn(17, 3)),
        "both a point": (torch.zeros(17, 3, dtype=torch.float64), torch.ones(17, 3, dtype=torch.float64)),
        "perfect": (randn(17, 3), randn(17, 3)),
        "perfect mirror of a symmetric spread": (-torch.eye(3).double(), torch.eye(3).double()),
    }
    for name, (source, target) in cases.items():
        source, target = source.clone().requires_grad_(), target.clone().requires_grad_()
        aligned = align(source, target)
        (aligned - target).square().sum().backward()
        for value in (aligned, source.grad, target.grad):
            assert value is not None
            assert value.isfinite().all(), name
            assert value.abs().max() < 1e6, name
    point = procrustes(torch.ones(5, 3), randn(5, 3, dtype=torch.float32))
    assert point.scale == 1
    torch.testing.assert_close(point.apply(torch.ones(1, 3))[0], randn(5, 3, dtype=torch.float32).mean(0))


def test_a_nan_stays_with_its_own_pose() -> None:
    source, target = randn(4, 17, 3), randn(4, 17, 3, seed=22)
    clean = align(source, target)
    source[1, 5] = torch.nan
    target[3, 0, 0] = torch.inf
    source.requires_grad_()
    found = align(source, target)
    torch.testing.assert_close(found[[0, 2]], clean[[0, 2]])
    assert found[[1, 3]].isnan().all()
    found[[0, 2]].sum().backward()
    assert source.grad is not None
    assert source.grad[[0, 2]].isfinite().all()


def test_gradients_are_right() -> None:
    source, target = randn(2, 5, 3, seed=9).requires_grad_(), randn(2, 5, 3, seed=10).requires_grad_()
    weights = torch.rand(2, 5, generator=generator(11), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t, w: align(s, t, weights=w), (source, target, weights))
    assert torch.autograd.gradcheck(lambda s, t: align(s, t, scale=False), (source, target))
    assert torch.autograd.gradcheck(kabsch, (source, target))
    mirrored = (target.detach() * torch.tensor([-1.0, 1.0, 1.0])).requires_grad_()
    assert torch.autograd.gradcheck(align, (mirrored, target))


def test_gradient_equals_that_of_the_svd_where_only_eigh_serves() -> None:
    target = randn(20, 17, 3) * torch.tensor([1.0, 1e-3, 1e-3], dtype=torch.float64)
    source = (target + 1e-4 * randn(20, 17, 3, seed=12)).requires_grad_()
    cost = randn(20, 17, 3, seed=13)
    (ours,) = torch.autograd.grad((align(source, target) * cost).sum(), source)
    (twin,) = torch.autograd.grad((align_svd(source, target) * cost).sum(), source)
    torch.testing.assert_close(ours, twin, atol=0, rtol=1e-5)


def test_weights_count_as_repetitions_and_zero_as_absence() -> None:
    source, target = randn(5, 8, 3, seed=14), randn(5, 8, 3, seed=15)
    counts = torch.tensor([3, 1, 2, 1, 1, 1, 0, 0])
    repeated = torch.arange(8).repeat_interleave(counts)
    plain = procrustes(source[:, repeated], target[:, repeated])
    weighted = procrustes(source, target, weights=counts.double().expand(5, 8))
    for a, b in zip(plain, weighted, strict=True):
        torch.testing.assert_close(a, b)


def test_kabsch_turns_about_the_origin() -> None:
    rotation = rotations(1, seed=16)[0]
    source = randn(4, 3, seed=17) + 5
    torch.testing.assert_close(kabsch(source, source @ rotation.mT), rotation)
    moved = kabsch(source, source @ rotation.mT + 1)
    assert (moved - rotation).abs().max() > 1e-3


def test_any_leading_shape_gives_the_same_as_one_at_a_time() -> None:
    source, target = randn(2, 3, 1, 17, 3, seed=18), randn(2, 3, 1, 17, 3, seed=19)
    whole = align(source, target)
    one = torch.stack([align(s, t) for s, t in zip(source.flatten(0, 2), target.flatten(0, 2), strict=True)])
    torch.testing.assert_close(whole.flatten(0, 2), one)
    assert procrustes(source[:0], target[:0]).rotation.shape == (0, 3, 1, 3, 3)


def test_rotations_of_another_library_are_their_own_nearest_rotation() -> None:
    quaternion = torch.nn.functional.normalize(randn(50, 4, seed=20), dim=-1)
    rotation = roma.unitquat_to_rotmat(quaternion)
    torch.testing.assert_close(rotation_from_covariance(rotation), rotation)


def test_the_quaternion_has_its_scalar_first() -> None:
    quaternion = torch.nn.functional.normalize(randn(50, 4, seed=20), dim=-1)
    rotation = roma.unitquat_to_rotmat(quaternion.roll(-1, dims=-1))  # roma's has it last
    torch.testing.assert_close(_quaternion_to_rotation(quaternion.T).movedim(-1, 0), rotation)


def test_root_relative_takes_one_root_or_the_mean_of_several() -> None:
    joints = randn(2, 5, 3, seed=21)
    torch.testing.assert_close(root_relative(joints, 2), joints - joints[:, 2:3])
    torch.testing.assert_close(root_relative(joints, (1, 3)), joints - (joints[:, 1:2] + joints[:, 3:4]) / 2)
