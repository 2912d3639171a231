"""What is in a store, whether it can be trusted, and a picture of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from posedata.checks import compare_totals, is_fault, left_and_right, reprojection, stature
from posedata.store import PoseStore

_THIGH = (0.25, 0.60)
_SAMPLE = 20_000
_BLOCK = 1 << 16
_TILE = (192, 256)
_CAPTION = 30
_DRIFT = 0.15
_COLOURS = {"left": (225, 60, 45), "right": (40, 110, 230), "": (60, 60, 60)}


def inspect_store(store: PoseStore) -> dict[str, Any]:
    """A report that JSON can hold.

    Keys: `path`, `rows`, `skeleton`, `fps`, `source`, `licence`, `fingerprint`, `columns`; `subjects`,
    `actions`, `cameras` (counts of rows by name; cameras by number, only where up to 64 stand); `sequences`
    (how many); `not_finite` (values by column), `invalid_joints`; `bones` (see `bone_lengths`); `units`
    (`thigh_m`, `height_m`, `verdict`); `reprojection_px` (largest distance of keypoints_true from the
    projected joints); `images` (count, size, kinds); `totals`, `reprojection`, `sides`, `stature` (see
    `posedata.checks`); `notes` (what `prepare` told, from sources.json); `faults`, what is wrong in words.
    """
    report: dict[str, Any] = {"path": str(store.path), "rows": len(store)}
    report |= {key: store.meta[key] for key in ("skeleton", "fps", "source", "licence", "fingerprint")}
    report["columns"] = list(store.columns)
    report |= {"subjects": _counts(store, "subject"), "actions": _counts(store, "action")}
    report["sequences"] = len(store.names("sequence"))
    report["cameras"] = _cameras(store)
    report["not_finite"] = {
        name: int(count)
        for name in store.columns
        if store.column(name).dtype.kind == "f" and (count := (~np.isfinite(store.column(name))).sum()) > 0
    }
    valid = store.column("valid") if "valid" in store else None
    report["notes"] = _notes(store)
    report["invalid_joints"] = 0 if valid is None else int((~valid).sum())
    report["bones"] = bone_lengths(store)
    report["units"] = check_units(store)
    report["reprojection_px"] = _reprojection(store)
    report |= {"totals": compare_totals(store), "reprojection": reprojection(store)}
    report |= {"sides": left_and_right(store), "stature": stature(store)}
    if "images" in store.meta:
        report["images"] = {"count": store.meta["images"]["count"], "size": list(store.image_size)}
        report["images"]["kinds"] = store.meta["images"]["kinds"]
    report["faults"] = _faults(report)
    return report


def _faults(report: dict[str, Any]) -> list[str]:
    """What is wrong, one line each."""
    judged = {"units": report["units"], "left and right": report["sides"], "stature": report["stature"]}
    judged |= {f"reprojection of {name}": found for name, found in report["reprojection"].items()}
    judged |= {total["what"]: total for total in report["totals"]}
    faults = [f"{name}: {found['verdict']}" for name, found in judged.items() if is_fault(found["verdict"])]
    drifts = [bone["typical_drift"] for bone in report["bones"].values() if bone["typical_drift"] is not None]
    if drifts and float(np.median(drifts)) > _DRIFT:
        faults.append(
            f"bone lengths: they vary by {np.median(drifts):.0%} within a sequence; are joints mixed up?"
        )
    return faults


def bone_lengths(store: PoseStore) -> dict[str, dict[str, Any]]:
    """By bone ("parent to child"): `mean_mm`, `typical_drift`, `drift`, and the `worst` sequence.

    Drift is the standard deviation of the length within a sequence over its mean: 0 for a rigid skeleton,
    below 0.01 for most markers, more where a marker slipped or frames are broken. Typical is the median
    over sequences, `drift` the largest.
    """
    group = store.column("sequence") if "sequence" in store else np.zeros(len(store), dtype=int)
    names = store.names("sequence") if "sequence" in store else ["all rows"]
    size = (len(store.skeleton.edges), len(names))
    count, mean, variance = np.zeros(size), np.zeros(size), np.zeros(size)
    for here, bone, length in _lengths(store, group):
        count[bone] += np.bincount(here, minlength=len(names))
        mean[bone] += np.bincount(here, length, len(names))
    mean /= count.clip(min=1)
    for here, bone, length in _lengths(store, group):
        variance[bone] += np.bincount(here, (length - mean[bone][here]) ** 2, len(names))
    drifts = np.sqrt(variance / count.clip(min=1)) / np.maximum(mean, 1e-9)
    bones: dict[str, dict[str, Any]] = {}
    for bone, (child, parent) in enumerate(store.skeleton.edges):
        known, drift, worst = count[bone] > 0, drifts[bone], int(drifts[bone].argmax())
        whole = float((mean[bone] * count[bone]).sum() / count[bone].sum()) if known.any() else None
        bones[f"{store.skeleton.joints[parent]} to {store.skeleton.joints[child]}"] = {
            "mean_mm": None if whole is None else round(whole * 1000, 1),
            "typical_drift": round(float(np.median(drift[known])), 5) if known.any() else None,
            "drift": round(float(drift[worst]), 5),
            "worst": names[worst],
        }
    return bones


def _lengths(store: PoseStore, group: np.ndarray) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Groups of rows, number of the bone, its lengths in metres where known: a block of rows at a time."""
    for start in range(0, len(store), _BLOCK):
        rows = slice(start, start + _BLOCK)
        joints = np.asarray(store.column("joints")[rows], dtype=np.float64)
        if "valid" in store:
            joints[~store.column("valid")[rows]] = np.nan
        for bone, (child, parent) in enumerate(store.skeleton.edges):
            length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
            known = np.isfinite(length)
            yield group[rows][known], bone, length[known]


def check_units(store: PoseStore) -> dict[str, Any]:
    """Whether lengths look like metres and the world's z axis like up, judged by thighs and by heights.

    `verdict` is "ok" or says what looks wrong; skeletons without hips, knees and ankles go unjudged.
    """
    skeleton = store.skeleton
    parts = [f"{side}_{part}" for part in ("hip", "knee", "ankle") for side in ("left", "right")]
    if not set(parts) <= set(skeleton.joints):
        return {"thigh_m": None, "height_m": None, "verdict": "not judged: the skeleton has no legs"}
    joints = _sample(store)
    if not np.isfinite(joints).any():
        return {"thigh_m": None, "height_m": None, "verdict": "not judged: the store has no 3D"}
    hips, knees, ankles = (joints[:, [skeleton.index(name) for name in parts[i : i + 2]]] for i in (0, 2, 4))
    thigh = float(np.nanmedian(np.linalg.norm(hips - knees, axis=-1)))
    above = np.nanmedian((hips - ankles).reshape(-1, 3), axis=0)
    height = float(np.nanmedian(np.nanmax(joints[..., 2], axis=1) - np.nanmin(joints[..., 2], axis=1)))
    found = {"thigh_m": round(thigh, 4), "height_m": round(height, 3)}
    if not _THIGH[0] <= thigh <= _THIGH[1]:
        guesses = {"millimetres": 1000, "centimetres": 100, "inches": 39.37, "CMU units": 17.717}
        fits = [name for name, scale in guesses.items() if _THIGH[0] <= thigh / scale <= _THIGH[1]]
        looks = f": these look like {fits[0]}" if fits else ""
        return found | {"verdict": f"a thigh of {thigh:.3g} m is not human{looks}; prepare the store anew"}
    if int(np.abs(above).argmax()) != 2 or above[2] < 0:
        axis = ("x", "y", "z")[int(np.abs(above).argmax())]
        return found | {"verdict": f"people stand along {axis}, not along z; turn the world's z axis up"}
    return found | {"verdict": "ok"}


def contact_sheet(store: PoseStore, *, columns: int = 6, lines: int = 4) -> Image.Image:
    """Poses picked evenly from the store: on their images (or depth), as their cameras see them, or upright.

    Left limbs are red, right limbs blue.
    """
    rows = np.unique(np.linspace(0, len(store) - 1, columns * lines).round().astype(int))
    if "image" in store and (store.column("image") >= 0).any():
        able = np.flatnonzero(store.column("image") >= 0)
        rows = np.unique(able[np.linspace(0, len(able) - 1, columns * lines).round().astype(int)])
    width, height = _TILE[0], _TILE[1] + _CAPTION
    sheet = Image.new("RGB", (columns * width, -(-len(rows) // columns) * height), "white")
    for i, row in enumerate(rows.tolist()):
        corner = (i % columns * width, i // columns * height)
        sheet.paste(_tile(store, row), corner)
        draw = ImageDraw.Draw(sheet)
        draw.text((corner[0] + 3, corner[1] + _TILE[1] + 1), _caption(store, row), fill="black")
    return sheet


def _tile(store: PoseStore, row: int) -> Image.Image:
    has_image = "image" in store and store.column("image")[row] >= 0
    kinds = store.meta["images"]["kinds"] if has_image else []
    if "rgb" in kinds:
        picture = Image.fromarray(store.images(np.array([row]))[0]).resize(_TILE)
    elif "depth" in kinds:
        picture = _grey(store.images(np.array([row]), "depth")[0]).resize(_TILE, Image.Resampling.NEAREST)
    else:
        picture = Image.new("RGB", _TILE, (244, 244, 240))
    pixels = _pixels(store, row)
    if pixels is not None:
        box = store.column("boxes")[row] if "boxes" in store else _bounds(pixels)
        stretch = np.array(_TILE) / np.maximum(box[2:] - box[:2], 1e-6)
        if has_image:
            placed = (pixels - box[:2]) * stretch - 0.5
        else:
            placed = (pixels - (box[:2] + box[2:]) / 2) * stretch.min() + np.array(_TILE) / 2
    else:
        placed = _from_the_front(_pose(store, row)[0])
    _draw(picture, placed, store)
    return picture


def _pixels(store: PoseStore, row: int) -> np.ndarray | None:
    """Where the joints are seen; where keypoints are, if there is no 3D; None without a camera."""
    pose = _pose(store, row)
    if np.isfinite(pose).any():
        if "camera" not in store or store.column("camera")[row] < 0:
            return None
        seen: np.ndarray = store.camera(np.array([row])).project(torch.from_numpy(pose))[0].numpy()
        return seen
    name = next((name for name in store.columns if name.startswith("keypoints_")), None)
    keypoints = np.array(store.column(name)[row]) if name else np.zeros((1, 3))
    keypoints[keypoints[:, 2] <= 0] = np.nan
    return keypoints[:, :2] if np.isfinite(keypoints).any() else None


def _grey(depth: np.ndarray) -> Image.Image:
    """Depth in millimetres as grey, the near bright; black where none was measured."""
    known = depth[depth > 0]
    near, far = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    grey = 250 - 180 * (depth - near) / max(far - near, 1.0)
    return Image.fromarray(np.where(depth > 0, grey, 0).astype(np.uint8)).convert("RGB")


def _draw(picture: Image.Image, pixels: np.ndarray, store: PoseStore) -> None:
    draw = ImageDraw.Draw(picture)
    for child, parent in store.skeleton.edges:
        ends = pixels[[child, parent]]
        if np.isfinite(ends).all():
            side = store.skeleton.joints[child].partition("_")[0]
            draw.line([tuple(end) for end in ends.tolist()], fill=_COLOURS.get(side, _COLOURS[""]), width=3)
    for x, y in pixels[np.isfinite(pixels).all(axis=-1)].tolist():
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill="white", outline="black")


def _from_the_front(pose: np.ndarray) -> np.ndarray:
    """Orthographic, 30 degrees off the x axis, 2.2 m high."""
    across = pose[:, 0] * np.cos(np.pi / 6) + pose[:, 1] * np.sin(np.pi / 6)
    flat = np.stack([across, -pose[:, 2]], axis=-1)
    if not np.isfinite(flat).any():
        return flat
    box = _bounds(flat)
    fits = 0.95 * np.array(_TILE) / np.maximum(box[2:] - box[:2], 1e-6)
    scale = min(_TILE[1] / 2.2, *fits.tolist())
    return (flat - (box[:2] + box[2:]) / 2) * scale + np.array(_TILE) / 2


def _bounds(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([np.nanmin(pixels, axis=0), np.nanmax(pixels, axis=0)])


def _pose(store: PoseStore, row: int) -> np.ndarray:
    """(1, J, 3), invalid joints NaN."""
    pose = np.array(store.column("joints")[row], dtype=np.float32)
    if "valid" in store:
        pose[~store.column("valid")[row]] = np.nan
    return pose[None]


def _caption(store: PoseStore, row: int) -> str:
    words = [
        store.names(column)[store.column(column)[row]] for column in ("subject", "action") if column in store
    ]
    frame = f" {store.column('frame')[row]}" if "frame" in store else ""
    return "\n".join(word[:30] for word in words) + frame


def _sample(store: PoseStore) -> np.ndarray:
    rows = np.unique(np.linspace(0, len(store) - 1, min(_SAMPLE, len(store))).astype(int))
    joints = np.array(store.column("joints")[rows])
    if "valid" in store:
        joints[~store.column("valid")[rows]] = np.nan
    return joints


def _counts(store: PoseStore, column: str) -> dict[str, int]:
    if column not in store:
        return {}
    names = store.names(column)
    counts = np.bincount(store.column(column), minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def _cameras(store: PoseStore) -> dict[str, Any]:
    if "camera" not in store:
        return {"count": 0, "rows": 0}
    camera = store.column("camera")
    count = len(store.column("camera_focal"))
    found: dict[str, Any] = {"count": count, "rows": int((camera >= 0).sum())}
    if "cameras" in store.meta:
        names = store.meta["cameras"]
        each = dict.fromkeys(names, 0)
        for name, rows in zip(names, np.bincount(camera[camera >= 0], minlength=count).tolist(), strict=True):
            each[name] += rows
        found["by_name"] = each
    if count <= 64:
        found["by_camera"] = np.bincount(camera[camera >= 0], minlength=count).tolist()
    return found


def _notes(store: PoseStore) -> list[str]:
    file = store.path / "sources.json"
    return list(json.loads(file.read_text(encoding="utf-8"))["notes"]) if file.is_file() else []


def _reprojection(store: PoseStore) -> float | None:
    if "keypoints_true" not in store or "camera" not in store:
        return None
    rows = np.flatnonzero(store.column("camera") >= 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(int))]
    projected = store.camera(rows).project(torch.from_numpy(np.array(store.column("joints")[rows]))).numpy()
    keypoints = store.column("keypoints_true")[rows]
    distance = np.linalg.norm(projected - keypoints[..., :2], axis=-1)[keypoints[..., 2] > 0]
    return round(float(distance.max()), 4) if distance.size else None
