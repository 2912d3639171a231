"""Left and right exchanged by the detector, found and mended.

Detectors take a person seen from the side for facing the other way for runs of frames, legs and arms apart.
Both assignments of a camera's frame are tried: with several cameras the one is kept that the others' rays
agree with, with one camera the one that moves least.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from posedata.skeleton import Skeleton

from polypose.capture.rays import Rays, box_size
from polypose.capture.triangulate import dlt

PARTS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
"""Joints that are exchanged together."""
_WHOLE = 4
"""Cameras of which every combination of assignments is tried; further ones follow those."""
_MOST_MISS, _ALONE = 6.0, 2.0
"""Standard deviations at which a ray's miss counts no more: it is wrong in either assignment; and
what a ray counts that meets no other."""
_EXCHANGED = 0.01
"""What an exchanged frame costs, in units of the person moving by its own size: as given is likelier."""
_JUMP, _LOST = 0.3, 0.1
"""Sizes of the person at which a joint's step counts no more, and that of one that appears or is lost."""
_EXCHANGED_VIEW = 0.25
"""Likewise of several cameras, in squared standard deviations."""
_STEP, _MOST_STEP = 0.1, 3.0
"""Metres that a joint goes between frames for one unit of cost, and the units at which it counts no more."""
_PIECE = 4096
_WORTH = 0.25
"""What a frame's misses count: those of the next frame are much the same."""


def unswap(keypoints: np.ndarray, skeleton: Skeleton, times: np.ndarray | None = None) -> np.ndarray:
    """One camera's keypoints with runs of exchanged sides put back, by continuity alone.

    The cheapest path through both assignments of every frame (Viterbi): a step costs what the part's joints
    move in units of the person, an exchanged frame a little. What is exchanged for most of the time stays so.

    Args:
        keypoints: (T, J, 3) pixels and confidence.
        times: (T,) seconds; evenly spaced where left out. Steps over gaps weigh less.
    """
    out = keypoints.copy()
    if len(keypoints) < 3:
        return out
    spaces = np.ones(len(keypoints) - 1)
    if times is not None:
        spaces = np.diff(times) / np.median(np.diff(times))
    for pairs in _pairs(skeleton):
        parts = [
            _moves(keypoints[start : start + _PIECE + 1], pairs)
            for start in range(0, len(keypoints) - 1, _PIECE)
        ]
        unary = np.stack([np.zeros(len(keypoints)), np.full(len(keypoints), _EXCHANGED)])
        step = np.concatenate(parts, axis=2) / np.maximum(spaces, 1)
        exchanged = _viterbi(unary, step).astype(bool)
        out[exchanged] = _exchange(out[exchanged], pairs)
    return out


def _moves(keypoints: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(2, 2, T - 1) what a part's joints move from frame to frame, as given or exchanged before and after."""
    size = box_size(keypoints)
    places = np.stack([keypoints[:, pairs], keypoints[:, pairs[:, ::-1]]])  # (2, T, P, 2 sides, 3)
    step = np.empty((2, 2, len(keypoints) - 1))
    for before, after in product((0, 1), (0, 1)):
        first, second = places[before, :-1], places[after, 1:]
        once, again = first[..., 2] > 0, second[..., 2] > 0
        far = np.linalg.norm(second[..., :2] - first[..., :2], axis=-1) / size[1:, None, None]
        far = np.where(once & again, np.minimum(far, _JUMP), _LOST * (once ^ again))
        step[before, after] = far.sum((1, 2))
    return step


def unswap_views(keypoints: np.ndarray, rays: Rays, skeleton: Skeleton) -> tuple[np.ndarray, Rays]:
    """Several cameras' keypoints so that their rays agree and what they make moves least; and the rays.

    The cheapest path (Viterbi) through all assignments of all cameras: an assignment costs what its rays miss
    each other by and how many cameras it exchanges, a step what the joints move. Two cameras at one height
    see a left and a right foot on the same line: there the path alone tells.

    Args:
        keypoints: (V, T, J, 3), of which the rays are.
    """
    points, direction, sd = keypoints.copy(), rays.direction.copy(), rays.sd.copy()
    for pairs in _pairs(skeleton):
        exchanged = _of_part(rays, pairs, points[..., 2])
        for view, which in enumerate(exchanged):
            for values in (points, direction, sd):
                values[view, which] = _exchange(values[view, which], pairs)
    return points, Rays(rays.origin, direction, sd)


def _of_part(rays: Rays, pairs: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(V, T) which cameras exchange the sides of these joints."""
    views, frames = rays.sd.shape[:2]
    chosen = np.argsort(-(rays.seen[..., pairs.ravel()] * confidence[..., pairs.ravel()]).sum((1, 2)))
    chosen = np.sort(chosen[:_WHOLE])
    sides = pairs.ravel(), pairs[:, ::-1].ravel()
    options = np.array(list(product((False, True), repeat=len(chosen))))
    places, unary = [], []
    for option in options:
        some = _assigned(rays, chosen, option, sides)
        order = np.where(option[:, None], sides[1], sides[0])
        sure = np.stack([confidence[view][:, row] for view, row in zip(chosen, order, strict=True)])
        place = dlt(some, sure)
        places.append(place)
        unary.append(_cost(some, place) + _EXCHANGED_VIEW * option.sum())
    far = [[_step(first[:-1], second[1:]) for second in places] for first in places]
    path = _viterbi(np.stack(unary), np.array(far))
    out = np.zeros((views, frames), bool)
    out[chosen] = options[path].T
    place = np.stack(places)[path, np.arange(frames)]
    for view in set(range(views)) - set(chosen.tolist()):
        both = [_cost(_assigned(rays, np.array([view]), np.array([x]), sides), place) for x in (False, True)]
        out[view] = both[1] + _EXCHANGED_VIEW < both[0]
    return out


def _assigned(
    rays: Rays, views: np.ndarray, option: np.ndarray, sides: tuple[np.ndarray, np.ndarray]
) -> Rays:
    """The rays of a part's joints by some cameras, some of them exchanged."""
    order = [sides[int(exchanged)] for exchanged in option]
    direction = np.stack([rays.direction[view][:, row] for view, row in zip(views, order, strict=True)])
    sd = np.stack([rays.sd[view][:, row] for view, row in zip(views, order, strict=True)])
    return Rays(rays.origin[views], direction, sd)


def _cost(rays: Rays, place: np.ndarray) -> np.ndarray:
    """(T,) squared misses, each bounded, for what frames after each other are worth."""
    known = np.isfinite(place).all(-1)
    misses = rays.misses(np.where(known[..., None], place, 0))
    misses = np.where(known, np.minimum(misses, _MOST_MISS), _ALONE)
    misses = np.where(rays.seen, misses, 0)
    return np.asarray(_WORTH * (misses**2).sum((0, 2)))


def _step(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(T - 1,) what joints move from a frame to the next, each bounded."""
    far = np.linalg.norm(after - before, axis=-1) / _STEP
    return np.asarray(np.where(np.isfinite(far), np.minimum(far, _MOST_STEP), 1.0).sum(-1))


def _viterbi(unary: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(T,) the cheapest path through S states; unary (S, T), step (S, S, T - 1) from, to."""
    frames = unary.shape[1]
    cost = unary[:, 0].copy()
    came = np.zeros(unary.shape, int)
    for t in range(1, frames):
        through = cost[:, None] + step[:, :, t - 1]
        came[:, t] = through.argmin(0)
        cost = through.min(0) + unary[:, t]
    path = np.zeros(frames, int)
    path[-1] = int(cost.argmin())
    for t in range(frames - 1, 0, -1):
        path[t - 1] = came[path[t], t]
    return path


def _pairs(skeleton: Skeleton) -> list[np.ndarray]:
    """Of each part (P, 2) indices of left and right."""
    return [
        np.array([[skeleton.index(f"{side}_{name}") for side in ("left", "right")] for name in part])
        for part in PARTS
    ]


def _exchange(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(..., J, ·) with the sides of these joints exchanged; the second axis is the joints'."""
    out = values.copy()
    out[:, pairs.ravel()] = values[:, pairs[:, ::-1].ravel()]
    return out
