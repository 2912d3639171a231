"""Human3.6M as VideoPose3D's npz files carry it: `data_3d_h36m.npz` and `data_2d_h36m_NAME.npz`.

The first holds subject -> action -> (T, 32, 3) world metres, z up, at 50 Hz; the second subject -> action ->
one (T, 17, 2) per camera, pixels. Both are pickles, read through `_safe_npz`. The files have no cameras:
those come as JSON, subject -> list of cameras in the order of the 2D lists, each with `orientation`
(quaternion w, x, y, z, camera to world), `translation` (the camera's place, millimetres), `focal_length`,
`center`, `radial_distortion` (k1, k2, k3), `tangential_distortion` (p1, p2), `res_w`, `res_h`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posedata._schema import CAMERA_COLUMNS
from posedata.readers._clips import Clip, Dataset, assemble, stride_for
from posedata.readers._safe_npz import load_plain_npz

JOINTS_17_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
RATE = 50.0


def read_h36m_npz(
    source: str | Path,
    *,
    fps: int | float | None = None,
    cameras: str | Path | None = None,
    keypoints: str | Path | None = None,
    licence: str = "Human3.6M: academic use, by its own agreement",
) -> Dataset:
    """Read `data_3d_h36m.npz` (or the folder that holds it) as Human3.6M-17.

    Without cameras a row is a pose. With cameras it is a pose seen by one of them; with keypoints too it
    has `keypoints_NAME`, NAME from the file's ("gt" becomes "true"), confidence 1.

    Args:
        source: the 3D file or its folder.
        fps: keep every n-th frame.
        cameras: JSON file as described above.
        keypoints: `data_2d_h36m_NAME.npz`; needs cameras.
        licence: kept in the store's meta.
    """
    path = Path(source) / "data_3d_h36m.npz" if Path(source).is_dir() else Path(source)
    if keypoints is not None and cameras is None:
        raise ValueError(f"{keypoints}: keypoints need the cameras that saw them; give a cameras file too")
    positions = _entry(path, "positions_3d")
    seen = {} if keypoints is None else _entry(Path(keypoints), "positions_2d")
    table = None if cameras is None else _CameraTable(Path(cameras), list(positions))
    name = "keypoints_" + _detector(Path(keypoints)) if keypoints is not None else ""
    stride = stride_for(path, RATE, fps)
    clips = []
    for subject, actions in positions.items():
        for action, array in actions.items():
            joints = _seventeen(array, f"{path}: {subject} {action}")
            whole = Clip(joints, subject, f"{subject} {action}", action.split()[0])
            views = [whole] if table is None else table.views(whole)
            if keypoints is not None:
                where = f"{keypoints}: {subject} {action}"
                views = _with_keypoints(views, seen.get(subject, {}).get(action), name, where)
            clips += [_every(view, stride) for view in views]
    data = assemble(clips, fps=RATE / stride, source="Human3.6M (VideoPose3D npz)", licence=licence)
    if table is not None:
        data.columns.update(table.columns())
    return data


class _CameraTable:
    """The cameras of the subjects that are read, as the store's camera table."""

    def __init__(self, path: Path, subjects: list[str]) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such cameras file; give a JSON file")
        given = json.loads(path.read_text(encoding="utf-8"))
        self._rows: list[dict[str, Any]] = []
        self._of: dict[str, range] = {}
        for subject in subjects:
            if not given.get(subject):
                raise ValueError(f"{path}: has no cameras for {subject!r}; add them")
            start = len(self._rows)
            for number, camera in enumerate(given[subject]):
                self._rows.append(_camera_row(camera, f"{path}: {subject} camera {number}"))
            self._of[subject] = range(start, len(self._rows))

    def views(self, clip: Clip) -> list[Clip]:
        """The clip once per camera of its subject."""
        count = len(clip.joints)
        return [
            Clip(clip.joints, clip.subject, clip.sequence, clip.action, {"camera": np.full(count, index)})
            for index in self._of[clip.subject]
        ]

    def columns(self) -> dict[str, np.ndarray]:
        return {name: np.array([row[name] for row in self._rows]) for name in CAMERA_COLUMNS}


def _camera_row(camera: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        rotation = _quaternion_matrix(np.array(camera["orientation"], dtype=float)).T
        k1, k2, k3 = camera["radial_distortion"]
        p1, p2 = camera["tangential_distortion"]
        return {
            "camera_focal": [float(f) for f in camera["focal_length"]],
            "camera_centre": [float(c) for c in camera["center"]],
            "camera_rotation": rotation,
            "camera_translation": -rotation @ np.array(camera["translation"], dtype=float) / 1000,
            "camera_distortion": [float(k) for k in (k1, k2, p1, p2, k3)],
            "camera_size": [int(camera["res_w"]), int(camera["res_h"])],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: cannot read {error}; complete the entry") from None


def _quaternion_matrix(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _entry(path: Path, name: str) -> dict[str, Any]:
    entries = load_plain_npz(path)
    if not isinstance(entries.get(name), dict):
        raise ValueError(f"{path}: has no dict {name!r}; give a file in VideoPose3D's layout")
    found: dict[str, Any] = entries[name]
    return found


def _seventeen(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim != 3 or array.shape[1:] not in ((32, 3), (17, 3)):
        raise ValueError(f"{where}: shape is {array.shape}, wanted (T, 32, 3) or (T, 17, 3)")
    chosen = array[:, list(JOINTS_17_OF_32)] if array.shape[1] == 32 else array
    return chosen.astype(np.float32)


def _with_keypoints(views: list[Clip], arrays: Any, name: str, where: str) -> list[Clip]:
    if arrays is None or len(arrays) != len(views):
        found = "no" if arrays is None else len(arrays)
        raise ValueError(f"{where}: has {found} views for {len(views)} cameras; give the matching file")
    out = []
    for view, array in zip(views, arrays, strict=True):
        count = len(view.joints)
        if len(array) < count or array.shape[1:] != (17, 2):
            raise ValueError(f"{where}: shape is {array.shape}, wanted ({count} or more, 17, 2)")
        full = np.concatenate([array[:count], np.ones((count, 17, 1))], axis=-1).astype(np.float32)
        columns = view.columns | {name: full}
        out.append(Clip(view.joints, view.subject, view.sequence, view.action, columns))
    return out


def _every(clip: Clip, stride: int) -> Clip:
    columns = {name: values[::stride] for name, values in clip.columns.items()}
    return Clip(clip.joints[::stride], clip.subject, clip.sequence, clip.action, columns)


def _detector(path: Path) -> str:
    name = path.stem.removeprefix("data_2d_h36m_")
    return "true" if name == "gt" else name
