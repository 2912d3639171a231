"""What is in a store, whether it can be trusted, and a picture of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from posedata.inspection.checks import SAMPLE, bone_lengths
from posedata.inspection.examine import examine
from posedata.inspection.upright import check_units
from posedata.store.pose_store import PoseStore

__all__ = ["bone_lengths", "check_units", "contact_sheet", "inspect_store"]

_TILE = (192, 256)
_CAPTION = 30
_COLOURS = {"left": (225, 60, 45), "right": (40, 110, 230), "": (60, 60, 60)}


def inspect_store(store: PoseStore) -> dict[str, Any]:
    """A report that JSON can hold.

    Keys: `path`, `rows`, `skeleton`, `fps`, `source`, `licence`, `fingerprint`, `columns`; `subjects`,
    `actions`, `cameras` (counts of rows by name; cameras by number, only where up to 64 stand); `sequences`
    (how many); `not_finite` (values by column), `invalid_joints`; `reprojection_px` (largest distance of
    keypoints_true from the projected joints); `images` (count, size, kinds); what each check found (see
    `posedata.inspection.examine.Findings`); `notes` (what `prepare` noted, from sources.json); `faults`, what
    is wrong in words, and `warnings`, what is odd but may be so.
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
    report["reprojection_px"] = _reprojection(store)
    found = examine(store)
    report |= found.report
    if "images" in store.meta:
        report["images"] = {"count": store.meta["images"]["count"], "size": list(store.image_size)}
        report["images"]["kinds"] = store.meta["images"]["kinds"]
    report |= {"faults": list(found.faults), "warnings": list(found.warnings)}
    return report


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
        placed = _from_the_front(store.joints(np.array([row]))[0])
    _draw(picture, placed, store)
    return picture


def _pixels(store: PoseStore, row: int) -> np.ndarray | None:
    """Where the joints are seen; where keypoints are, if there is no 3D; None without a camera."""
    pose = store.joints(np.array([row]))
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


def _caption(store: PoseStore, row: int) -> str:
    words = [
        store.names(column)[store.column(column)[row]] for column in ("subject", "action") if column in store
    ]
    frame = f" {store.column('frame')[row]}" if "frame" in store else ""
    return "\n".join(word[:30] for word in words) + frame


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
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int))]
    projected = store.camera(rows).project(torch.from_numpy(np.array(store.column("joints")[rows]))).numpy()
    keypoints = store.column("keypoints_true")[rows]
    distance = np.linalg.norm(projected - keypoints[..., :2], axis=-1)[keypoints[..., 2] > 0]
    return round(float(distance.max()), 4) if distance.size else None
