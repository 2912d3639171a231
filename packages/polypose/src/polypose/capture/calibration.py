"""Calibrated cameras from the files of other programs, and which film each of them made.

| file | written by | lengths |
|---|---|---|
| .toml | Pose2Sim, anipose (the same tables) | metres; millimetres where cameras stand beyond `_HALL` |
| .yml .yaml .xml | OpenCV: one camera a file, or `names` with K_NAME, R_NAME, T_NAME | likewise |
| .qca.txt | Qualisys | millimetres; subpixels of 1/64 |

Rotations take the world to the camera, x right, y down, z forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.plausible import check_focal

from polypose.capture import calibration_files as files
from polypose.capture.calibration_files import Raw

SUFFIXES = (".qca.txt", ".toml", ".yml", ".yaml", ".xml")
_MOST, _LARGEST = 100, 20_000
_HALL = 100.0
"""Metres from the origin beyond which no camera of people stands: lengths are millimetres then."""
_TURNED = 1e-2
_PADDING = 16
"""Pixels by which a film may be larger or smaller than its calibration says: a codec's block."""


@dataclass(frozen=True)
class Calibrated:
    """A camera of a calibration.

    Attributes:
        name: what its file calls it.
        camera: float64; at the origin where only intrinsics are known.
        posed: whether the file says where it stands.
    """

    name: str
    camera: Camera
    posed: bool


def read_calibration(path: str | Path) -> list[Calibrated]:
    """The cameras of a calibration file, or of a folder of them, in the file's order.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, of no known format, or says what no camera is; names file and field.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.name.lower().endswith(SUFFIXES))
        if not found:
            raise FileNotFoundError(f"{path}: holds no calibration; give a {', '.join(SUFFIXES)} file")
    else:
        found = [path]
    raws = files.joined([raw for file in found[: _MOST + 1] for raw in _read(file)], path)
    if not 1 <= len(raws) <= _MOST:
        raise ValueError(f"{path}: describes {len(raws)} cameras; give 1 to {_MOST}")
    names = [raw.name for raw in raws]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: camera {twice!r} stands twice; give one calibration of each")
    unit = 1.0 if all(_distance(raw) <= _HALL for raw in raws) else 1e-3
    return [_camera(raw, unit) for raw in raws]


def cameras_of(
    calibration: Sequence[Calibrated], films: Sequence[tuple[str, tuple[int, int]]], where: str | Path
) -> tuple[list[Calibrated], list[str]]:
    """The camera of each film, by its name or, where no name fits, in order; and what to tell the user.

    Args:
        films: name and (width, height) of each.
        where: what messages call the calibration.

    Raises:
        ValueError: there are other cameras than films, or one is calibrated for pictures of another size.
    """
    by_name = {one.name.casefold(): one for one in calibration}
    wanted = [name.casefold() for name, _ in films]
    if all(name in by_name for name in wanted):
        found, notes = [by_name[name] for name in wanted], []
    elif len(films) == len(calibration) and not any(name in by_name for name in wanted):
        found = list(calibration)
        pairs = ", ".join(f"{film} is {one.name}" for (film, _), one in zip(films, found, strict=True))
        notes = [f"cameras matched to films in order: {pairs}"]
    else:
        missing = next(name for name, _ in films if name.casefold() not in by_name)
        known = ", ".join(one.name for one in calibration)
        raise ValueError(
            f"{where}: has no camera {missing!r}, it has {known}; name the films like their cameras"
        )
    for (name, size), one in zip(films, found, strict=True):
        given = one.camera.size.tolist()
        if max(abs(a - b) for a, b in zip(size, given, strict=True)) > _PADDING:
            told = f"is calibrated at {given[0]}x{given[1]}, film {name} has {size[0]}x{size[1]}"
            raise ValueError(f"{where}: camera {one.name} {told}; give the calibration of this film")
        if list(size) != given:
            notes.append(
                f"{name}: {size[0]}x{size[1]}, calibrated at {given[0]}x{given[1]}: taken as padding"
            )
    return found, notes


def _read(path: Path) -> list[Raw]:
    name = path.name.lower()
    if name.endswith(".toml"):
        return files.read_toml(path)
    if name.endswith((".yml", ".yaml")):
        return files.read_yaml(path)
    if name.endswith((".xml", ".qca.txt")):
        return files.read_any_xml(path)
    raise ValueError(f"{path}: is no calibration that is read; give a {', '.join(SUFFIXES)} file")


def _distance(raw: Raw) -> float:
    known = raw.translation is not None and np.isfinite(raw.translation).all()
    return float(np.linalg.norm(raw.translation)) * raw.unit if known and raw.translation is not None else 0.0


def _camera(raw: Raw, unit: float) -> Calibrated:
    """The camera, each field checked."""
    where = f"{raw.file}: camera {raw.name!r}"
    size = _numbers(raw.size, (2,), where, "size")
    if not ((size >= 1) & (size <= _LARGEST)).all():
        raise ValueError(f"{where}: size is {size[0]:g}x{size[1]:g}; give width and height in pixels")
    matrix = _numbers(raw.matrix, (3, 3), where, "matrix")
    if not np.allclose(matrix[2], (0, 0, 1)) or not (np.diag(matrix) > 0).all():
        raise ValueError(f"{where}: matrix is no intrinsic matrix; give fx 0 cx, 0 fy cy, 0 0 1 in pixels")
    if not ((matrix[:2, 2] > -size) & (matrix[:2, 2] < 2 * size)).all():
        centre = f"({matrix[0, 2]:g}, {matrix[1, 2]:g}) is far outside {size[0]:g}x{size[1]:g}"
        raise ValueError(f"{where}: the centre {centre}; give both of the same images, in pixels")
    try:
        check_focal(float(matrix[0, 0]), (int(size[0]), int(size[1])))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    bent = np.zeros(5)
    given = _numbers(raw.distortion, None, where, "distortion").ravel()
    if len(given) > 5 and np.abs(given[5:]).max() > 0:
        raise ValueError(
            f"{where}: distortion has {len(given)} coefficients, 5 are known; calibrate with k1 k2 p1 p2 k3"
        )
    if np.abs(given).max(initial=0) > 100:
        raise ValueError(f"{where}: distortion reaches {np.abs(given).max():g}; give k1 k2 p1 p2 k3")
    bent[: min(5, len(given))] = given[:5]
    posed = raw.rotation is not None and raw.translation is not None
    turn, place = np.eye(3), np.zeros(3)
    if raw.rotation is not None and raw.translation is not None:
        turn = _rotation(_numbers(raw.rotation, None, where, "rotation"), where)
        place = _numbers(raw.translation, (3,), where, "translation") * unit * raw.unit
    tensors = [torch.from_numpy(x) for x in (matrix[[0, 1], [0, 1]], matrix[:2, 2].copy(), turn, place, bent)]
    return Calibrated(raw.name, Camera(*tensors, size=tuple(round(side) for side in size.tolist())), posed)


def _rotation(values: np.ndarray, where: str) -> np.ndarray:
    """A rotation from a matrix or a rotation vector (Rodrigues), brought to the nearest exact one."""
    if values.size == 3:
        return rodrigues(values.ravel())
    if values.shape != (3, 3):
        raise ValueError(f"{where}: rotation has shape {values.shape}; give 3 numbers, or 3x3")
    if np.abs(values @ values.T - np.eye(3)).max() > _TURNED or np.linalg.det(values) < 0:
        raise ValueError(f"{where}: rotation is not a rotation; give world to camera")
    u, _, vt = np.linalg.svd(values)
    return np.asarray(u @ vt)


def rodrigues(vector: np.ndarray) -> np.ndarray:
    """(..., 3) rotation vectors, radians about their direction, to (..., 3, 3)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape[:-1], 3, 3)
    return np.asarray(
        np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / 2 / np.pi) ** 2 * cross @ cross
    )


def _numbers(values: object, shape: tuple[int, ...] | None, where: str, field: str) -> np.ndarray:
    """Finite float64 of that shape."""
    try:
        array = np.asarray(values, np.float64)
        array = array if shape is None or array.size != int(np.prod(shape)) else array.reshape(shape)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: {field} is not numbers; write the calibration again") from None
    if shape is not None and array.shape != shape:
        raise ValueError(
            f"{where}: {field} has shape {array.shape}, want {shape}; write the calibration again"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: {field} holds NaN or infinity; write the calibration again")
    return array
