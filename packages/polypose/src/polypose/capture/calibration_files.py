"""What calibration files say, field by field and unchecked: TOML, OpenCV's YAML and XML, Qualisys' XML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from posedata.readers.files.safe_text import read_text, read_xml

_BYTES = 4 << 20
_ENTRIES = 64
_SUBPIXELS = 64.0
_FLIP = np.diag([1.0, -1.0, -1.0])
"""From Qualisys' camera (y up, z back) to ours."""
_MATRIX = re.compile(
    r"(?P<name>\w+)\s*:\s*!!opencv-matrix\s+rows\s*:\s*(?P<rows>\d{1,4})\s+cols\s*:\s*(?P<cols>\d{1,4})\s+"
    r"dt\s*:\s*\S+\s+data\s*:\s*\[(?P<data>[^\]]*)\]"
)
_SCALAR = re.compile(r"^(?P<name>\w+)\s*:\s*(?P<value>[-+.\deE]+)\s*$", re.MULTILINE)
_LIST = re.compile(r"^(?P<name>\w+)\s*:\s*\[(?P<data>[-+.\deE,\s]*)\]", re.MULTILINE)
_NAMES = re.compile(r"^names\s*:\s*(?P<items>(?:\n\s*-[^\n]*)+|\[[^\]]*\])", re.MULTILINE)

_MATRIX_KEYS = ("camera_matrix", "cameramatrix", "intrinsic_matrix", "intrinsics", "matrix", "k", "mtx")
_BENT_KEYS = ("distortion_coefficients", "dist_coeffs", "distcoeffs", "distortion", "dist", "d")
_TURN_KEYS = ("rotation", "rvec", "rot", "r", "extrinsic_rotation")
_PLACE_KEYS = ("translation", "tvec", "t", "extrinsic_translation")


@dataclass(frozen=True)
class Raw:
    """One camera as a file has it.

    Attributes:
        unit: metres of one of the file's lengths, as far as the format says.
    """

    file: Path
    name: str
    size: Any
    matrix: Any
    distortion: Any
    rotation: Any = None
    translation: Any = None
    unit: float = 1.0


def read_toml(path: Path) -> list[Raw]:
    """Pose2Sim's and anipose's: a table a camera, `metadata` apart."""
    try:
        tables = tomllib.loads(read_text(path, _BYTES))
    except (tomllib.TOMLDecodeError, RecursionError, OverflowError) as error:
        place = re.search(r"line \d+", str(error))
        at = f" ({place[0]})" if place else ""
        raise ValueError(f"{path}: is not TOML{at}; write the calibration again") from None
    found = []
    for key, table in tables.items():
        if not isinstance(table, dict) or key == "metadata" or "matrix" not in table:
            continue
        if table.get("fisheye"):
            raise ValueError(f"{path}: {key}: fisheye lenses are not known; undistort the film first")
        name = table.get("name", key)
        if not isinstance(name, str) or not name:
            raise ValueError(f"{path}: {key}: name is no text; give the film's name")
        fields = (table.get(field) for field in ("size", "matrix", "distortions", "rotation", "translation"))
        size, matrix, bent, turn, place_ = (_small(path, key, value) for value in fields)
        found.append(Raw(path, name, size, matrix, [] if bent is None else bent, turn, place_))
    if not found:
        raise ValueError(f"{path}: has no table with a camera's matrix; give Pose2Sim's or anipose's TOML")
    return found


def read_yaml(path: Path) -> list[Raw]:
    """OpenCV's FileStorage as YAML, read by its few words: no tags, anchors or objects are made."""
    text = read_text(path, _BYTES)
    fields: dict[str, Any] = {}
    for match in _SCALAR.finditer(text):
        fields[match["name"]] = _floats(path, match["name"], match["value"])[0]
    for match in _LIST.finditer(text):
        fields[match["name"]] = _floats(path, match["name"], match["data"])
    for match in _MATRIX.finditer(text):
        fields[match["name"]] = _shaped(path, match["name"], match["rows"], match["cols"], match["data"])
    named = _NAMES.search(text)
    names = re.findall(r"[\w.-]*\w", named["items"]) if named else []
    return _cameras(path, fields, names)


def read_any_xml(path: Path) -> list[Raw]:
    """Qualisys' calibration, or OpenCV's FileStorage as XML; told by the root."""
    root = read_xml(path)
    if root.tag == "calibration":
        return _qualisys(path, root)
    if root.tag != "opencv_storage":
        raise ValueError(f"{path}: is neither OpenCV's nor Qualisys' XML; give a calibration")
    fields: dict[str, Any] = {}
    for child in root:
        text = (child.text or "").strip()
        if child.get("type_id") == "opencv-matrix":
            rows, cols, data = (child.findtext(tag, "") for tag in ("rows", "cols", "data"))
            fields[child.tag] = _shaped(path, child.tag, rows, cols, data)
        elif not len(child) and re.fullmatch(r"[-+.\deE\s]+", text):
            values = _floats(path, child.tag, text)
            fields[child.tag] = values[0] if len(values) == 1 else values
    names = (root.findtext("names") or "").split()
    return _cameras(path, fields, [name.strip('"') for name in names])


def joined(raws: Sequence[Raw], where: Path) -> list[Raw]:
    """Cameras whose intrinsics and extrinsics stand in two files of a folder, as one."""
    by_name: dict[str, Raw] = {}
    for raw in raws:
        other = by_name.get(raw.name)
        if other is None:
            by_name[raw.name] = raw
        elif other.matrix is None and other.rotation is not None and raw.rotation is None:
            by_name[raw.name] = replace(raw, rotation=other.rotation, translation=other.translation)
        elif raw.matrix is None and raw.rotation is not None and other.rotation is None:
            by_name[raw.name] = replace(other, rotation=raw.rotation, translation=raw.translation)
        else:
            raise ValueError(f"{where}: camera {raw.name!r} stands twice; give one calibration of each")
    for raw in by_name.values():
        if raw.matrix is None:
            raise ValueError(
                f"{raw.file}: camera {raw.name!r} has no matrix; give its intrinsics, OpenCV's camera_matrix"
            )
    return list(by_name.values())


def _cameras(path: Path, fields: Mapping[str, Any], names: Sequence[str]) -> list[Raw]:
    """OpenCV's fields as cameras: one named as the file, or `names` with a suffix each."""
    low = {key.casefold(): value for key, value in fields.items()}
    found = []
    for name in names[: _ENTRIES * 2] or [""]:
        end = f"_{name}".casefold() if name else ""

        def get(keys: Sequence[str], end: str = end) -> Any:
            return next((low[key + end] for key in keys if key + end in low), None)

        matrix, turn, place = get(_MATRIX_KEYS), get(("rot", *_TURN_KEYS)), get(_PLACE_KEYS)
        size = get(("image_size", "size", "imagesize"))
        if size is None:
            sides = get(("image_width", "width", "w")), get(("image_height", "height", "h"))
            size = sides if None not in sides else None
        if matrix is not None and size is None:  # FileStorage need not say it: the centre is about the middle
            flat = np.ravel(matrix)
            size = (round(2 * flat[2] + 1), round(2 * flat[5] + 1)) if flat.size == 9 else None
        if matrix is None and (turn is None or place is None):
            raise ValueError(f"{path}: has no camera_matrix{end}; give OpenCV's calibration of a camera")
        bent = get(_BENT_KEYS)
        own = name or path.name.split(".")[0]
        found.append(Raw(path, own, size, matrix, [] if bent is None else bent, turn, place))
    return found


def _qualisys(path: Path, root: Element) -> list[Raw]:
    """Video cameras, or all where a file tells none apart."""
    cameras = root.findall("cameras/camera")[: _ENTRIES * 4]
    films = [one for one in cameras if re.search("video|none", one.get("model", "none").lower())]
    found = []
    for camera in films or cameras:
        name = camera.get("serial", "")
        parts = {tag: camera.find(tag) for tag in ("fov_video", "transform", "intrinsic")}
        if not name or any(value is None for value in parts.values()):
            raise ValueError(f"{path}: camera {name!r} lacks serial, fov_video, transform or intrinsic")

        def number(tag: str, key: str, name: str = name, parts: Mapping[str, Any] = parts) -> float:
            value = parts[tag].get(key)
            try:
                return float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{path}: camera {name!r}: {tag} {key} is {str(value)[:40]!r}; give a number"
                ) from None

        left, top, right, bottom = (number("fov_video", key) for key in ("left", "top", "right", "bottom"))
        focal = [number("intrinsic", f"focalLength{axis}") / _SUBPIXELS for axis in "UV"]
        centre = [number("intrinsic", f"centerPoint{axis}") / _SUBPIXELS for axis in "UV"]
        matrix = [[focal[0], 0, centre[0] - left], [0, focal[1], centre[1] - top], [0, 0, 1]]
        radial = [number("intrinsic", f"radialDistortion{i}") for i in (1, 2, 3)]
        tangent = [number("intrinsic", f"tangentalDistortion{i}") for i in (1, 2)]
        turn = _FLIP @ np.array([[number("transform", f"r{i}{j}") for j in (1, 2, 3)] for i in (1, 2, 3)])
        stands = np.array([number("transform", axis) for axis in "xyz"])
        found.append(
            Raw(
                path,
                name,
                (right - left + 1, bottom - top + 1),
                matrix,
                [*radial[:2], *tangent, radial[2]],
                turn,
                -turn @ stands * 1e-3,
            )
        )
    return found


def _small(path: Path, key: str, value: Any) -> Any:
    """A short list of numbers, or of such lists."""
    rows = value if isinstance(value, list) else [value]
    if sum(len(row) if isinstance(row, list) else 1 for row in rows) > _ENTRIES:
        raise ValueError(f"{path}: {key}: a field has too many numbers; write the calibration again")
    return value


def _floats(path: Path, name: str, text: str) -> list[float]:
    words = text.replace(",", " ").split()
    try:
        if not 1 <= len(words) <= _ENTRIES:
            raise ValueError
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{path}: {name[:40]} is not numbers; write the calibration again") from None


def _shaped(path: Path, name: str, rows: str, cols: str, data: str) -> np.ndarray:
    values = np.array(_floats(path, name, data))
    try:
        return values.reshape(int(rows), int(cols))
    except ValueError:
        raise ValueError(
            f"{path}: {name[:40]} has {len(values)} numbers for {rows[:8]} x {cols[:8]}; write it again"
        ) from None
