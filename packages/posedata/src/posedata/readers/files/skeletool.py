"""Camera calibrations of Skeletool, the text files of MPI-INF-3DHP.

    Skeletool Camera Calibration File V1.0
    name        0
      sensor    10 10
      size      2048 2048
      animated  0
      intrinsic 1497.69 0 1024.7 0 0 1497.1 1051.39 0 0 0 1 0 0 0 0 1
      extrinsic 0.96 0.009 0.26 -562.8 -0.018 -0.99 0.1 1398.1 0.25 -0.1 -0.95 3852.6 0 0 0 1
      radial    0

`extrinsic` takes the world, millimetres, y up, to the camera's frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posedata.readers.files.safe_text import read_text
from posedata.readers.format import ClipCamera

_LENGTHS = {"size": 2, "intrinsic": 16, "extrinsic": 16}
_Z_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def read_calibration(path: Path) -> dict[int, ClipCamera]:
    """Cameras by number; metres, the world's z axis up.

    Raises FileNotFoundError; ValueError naming the camera and the field.
    """
    lines = read_text(path).splitlines()
    if not lines or not lines[0].startswith("Skeletool Camera Calibration"):
        raise ValueError(f"{path}: does not begin as a Skeletool camera calibration; get it again")
    blocks: dict[int, dict[str, np.ndarray]] = {}
    current: dict[str, np.ndarray] | None = None
    for number, line in enumerate(lines[1:], start=2):
        key, *words = line.split() or [""]
        if key == "name":
            if len(words) != 1 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 5):
                raise ValueError(f"{path}: line {number}: name is no camera's number; get it again")
            current = blocks[int(words[0])] = {}
        elif key in _LENGTHS and current is not None:
            current[key] = _numbers(words, _LENGTHS[key], f"{path}: line {number}: {key}")
    if not blocks:
        raise ValueError(f"{path}: has no camera; get it again")
    return {number: _camera(block, number, path) for number, block in blocks.items()}


def _numbers(words: list[str], count: int, where: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.array([np.nan])
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"{where} needs {count} numbers; get it again")
    return values


def _camera(block: dict[str, np.ndarray], number: int, path: Path) -> ClipCamera:
    for key in _LENGTHS:
        if key not in block:
            raise ValueError(f"{path}: camera {number} has no {key}; get it again")
    lens, place = block["intrinsic"].reshape(4, 4), block["extrinsic"].reshape(4, 4)
    rotation = place[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(f"{path}: camera {number}: extrinsic is not a rotation; get it again")
    if not (lens[0, 0] > 0 and lens[1, 1] > 0 and (block["size"] >= 1).all() and (block["size"] < 1e5).all()):
        raise ValueError(f"{path}: camera {number}: intrinsic or size is of no camera; get it again")
    return ClipCamera(
        str(number),
        (lens[0, 0], lens[1, 1]),
        (lens[0, 2], lens[1, 2]),
        rotation @ _Z_TO_Y_UP,
        place[:3, 3] / 1000,
        (int(block["size"][0]), int(block["size"][1])),
    )
