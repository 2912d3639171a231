"""Joints from the rays of several cameras, or of one, completed by what the lifter makes of each view.

Two kinds of Gaussian are multiplied. A ray says where a joint is across it; a lifted pose says where a joint
is from the pelvis. The first are independent from joint to joint, the second hang from the pelvis alone, so
that a frame's least squares over all joints fall apart into 3x3 systems. `solve_naive` solves the whole.

Both are robust (Geman and McClure 1987, by iteratively reweighted least squares whose scale shrinks): a ray
that passes beside the joint counts for nothing, and one camera with a prior is enough to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polypose.capture.depth import Reach
from polypose.capture.rays import Rays

SHRINKING = (16.0, 8.0, 5.0, 3.5, 3.0, 3.0)
"""Standard deviations at which a ray's weight has fallen to a quarter, an iteration each."""
_PRIOR_SCALE = 4.0
_FAR = 1e3
_PIECE = 2000
_NOTHING = 1e-8
"""Information (1/m²) that everything has, about the origin, so that no system is singular."""


@dataclass(frozen=True)
class Prior:
    """Poses about the pelvis, in the world's axes, of one or several sources.

    Attributes:
        joints: (S, T, J, 3) metres from the pelvis; NaN where a source has none.
        covariance: (S, T, J, 3, 3) square metres.
        alike: correlation of the errors of two sources; 1: the second adds nothing.
        beside: metres, sd along one axis by which the pelvis that all joints of a pose hang from lies beside
            the pelvis that is seen: what they err by together.
    """

    joints: np.ndarray
    covariance: np.ndarray
    alike: float = 0.5
    beside: float = 0.0


@dataclass(frozen=True)
class Joints:
    """Where joints are.

    Attributes:
        joints: (T, J, 3) metres; NaN where neither rays nor prior say.
        covariance: (T, J, 3, 3) square metres; relative: (T, J, 3, 3) of the way from what poses hang from.
        weights: (V, T, J) what each ray counted, 0 to 1; 0 where not seen.
        leverage: (V, T, J) by how much of its two dimensions each ray decided itself.
    """

    joints: np.ndarray
    covariance: np.ndarray
    relative: np.ndarray
    weights: np.ndarray
    leverage: np.ndarray


def triangulate(rays: Rays, prior: Prior | None = None, root: int = 0, reach: Reach | None = None) -> Joints:
    """Joints of rays, weighted, robust and completed by a prior.

    Args:
        root: the joint that the prior's poses are about.
        reach: how far away along the rays joints are, where that was measured.
    """
    if prior is not None and prior.beside > 0:
        return _hung_beside(rays, prior, root)
    weights = rays.seen.astype(float)
    held = None if reach is None else (rays.seen & np.isfinite(reach.distance)).astype(float)
    trust = None if prior is None else np.isfinite(prior.joints).all(-1).astype(float)
    depth = np.full(rays.sd.shape, np.nan)
    points = np.full((*rays.sd.shape[1:], 3), np.nan)
    for scale in SHRINKING:
        information, vector = _of_rays(rays, weights, depth, reach, held)
        pull, pulled = _of_prior(prior, trust, points.shape)
        points, covariance, _ = _solve(information, vector, pull, pulled, root)
        depth = np.linalg.norm(points - rays.origin[:, None, None], axis=-1)
        weights = np.where(rays.seen, _mcclure(rays.misses(points), scale), 0.0)
        if reach is not None:
            held = _held(rays, reach, points, scale)
        if prior is not None:
            trust = _trust(prior, points - points[:, [root]])
    information, vector = _of_rays(rays, weights, depth, reach, held)
    pull, pulled = _of_prior(prior, trust, points.shape)
    points, covariance, relative = _solve(information, vector, pull, pulled, root)
    known = np.trace(covariance, axis1=-2, axis2=-1) < _FAR
    return Joints(
        np.where(known[..., None], points, np.nan),
        np.where(known[..., None, None], covariance, np.nan),
        np.where(known[..., None, None], relative, np.nan),
        weights,
        _leverage(rays, weights, depth, covariance),
    )


def in_pieces(fit: Callable[[slice], Joints], frames: int) -> Joints:
    """What `fit` gives of a film's frames, some hundred at a time: what it holds meanwhile stays small."""
    parts = [fit(slice(start, start + _PIECE)) for start in range(0, frames, _PIECE)]
    return Joints(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("joints", "covariance", "relative")),
        *(np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("weights", "leverage")),
    )


def noise_factors(rays: Rays, found: Joints) -> np.ndarray:
    """(V,) by what to multiply each camera's `sd` so that its rays miss joints as often as it says.

    Misses are counted for as many dimensions as were left to the other rays and the prior; within 1/3 to 5.
    """
    misses = np.nan_to_num(rays.misses(np.nan_to_num(found.joints)))
    inside = found.weights > 0.25  # within the scale: beyond it are errors of another kind
    free = np.where(inside, 2 - found.leverage, 0).sum((1, 2))
    total = np.where(inside, misses**2, 0).sum((1, 2))
    return np.where(free > 20, np.clip(np.sqrt(total / np.maximum(free, 1e-9)), 1 / 3, 5), 1.0)


def dlt(rays: Rays, weights: np.ndarray | None = None) -> np.ndarray:
    """(T, J, 3) the point nearest to all rays by weighted distance, where two saw it; else NaN.

    The baseline: each camera's weight is its confidence, no ray is doubted. (In the pixels' algebraic form it
    is the direct linear transform of Hartley and Zisserman, section 12.2; of unit rays that is this.)
    """
    weights = rays.seen.astype(float) if weights is None else weights * rays.seen
    across = np.eye(3) - rays.direction[..., :, None] * rays.direction[..., None, :]
    system = (weights[..., None, None] * across).sum(0)
    wanted = (weights[..., None] * (across @ rays.origin[:, None, None, :, None])[..., 0]).sum(0)
    known = ((weights > 0).sum(0) >= 2) & (np.linalg.eigvalsh(system)[..., 0] > 1e-9)
    system = np.where(known[..., None, None], system, np.eye(3))
    return np.where(known[..., None], np.linalg.solve(system, wanted[..., None])[..., 0], np.nan)


def solve_naive(
    information: np.ndarray, vector: np.ndarray, pull: np.ndarray, pulled: np.ndarray, root: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`_solve` by one system of all joints: the test's oracle."""
    frames, count = vector.shape[:2]
    points = np.zeros((frames, count, 3))
    covariance, relative = np.zeros((2, frames, count, 3, 3))
    for t in range(frames):
        system, wanted = np.zeros((3 * count, 3 * count)), np.zeros(3 * count)
        r = slice(3 * root, 3 * root + 3)
        for j in range(count):
            s = slice(3 * j, 3 * j + 3)
            system[s, s] += information[t, j] + _NOTHING * np.eye(3)
            wanted[s] += vector[t, j]
            if j != root:
                system[s, s] += pull[t, j]
                system[r, r] += pull[t, j]
                system[s, r] -= pull[t, j]
                system[r, s] -= pull[t, j]
                wanted[s] += pulled[t, j]
                wanted[r] -= pulled[t, j]
        points[t] = np.linalg.solve(system, wanted).reshape(count, 3)
        inverse = np.linalg.inv(system)
        for j in range(count):
            s = slice(3 * j, 3 * j + 3)
            covariance[t, j] = inverse[s, s]
            relative[t, j] = inverse[s, s] + inverse[r, r] - inverse[s, r] - inverse[r, s]
    return points, covariance, relative


def _solve(
    information: np.ndarray, vector: np.ndarray, pull: np.ndarray, pulled: np.ndarray, root: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise Σ_j |x_j|²_information - 2 vector·x_j + |x_j - x_root|²_pull - 2 pulled·(x_j - x_root).

    Given the root every joint is its own 3x3 system; what is left of them is the root's.

    Args:
        information, pull: (T, J, 3, 3); vector, pulled: (T, J, 3), information times mean.

    Returns:
        the joints (T, J, 3), their marginal covariances and those of their ways from the root.
    """
    count = vector.shape[1]
    others = np.arange(count) != root
    information = information + _NOTHING * np.eye(3)
    own = np.linalg.inv(information[:, others] + pull[:, others])
    through = pull[:, others] @ own  # what of a joint's own evidence reaches the root
    rest = pull[:, others] - through @ pull[:, others]
    system = information[:, root] + rest.sum(1)
    evidence = vector[:, others] + pulled[:, others]
    wanted = vector[:, root] + ((through @ evidence[..., None])[..., 0] - pulled[:, others]).sum(1)
    spread = np.linalg.inv(_symmetric(system))
    place = (spread @ wanted[..., None])[..., 0]
    points, covariance = np.empty_like(vector), np.empty_like(information)
    points[:, root], covariance[:, root] = place, spread
    held = pull[:, others] @ place[:, None, :, None]
    points[:, others] = (own @ (evidence[..., None] + held))[..., 0]
    covariance[:, others] = own + np.swapaxes(through, -1, -2) @ spread[:, None] @ through
    relative = np.zeros_like(covariance)
    apart = through - np.eye(3)
    relative[:, others] = own + np.swapaxes(apart, -1, -2) @ spread[:, None] @ apart
    return points, _symmetric(covariance), _symmetric(relative)


def _hung_beside(rays: Rays, prior: Prior, root: int) -> Joints:
    """With one joint more, which nobody sees: the pelvis that the poses and the seen pelvis hang from."""
    own, ways = prior.covariance.copy(), prior.joints
    own[..., root, :, :] = prior.beside**2 * np.eye(3)
    more = Prior(
        np.concatenate([ways, np.zeros_like(ways[..., :1, :])], axis=-2),
        np.concatenate([own, own[..., [root], :, :]], axis=-3),
        prior.alike,
    )
    unseen = Rays(
        rays.origin,
        np.concatenate([rays.direction, np.zeros_like(rays.direction[..., :1, :])], axis=-2),
        np.concatenate([rays.sd, np.full_like(rays.sd[..., :1], np.inf)], axis=-1),
    )
    found = triangulate(unseen, more, ways.shape[-2])
    joints, covariance, relative = (x[:, :-1] for x in (found.joints, found.covariance, found.relative))
    return Joints(joints, covariance, relative, found.weights[..., :-1], found.leverage[..., :-1])


def _of_rays(
    rays: Rays, weights: np.ndarray, depth: np.ndarray, reach: Reach | None, held: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(T, J, 3, 3) information and (T, J, 3) information times mean, summed over the cameras."""
    total, wanted = 0.0, 0.0
    for origin, direction, each in zip(
        rays.origin, rays.direction, _precision(rays, weights, depth), strict=True
    ):
        across = each[..., None, None] * (np.eye(3) - direction[..., :, None] * direction[..., None, :])
        total = total + across
        wanted = wanted + across @ origin
    if reach is not None and held is not None:
        precision = np.where(held > 0, held / np.nan_to_num(reach.sd, nan=1.0) ** 2, 0.0)
        ends = rays.origin[:, None, None] + np.nan_to_num(reach.distance)[..., None] * rays.direction
        along = precision[..., None, None] * rays.direction[..., :, None] * rays.direction[..., None, :]
        total = total + along.sum(0)
        wanted = wanted + (along @ ends[..., None])[..., 0].sum(0)
    return np.asarray(total), np.asarray(wanted)


def _held(rays: Rays, reach: Reach, points: np.ndarray, scale: float) -> np.ndarray:
    """(V, T, J) what each measured distance counts, 0 to 1."""
    known = rays.seen & np.isfinite(reach.distance)
    away = ((points - rays.origin[:, None, None]) * rays.direction).sum(-1)
    return np.where(known, _mcclure((away - reach.distance) / reach.sd, scale), 0.0)


def _precision(rays: Rays, weights: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(V, T, J) 1/m² across each ray, at the joint's depth; before that is known, at four metres."""
    away = np.where(np.isfinite(depth), np.maximum(depth, 0.1), 4.0)
    sd = np.where(rays.seen, rays.sd * away, 1.0)
    return np.where(rays.seen, weights / sd**2, 0.0)


def _of_prior(
    prior: Prior | None, trust: np.ndarray | None, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Likewise of the poses about the root, for as much as correlated sources are worth together."""
    if prior is None or trust is None:
        return np.zeros((*shape, 3)), np.zeros(shape)
    known = np.isfinite(prior.joints).all(-1)
    sources = known.sum(0)
    share = trust / np.maximum(1 + prior.alike * (sources - 1), 1)
    covariance = np.where(known[..., None, None], prior.covariance, np.eye(3))
    each = np.where(known, share, 0)[..., None, None] * np.linalg.inv(covariance)
    mean = np.where(known[..., None], prior.joints, 0)
    return each.sum(0), (each @ mean[..., None])[..., 0].sum(0)


def _trust(prior: Prior, relative: np.ndarray) -> np.ndarray:
    """(S, T, J) weights of the prior's joints by how far off they are in their own covariance."""
    known = np.isfinite(prior.joints).all(-1)
    off = np.where(known[..., None], prior.joints - relative, 0)
    covariance = np.where(known[..., None, None], prior.covariance, np.eye(3))
    square = (off * np.linalg.solve(covariance, off[..., None])[..., 0]).sum(-1)
    return np.where(known, _mcclure(np.sqrt(square / 3), _PRIOR_SCALE), 0.0)


def _leverage(rays: Rays, weights: np.ndarray, depth: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """trace(information of the ray · covariance of the joint)."""
    across = np.trace(covariance, axis1=-2, axis2=-1) - np.einsum(
        "vtjx,tjxy,vtjy->vtj", rays.direction, covariance, rays.direction
    )
    return np.clip(_precision(rays, weights, depth) * across, 0, 2)


def _mcclure(misses: np.ndarray, scale: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.square(np.nan_to_num(misses) / scale)) ** 2)


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return np.asarray((matrices + np.swapaxes(matrices, -1, -2)) / 2)
