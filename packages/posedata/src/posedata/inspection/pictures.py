"""Whether keypoints, boxes and depth images can be what they are called: pixels, crops, millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from posedata.store.pose_store import PoseStore

_FAR, _MOST = 0.25, 0.5
_NEAREST, _FARTHEST = 150, 10_000
"""Millimetres between which the middle of a depth image of people lies: depth cameras see 0.3 to 8 m."""


def check_keypoints(store: PoseStore, rows: Int[np.ndarray, " n"]) -> dict[str, dict[str, Any]]:
    """By column of keypoints: `outside`, the share of known ones that lie outside their camera's image.

    A fault: numbers that are not finite, confidences beyond 0 to 1, coordinates that are not pixels, most
    keypoints outside. A warning: some far outside, or at (0, 0) and called seen.
    """
    out = {}
    for name in store.columns:
        if name.startswith("keypoints_"):
            out[name] = _keypoints(store, name, np.array(store.column(name)[rows], dtype=np.float64), rows)
    return out


def _keypoints(store: PoseStore, name: str, found: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    wrong = ~np.isfinite(found).all(-1)
    if wrong.any():
        row, joint = np.argwhere(wrong)[0].tolist()
        where = f"first {store.skeleton.joints[joint]} of row {rows[row]}"
        return {"outside": None, "verdict": f"{int(wrong.sum()):,} keypoints are not finite, {where}"}
    low, high = float(found[..., 2].min()), float(found[..., 2].max())
    if low < 0 or high > 1:
        cure = f"; divide them by {'100' if high > 10 else 'their largest value'}" if low >= 0 else ""
        return {"outside": None, "verdict": f"confidences run from {low:.3g} to {high:.3g}, not 0 to 1{cure}"}
    known = found[..., 2] > 0
    if not known.any():
        return {"outside": None, "verdict": "not judged: no keypoint is known"}
    pixels = found[known][:, :2]
    size = _sizes(store, rows)
    if float(np.abs(pixels).max()) <= 2 and (size is None or size.max() > 8):
        text = "all keypoints lie within 2 pixels of (0, 0): they are scaled; multiply by the image's size"
        return {"outside": None, "verdict": text}
    warnings = []
    unseen = (found[..., :2] == 0).all(-1) & known
    if unseen.any():
        share = float(unseen.sum() / known.sum())
        text = f"{share:.1%} of known keypoints lie at (0, 0); give confidence 0 where a joint was not seen"
        if share > 0.05:
            return {"outside": None, "verdict": text}
        warnings.append(text)
    frame, what, slack = _frames(store, rows, size)
    report: dict[str, Any] = {"outside": None, "verdict": "ok"}
    if frame is not None:
        beyond = np.maximum(frame[:, None, :2] - found[..., :2], found[..., :2] - frame[:, None, 2:]).max(-1)
        beyond = np.where(known & np.isfinite(frame).all(-1)[:, None], beyond, -np.inf)
        judged = int(np.isfinite(beyond).sum())
        outside = float((beyond > 0).sum() / max(judged, 1))
        report["outside"] = round(outside, 4)
        if outside > _MOST:
            cure = f"give keypoints in the pixels that {what} are in"
            return report | {"verdict": f"{outside:.0%} of keypoints lie outside their {what}; {cure}"}
        long = np.nan_to_num(frame[:, 2:] - frame[:, :2]).max(-1)
        far = beyond > slack * long[:, None]
        if far.any() and name != "keypoints_true":  # a camera's own projections go on outside its image
            row, joint = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
            x, y = found[row, joint, :2]
            warnings.append(
                f"{int(far.sum()):,} keypoints lie far outside their {what}, farthest"
                f" {store.skeleton.joints[int(joint)]} of row {rows[row]} at ({x:.0f}, {y:.0f})"
            )
    return report | ({"warning": "; ".join(warnings)} if warnings else {})


def _frames(
    store: PoseStore, rows: np.ndarray, size: np.ndarray | None
) -> tuple[np.ndarray | None, str, float]:
    """(n, 4) what each row's keypoints lie in, NaN where that is not known: the image, else the person's box;
    what it is called; and how far outside is far, as a share of its longer side."""
    if size is not None:
        known = np.where(size > 0, size, np.nan)
        return np.concatenate([np.full_like(known, -0.5), known - 0.5], axis=-1), "images", _FAR
    if "boxes" in store:
        return np.array(store.column("boxes")[rows], dtype=np.float64), "boxes", 1.0
    return None, "", 0.0


def check_boxes(store: PoseStore, rows: Int[np.ndarray, " n"]) -> dict[str, Any]:
    """Whether boxes have a size."""
    boxes = np.array(store.column("boxes")[rows], dtype=np.float64)
    wrong = ~(np.isfinite(boxes).all(-1) & (boxes[:, 2:] > boxes[:, :2]).all(-1))
    if not wrong.any():
        return {"verdict": "ok"}
    box = " ".join(f"{value:g}" for value in boxes[wrong][0])
    text = f"{int(wrong.sum()):,} of {len(rows):,} are empty, first {box} of row {rows[wrong][0]}"
    return {"verdict": f"{text}; give x0 < x1 and y0 < y1"}


def check_depth(store: PoseStore, *, images: int = 64) -> dict[str, Any]:
    """The range of some depth images: `nearest_m`, `median_m`, `farthest_m`, and `empty`, those without any.

    A fault: all are empty, or the middle of what was measured lies nearer or farther than depth cameras see.
    """
    able = np.flatnonzero(store.column("image") >= 0)
    rows = able[np.unique(np.linspace(0, len(able) - 1, min(images, len(able))).astype(int))]
    empty, some = 0, []
    for row in rows.tolist():
        depth = store.images(np.array([row]), "depth")[0]
        known = depth[depth > 0]
        empty += not known.size
        some.append(known[:: max(1, known.size // 4096)])
    values = np.concatenate(some) if some else np.zeros(0, np.uint16)
    out: dict[str, Any] = {"images": len(rows), "empty": empty}
    if not values.size:
        return out | {
            "verdict": f"all of {len(rows)} images looked at are empty (0 everywhere); check the unit"
        }
    near, middle, far = (float(np.quantile(values, share)) for share in (0.01, 0.5, 0.99))
    out |= {"nearest_m": near / 1000, "median_m": middle / 1000, "farthest_m": far / 1000}
    if not _NEAREST <= middle <= _FARTHEST:
        span = f"{near / 1000:.3g} to {far / 1000:.3g} m"
        return out | {
            "verdict": f"values of {span} are not a depth camera's; give --depth-scale, units a metre"
        }
    warning = {"warning": f"{empty} of {len(rows)} images looked at are empty"} if empty else {}
    return out | {"verdict": "ok"} | warning


def _sizes(store: PoseStore, rows: np.ndarray) -> np.ndarray | None:
    """(n, 2) width and height of each row's camera image, 0 where it has none."""
    if "camera" not in store:
        return None
    camera = np.asarray(store.column("camera")[rows])
    if not (camera >= 0).any():
        return None
    size = np.asarray(store.column("camera_size")).astype(np.float64)
    return np.where(camera[:, None] >= 0, size[camera.clip(min=0)], 0.0)
