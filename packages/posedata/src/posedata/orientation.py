"""People who lie on their side or have left for right because of how their keypoints were handed in.

A picture of a person and its mirror image cannot be told apart joint by joint: another person, seen from
the other side, looks just so. What differs is the ground. Feet stand on it and cameras above it, so the
farther foot is higher in the picture; heads are above hips. Both hold of most frames, not of each, so a
few frames decide nothing, and one clip of one camera seldom does.
"""

from __future__ import annotations

import numpy as np

from posedata.skeleton import Skeleton

_TRANSPOSED = (5, 0.8)
_MANY = 100
_TURNED, _BROAD = 0.2, 0.05
_BENT, _APART = 0.06, 0.015
_MIRRORED = (20, 0.4)
_FACES, _SEEN, _UNSEEN = (10, 0.75), 0.5, 0.2


def transposed(pixels: np.ndarray, skeleton: Skeleton) -> list[str]:
    """Keypoints as (y, x): shoulders left of hips and hips left of ankles, in so many frames.

    People who lie with their heads to the left look the same. They stay where they are and do not turn
    about themselves: in fewer than a hundred frames people must do one of both.

    Args:
        pixels: (N, J, 2), NaN where not seen.
    """
    if len(pixels) < _TRANSPOSED[0]:
        return []
    ends = [_middle(pixels, skeleton, part) for part in ("shoulder", "hip", "ankle")]
    if any(end is None for end in ends):
        return []
    shoulders, hips, ankles = (end for end in ends if end is not None)
    torso, legs = hips - shoulders, ankles - hips
    known = np.isfinite(torso + legs).all(-1)
    if known.sum() < _TRANSPOSED[0]:
        return []
    aside = (torso[:, 0] > 2 * np.abs(torso[:, 1])) & (legs[:, 0] > 2 * np.abs(legs[:, 1]))
    share = float(aside[known].mean())
    if share < _TRANSPOSED[1] or not (known.sum() >= _MANY or _busy(pixels[known], hips[known], skeleton)):
        return []
    return [
        f"shoulders are left of hips and hips left of ankles in {share:.0%} of frames: are these (y, x)?"
        " give x, then y: points[..., [1, 0, 2]]"
    ]


def mirrored(pixels: np.ndarray, sure: np.ndarray, skeleton: Skeleton) -> list[str]:
    """Left and right exchanged in the whole body, by the feet on the ground or by the faces that are seen.

    Args:
        pixels: (N, J, 2), NaN where not seen.
        sure: (N, J) confidences.
    """
    if len(pixels) < 2 * min(_MIRRORED[0], _FACES[0]):
        return []
    cure = f"exchange them: points[:, get_skeleton('{skeleton.name}').mirror]"
    said = "left and right look exchanged, as in a mirrored picture"
    if (share := _farther_foot(pixels, skeleton)) is not None:
        return [f"the foot on the far side is the lower one in {share:.0%} of frames: {said}; {cure}"]
    if (share := _faces_away(pixels, sure, skeleton)) is not None:
        return [f"faces are seen on people seen from behind in {share:.0%} of frames: {said}; {cure}"]
    return []


def _farther_foot(pixels: np.ndarray, skeleton: Skeleton) -> float | None:
    """In what share of frames the foot is lower that is farther, where that is most of them; else None.

    Knees bend ahead and elbows back, which tells whether a person looks to the left or the right of the
    picture, and so which of the sides is farther. Asked of people who look to the left and of people who
    look to the right apart: a clip in which one leg is lifted must not decide.
    """
    lefts, rights = (
        [f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]
        for side in ("left", "right")
    )
    if not {*lefts, *rights} <= set(skeleton.joints):
        return None
    size = _extent(pixels)
    ahead = np.zeros(len(pixels))
    for names in (lefts, rights):
        at = pixels[:, [skeleton.index(name) for name in names]]
        ahead += np.nan_to_num(_bend(at[:, :3])) - np.nan_to_num(_bend(at[:, 3:]))
    left, right = (pixels[:, skeleton.index(f"{side}_ankle"), 1] for side in ("left", "right"))
    higher, upright = (
        right - left,
        np.minimum(left, right) - pixels[:, skeleton.index("left_shoulder"), 1] > size / 2,
    )
    clear = upright & (np.abs(ahead) > _BENT * size) & (np.abs(higher) > _APART * size)
    wrong = [(ahead * higher < 0)[clear & (ahead * sign > 0)] for sign in (1, -1)]
    if min(map(len, wrong)) < _MIRRORED[0] or min(w.mean() for w in wrong) <= 1 - _MIRRORED[1]:
        return None
    return float(np.concatenate(wrong).mean())


def _faces_away(pixels: np.ndarray, sure: np.ndarray, skeleton: Skeleton) -> float | None:
    """In what share of frames the sides say the contrary of a face that is seen or hidden, if in most."""
    face = [skeleton.joints.index(n) for n in ("nose", "left_eye", "right_eye") if n in skeleton.joints]
    if len(face) < 3 or "left_shoulder" not in skeleton.joints:
        return None
    across = pixels[:, skeleton.index("left_shoulder"), 0] - pixels[:, skeleton.index("right_shoulder"), 0]
    broad = np.abs(across) > 2 * _BROAD * _extent(pixels)
    shown, hidden = (sure[:, face] > _SEEN).all(1) & broad, (sure[:, face] < _UNSEEN).all(1) & broad
    wrong = [(across < 0)[shown], (across > 0)[hidden]]
    if min(map(len, wrong)) < _FACES[0] or min(w.mean() for w in wrong) < _FACES[1]:
        return None
    return float(np.concatenate(wrong).mean())


def _busy(pixels: np.ndarray, hips: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether people are in places a person's length apart, or show both sides of themselves."""
    size = float(np.median(_extent(pixels)))
    if (np.ptp(hips, axis=0) > size).any():
        return True
    across = pixels[:, skeleton.index("left_hip"), 1] - pixels[:, skeleton.index("right_hip"), 1]
    return all((across * sign > _BROAD * size).mean() > _TURNED for sign in (1, -1))


def _bend(limb: np.ndarray) -> np.ndarray:
    """(N,) pixels by which a limb's middle joint lies to the right of the line between its ends."""
    line, middle = limb[:, 2] - limb[:, 0], limb[:, 1] - limb[:, 0]
    share = (middle * line).sum(-1) / np.maximum((line**2).sum(-1), 1e-9)
    return np.asarray(middle[:, 0] - share * line[:, 0])


def _middle(pixels: np.ndarray, skeleton: Skeleton, part: str) -> np.ndarray | None:
    """(N, 2) the middle of both sides; None of a skeleton without that part."""
    names = [f"{side}_{part}" for side in ("left", "right")]
    if not set(names) <= set(skeleton.joints):
        return None
    return np.asarray(pixels[:, [skeleton.index(name) for name in names]].mean(1))


def _extent(pixels: np.ndarray) -> np.ndarray:
    """(N,) the longer side of a person's box."""
    return np.asarray((np.nanmax(pixels, axis=1) - np.nanmin(pixels, axis=1)).max(-1))
