"""Guidance: denoisers made from denoisers. A guided one goes into any sampler.

Classifier-free guidance mixes a conditional and an unconditional denoiser. ``guided`` pulls what a denoiser
predicts towards a set that it should lie in; with ``onto_rays`` that set is the poses which project onto
observed 2D joints, which lifts with a prior alone (ZeDO, Jiang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posediff.sde import Denoise


def classifier_free(conditional: Denoise, unconditional: Denoise, weight: float) -> Denoise:
    """``D_c + weight (D_c - D_u)`` (Ho and Salimans 2022, eq. 6). 0 is the conditional denoiser itself."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        expected = conditional(x, sigma)
        return expected + weight * (expected - unconditional(x, sigma)) if weight else expected

    return denoise


def guided(denoise: Denoise, correct: Callable[[Tensor], Tensor], *, strength: float = 1.0) -> Denoise:
    """Moves every denoised value the share ``strength`` of the way to ``correct`` of it."""

    def corrected(x: Tensor, sigma: Tensor) -> Tensor:
        expected = denoise(x, sigma)
        return expected + strength * (correct(expected) - expected)

    return corrected


def onto_rays(pose: Tensor, rays: Tensor, confidence: Tensor | None = None) -> Tensor:
    """A root-relative pose moved onto the rays of its 2D joints, each joint to its ray's nearest point.

    pose: (..., J, 3), root-relative in camera axes; rays: (..., J, 3), directions (x/z, y/z, 1) of the 2D
    joints in the same camera; confidence: (..., J) in [0, 1], 0 leaves a joint where it is. The unknown
    position of the root is first found by least squares (``place``). Returns (..., J, 3), root-relative to
    the place found, so that the root moves too. After ZeDO (Jiang et al. 2024, section 3.3).
    """
    root = place(pose, rays, confidence)[..., None, :]
    points = pose + root
    unit = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
    move = (points * unit).sum(-1, keepdim=True) * unit - points
    return pose + (move if confidence is None else confidence[..., None] * move)


def place(pose: Tensor, rays: Tensor, confidence: Tensor | None = None) -> Tensor:
    """The translation T for which ``pose + T`` is nearest to its rays: a linear least-squares problem.

    Of every joint, ``(X + T_x) - u (Z + T_z)`` and ``(Y + T_y) - v (Z + T_z)`` shall vanish, where (u, v, 1)
    is its ray; each is weighted by the joint's confidence squared. (..., J, 3) to (..., 3). A solution
    behind the camera is mirrored before it.
    """
    u, v = (rays[..., :2] / rays[..., 2:]).unbind(-1)
    weight = torch.ones_like(u) if confidence is None else confidence**2
    x, y, z = pose.unbind(-1)
    offset_u, offset_v = x - u * z, y - v * z
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    rows = torch.cat([torch.stack([one, zero, -u], -1), torch.stack([zero, one, -v], -1)], -2)
    weights = torch.cat([weight, weight], -1)[..., None]
    rows, target = rows * weights, -torch.cat([offset_u, offset_v], -1)[..., None] * weights
    rows, target = rows.double(), target.double()
    normal = rows.transpose(-1, -2) @ rows
    # A floor far below any real pose's value keeps one visible joint, or none, from being singular.
    normal = normal + 1e-9 * torch.eye(3, dtype=normal.dtype, device=normal.device)
    found = torch.linalg.solve(normal, rows.transpose(-1, -2) @ target)[..., 0].to(pose)
    return torch.where(found[..., 2:] < 0, -found, found)
