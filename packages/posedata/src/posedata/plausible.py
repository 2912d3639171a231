"""Whether 2D keypoints are what they are called: pixels, of that skeleton, in an image of that size.

Judged from the numbers alone, so that whoever takes keypoints asks the same: lifting, embedding, retrieval,
training. Where a person could be standing on the head, lying, cropped or badly detected, nothing is said;
docs/pages/keypoints.md has the measured rates.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from posedata.orientation import mirrored, transposed
from posedata.skeleton import SKELETONS, Skeleton
from posedata.stature import standing

_SAMPLE = 500
_SCALED, _STRAY = 2.0, 0.01
_ASIDE = 0.1
_OTHER = 2.0
_WHOLE = 0.8
_LOOSE = 15.0
_SOFT = 0.04
_UPSIDE_DOWN = (100, 0.98)
_SIDES = (5, 0.9)
_WIDEST = 0.15
_MAP, _SMALL = 100.0, 0.1
_WIDE, _NARROW, _STRAIGHT = 0.3, 30.0, 1000.0


class Findings(NamedTuple):
    """What is wrong, one line each, with the figure and the cure.

    Attributes:
        errors: no answer could be right.
        warnings: most likely wrong, or wrong in part.
    """

    errors: list[str]
    warnings: list[str]


def check_keypoints(
    points: np.ndarray, skeleton: Skeleton, size: tuple[int, int] | np.ndarray | None = None
) -> Findings:
    """Whether keypoints are pixels, of this skeleton, in images of this size.

    Args:
        points: (N, J, 3) x, y, confidence, finite (`posedata.keypoints.take_keypoints`); only joints of
            a confidence above 0 count. (N, J, 2): all count.
        skeleton: what they are called.
        size: width and height of the images, for all or (N, 2); unknown if left out.
    """
    pixels = np.asarray(points[..., :2], dtype=np.float64)
    sure = points[..., 2] if points.shape[2] == 3 else np.ones(pixels.shape[:2])
    seen = sure > 0
    rows = np.flatnonzero(seen.sum(1) >= 2)
    if not len(rows):
        return Findings([], [])
    pixels = pixels if seen.all() else np.where(seen[..., None], pixels, np.nan)[rows]
    errors: list[str] = _marks(pixels) or _scaled(pixels)
    warnings: list[str] = []
    if size is not None and not errors:
        sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), (len(points), 2))[rows]
        outside = _outside(pixels, sizes, rows, skeleton)
        errors, warnings = errors + outside.errors, warnings + outside.warnings + _corner(pixels, sizes)
    some, sure = pixels, sure[rows]
    if len(rows) > _SAMPLE:
        sample = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).round().astype(int))
        some, sure = pixels[sample], sure[sample]
    order = _order(some, skeleton)
    errors, warnings = errors + order.errors, warnings + order.warnings
    if order == ([], []):
        odd = _sides(some, skeleton) + _upside_down(some, skeleton)
        warnings += transposed(some, skeleton) or odd or mirrored(some, sure, skeleton)
    return Findings(errors, warnings)


def check_focal(focal: float | int, size: tuple[int, int]) -> list[str]:
    """Warnings on a focal length in pixels.

    Raises:
        ValueError: it is not a number above 0, or so short or so long that no camera has it.
    """
    if not (np.isfinite(focal) and focal > 0):
        raise ValueError(f"focal length is {focal}; give pixels above 0")
    width = max(size)
    across = 2 * np.degrees(np.arctan(width / 2 / focal))
    fault = f"a focal length of {focal:g} pixels sees {across:.0f} degrees across {width} pixels"
    cure = f"of a lens in millimetres give mm / sensor width in mm x {width}"
    if focal < _WIDEST * width:
        raise ValueError(f"{fault}: it looks like a lens in millimetres; {cure}")
    if focal > _STRAIGHT * width:
        raise ValueError(f"a focal length of {focal:g} pixels is over {_STRAIGHT:g} images long; {cure}")
    return [] if _WIDE * width <= focal <= _NARROW * width else [f"{fault}; is it right? {cure}"]


def looks_like(points: np.ndarray, skeleton: Skeleton) -> tuple[str | None, float]:
    """The skeleton of as many joints that fits keypoints better, None if this one fits, and by what factor.

    A person's bones, seen from anywhere, are at most as long as they are: the scale (pixels a metre) that
    the longest-looking bone asks for is about the person's own where joints are read in the right order,
    and several times it where a thigh is taken for the way from nose to eye. That scale is compared
    between the two readings, as a median over the frames that show four in five joints; it does not
    change with the person turned, mirrored or lying.

    Args:
        points: (N, J, 2) pixels, NaN where not seen.
    """
    whole = _whole(points)
    return _better(whole, skeleton, _needed_scale(whole, skeleton))


def _better(points: np.ndarray, skeleton: Skeleton, here: np.ndarray) -> tuple[str | None, float]:
    """`looks_like` of whole people whose needed scale is known."""
    best, factor = None, _OTHER
    for other in SKELETONS.values():
        if len(other) != len(skeleton) or other.name == skeleton.name:
            continue
        there = _needed_scale(points, other)
        both = (here > 0) & (there > 0)
        ratio = float(np.median(here[both] / there[both])) if both.any() else 0.0
        if ratio > factor and _looseness(points, there) < _LOOSE:
            best, factor = other.name, ratio
    return best, factor


def _scaled(pixels: np.ndarray) -> list[str]:
    """Coordinates that were divided by the image's size."""
    if np.count_nonzero(np.abs(pixels) > _SCALED) > _STRAY * np.count_nonzero(np.isfinite(pixels)):
        return []
    low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
    cure = "(x + 1) / 2 times the image's width" if low < -0.1 else "x times the image's width, y its height"
    return [f"all keypoints lie between {low:.2g} and {high:.2g}: they look scaled; give pixels, {cure}"]


def _marks(pixels: np.ndarray) -> list[str]:
    """A place that no image has, (-999, -999) for instance, put for what was not seen."""
    x, y = pixels[..., 0], pixels[..., 1]
    alike = x[(x < -1) & (x == y)]
    places, counts = np.unique(alike, return_counts=True) if len(alike) > 1 else (alike, alike)
    if not counts.size or counts.max() < 2:
        return []
    place, count = float(places[counts.argmax()]), int(counts.max())
    told = f"{count} keypoints lie at exactly ({place:g}, {place:g}), which marks what was not seen"
    return [f"{told}; give those confidence 0, or (NaN, NaN) without confidences"]


def _corner(pixels: np.ndarray, sizes: np.ndarray) -> list[str]:
    """People in a corner of the image as small as the maps that detectors look for peaks in."""
    side = float(sizes.max())
    if np.nanmax(pixels) > _MAP or side < 4 * _MAP:
        return []
    extent = (np.nanmax(pixels, axis=1) - np.nanmin(pixels, axis=1)).max(-1)
    if np.median(extent) > _SMALL * side:
        return []
    width, height = sizes[0].astype(int)
    span = f"all keypoints lie up to {np.nanmax(pixels):.0f} in an image of {width}x{height}"
    return [f"{span}, people are {np.median(extent):.0f} pixels large; are these its pixels, not percent?"]


def _outside(pixels: np.ndarray, sizes: np.ndarray, rows: np.ndarray, skeleton: Skeleton) -> Findings:
    """Keypoints where the image is not."""
    if not ((pixels < 0) | (pixels > sizes[:, None])).any():
        return Findings([], [])
    x, y = pixels[..., 0], pixels[..., 1]
    width, height = sizes[:, 0].astype(int), sizes[:, 1].astype(int)
    middle = np.stack([np.nanmedian(x, axis=1), np.nanmedian(y, axis=1)], -1)
    away = ((middle < 0) | (middle > sizes)).any(-1)
    span = f"x {np.nanmin(x):.0f} to {np.nanmax(x):.0f}, y {np.nanmin(y):.0f} to {np.nanmax(y):.0f}"
    if away.mean() > 0.5:
        where = f"an image of {width[0]}x{height[0]}"
        return Findings([f"people lie outside {where}: {span}; give the image's size, and pixels of it"], [])
    # By how many image sizes a keypoint lies beyond the border.
    beyond = np.maximum(-pixels, pixels - sizes[:, None]) / sizes[:, None]
    beyond = np.nan_to_num(beyond, nan=-1.0).max(-1)
    far = beyond > _ASIDE
    if not far.any():
        return Findings([], [])
    i, j = np.unravel_index(int(beyond.argmax()), beyond.shape)
    most = f"frame {rows[i]}, {skeleton.joints[j]} at ({x[i, j]:.0f}, {y[i, j]:.0f})"
    share = far.sum() / np.isfinite(x).sum()
    fault = f"{share:.1%} of keypoints lie far outside an image of {width[i]}x{height[i]}, farthest {most}"
    return Findings([], [f"{fault}; give the image's size, or those keypoints confidence 0"])


def _order(pixels: np.ndarray, skeleton: Skeleton) -> Findings:
    """Joints in another order than the skeleton's."""
    whole = _whole(pixels)
    needed = _needed_scale(whole, skeleton)
    best, factor = _better(whole, skeleton, needed)
    if best is not None:
        fault = (
            f"joints look like {best}, not {skeleton.name}, as which bones look {factor:.1f} times as long"
        )
        return Findings([f"{fault}; give skeleton {best}, or bring them into {skeleton.name}'s order"], [])
    if (times := _looseness(whole, needed)) > _LOOSE:
        fault = f"bones are {times / 3:.0f} times as long as a person of this size has"
        return Findings(
            [], [f"joints do not hang together as {skeleton.name}: {fault}; is their order right?"]
        )
    return Findings([], [])


def _sides(pixels: np.ndarray, skeleton: Skeleton) -> list[str]:
    """Left and right exchanged in one part of the body and not in another."""
    if len(pixels) < _SIDES[0]:
        return []
    across = {part: _across(pixels, skeleton, part) for part in ("hip", "shoulder", "ear")}
    faults = []
    for one, other in (("hip", "shoulder"), ("shoulder", "ear")):
        a, b = across[one], across[other]
        if a is None or b is None:
            continue
        lengths = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
        extent = np.nanmax(pixels, 1) - np.nanmin(pixels, 1)
        # Both seen from the front or the back: a quarter and an eighth of a person's width to height.
        broad = (lengths[0] > 0.08 * extent.max(-1)) & (lengths[1] > 0.04 * extent.max(-1))
        against = (a * b).sum(-1)[broad] < -0.5 * (lengths[0] * lengths[1])[broad]
        if len(against) >= _SIDES[0] and against.mean() >= _SIDES[1]:
            faults.append(
                f"left and right of {one}s and {other}s are opposite in {against.mean():.0%} of frames seen "
                "from front or back: exchange the sides of one of them"
            )
    return faults


def _upside_down(pixels: np.ndarray, skeleton: Skeleton) -> list[str]:
    """Upright people on their heads, in so many frames that nobody would stay there."""
    if len(pixels) < _UPSIDE_DOWN[0]:
        return []
    tops = [
        skeleton.index(name) for name in ("nose", "neck", "head", "head_centre") if name in skeleton.joints
    ]
    ends = [i for i, name in enumerate(skeleton.joints) if name.endswith(("_knee", "_ankle", "_foot"))]
    if not tops or not ends:
        return []
    x, y = (_mean(pixels[:, tops, axis]) - _mean(pixels[:, ends, axis]) for axis in (0, 1))
    known = np.isfinite(x) & np.isfinite(y)
    below = (y > 2 * np.abs(x))[known]
    if len(below) < _UPSIDE_DOWN[0] or below.mean() < _UPSIDE_DOWN[1]:
        return []
    return [f"heads are below knees in {below.mean():.0%} of frames: does y point up? pixels have y down"]


def _whole(points: np.ndarray) -> np.ndarray:
    """The frames that show nearly all joints: half a person fits many orders."""
    kept: np.ndarray = points[np.isfinite(points[..., 0]).mean(1) >= _WHOLE]
    return kept


def _looseness(points: np.ndarray, needed: np.ndarray) -> float:
    """The needed scale over the person's extent, about 3 for a person; a median over frames, 0 of none."""
    if not len(points):
        return 0.0
    spread = np.sqrt(2 * np.nanmean((points - np.nanmean(points, 1, keepdims=True)) ** 2, axis=(1, 2)))
    loose = needed[spread > 0] / spread[spread > 0]
    loose = loose[np.isfinite(loose)]
    return float(np.median(loose)) if len(loose) else 0.0


def _across(pixels: np.ndarray, skeleton: Skeleton, part: str) -> np.ndarray | None:
    if f"left_{part}" not in skeleton.joints:
        return None
    return pixels[:, skeleton.index(f"left_{part}")] - pixels[:, skeleton.index(f"right_{part}")]


def _mean(values: np.ndarray) -> np.ndarray:
    count = np.isfinite(values).sum(-1)
    return np.nansum(values, axis=-1) / np.where(count > 0, count, np.nan)


def _needed_scale(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(N,) pixels a metre that the longest-looking bone asks for; NaN where no bone is seen."""
    ends, lengths = _bones(skeleton)
    if not len(ends):
        return np.full(len(points), np.nan)
    seen = np.linalg.norm(points[:, ends[:, 0]] - points[:, ends[:, 1]], axis=-1) / (lengths + _SOFT)
    return np.where(np.isfinite(seen).any(1), np.nan_to_num(seen, nan=-1.0).max(1), np.nan)


@lru_cache(maxsize=64)
def _bones(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) ends of the bones whose length is known, and (E,) metres."""
    known = []
    for child, parent in skeleton.edges:
        a, b = standing(skeleton.joints[child]), standing(skeleton.joints[parent])
        if a is not None and b is not None:
            known.append((child, parent, float(np.linalg.norm(np.subtract(a, b)))))
    return np.array([k[:2] for k in known], dtype=int).reshape(-1, 2), np.array([k[2] for k in known])
