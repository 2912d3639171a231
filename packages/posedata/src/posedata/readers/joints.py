"""The generic "joints" npz: one array of poses, and for each its sequence, subject and action.

`joints (N, 17, 3)` metres, z up; `seq`, `subject`, `action (N,)` indices into `seq_names`, `subject_names`,
`action_names`; `fps`; `parents (17,)` (optional, checked). Frames of a sequence are consecutive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers._clips import stride_for
from posedata.readers.files.safe_npz import check_real, load_npz_arrays
from posedata.readers.format import Clip, Context, Format, Plan, Unit, register
from posedata.readers.listing import files_below, matching
from posedata.readers.merge import Dataset, collect
from posedata.skeleton import get_skeleton
from posedata.store.names import is_text

_KEYS = {
    "sequence": ("seq", "seq_names"),
    "subject": ("subject", "subject_names"),
    "action": ("action", "action_names"),
}
_NAMES = ("fps", *(names for _, names in _KEYS.values()))


@register
@dataclass(frozen=True)
class Joints(Format):
    """One npz file, which has to be read whole: one unit, a clip per sequence."""

    name = "joints"
    title = "joints npz: one array of Human3.6M-17 poses with names"

    def plan(self, source: Path, context: Context) -> Plan:
        source = _only_npz(source, context)
        arrays = _arrays(source, _NAMES)
        rate = float(arrays["fps"].item())
        lists = {f"{name}s": arrays[names].tolist() for name, (_, names) in _KEYS.items()}
        unit = Unit(source.stem, (source,), stride_for(source, rate, self.fps))
        return Plan([unit], source.name, fps=rate / unit.detail, meta=lists)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        path, stride = unit.files[0], unit.detail
        arrays = _arrays(path)
        skeleton = get_skeleton("h36m17")
        joints = check_real(arrays["joints"], f"{path}: joints")
        if joints.shape[1:] != (len(skeleton), 3):
            raise ValueError(f"{path}: joints has shape {joints.shape}, wanted (N, 17, 3); convert it")
        if "parents" in arrays and tuple(arrays["parents"].tolist()) != skeleton.parents:
            raise ValueError(f"{path}: parents are not those of h36m17; reorder the joints to Human3.6M's 17")
        _check_finite(joints, path)
        index = {name: _index(path, arrays, *keys) for name, keys in _KEYS.items()}
        frame = _frame_numbers(path, index["sequence"])
        edges = np.flatnonzero(np.any([np.diff(values, prepend=-1) for values in index.values()], axis=0))
        for start, stop in zip(edges, [*edges[1:], len(joints)], strict=True):
            kept = start + np.flatnonzero(frame[start:stop] % stride == 0)
            names = {name: str(arrays[_KEYS[name][1]][values[start]]) for name, values in index.items()}
            with np.errstate(over="ignore"):  # what becomes infinite is refused with its frame
                poses = joints[kept].astype(np.float32)
            yield Clip(
                poses,
                names["subject"],
                names["sequence"],
                names["action"],
                {"frame": frame[kept] // stride},
            )


def read_joints(source: str | Path, **options: Any) -> Dataset:
    """Read such a file; options are the fields of `Joints`, e.g. `fps`, which keeps every n-th frame.

    Raises FileNotFoundError, or ValueError naming the array that is missing or wrong.
    """
    return collect(Joints(**options), source)


def _only_npz(source: Path, context: Context) -> Path:
    """The file; or of what was unpacked from a zip file the only npz."""
    if source.is_dir() and source.is_relative_to(context.scratch):
        found = matching(files_below(source), "*.npz")
        if len(found) != 1:
            raise ValueError(
                f"{source}: holds {len(found)} npz files, wanted one; unpack it, give the npz file"
            )
        return found[0]
    return source


def _arrays(path: Path, only: Collection[str] = ()) -> dict[str, np.ndarray]:
    arrays = load_npz_arrays(path, only)
    wanted = set(only) or {"joints", "fps"} | {key for keys in _KEYS.values() for key in keys}
    if missing := sorted(wanted - set(arrays)):
        raise ValueError(f"{path}: lacks {', '.join(missing)}; write all arrays of the joints format")
    for names in ("seq_names", "subject_names", "action_names"):
        if names in arrays:
            arrays[names] = _texts(arrays[names], f"{path}: {names}")
    if "joints" in arrays and not len(np.atleast_1d(arrays["joints"])):
        raise ValueError(f"{path}: joints has no pose; write one at least")
    rate = arrays["fps"]
    if rate.size != 1 or rate.dtype.kind not in "fiu" or not 0 < float(rate.item()) < 1e5:
        raise ValueError(f"{path}: fps is not a number of frames a second; write it again")
    return arrays


def _texts(names: np.ndarray, where: str) -> np.ndarray:
    """A list of names as text; bytes are UTF-8."""
    try:
        listed = [name.decode() if isinstance(name, bytes) else name for name in names.tolist()]
    except (UnicodeDecodeError, TypeError):
        listed = []
    whole = names.ndim == 1 and names.dtype.kind in "US" and len(listed) == len(names)
    if not whole or not all(map(is_text, listed)):
        raise ValueError(f"{where} is no list of names in UTF-8; write it as an array of text")
    return np.array(listed, dtype=np.str_)


def _check_finite(joints: np.ndarray, path: Path) -> None:
    bad = ~np.isfinite(joints).all(-1)
    if bad.any():
        row, joint = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{path}: joints row {row}: {get_skeleton('h36m17').joints[joint]} is not finite, as in"
            f" {int(bad.any(1).sum())} rows; leave these rows out"
        )


def _index(path: Path, arrays: dict[str, np.ndarray], key: str, names: str) -> np.ndarray:
    values, known = arrays[key], len(arrays[names])
    if values.shape != (len(arrays["joints"]),):
        raise ValueError(
            f"{path}: {key} has shape {values.shape} for {len(arrays['joints'])} poses; write it again"
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
