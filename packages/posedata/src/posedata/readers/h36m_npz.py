"""Human3.6M as VideoPose3D's npz files carry it: `data_3d_h36m.npz` and `data_2d_h36m_NAME.npz`.

The first holds subject -> action -> (T, 32, 3) world metres, z up, at 50 Hz; the second subject -> action ->
one (T, 17, 2) per camera, pixels. Both are pickles, read through `_safe_npz`. The files have no cameras:
those come as JSON, subject -> list of cameras in the order of the 2D lists, each with `orientation`
(quaternion w, x, y, z, camera to world), `translation` (the camera's place, millimetres), `focal_length`,
`center`, `radial_distortion` (k1, k2, k3), `tangential_distortion` (p1, p2), `res_w`, `res_h`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.prepare.format import Clip, ClipCamera, Context, Format, Plan, Total, Unit, option, register
from posedata.prepare.merge import Dataset, collect
from posedata.readers._clips import stride_for
from posedata.readers._safe_npz import load_plain_npz

JOINTS_17_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
RATE = 50.0
H36M_TOTALS = (
    Total(
        "training frames, four cameras",
        1_559_752,
        "UniHPR, section IV-A",
        subjects=("S1", "S5", "S6", "S7", "S8"),
    ),
    Total(
        "test frames, four cameras",
        550_644,
        "UniHPR, section IV-A",
        subjects=("S9", "S11"),
        at_least=548_819,
    ),
)
"""Of the 50 Hz videos; ports that lose some frames have the lower count."""


@register
@dataclass(frozen=True)
class H36mNpz(Format):
    """`data_3d_h36m.npz` (or the folder that holds it) as Human3.6M-17, a unit per subject and action.

    Without cameras a row is a pose. With cameras it is a pose seen by one of them; with keypoints too it
    has `keypoints_NAME`, NAME from the file's ("gt" becomes "true"), confidence 1.
    """

    name = "h36m_npz"
    title = "Human3.6M, VideoPose3D's npz files"
    terms = "Human3.6M: academic use, by its own agreement"
    reference_fps = RATE
    totals = H36M_TOTALS

    cameras: Path | None = option(None, "Cameras as JSON.")
    keypoints: Path | None = option(None, "A data_2d_h36m_NAME.npz file; needs the cameras.")

    def plan(self, source: Path, context: Context) -> Plan:
        path = source / "data_3d_h36m.npz" if source.is_dir() else source
        if self.keypoints is not None and self.cameras is None:
            raise ValueError(
                f"{self.keypoints}: keypoints need the cameras that saw them; give a cameras file too"
            )
        stride = stride_for(path, RATE, self.fps)
        poses = _unpacked(path, "positions_3d", context)
        cameras = {} if self.cameras is None else _cameras(Path(self.cameras), list(poses))
        seen = {} if self.keypoints is None else _unpacked(Path(self.keypoints), "positions_2d", context)
        files = tuple(Path(file) for file in (path, self.cameras, self.keypoints) if file is not None)
        units = []
        for subject, actions in poses.items():
            for action, stored in actions.items():
                detail = {"poses": stored[0], "views": seen.get(subject, {}).get(action, [])}
                detail |= {"subject": subject, "action": action, "stride": stride}
                detail["cameras"] = cameras.get(subject, ())
                units.append(Unit(f"{subject} {action}", files, detail))
        return Plan(units, "Human3.6M (VideoPose3D npz)", fps=RATE / stride)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        path, detail = unit.files[0], unit.detail
        array = np.load(context.scratch / detail["poses"], mmap_mode="r")
        joints = _seventeen(array, f"{path}: {unit.name}")[:: detail["stride"]]
        whole = Clip(joints, detail["subject"], unit.name, detail["action"].split()[0])
        if not detail["cameras"]:
            yield whole
        elif self.keypoints is not None and len(detail["views"]) != len(detail["cameras"]):
            raise ValueError(
                f"{self.keypoints}: {unit.name}: has {len(detail['views']) or 'no'} views for"
                f" {len(detail['cameras'])} cameras; give the matching file"
            )
        else:
            for number, camera in enumerate(detail["cameras"]):
                columns = {}
                if self.keypoints is not None:
                    where = f"{self.keypoints}: {unit.name}"
                    view = np.load(context.scratch / detail["views"][number], mmap_mode="r")
                    name = "keypoints_" + _detector(Path(self.keypoints))
                    columns[name] = _with_confidence(view, len(array), where)[:: detail["stride"]]
                yield dataclasses.replace(whole, columns=columns, cameras=(camera,))


def read_h36m_npz(source: str | Path, **options: Any) -> Dataset:
    """Read VideoPose3D's files into memory; options are the fields of `H36mNpz`."""
    return collect(H36mNpz(**options), source)


def _cameras(path: Path, subjects: list[str]) -> dict[str, tuple[ClipCamera, ...]]:
    """The cameras of each subject that is read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such cameras file; give a JSON file")
    given = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for subject in subjects:
        if not given.get(subject):
            raise ValueError(f"{path}: has no cameras for {subject!r}; add them")
        rows = enumerate(given[subject])
        found[subject] = tuple(
            _camera(row, number, f"{path}: {subject} camera {number}") for number, row in rows
        )
    return found


def _camera(camera: Mapping[str, Any], number: int, where: str) -> ClipCamera:
    try:
        rotation = _quaternion_matrix(np.array(camera["orientation"], dtype=float)).T
        k1, k2, k3 = camera["radial_distortion"]
        p1, p2 = camera["tangential_distortion"]
        return ClipCamera(
            name=str(camera.get("id", number)),
            focal=[float(f) for f in camera["focal_length"]],
            centre=[float(c) for c in camera["center"]],
            rotation=rotation,
            translation=-rotation @ np.array(camera["translation"], dtype=float) / 1000,
            distortion=[float(k) for k in (k1, k2, p1, p2, k3)],
            size=[int(camera["res_w"]), int(camera["res_h"])],
        )
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


def _unpacked(path: Path, name: str, context: Context) -> dict[str, dict[str, list[str]]]:
    """Subject -> action -> the .npy files, in the scratch, of what the entry holds there."""

    def unpack(folder: Path) -> None:
        index: dict[str, dict[str, list[str]]] = {}
        count = 0
        for subject, actions in _entry(path, name).items():
            for action, stored in actions.items():
                for array in stored if isinstance(stored, list) else [stored]:
                    np.save(folder / f"{count:05d}.npy", array)
                    index.setdefault(subject, {}).setdefault(action, []).append(f"{count:05d}.npy")
                    count += 1
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    folder = context.unpacked([path], unpack)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {
        subject: {action: [f"{folder.name}/{file}" for file in files] for action, files in actions.items()}
        for subject, actions in index.items()
    }


def _seventeen(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim != 3 or array.shape[1:] not in ((32, 3), (17, 3)):
        raise ValueError(f"{where}: shape is {array.shape}, wanted (T, 32, 3) or (T, 17, 3)")
    chosen = array[:, list(JOINTS_17_OF_32)] if array.shape[1] == 32 else array
    return chosen.astype(np.float32)


def _with_confidence(array: np.ndarray, count: int, where: str) -> np.ndarray:
    if len(array) < count or array.shape[1:] != (17, 2):
        raise ValueError(f"{where}: shape is {array.shape}, wanted ({count} or more, 17, 2)")
    return np.concatenate([array[:count], np.ones((count, 17, 1))], axis=-1).astype(np.float32)


def _detector(path: Path) -> str:
    name = path.stem.removeprefix("data_2d_h36m_")
    return "true" if name == "gt" else name
