"""Scores of hypotheses: how near, how honest, how narrow. Hypotheses stand along the first axis."""

from __future__ import annotations

import torch
from torch import Tensor

from posediff.hypotheses import coverage, expected_best_of

BEST_OF = (1, 5, 10, 50, 200)


def energy_score(hypotheses: Tensor, truth: Tensor) -> Tensor:
    """Energy score of points: (S, ..., d) and (..., d) to (...); the lower the better, S at least 2.

    ``E|X - y| - E|X - X'| / 2`` (Gneiting and Raftery 2007, section 4.2), of which this is the unbiased
    estimate: pairs are of two different draws (the "fair" score, Ferro 2014). Strictly proper: no other
    distribution does better in expectation than the right one. For a single certain point it is its distance;
    give joints (..., J, 3) for what is comparable to MPJPE, whole poses flat for how joints go together.
    """
    count = len(hypotheses)
    if count < 2:
        raise ValueError("energy_score needs at least two hypotheses")
    near = torch.linalg.vector_norm(hypotheses - truth, dim=-1).mean(0)
    apart = torch.zeros_like(near)
    for shift in range(1, count // 2 + 1):  # each unordered pair once; the last shift of an even S twice
        each = torch.linalg.vector_norm(hypotheses - hypotheses.roll(shift, 0), dim=-1).sum(0)
        apart = apart + (each / 2 if 2 * shift == count else each)
    return near - apart / (count * (count - 1))


def ellipsoid_coverage(hypotheses: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """How often joints lie in the hypotheses' central ellipsoids: (S, B, J, d) and (B, J, d) to (J, L).

    The ellipsoids are those of the Mahalanobis distance to mean and covariance of truth and hypotheses
    together (the pre-rank of Gneiting et al. 2008, Assessing Probabilistic Forecasts, section 2.3): where the
    truth is one draw more, its rank is any with the same chance, of whatever distribution and S. As in
    ``coverage`` half of a rank counts where a level cuts it; S must exceed d.
    """
    count = len(hypotheses)
    if count <= truth.shape[-1]:
        raise ValueError(f"ellipsoid_coverage needs more than {truth.shape[-1]} hypotheses, got {count}")
    points = torch.cat([hypotheses, truth[None]]).double()
    away = points - points.mean(0)
    covariance = torch.einsum("s...i,s...j->...ij", away, away) / count
    floor = 1e-12 * covariance.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=1e-30)
    eye = torch.eye(truth.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor = torch.linalg.cholesky(covariance + floor[..., None, None] * eye)
    distance = torch.linalg.solve_triangular(factor, away[..., None], upper=False).square().sum((-2, -1))
    inner, own = distance[:-1], distance[-1]
    rank = ((inner < own).double() + 0.5 * (inner == own)).sum(0)
    share = levels.double()[:, None, None].to(rank.device) * (count + 1) - rank  # of its cell below the level
    return share.clamp(0, 1).mean(1).T.to(levels)


def sharpness(hypotheses: Tensor, level: float = 0.9) -> Tensor:
    """Width of the hypotheses' central interval of each coordinate: (S, ...) to (...)."""
    ends = hypotheses.new_tensor([(1 - level) / 2, (1 + level) / 2])
    low, high = torch.quantile(hypotheses, ends, dim=0)
    return high - low


def scores_mm(
    hypotheses: Tensor, truth: Tensor, levels: tuple[float, ...] = (0.5, 0.8, 0.9)
) -> dict[str, float]:
    """All scores of hypotheses (S, B, J, 3) of poses (B, J, 3), metres, relative to the root, joint 0.

    Best of 1, 5, ... are expected over which of the S are looked at. The root, which is always at 0, counts
    in distances, as in MPJPE, and in nothing else.
    """
    errors = 1000 * torch.linalg.vector_norm(hypotheses - truth, dim=-1)
    found = {
        f"best_of_{k}_mpjpe_mm": float(expected_best_of(errors.mean(-1), k).mean())
        for k in BEST_OF
        if k <= len(errors)
    }
    found["energy_score_mm"] = 1000 * float(energy_score(hypotheses, truth).mean())
    flat = energy_score(hypotheses.flatten(-2), truth.flatten(-2))
    found["pose_energy_score_mm"] = 1000 * float(flat.mean()) / truth.shape[-2] ** 0.5
    drawn, own = hypotheses[..., 1:, :], truth[..., 1:, :]
    asked = truth.new_tensor(levels)
    inside, ellipsoids = coverage(drawn, own, asked), ellipsoid_coverage(drawn, own, asked)
    by_joint = torch.stack([coverage(drawn[..., j, :], own[..., j, :], asked) for j in range(own.shape[-2])])
    for i, level in enumerate(levels):
        name = f"{level:.0%}".rstrip("%")
        found[f"inside_{name}"] = float(inside[i])
        found[f"joint_inside_{name}_least"] = float(by_joint[:, i].min())
        found[f"joint_inside_{name}_most"] = float(by_joint[:, i].max())
        found[f"ellipsoids_{name}"] = float(ellipsoids[:, i].mean())
    found["sharpness_mm"] = 1000 * float(sharpness(drawn).mean())
    return found
