"""A motion as one .npz, all of it, and back.

Arrays: `times` (F,) s; `skeleton`, `joint_names`, `parents`; `unit`, `frame`; `notes`; `person_id`,
`person_first` (P,); `view_name`, `view_path` (V,), `view_focal`, `view_centre` (V, 2), `view_rotation`,
`view_translation`, `view_distortion`, `view_size`, `view_begins` (V,) s, `view_rate` (V,); and, where N
counts people and views from 0, `joints_N` (T, J, 3) metres, `valid_N` (T, J), `sd_N` (T, J), `covariance_N`
(T, J, 3, 3), `keypoints_N_V` (T, J, 3), `view_times_V` (F,) s. Joints and cameras are float64; sd, covariance
and keypoints float32. Of films there are names, and no folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from posedata.writing import write_npz as write_arrays

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person, View

FRAME = "world: right-handed, z up, metres, floor at z = 0 where it is known"
_CAMERA = ("focal", "centre", "rotation", "translation", "distortion", "size")
_CLOCK = ("begins", "rate")
_LARGEST = 1e6


def write_npz(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write everything; `read_fields` and `Motion.load` give it back."""
    arrays: dict[str, np.ndarray] = {
        "times": motion.times,
        "skeleton": np.array(motion.skeleton.name),
        "joint_names": np.array(motion.skeleton.joints),
        "parents": np.array(motion.skeleton.parents),
        "unit": np.array("metre"),
        "frame": np.array(FRAME),
        "notes": np.array(motion.notes, dtype=np.str_),
        "person_id": np.array([person.id for person in motion.people], np.int64),
        "person_first": np.array([person.first for person in motion.people], np.int64),
    }
    names = [view.name for view in motion.views]
    for number, person in enumerate(motion.people):
        arrays |= _person(person, number, names)
    write_arrays(path, **arrays, **_views(motion.views))
    return (path,)


def _person(person: Person, number: int, views: list[str]) -> dict[str, np.ndarray]:
    arrays = {
        f"joints_{number}": person.joints,
        f"valid_{number}": np.isfinite(person.joints).all(-1),
        f"sd_{number}": person.sd.astype(np.float32),
    }
    if person.covariance is not None:
        arrays[f"covariance_{number}"] = person.covariance.astype(np.float32)
    for view, points in person.keypoints.items():
        arrays[f"keypoints_{number}_{views.index(view)}"] = points.astype(np.float32)
    return arrays


def _views(views: tuple[View, ...]) -> dict[str, np.ndarray]:
    if not views:
        return {"view_name": np.array([], dtype=np.str_)}
    table = {
        f"view_{field}": np.stack([getattr(view.camera, field).detach().cpu().numpy() for view in views])
        for field in _CAMERA
    }
    paths = [view.path.name if view.path else "" for view in views]
    clocks = {
        f"view_{field}": np.array([getattr(view, field) for view in views], np.float64) for field in _CLOCK
    }
    times = {f"view_times_{number}": view.times for number, view in enumerate(views)}
    names = {"view_name": np.array([view.name for view in views]), "view_path": np.array(paths)}
    return names | table | times | clocks


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a `Motion`; those of its people and views as dictionaries.

    Raises:
        FileNotFoundError, ValueError: no such file, or no motion in it.
    """
    from posedata.readers.files.safe_npz import load_npz_arrays

    arrays = load_npz_arrays(path)
    if not holds_motion(arrays):
        raise ValueError(
            f"{path}: holds no motion ({', '.join(arrays)[:80]}); write one with polypose capture"
        )
    try:
        return _fields(arrays, path.parent)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, RuntimeError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else "its arrays disagree"
        raise ValueError(f"{path}: is not a whole motion ({what}); write it again") from None


def holds_motion(names: Any) -> bool:
    """Whether these arrays of an .npz, by name, are a motion's."""
    return {"times", "person_id", "view_name"} <= set(names)


def _fields(arrays: dict[str, np.ndarray], folder: Path) -> dict[str, Any]:
    from posedata.skeleton import Skeleton

    names = [str(name) for name in arrays["view_name"]]
    people = []
    for number, (who, first) in enumerate(zip(arrays["person_id"], arrays["person_first"], strict=True)):
        covariance = arrays.get(f"covariance_{number}")
        keypoints = {
            name: _numbers(arrays[key])
            for place, name in enumerate(names)
            if (key := f"keypoints_{number}_{place}") in arrays
        }
        people.append(
            {
                "id": int(who),
                "first": int(first),
                "joints": _numbers(arrays[f"joints_{number}"]),
                "sd": _numbers(arrays[f"sd_{number}"]),
                "covariance": None if covariance is None else _numbers(covariance),
                "keypoints": keypoints,
            }
        )
    joints = tuple(str(name) for name in arrays["joint_names"])
    return {
        "times": _numbers(arrays["times"]),
        "people": people,
        "views": [_view(arrays, number, name, folder) for number, name in enumerate(names)],
        "skeleton": Skeleton(str(arrays["skeleton"]), joints, tuple(arrays["parents"].tolist())),
        "notes": tuple(str(note) for note in arrays["notes"]),
    }


def _view(arrays: dict[str, np.ndarray], number: int, name: str, folder: Path) -> dict[str, Any]:
    import torch
    from posedata.geometry.camera import Camera

    parts = {field: torch.from_numpy(np.array(arrays[f"view_{field}"][number])) for field in _CAMERA}
    return {
        "name": name,
        "camera": Camera(**parts),
        "path": _film(str(arrays["view_path"][number]), folder),
        "times": _numbers(arrays[f"view_times_{number}"]),
    } | {field: float(_numbers(arrays[f"view_{field}"])[number]) for field in _CLOCK}


def _film(where: str, folder: Path) -> Path | None:
    """A film by its name: beside the file or one folder up, as a capture of it lies; else the name."""
    name = Path(where).name
    if not name:
        return None
    places = (folder / name, folder.resolve().parent / name)
    return next((place for place in places if place.exists()), Path(name))


def _numbers(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu" or (np.abs(array[np.isfinite(array)]) > _LARGEST).any():
        raise ValueError("no numbers")
    return array.astype(np.float64)
