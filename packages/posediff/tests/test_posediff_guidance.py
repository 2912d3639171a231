"""Guidance: the mixing formula, the geometry of rays, and lifting with a prior whose score is exact."""

from __future__ import annotations

import torch
from posediff.guidance import classifier_free, guided, onto_rays, place
from posediff.sampler import dpmpp_2m
from posediff.schedule import geometric
from posediff.sde import Denoise
from torch import Tensor


def test_classifier_free_of_two_gaussians_is_a_gaussian() -> None:
    """N(0.4, 1) guided away from N(0, 1) by w: scores add up to that of N(0.4 (1 + w), 1) at no noise."""

    def normal(mean: float) -> Denoise:
        return lambda x, sigma: mean + (x - mean) / (1 + sigma**2)

    guided_one = classifier_free(normal(0.4), normal(0.0), 1.5)
    levels = geometric(60, 0.01, 50.0)
    drawn = dpmpp_2m(guided_one, torch.tensor([-50.0, 50.0]), levels)
    torch.testing.assert_close(drawn.mean(), torch.tensor(1.0), rtol=0, atol=0.03)
    torch.testing.assert_close((drawn[1] - drawn[0]) / 2, torch.tensor(1.0), rtol=0.02, atol=0)


def test_weight_zero_does_not_evaluate_the_unconditional() -> None:
    def never(x: Tensor, sigma: Tensor) -> Tensor:
        raise AssertionError

    x = torch.ones(2)
    assert torch.equal(classifier_free(lambda x, s: x, never, 0.0)(x, x), x)


def scene(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(4, 17, 3, generator=generator, dtype=torch.float64) * 0.3
    pose = pose - pose[:, :1]
    root = torch.tensor([0.2, -0.1, 4.0], dtype=torch.float64) + 0.1 * torch.arange(4)[:, None]
    points = pose + root[:, None]
    return pose, root, points / points[..., 2:]


def test_place_recovers_the_root_and_ignores_what_is_not_seen() -> None:
    pose, root, rays = scene()
    torch.testing.assert_close(place(pose, rays), root, rtol=1e-6, atol=1e-6)
    confidence = torch.ones(4, 17, dtype=torch.float64)
    confidence[:, 3] = 0
    rays[:, 3, :2] += 1.0
    torch.testing.assert_close(place(pose, rays, confidence), root, rtol=1e-6, atol=1e-6)


def test_one_visible_joint_places_in_float32_as_in_float64() -> None:
    pose, _, rays = scene()
    pose, rays = pose.repeat(50, 1, 1), rays.repeat(50, 1, 1)
    confidence = torch.zeros(200, 17, dtype=torch.float64)
    confidence[torch.arange(200), torch.arange(200) % 17] = 1.0
    exact = place(pose, rays, confidence)
    single = place(pose.float(), rays.float(), confidence.float())
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)


def test_onto_rays_leaves_a_consistent_pose_and_moves_the_rest_squarely() -> None:
    pose, _, rays = scene()
    torch.testing.assert_close(onto_rays(pose, rays), pose, rtol=0, atol=1e-6)
    wrong = pose + 0.05 * torch.randn(pose.shape, generator=torch.Generator().manual_seed(1)).double()
    moved = onto_rays(wrong, rays)
    root = place(wrong, rays)[:, None]
    on_ray = moved + root
    torch.testing.assert_close(on_ray / on_ray[..., 2:], rays)
    torch.testing.assert_close(
        ((moved - wrong) * rays).sum(-1), torch.zeros(4, 17).double(), atol=1e-9, rtol=0
    )
    hidden = onto_rays(wrong, rays, torch.zeros(4, 17, dtype=torch.float64))
    torch.testing.assert_close(hidden, wrong)


def test_prior_with_rays_lifts_better_than_either() -> None:
    """Poses of a normal prior with few degrees of freedom; its exact denoiser, guided by the 2D alone."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(51, 6, generator=generator, dtype=torch.float64)
    directions[:3] = 0  # root-relative
    basis = torch.linalg.qr(directions).Q
    covariance = basis @ basis.T + 1e-4 * torch.eye(51, dtype=torch.float64)
    eye = torch.eye(51, dtype=torch.float64)

    def prior(x: Tensor, sigma: Tensor) -> Tensor:
        return x @ torch.linalg.solve(covariance + sigma**2 * eye, covariance)

    truth = (torch.randn(64, 6, generator=generator, dtype=torch.float64) @ basis.T).unflatten(-1, (17, 3))
    points = truth + torch.tensor([0.0, 0.0, 6.0], dtype=torch.float64)
    rays = points / points[..., 2:]

    def correct(flat: Tensor) -> Tensor:
        return onto_rays(flat.unflatten(-1, (17, 3)), rays).flatten(-2)

    noise = torch.randn(64, 51, generator=generator, dtype=torch.float64)
    levels = geometric(40, 0.01, 20.0).double()

    def error(flat: Tensor) -> float:
        pose = flat.unflatten(-1, (17, 3))
        return float((pose - pose[:, :1] - truth).norm(dim=-1).mean())

    unguided = error(dpmpp_2m(prior, 20 * noise, levels))
    lifted = error(dpmpp_2m(guided(prior, correct), 20 * noise, levels))
    flat_only = error(correct(torch.zeros(64, 51, dtype=torch.float64)))
    assert lifted < 0.9 * flat_only < 0.9 * unguided
