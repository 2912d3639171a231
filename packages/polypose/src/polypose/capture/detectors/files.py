"""Keypoints that another program found: its files beside the film.

OpenPose's folders (Pose2Sim and Sports2D write such), AlphaPose's, MMPose's and COCO's results by
`posedata`'s readers; DeepLabCut's CSV; an .npz of our own: `keypoints` (N, J, 2 or 3), and where a frame
holds several people or none `frame` (N,), and of people who were tracked `person` (N,).
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from posedata.keypoints import checked_keypoints
from posedata.readers.files.joint_names import canonical
from posedata.readers.files.safe_npz import load_npz_arrays
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton

from polypose.inputs import Say, lifted_skeletons, take_skeleton
from polypose.reading import read_people

_HEAD = ("scorer", "individuals", "bodyparts", "coords")
_SUFFIXES = ("", "_json", ".json", ".npz", ".csv")


@dataclass(frozen=True, eq=False)
class Found:
    """Keypoints by row.

    Attributes:
        skeleton: its name.
        frame: (N,) of the film, from 0.
        keypoints: (N, J, 3) pixels and confidence.
        person: (N,) where they were tracked.
    """

    skeleton: str
    frame: np.ndarray
    keypoints: np.ndarray
    person: np.ndarray | None = None


def file_for(path: Path, name: str, alone: bool) -> Path:
    """The file or folder of a film: the path itself, or what is called after the film in it.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give a detector's results, blazepose or rtmlib")
    if path.is_file():
        return path
    for suffix in _SUFFIXES:
        if (path / f"{name}{suffix}").exists():
            return path / f"{name}{suffix}"
    if alone:
        return path
    raise FileNotFoundError(f"{path / name}: no such file or folder; call the keypoints of {name} so")


def read_found(path: Path, frames: int, size: tuple[int, int], say: Say) -> Found:
    """The keypoints of a film.

    Args:
        frames: how many the film has; numbers that begin at 1 are told by that.
        size: of the film, pixels.

    Raises:
        FileNotFoundError, ValueError: they are none, or of another film.
    """
    if path.suffix == ".csv" and (table := _deeplabcut(path)) is not None:
        found = table
    elif path.suffix == ".npz":
        found = _npz(path, say)
    else:
        people = read_people(path, say=say)
        skeleton = take_skeleton(people.values, people.skeleton, str(path))
        frame = people.rows.get("detected_frame", np.arange(len(people.values)))
        person = people.rows.get("detected_person")
        if person is not None and _repeats(frame, person):
            person = None
        found = Found(skeleton.name, frame, people.values, person)
    skeleton = get_skeleton(found.skeleton)
    points = checked_keypoints(found.keypoints, skeleton, str(path), size, lambda text: None).numpy()
    if not len(points):
        raise ValueError(f"{path}: holds nobody; give this film's keypoints")
    first, last = int(found.frame.min()), int(found.frame.max())
    shift = 1 if first == 1 and last == frames else 0
    if first < 0 or last - shift >= frames:
        raise ValueError(f"{path}: has frame {last}, the film has {frames}; give this film's keypoints")
    seen = (points[..., 2] > 0).any(1)
    person = None if found.person is None else found.person[seen]
    return Found(found.skeleton, found.frame[seen] - shift, points[seen], person)


def _repeats(frame: np.ndarray, person: np.ndarray) -> bool:
    """Whether one who is taken for one person is in a frame twice: people were not tracked."""
    pairs = list(zip(frame.tolist(), person.tolist(), strict=True))
    return len(set(pairs)) < len(pairs)


def _npz(path: Path, say: Say) -> Found:
    people = read_people(path, say=say)
    rows = load_npz_arrays(path, ("frame", "person"))
    values = people.values
    for name, numbers in rows.items():
        if numbers.shape != values.shape[:1] or numbers.dtype.kind not in "iu":
            raise ValueError(f"{path}: {name} is {numbers.dtype} {numbers.shape}; give a whole number a row")
    skeleton = take_skeleton(values, people.skeleton, str(path))
    frame = rows.get("frame", np.arange(len(values)))
    return Found(skeleton.name, frame, values, rows.get("person"))


def _deeplabcut(path: Path) -> Found | None:
    """A table with rows `scorer`, (`individuals`,) `bodyparts`, `coords`; None of another table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    if len(lines) < 3 or not lines[0] or lines[0][0] != "scorer":
        return None
    head = {line[0]: line[1:] for line in lines if line and line[0] in _HEAD}
    rows = [line for line in lines if line and line[0] not in _HEAD]
    if "bodyparts" not in head or "coords" not in head or not rows:
        raise ValueError(f"{path}: has no rows bodyparts, coords and of numbers; write it with DeepLabCut")
    people = head.get("individuals", [""] * len(head["bodyparts"]))
    names = [canonical(part.replace("_", " ")) if part else "" for part in head["bodyparts"]]
    skeleton = _fitting(set(names), path)
    values = np.array([[_number(cell) for cell in line[1:]] for line in rows])
    out, frame, person = [], [], []
    for number, who in enumerate(dict.fromkeys(people)):
        points = np.zeros((len(rows), len(skeleton), 3))
        for place, joint in enumerate(skeleton.joints):
            for axis, coordinate in enumerate(("x", "y", "likelihood")):
                for column, key in enumerate(zip(people, names, head["coords"], strict=False)):
                    if key == (who, joint, coordinate):
                        points[:, place, axis] = values[:, column]
        points[~np.isfinite(points).all(-1)] = 0
        seen = np.flatnonzero((points[..., 2] > 0).any(1))
        out.append(points[seen])
        frame.append(seen)
        person.append(np.full(len(seen), number))
    return Found(skeleton.name, np.concatenate(frame), np.concatenate(out), np.concatenate(person))


def _fitting(names: set[str], path: Path) -> Skeleton:
    """The skeleton that has most of these joints and no body part without one but the face."""
    best = max(
        lifted_skeletons(), key=lambda name: (len(names & set(SKELETONS[name].joints)), -len(SKELETONS[name]))
    )
    skeleton = SKELETONS[best]
    limbs = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip", "knee")]
    if missing := [joint for joint in limbs if joint not in names]:
        raise ValueError(f"{path}: no body part is called {', '.join(missing)[:120]}; call them so")
    return skeleton


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
