"""Keypoints in files: NumPy's, CSV, and the JSON of detectors."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from posedata.keypoint_files import Say, read_array
from posedata.readers.files.safe_npz import load_npz_arrays
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.skeleton import SKELETONS, get_skeleton
from posedata.terminal import print_line

from polypose.inputs import lifted_skeletons

LARGEST = 2**28
"""Bytes of a file of text."""


@dataclass(frozen=True)
class Keypoints:
    """What a file holds.

    Attributes:
        values: (N, J, 2 or 3) pixels and confidence.
        skeleton: its name, where the file tells.
        rows: what each row is: `detected_frame` and `detected_person` of detectors' files.
    """

    values: np.ndarray
    skeleton: str | None = None
    rows: dict[str, np.ndarray] = field(default_factory=dict)


def read_people(path: Path, skeleton: str | None = None, say: Say = print_line) -> Keypoints:
    """Keypoints of an .npy, .npz or .csv, of a detector's .json, or of a folder of those.

    .npz: `keypoints`, and where there are `confidence` (N, J) and `skeleton`. .csv: columns NAME_x, NAME_y
    and NAME_confidence of every joint by its name here.

    Args:
        skeleton: overrules what the file says.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or nothing of the kind in it.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give keypoints as .npy, .npz, .csv or .json")
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".json":
        found = _json(path, say)
    elif suffix in readers:
        found = readers[suffix](path)
    else:
        raise ValueError(f"{path}: give keypoints as .npy, .npz, .csv, .json, or a folder of .json files")
    return Keypoints(found.values, skeleton or found.skeleton, found.rows)


def _npy(path: Path) -> Keypoints:
    return Keypoints(read_array(path, "keypoints"))


def _npz(path: Path) -> Keypoints:
    try:
        arrays = load_npz_arrays(path)
    except ValueError:
        raise ValueError(f"{path}: is not a whole .npz of numbers; write one with numpy.savez") from None
    if "keypoints" not in arrays:
        raise ValueError(
            f"{path}: holds {', '.join(arrays)[:80] or 'nothing'}; call the keypoints `keypoints`"
        )
    values = arrays["keypoints"]
    if "confidence" in arrays and values.ndim == 3:
        if arrays["confidence"].shape != values.shape[:2]:
            raise ValueError(f"{path}: confidence is {arrays['confidence'].shape}; give (N, joints)")
        values = np.concatenate([values[..., :2], arrays["confidence"][..., None]], -1)
    name = str(arrays["skeleton"]) if "skeleton" in arrays else None
    return Keypoints(values, name)


def _csv(path: Path) -> Keypoints:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: is over {LARGEST >> 20} MiB; give an .npz")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = list(csv.reader(file))
    except (ValueError, UnicodeDecodeError, csv.Error):
        raise ValueError(
            f"{path}: is no table in UTF-8; give columns NAME_x, NAME_y, NAME_confidence"
        ) from None
    named = {column: i for i, column in enumerate(header)}
    fitting = [
        name
        for name in lifted_skeletons()
        if all(f"{joint}_{axis}" in named for joint in SKELETONS[name].joints for axis in "xy")
    ]
    if not fitting:
        wanted = ", ".join(f"{joint}_x, {joint}_y" for joint in get_skeleton("coco17").joints[:2])
        raise ValueError(f"{path}: has not all columns of a skeleton; for coco17 give {wanted}, ...")
    skeleton = max((SKELETONS[name] for name in fitting), key=len)
    sure = f"{skeleton.joints[0]}_confidence" in named
    axes = ("x", "y", "confidence") if sure else ("x", "y")
    try:
        columns = [[named[f"{joint}_{axis}"] for axis in axes] for joint in skeleton.joints]
        table = [[float(cell) if cell.strip() else np.nan for cell in line] for line in lines if line]
        values = np.array(table, dtype=np.float64).reshape(len(table), len(header))[:, np.array(columns)]
    except (KeyError, ValueError):
        raise ValueError(
            f"{path}: a line is not {len(header)} numbers, or a joint has no confidence"
        ) from None
    if sure:
        values[np.isnan(values[..., 2])] = 0
    return Keypoints(values, skeleton.name)


def _json(path: Path, say: Say) -> Keypoints:
    """Everybody in a detector's file or folder, by posedata's readers."""
    reader = get_format(detector_of(path))
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(Path(scratch), lambda text: say(f"note: {text}"))
        plan = reader.plan(path, context)
        clips = [clip for unit in plan.units for clip in reader.read(unit, context)]
    (column,) = {name for name in clips[0].columns if name.startswith("keypoints_")}
    values = np.concatenate([clip.columns[column] for clip in clips])
    names = [clip.sequence for clip in clips for _ in range(len(clip.joints))]
    frames = np.concatenate([clip.columns["frame"] for clip in clips])
    return Keypoints(values, plan.skeleton, {"detected_frame": frames, "detected_person": np.array(names)})


def detector_of(path: Path) -> str:
    """The reader of a detector's file, or of the first in a folder, by what it holds.

    Raises:
        FileNotFoundError, ValueError: there is no .json file, or none that a reader knows.
    """
    file = path if path.is_file() else next(iter(sorted(path.rglob("*.json"))), None)
    if file is None:
        raise FileNotFoundError(f"{path}: holds no .json file; give a detector's results")
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file}: is over {LARGEST >> 20} MiB; prepare it: posedata prepare --help")
    data = read_json(file, (dict, list), constants=True, cure="give a detector's results")
    first = data[0] if isinstance(data, list) and data else data
    if isinstance(first, dict):
        if "people" in first:
            return "openpose"
        if isinstance(data, list) and "image_id" in first:
            return "alphapose" if isinstance(first["image_id"], str) else "coco_results"
        if isinstance(data, dict) and "annotations" in data:
            raise ValueError(f"{file}: are annotations, not results; prepare them: posedata prepare coco")
        if {"instance_info", "instances", "keypoints"} & first.keys():
            return "mmpose"
    elif isinstance(first, list):
        return "mmpose"
    raise ValueError(
        f"{file}: is none of OpenPose's, AlphaPose's, MMPose's or COCO's results; give an .npz of keypoints"
    )
