"""Rigid and similarity alignment of point sets: Kabsch, Procrustes, root-relative.

The rotation is Horn's unit quaternion (J. Opt. Soc. Am. A 4, 1987): the top eigenvector of a symmetric
4 x 4 matrix made of the covariance. It is always proper (det +1), so a mirrored pose needs no special case.
The eigenvalue comes from Newton's method on the characteristic quartic and the eigenvector from the adjugate
(Theobald, Acta Cryst. A 61, 2005), over the whole batch at once; the few matrices too near a double
eigenvalue for that go through ``eigh``. Inside all is float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_NEWTON_STEPS = 10
_WELL_CONDITIONED = 1e-2
_SAME_EIGENVALUE = 1e-10


class Similarity(NamedTuple):
    """``p -> scale * R p + translation`` on any leading batch shape."""

    rotation: Float[Tensor, "*batch 3 3"]
    scale: Float[Tensor, "*batch"]
    translation: Float[Tensor, "*batch 3"]

    def apply(self, points: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Transformed points."""
        turned = points @ self.rotation.mT
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def kabsch(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch 3 3"]:
    """The rotation R about the origin that minimises ``sum_n w_n |R source_n - target_n|²``.

    Nothing is centred: subtract a root or a centroid first where that is meant.

    Args:
        source, target: (..., N, 3).
        weights: (..., N), non-negative; equal if left out.

    Returns:
        (..., 3, 3), det +1. Where the best rotation is not unique (points on one line, all zero, a perfect
        mirror image with equal spreads) one of the best; gradients stay finite there, as the directions in
        which R is undetermined get none. A NaN among the points makes its own rotation NaN, no other.

    Raises:
        ValueError: the two differ in their number of points, have none, or weights do not fit them.
    """
    _check(source, target, weights)
    wide = source.double() if weights is None else source.double() * weights.double()[..., None]
    covariance = target.double().mT @ wide
    return rotation_from_covariance(covariance).to(source.dtype)


def procrustes(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    *,
    scale: bool = True,
    weights: Float[Tensor, "*batch N"] | None = None,
) -> Similarity:
    """The similarity that takes ``source`` nearest to ``target`` in (weighted) least squares.

    Umeyama, IEEE PAMI 13, 1991, by the quaternion instead of the SVD.

    Args:
        source, target: (..., N, 3).
        scale: whether the scale is free; otherwise it is 1 (rigid).
        weights: (..., N), non-negative; equal if left out. Points of weight zero may hold anything finite.

    Returns:
        ``Similarity`` in the dtype of ``source``. A source without extent gets scale 1. Where all weights are
        zero nothing is known: NaN.

    Raises:
        ValueError: as of ``kabsch``.
    """
    found = _procrustes(source.double(), target.double(), scale, weights)
    return Similarity(*(part.to(source.dtype) for part in found))


def align(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    *,
    scale: bool = True,
    weights: Float[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch N 3"]:
    """``source`` moved, turned and (if ``scale``) resized to lie nearest ``target``; see ``procrustes``."""
    wide = source.double()
    return _procrustes(wide, target.double(), scale, weights).apply(wide).to(source.dtype)


def root_relative(
    joints: Float[Tensor, "*batch J d"], root: int | tuple[int, ...] = 0
) -> Float[Tensor, "*batch J d"]:
    """Joints less the root joint, or less the mean of several (both hips, where there is no pelvis).

    Raises ValueError for a root that is no joint; a negative one counts from no end.
    """
    roots = [root] if isinstance(root, int) else list(root)
    if not roots or not all(0 <= index < joints.shape[-2] for index in roots):
        raise ValueError(f"root {root}: give the index of a joint, 0 to {joints.shape[-2] - 1}")
    return joints - joints[..., roots, :].mean(dim=-2, keepdim=True)


def rotation_from_covariance(
    covariance: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 3 3"]:
    """The rotation R with the largest trace of ``Rᵀ covariance``, where covariance = sum target sourceᵀ."""
    size = covariance.detach().flatten(-2).norm(dim=-1)[..., None, None]
    unit = covariance.double() / size.clamp_min(torch.finfo(covariance.dtype).tiny)
    key = _horn_matrix(unit.reshape(-1, 9).T.contiguous().unflatten(0, (3, 3)))
    rotation = _quaternion_to_rotation(_TopEigenvector.apply(key))
    return rotation.movedim(-1, 0).reshape(covariance.shape).to(covariance.dtype)


def _check(source: Tensor, target: Tensor, weights: Tensor | None) -> None:
    count = source.shape[-2]
    if not count or target.shape[-2] != count:
        raise ValueError(
            f"source has {count} points, target {target.shape[-2]}; give the same points, one or more"
        )
    if weights is not None and weights.shape[-1] != count:
        raise ValueError(f"weights are of {weights.shape[-1]} points, there are {count}; give one each")


def _procrustes(source: Tensor, target: Tensor, scale: bool, weights: Tensor | None) -> Similarity:
    _check(source, target, weights)
    if weights is None:
        source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    else:
        share = weights.double()[..., None]
        share = share / share.sum(-2, keepdim=True)
        source_mean, target_mean = (
            (share * source).sum(-2, keepdim=True),
            (share * target).sum(-2, keepdim=True),
        )
    source, target = source - source_mean, target - target_mean
    weighted = source if weights is None else share * source
    covariance = target.mT @ weighted
    rotation = rotation_from_covariance(covariance)
    factor = torch.ones_like(rotation[..., 0, 0])
    if scale:
        spread = (weighted * source).sum((-2, -1))
        has_extent = ~(spread <= torch.finfo(torch.float64).tiny)  # so that NaN stays NaN
        fitted = (rotation * covariance).sum((-2, -1)) / torch.where(has_extent, spread, factor)
        factor = torch.where(has_extent, fitted, factor)
    turned_mean = factor[..., None] * (rotation * source_mean).sum(-1)
    return Similarity(rotation, factor, target_mean[..., 0, :] - turned_mean)


def _horn_matrix(covariance: Tensor) -> Tensor:
    """(3, 3, B) to Horn's symmetric, traceless (4, 4, B); the quaternion is (w, x, y, z)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = covariance
    w = [xx + yy + zz, zy - yz, xz - zx, yx - xy]
    x = [w[1], xx - yy - zz, xy + yx, xz + zx]
    y = [w[2], x[2], yy - xx - zz, yz + zy]
    z = [w[3], x[3], y[3], zz - xx - yy]
    return torch.stack([*w, *x, *y, *z]).unflatten(0, (4, 4))


def _quaternion_to_rotation(quaternion: Tensor) -> Tensor:
    """Unit (4, B), w first, to (3, 3, B)."""
    w, x, y, z = quaternion
    ww, xx, yy, zz = quaternion.square()
    rows = (
        [ww + xx - yy - zz, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), ww - xx + yy - zz, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), ww - xx - yy + zz],
    )
    return torch.stack([entry for row in rows for entry in row]).unflatten(0, (3, 3))


class _TopEigenvector(torch.autograd.Function):
    """Unit top eigenvector (4, B) of (4, 4, B): the Horn matrices of covariances of norm 1 (or 0)."""

    @staticmethod
    def forward(ctx: Any, key: Tensor) -> Tensor:
        vector, sure = _top_eigenvector(key)
        hard = ~sure & key.isfinite().all(0).all(0)
        if bool(hard.any()):
            vector[:, hard] = torch.linalg.eigh(key[..., hard].movedim(-1, 0))[1][..., -1].T
        ctx.save_for_backward(key, vector)
        return vector

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # dq = sum over the other eigenpairs of v (v . dK q) / (top - value).
        key, vector = ctx.saved_tensors
        values, vectors = torch.linalg.eigh(key.nan_to_num().movedim(-1, 0))
        gap = (values[:, -1:] - values).T
        along = (vectors.mT @ grads[0].T[..., None])[..., 0].T
        share = torch.where(gap > _SAME_EIGENVALUE, along / gap.clamp_min(_SAME_EIGENVALUE), 0.0)
        push = (vectors @ share.T[..., None])[..., 0].T
        return (push[:, None] * vector + vector[:, None] * push) / 2


def _top_eigenvector(key: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvector by Newton and adjugate, and a mask of where it can be relied on."""
    adjugate = _adjugate(key)
    quadratic = -0.5 * key.square().sum((0, 1))
    linear = -_trace(adjugate)
    constant = (key[0] * adjugate[0]).sum(0)
    # The roots are sums of signed singular values, the norm of those is 1, so no root exceeds sqrt(3).
    root = torch.full_like(linear, 3**0.5)
    step = root
    for _ in range(_NEWTON_STEPS):
        square = root * root
        inner = (square + quadratic) * root + linear
        slope = 3 * square * root + quadratic * root + inner
        step = (inner * root + constant) / slope
        root = root - step
    shifted = key - root * torch.eye(4, dtype=key.dtype, device=key.device)[..., None]
    # Now the adjugate is -(product of the gaps to the other roots) times q qT.
    projector = -_adjugate(shifted)
    gaps = _trace(projector)
    diagonal = torch.stack([projector[i, i] for i in range(4)])
    longest = diagonal.argmax(0)
    vector = projector.gather(0, longest.expand(1, 4, -1))[0]
    sure = (gaps > _WELL_CONDITIONED) & (step.abs() < 1e-9)
    return vector / vector.norm(dim=0), sure


def _trace(matrix: Tensor) -> Tensor:
    return matrix[0, 0] + matrix[1, 1] + matrix[2, 2] + matrix[3, 3]


def _adjugate(matrix: Tensor) -> Tensor:
    """Adjugate of symmetric (4, 4, B), by the 2 x 2 minors of its upper and lower halves."""
    a, b, c, d = matrix[0]
    e, f, g = matrix[1, 1:]
    h, i = matrix[2, 2:]
    j = matrix[3, 3]
    s0, s1, s2, s3, s4, s5 = (
        a * e - b * b,
        a * f - b * c,
        a * g - b * d,
        b * f - e * c,
        b * g - e * d,
        c * g - f * d,
    )
    c5, c4, c3, c2, c1 = h * j - i * i, f * j - g * i, f * i - g * h, c * j - d * i, c * i - d * h
    ww, wx = e * c5 - f * c4 + g * c3, c * c4 - b * c5 - d * c3
    wy, wz = g * s5 - i * s4 + j * s3, h * s4 - f * s5 - i * s3
    xx, xy = a * c5 - c * c2 + d * c1, i * s2 - d * s5 - j * s1
    xz, yy = c * s5 - h * s2 + i * s1, d * s4 - g * s2 + j * s0
    yz, zz = f * s2 - c * s4 - i * s0, c * s3 - f * s1 + h * s0
    rows = [ww, wx, wy, wz, wx, xx, xy, xz, wy, xy, yy, yz, wz, xz, yz, zz]
    return torch.stack(rows).unflatten(0, (4, 4))
