"""Human3.6M's cameras: from the `metadata.xml` of the official release, or from a JSON file.

In `metadata.xml` the field `w0` holds 300 numbers: for each of 4 cameras and 11 subjects three angles
(radians) and the camera's place (millimetres), then for each camera fx, fy, cx, cy, k1, k2, k3, p1, p2.
With R = Rx(a) Ry(b) Rz(c) a world point X is at R (X - place) in the camera's frame. The order of the cameras
is that of `dbcameras/index2id`.

Human3.6M's own projection (`ProjectPointRadial` of its release) multiplies x = X/Z, y = Y/Z by
1 + k1 r² + k2 r⁴ + k3 r⁶ + p1 y + p2 x and adds p2 r², p1 r²: its tangential terms are not Brown's, which has
twice the products. Of all Brown coefficients 7/10 of p1, p2 come nearest to it over a square image, 0.1 pixel
off on average and under 0.5 in the corners; that is what cameras get here.

The JSON file is subject -> list of cameras in the order of VideoPose3D's 2D lists, each with `orientation`
(quaternion w, x, y, z, camera to world), `translation` (the camera's place, millimetres), `focal_length`,
`center`, `radial_distortion` (k1, k2, k3), `tangential_distortion` (p2, p1: VideoPose3D has them in this
order), `res_w`, `res_h`, and optionally `id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers.files.safe_text import read_json, read_xml
from posedata.readers.format import ClipCamera

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = 11
SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
BROWN = 0.7
_NUMBERS = 4 * SUBJECTS * 6 + 4 * 9


def read_cameras(path: Path) -> dict[str, list[ClipCamera]]:
    """Cameras by subject ("S1"), in the order of `CAMERAS`; named by their numbers, whoever they saw.

    Raises FileNotFoundError; ValueError naming the file and the field.
    """
    return _from_xml(path) if path.suffix.lower() == ".xml" else _from_json(path)


def _from_xml(path: Path) -> dict[str, list[ClipCamera]]:
    root = read_xml(path)
    words = (root.findtext("w0") or "").strip().strip("[]").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise ValueError(f"{path}: w0 holds what is not a number; get the file again") from None
    if len(numbers) != _NUMBERS or not np.isfinite(numbers).all():
        raise ValueError(f"{path}: w0 has {len(numbers)} numbers, wanted {_NUMBERS}; get the file again")
    listed = [(element.text or "").strip() for element in root.findall("dbcameras/index2id/*")]
    order = listed[:4] if listed else list(CAMERAS)
    if sorted(order) != sorted(CAMERAS):
        raise ValueError(f"{path}: dbcameras lists {', '.join(order)[:80]}, wanted {', '.join(CAMERAS)}")
    places = numbers[: 4 * SUBJECTS * 6].reshape(4, SUBJECTS, 6)
    lenses = numbers[4 * SUBJECTS * 6 :].reshape(4, 9)
    if (lenses[:, :2] <= 0).any():
        raise ValueError(f"{path}: w0 has a focal length that is not positive; get the file again")
    return {
        f"S{subject + 1}": [
            _camera(name, places[order.index(name), subject], lenses[order.index(name)]) for name in CAMERAS
        ]
        for subject in range(SUBJECTS)
    }


def _camera(name: str, place: np.ndarray, lens: np.ndarray) -> ClipCamera:
    rotation = _about(place[0], 0) @ _about(place[1], 1) @ _about(place[2], 2)
    k1, k2, k3, p1, p2 = lens[4:]
    return ClipCamera(
        name,
        lens[:2],
        lens[2:4],
        rotation,
        -rotation @ place[3:] / 1000,
        SIZES[name],
        (k1, k2, BROWN * p1, BROWN * p2, k3),
    )


def _about(angle: float, axis: int) -> np.ndarray:
    """A turn by this angle about one axis."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
    return turn


def _from_json(path: Path) -> dict[str, list[ClipCamera]]:
    given = read_json(path)
    out: dict[str, list[ClipCamera]] = {}
    for subject, cameras in given.items():
        if not isinstance(cameras, list):
            raise ValueError(f"{path}: {subject[:40]} is not a list of cameras; write one")
        out[subject] = [
            _described(camera, number, f"{path}: {subject[:40]} camera {number}")
            for number, camera in enumerate(cameras)
        ]
    return out


def _described(camera: Mapping[str, Any], number: int, where: str) -> ClipCamera:
    if not isinstance(camera, Mapping) or (not camera.get("id") and number >= len(CAMERAS)):
        raise ValueError(f"{where}: is not a camera with an id; complete the entry")
    q = _numbers(camera, "orientation", 4, where)
    if not 1e-6 < np.linalg.norm(q) < 1e6:
        raise ValueError(f"{where}: orientation is not a quaternion (w, x, y, z); correct the entry")
    rotation = _quaternion_matrix(q).T
    k1, k2, k3 = _numbers(camera, "radial_distortion", 3, where)
    p2, p1 = _numbers(camera, "tangential_distortion", 2, where)
    fx, fy = _numbers(camera, "focal_length", 2, where)
    cx, cy = _numbers(camera, "center", 2, where)
    place = _numbers(camera, "translation", 3, where) / 1000
    width, height = (_numbers(camera, side, 1, where)[0] for side in ("res_w", "res_h"))
    name, size = str(camera.get("id") or CAMERAS[number])[:40], (int(width), int(height))
    if not (fx > 0 and fy > 0 and 0 < width < 1e5 and 0 < height < 1e5):
        raise ValueError(f"{where}: focal_length, res_w or res_h is not positive; correct the entry")
    distortion = (k1, k2, BROWN * p1, BROWN * p2, k3)
    return ClipCamera(name, (fx, fy), (cx, cy), rotation, -rotation @ place, size, distortion)


def _numbers(camera: Mapping[str, Any], field: str, count: int, where: str) -> np.ndarray:
    """A field of so many finite numbers, nested or not."""
    if field not in camera:
        raise ValueError(f"{where}: lacks {field}; complete the entry")
    try:
        values = np.array(camera[field], dtype=float).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if len(values) != count or not (np.abs(values) < 1e9).all():
        raise ValueError(f"{where}: {field} is not a list of {count} numbers; correct the entry")
    return values


def _quaternion_matrix(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
