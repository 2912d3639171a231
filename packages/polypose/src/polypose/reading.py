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
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton
from posedata.terminal import print_line

from polypose.inputs import lifted_skeletons

LARGEST = 2**28
"""Bytes of a file of text."""
_SCORES = ("score", "likelihood", "conf", "visibility")
"""What others call a confidence."""


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
    and NAME_confidence of every joint by its name here; others are not looked at.

    Args:
        skeleton: overrules what the file says; of a .csv, whose columns are read.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or nothing of the kind in it.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give keypoints as .npy, .npz, .csv or .json")
    readers = {".npy": _npy, ".npz": _npz}
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".json":
        found = _json(path, say)
    elif suffix == ".csv":
        found = _csv(path, skeleton)
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


def _csv(path: Path, skeleton: str | None) -> Keypoints:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: is over {LARGEST >> 20} MiB; give an .npz")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = list(csv.reader(file))
    except (ValueError, UnicodeDecodeError, csv.Error):
        raise ValueError(
            f"{path}: is no table in UTF-8; give columns NAME_x, NAME_y, NAME_confidence"
        ) from None
    wanted = [skeleton] if skeleton else lifted_skeletons()
    fitting = [
        name
        for name in wanted
        if all(f"{joint}_{axis}" in header for joint in get_skeleton(name).joints for axis in "xy")
    ]
    if not fitting:
        name = skeleton or "coco17"
        listed = ", ".join(f"{joint}_x, {joint}_y" for joint in get_skeleton(name).joints[:2])
        raise ValueError(f"{path}: has not all columns of a skeleton; for {name} give {listed}, ...")
    found = max((SKELETONS[name] for name in fitting), key=len)
    columns = _columns(path, header, found)
    table = [_numbers(path, row, line, header, columns) for row, line in enumerate(lines, 2) if line]
    values = np.array(table, np.float64).reshape(-1, len(found), len(columns) // len(found))
    if values.shape[2] == 3:
        values[np.isnan(values[..., 2])] = 0
    return Keypoints(values, found.name)


def _columns(path: Path, header: list[str], skeleton: Skeleton) -> list[int]:
    """Where x and y of every joint stand, and its confidence, if the table has any."""
    sure = [f"{joint}_confidence" in header for joint in skeleton.joints]
    if any(sure) and not all(sure):
        joint = skeleton.joints[sure.index(False)]
        raise ValueError(f"{path}: has no column {joint}_confidence, as other joints have; give one or none")
    called = [
        f"{joint}_{axis}" for joint in skeleton.joints for axis in ("x", "y", "confidence")[: 2 + any(sure)]
    ]
    for name in called:
        if header.count(name) > 1:
            raise ValueError(f"{path}: has {header.count(name)} columns {name}; leave one")
    other = [f"{joint}_{score}" for joint in skeleton.joints for score in _SCORES]
    if not any(sure) and (named := [name for name in other if name in header]):
        raise ValueError(f"{path}: has a column {named[0]}; call confidences NAME_confidence")
    return [header.index(name) for name in called]


def _numbers(path: Path, row: int, line: list[str], header: list[str], columns: list[int]) -> list[float]:
    """Some cells of a line; NaN of empty ones."""
    if len(line) != len(header):
        raise ValueError(f"{path}: row {row} has {len(line)} cells, the first {len(header)}; mend it")
    found = []
    for at in columns:
        try:
            found.append(float(line[at]) if line[at].strip() else np.nan)
        except ValueError:
            told = f"row {row}: {header[at]} is {line[at][:20]!r}"
            raise ValueError(f"{path}: {told}; give a number, or nothing where not seen") from None
    return found


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
