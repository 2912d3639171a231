"""The generic "joints" npz: one array of poses, and for each its sequence, subject and action.

`joints (N, 17, 3)` metres, z up; `seq`, `subject`, `action (N,)` indices into `seq_names`, `subject_names`,
`action_names`; `fps`; `parents (17,)` (optional, checked). Frames of a sequence are consecutive.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from posedata.readers._clips import Dataset, stride_for
from posedata.skeleton import get_skeleton

_KEYS = {
    "sequence": ("seq", "seq_names"),
    "subject": ("subject", "subject_names"),
    "action": ("action", "action_names"),
}


def read_joints(
    source: str | Path, *, fps: int | float | None = None, licence: str = "as its source states"
) -> Dataset:
    """Read such a file; `fps` keeps every n-th frame of each sequence.

    Raises FileNotFoundError, or ValueError naming the array that is missing or wrong.
    """
    path = Path(source)
    arrays = _arrays(path)
    skeleton = get_skeleton("h36m17")
    joints = arrays["joints"]
    if joints.shape[1:] != (len(skeleton), 3):
        raise ValueError(f"{path}: joints has shape {joints.shape}, wanted (N, 17, 3); convert it")
    if "parents" in arrays and tuple(arrays["parents"].tolist()) != skeleton.parents:
        raise ValueError(f"{path}: parents are not those of h36m17; reorder the joints to Human3.6M's 17")
    index = {name: _index(path, arrays, *keys) for name, keys in _KEYS.items()}
    frame = _frame_numbers(path, index["sequence"])
    rate = float(arrays["fps"])
    stride = stride_for(path, rate, fps)
    keep = frame % stride == 0
    columns = {name: values[keep] for name, values in index.items()}
    columns |= {"joints": joints[keep].astype(np.float32), "frame": frame[keep] // stride}
    meta = {"skeleton": skeleton.name, "fps": rate / stride, "source": path.name, "licence": licence}
    meta |= {f"{name}s": arrays[names].tolist() for name, (_, names) in _KEYS.items()}
    return Dataset(columns, meta)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a joints npz")
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: is not a readable npz ({reason}); copy it anew") from None
    wanted = {"joints", "fps"} | {key for keys in _KEYS.values() for key in keys}
    missing = sorted(wanted - set(arrays))
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; write all arrays of the joints format")
    return arrays


def _index(path: Path, arrays: dict[str, np.ndarray], key: str, names: str) -> np.ndarray:
    values, known = arrays[key], len(arrays[names])
    if values.shape != (len(arrays["joints"]),):
        raise ValueError(
            f"{path}: {key} has shape {values.shape} for {len(arrays['joints'])} poses; write it anew"
        )
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= known:
        raise ValueError(f"{path}: {key} must be integers from 0 to {known - 1}, indices into {names}")
    return values.astype(np.int32)


def _frame_numbers(path: Path, sequence: np.ndarray) -> np.ndarray:
    """Position of each row in its run; runs must be whole sequences."""
    starts = np.flatnonzero(np.diff(sequence, prepend=sequence[0] - 1))
    if len(np.unique(sequence[starts])) != len(starts):
        raise ValueError(f"{path}: the frames of a sequence are not consecutive; sort the rows by seq")
    lengths = np.diff(starts, append=len(sequence))
    return (np.arange(len(sequence)) - np.repeat(starts, lengths)).astype(np.int32)
