"""What a file or folder is, where its name does not tell, and 2D as figures that can be shown."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

_LAST = ("openpose", "coco_results", "alphapose", "mmpose")
"""Detectors' JSON, of which some are read by several, after all others."""
_FOLDERS_ALONE = ("rgbd",)
"""Take any file for one of theirs."""
_TALL = 1.7
"""Metres that people of a file of 2D are shown at."""


def tell_format(path: Path) -> str | None:
    """The format of `posedata prepare` that can read it; None where none can."""
    from posedata.readers.format import Context
    from posedata.readers.registry import FORMATS, get_format

    for form in [*(name for name in FORMATS if name not in _LAST), *_LAST]:
        if form in _FOLDERS_ALONE and path.is_file():
            continue
        with TemporaryDirectory() as scratch:
            try:
                plan = get_format(form).plan(path, Context(Path(scratch), _quiet))
            except (ValueError, OSError):
                continue
        if plan.units:
            return form
    return None


def flat(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (N, J, 3) as joints (N, J, 3) that stand upright in one plane, z up, about as tall as people.

    The lowest lies on the floor; NaN where nothing was seen.
    """
    seen = keypoints[..., 2] > 0
    points = np.where(seen[..., None], keypoints[..., :2], np.nan).astype(float)
    some = seen.any(1)
    if not some.any():
        return np.full(keypoints.shape, np.nan)
    tall = np.nanmax(points[some], axis=1) - np.nanmin(points[some], axis=1)
    scale = _TALL / max(float(np.median(tall.max(-1))), 1.0)
    middle, lowest = np.nanmedian(points[..., 0]), np.nanmax(points[..., 1])
    x, z = scale * (points[..., 0] - middle), scale * (lowest - points[..., 1])
    return np.stack([x, 0 * x, z], axis=-1)


def apart(frame: np.ndarray, who: np.ndarray) -> np.ndarray:
    """(N,) numbers of people: those of one frame and name are told apart by their order in it."""
    count: dict[tuple[int, int], int] = {}
    out = np.zeros(len(frame), int)
    for row, key in enumerate(zip(frame.tolist(), who.tolist(), strict=True)):
        out[row] = count.get(key, 0)
        count[key] = out[row] + 1
    return np.unique(np.stack([who, out]), axis=1, return_inverse=True)[1].reshape(-1)


def _quiet(text: str) -> None:
    """Faults are told when it is read."""
