"""Reads a real file of 2D keypoints as `prepare` and as a plain parse of its JSON do: how far apart they are.

A row tells `format`, `joints`, `frames`, `people`, `compared_with`, `largest_deviation_px` and `outcome`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from posedata.readers.format import Clip, Context
from posedata.readers.registry import get_format

FORMS = ("openpose", "alphapose", "mmpose", "coco_results", "coco")
_COCO = [
    "nose", "lefteye", "righteye", "leftear", "rightear", "leftshoulder", "rightshoulder", "leftelbow",
    "rightelbow", "leftwrist", "rightwrist", "lefthip", "righthip", "leftknee", "rightknee", "leftankle",
    "rightankle",
]  # fmt: skip


def check(form: str, path: Path) -> dict[str, Any]:
    """The row of a file, or of a folder of files of a frame each."""
    notes: list[str] = []
    row: dict[str, Any] = {"format": form, "joints": 0, "frames": 0, "people": 0, "compared_with": ""}
    try:
        clips = _read(form, path, notes)
    except ValueError as error:
        return row | {"outcome": _short("refused: " + str(error), path)}
    ours = np.concatenate([_points(clip) for clip in clips])
    frames = np.concatenate([clip.columns["frame"] for clip in clips])
    row |= {
        "joints": int((ours[..., 2] > 0).any(axis=0).sum()),
        "frames": len(np.unique(frames)),
        "people": len(ours),
        "compared_with": "plain parse, person by person",
        "largest_deviation_px": _apart(list(_naive(form, path)), ours, subset=form == "coco"),
    }
    return row | {"outcome": _short("; ".join(notes) or "read", path)}


def _short(text: str, path: Path) -> str:
    text = text.replace(f"{path}: ", "").replace(str(path.parent), "...")
    return text if len(text) < 240 else text[:240] + " ..."


def _read(form: str, path: Path, notes: list[str]) -> list[Clip]:
    options = {} if form in ("coco", "coco_results") else {"rate": 30.0}
    with tempfile.TemporaryDirectory() as scratch:
        reader, context = get_format(form, **options), Context(Path(scratch), notes.append, notes.append)
        return [clip for unit in reader.plan(path, context).units for clip in reader.read(unit, context)]


def _points(clip: Clip) -> np.ndarray:
    (name,) = (name for name in clip.columns if name.startswith("keypoints_"))
    return clip.columns[name]


def _apart(naive: list[np.ndarray], ours: np.ndarray, *, subset: bool) -> float:
    """Largest difference of a pixel of ours from the nearest person of the file, and the reverse.

    Infinite where the numbers of people differ; with `subset` the file may have more.
    """
    if not naive or len(naive) < len(ours) or (len(naive) > len(ours) and not subset):
        return float("inf")
    theirs = np.stack(naive)
    worst = [_nearest(person, theirs) for person in ours]
    if not subset:
        worst += [_nearest(person, ours) for person in theirs]
    return float(max(worst))


def _nearest(person: np.ndarray, others: np.ndarray) -> float:
    seen = person[:, 2] > 0
    same = ((others[..., 2] > 0) == seen).all(axis=1)
    if not same.any():
        return float("inf")
    return float(np.abs(others[same][:, seen, :2] - person[seen, :2]).max(axis=(1, 2)).min())


def _naive(form: str, path: Path) -> Iterator[np.ndarray]:
    """(J, 3) pixels and score of every person with a keypoint, in the file's order of people and joints."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    for file in files:
        for values in _PARSE[form](json.loads(file.read_text())):
            points = np.array(values, float).reshape(-1, 3)
            if (points[:, 2] > 0).any():
                yield points


def _openpose(data: Any) -> Iterator[Any]:
    return (person["pose_keypoints_2d"] for person in data["people"])


def _results(data: Any) -> Iterator[Any]:
    return (person["keypoints"] for person in data if person.get("category_id", 1) == 1)


def _mmpose(data: Any) -> Iterator[Any]:
    entries = data["instance_info"] if isinstance(data, dict) else data
    for entry in entries:
        for person in entry.get("instances", [entry]):
            yield np.column_stack([person["keypoints"], person["keypoint_scores"]])


def _annotations(data: Any) -> Iterator[Any]:
    """COCO's 17 by the category's names; in COCO's order where those are not as many as the keypoints."""
    lists = {entry["id"]: entry.get("keypoints") for entry in data["categories"] if _person(entry)}
    for entry in data["annotations"]:
        if entry["category_id"] not in lists or not entry.get("keypoints"):
            continue
        points = np.array(entry["keypoints"], float).reshape(-1, 3)
        names = [re.sub("[^a-z]", "", name.lower()) for name in lists[entry["category_id"]] or _COCO]
        names = _COCO if len(names) != len(points) else names
        yield [points[names.index(name)] if name in names else np.zeros(3) for name in _COCO]


def _person(category: dict[str, Any]) -> bool:
    return category["name"].lower() in ("person", "human", "people")


_PARSE = {
    "openpose": _openpose,
    "alphapose": _results,
    "coco_results": _results,
    "mmpose": _mmpose,
    "coco": _annotations,
}
