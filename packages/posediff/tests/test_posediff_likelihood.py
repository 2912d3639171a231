"""Likelihood by the ODE against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.likelihood import log_likelihood
from torch import Tensor
from torch.distributions import MultivariateNormal


def test_gaussian_closed_form() -> None:
    torch.manual_seed(0)
    factor = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.6, 0.0], [-0.3, 0.2, 0.4]], dtype=torch.float64)
    covariance, mean = factor @ factor.T, torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return mean + (x - mean) @ torch.linalg.solve(covariance + sigma**2 * eye, covariance)

    x = MultivariateNormal(mean, covariance).sample((64,))
    # What the ODE integrates is the density blurred by sigma_min.
    expected = MultivariateNormal(mean, covariance + 1e-4 * eye).log_prob(x)
    found = log_likelihood(denoise, x, sigma_min=0.01, sigma_max=200.0, steps=400)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-2)
    generator = torch.Generator().manual_seed(0)
    probed = log_likelihood(
        denoise, x, sigma_min=0.01, sigma_max=200.0, steps=200, probes=64, generator=generator
    )
    assert (probed - expected).mean().abs().item() < 0.1


def test_mixture_closed_form() -> None:
    centres, std = torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.3

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        variance = std**2 + sigma**2
        share = (-0.5 * (x - centres) ** 2 / variance).softmax(-1)
        return (share * (centres + std**2 / variance * (x - centres))).sum(-1, keepdim=True)

    x = torch.tensor([[-1.2], [0.0], [0.4], [1.0]], dtype=torch.float64)
    variance = std**2 + 0.01**2
    density = torch.exp(-0.5 * (x - centres) ** 2 / variance).mean(-1) / math.sqrt(2 * math.pi * variance)
    found = log_likelihood(denoise, x, sigma_min=0.01, sigma_max=200.0, steps=400)
    assert found.tolist() == pytest.approx(density.log().tolist(), abs=0.02)
