"""Predictions in a file scored by the protocol of a data set, beside the published tables.

`evaluate_protocol("itop", predictions, truth)` compares two files. Truth is a
pose store that `posedata prepare` made, an npz, or ITOP's joints in a .mat; predictions are an npz such as
`unipose predict` writes, or A2J's .mat. Both are in the camera's frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.readers.files.mat5 import read_mat5
from posedata.readers.files.safe_npz import load_npz_arrays
from posedata.scoring.metrics import mpjpe_mm
from posedata.scoring.protocols import PROTOCOLS, PoseProtocol, Selection
from posedata.scoring.published import published_table
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton
from posedata.store import PoseStore

ITOP_FOCAL, ITOP_CENTRE = 1 / 0.0035, (160.0, 120.0)


_ITOP = cast(PoseProtocol, PROTOCOLS["itop-map"])
_METRICS = {**_ITOP.metrics, "mpjpe_mm": mpjpe_mm}
_PANOPTIC_15 = get_skeleton("panoptic15").joints

DATASETS: dict[str, PoseProtocol] = {
    "itop": dataclasses.replace(_ITOP, metrics=_METRICS),
    "panoptic": PoseProtocol(
        name="panoptic",
        title="CMU Panoptic: the first 15 joints of coco19 in the camera's frame",
        formats=("panoptic",),
        test=Selection(),
        metrics=_METRICS,
        joints=_PANOPTIC_15,
        root=None,
        by_joint=True,
        columns={},
        source="joints as in VoxelPose (ECCV 2020); which sequences to test on is the user's to say",
    ),
    "ntu": PoseProtocol(
        name="ntu",
        title="NTU RGB+D: cross-subject test people, against the sensor's own joints (no measured truth)",
        formats=("ntu",),
        test=Selection(part="test"),
        metrics=_METRICS,
        root=None,
        by_joint=True,
        columns={},
        source="ours: NTU RGB+D publishes no pose protocol",
    ),
}
"""Protocols by the data set's name; each is scored without any alignment, mAP at 10 cm (strict) and MPJPE."""


@dataclass(frozen=True)
class Poses:
    """Poses of a file: joints in the camera's frame, metres, which of them are known, and their skeleton."""

    joints: Float[Tensor, "N J 3"]
    valid: Bool[Tensor, "N J"]
    skeleton: Skeleton


def evaluate_protocol(name: str, predictions: str | Path, truth: str | Path) -> dict[str, Any]:
    """Scores by method: the predictions, trivial baselines, and the published rows.

    Args:
        name: itop (or itop-map, as `posedata.scoring.protocols` calls it), panoptic or ntu.
        predictions: npz with `joints` (N, J, 3) metres, camera frame (y down), optionally `skeleton`; or .mat
            with `resultUVD` (N, 15, 3), pixels of ITOP's 320x240 and metres.
        truth: a pose store with cameras (the protocol's test rows are taken); npz with `joints`, optionally
            `valid`; or .mat with `keypoints3D` (N, 15, 3), metres, y up, as ITOP has it.

    Returns:
        `protocol`, `frames`, `rows` (as `table_rows` prints them: method, map_percent, mpjpe_mm, source) and
        `joints` (percent within 10 cm, left and right together, ours and published).

    Raises:
        ValueError, FileNotFoundError: naming file, field and cure.
    """
    protocol = pose_protocol(name)
    true = read_poses(Path(truth), protocol)
    said = read_poses(Path(predictions), protocol)
    if len(said.joints) != len(true.joints):
        raise ValueError(
            f"{predictions}: has {len(said.joints)} poses, {truth} has {len(true.joints)} to compare with;"
            " predict every test frame, in its order"
        )
    return score_methods(protocol, {Path(predictions).stem: said.joints}, said.skeleton, true)


def pose_protocol(name: str) -> PoseProtocol:
    """The protocol of this name, or of this data set. Raises ValueError where there is none."""
    known = DATASETS | {protocol.name: protocol for protocol in DATASETS.values()}
    if name not in known:
        raise ValueError(f"protocol {name!r} is not known; use one of {', '.join(known)}")
    return known[name]


def score_methods(
    protocol: PoseProtocol, methods: Mapping[str, Float[Tensor, "N J 3"]], skeleton: Skeleton, true: Poses
) -> dict[str, Any]:
    """Scores of several methods on the same frames, as `evaluate_protocol` returns them.

    Args:
        methods: their joints, in the camera's frame, metres, by a name for the table.
        skeleton: of the methods.
    """
    first = next(iter(methods))
    if skeleton.name == true.skeleton.name:
        methods = {**methods, **_free(true)}
    scores = {
        method: protocol.score(joints, true.joints, skeleton, true_skeleton=true.skeleton, valid=true.valid)
        for method, joints in methods.items()
    }
    rows = [
        {
            "method": method,
            "map_percent": s["map_percent"],
            "mpjpe_mm": s["mpjpe_mm"],
            "source": "computed here",
        }
        for method, s in scores.items()
    ]
    rows += [{**row, "mpjpe_mm": None, "source": "published"} for row in protocol.published()]
    joints = [{"method": m, **_sides_together(s["map_percent_by_joint"])} for m, s in scores.items()]
    if "itop" in protocol.formats:
        joints = [row | _halves(row) for row in (*joints, *published_table("unipose/itop-joints").rows)]
    return {"protocol": protocol.title, "frames": scores[first]["frames"], "rows": rows, "joints": joints}


def table_rows(scores: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(method, mAP@10cm, MPJPE, where from), ours first, for a table on a terminal."""
    return [
        (row["method"], _number(row["map_percent"]), _number(row["mpjpe_mm"]), row["source"])
        for row in scores["rows"]
    ]


def joint_rows(scores: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the table by joint."""
    names = [name for name in scores["joints"][0] if name != "method"]
    rows = [(row["method"], *(_number(row.get(name), 1) for name in names)) for row in scores["joints"]]
    return ("method", *names), rows


def read_poses(path: Path, protocol: PoseProtocol) -> Poses:
    """The poses of a store (its test rows), an npz or a .mat, in the camera's frame.

    Raises:
        ValueError, FileNotFoundError: no such poses, or people so large that the unit cannot be the metre.
    """
    if path.is_dir():
        return _of_store(PoseStore.open(path), protocol)
    poses = _of_mat(path) if path.suffix == ".mat" else _of_npz(path, protocol)
    _require_metres(poses, path)
    return poses


def _require_metres(poses: Poses, path: Path) -> None:
    whole = poses.valid.sum(1) * 2 >= poses.valid.shape[1]
    joints, valid = poses.joints[whole], poses.valid[whole][..., None]
    if not len(joints):
        return
    high = joints.masked_fill(~valid, -torch.inf).amax(1)
    low = joints.masked_fill(~valid, torch.inf).amin(1)
    size = float((high - low).amax(-1).median())
    for unit, factor in (("millimetres", 1000), ("centimetres", 100)):
        if 0.3 * factor < size < 3 * factor:
            raise ValueError(
                f"{path}: people are {size:.0f} units large, which looks like {unit}; give metres:"
                f" joints / {factor}"
            )


def _of_store(store: PoseStore, protocol: PoseProtocol) -> Poses:
    rows = protocol.test.rows(store)
    if not len(rows):
        raise ValueError(f"{store.path}: has no row of {protocol.name}'s test part; prepare that part too")
    joints = torch.from_numpy(np.array(store.column("joints")[rows])).double()
    if "camera" in store:
        joints = store.camera(rows).to(dtype=torch.float64).world_to_camera(joints)
    valid = torch.ones(joints.shape[:2], dtype=torch.bool)
    if "valid" in store:
        valid = torch.from_numpy(np.array(store.column("valid")[rows]))
    return Poses(joints, valid, store.skeleton)


def _of_mat(path: Path) -> Poses:
    found = read_mat5(path, ("resultUVD", "keypoints3D"))
    if not found:
        raise ValueError(
            f"{path}: has neither resultUVD nor keypoints3D; give A2J's or ITOP's .mat, or an npz"
        )
    field, array = next(iter(found.items()))
    if array.ndim != 3 or array.shape[1:] != (15, 3) or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {field} has shape {array.shape}, wanted (N, 15, 3) numbers")
    joints = torch.from_numpy(np.array(array, dtype=np.float64))
    if field == "resultUVD":
        centre = torch.tensor(ITOP_CENTRE, dtype=torch.float64)
        joints = torch.cat([(joints[..., :2] - centre) / ITOP_FOCAL * joints[..., 2:], joints[..., 2:]], -1)
    else:
        joints = joints * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    return Poses(joints, torch.isfinite(joints).all(-1), get_skeleton("itop15"))


def _of_npz(path: Path, protocol: PoseProtocol) -> Poses:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give an npz with 'joints', a .mat, or a pose store")
    try:
        arrays = load_npz_arrays(path, ("joints", "valid", "skeleton"))
    except ValueError:
        raise ValueError(
            f"{path}: is no npz of numbers and text, or cut short; write it with numpy.savez"
        ) from None
    joints = arrays.get("joints")
    skeleton = _skeleton(arrays, protocol)
    if joints is None or joints.dtype.kind != "f" or joints.shape[1:] != (len(skeleton), 3):
        found = "no joints" if joints is None else f"joints {joints.dtype} {joints.shape}"
        raise ValueError(f"{path}: has {found}, wanted floats (N, {len(skeleton)}, 3) of {skeleton.name}")
    valid = np.isfinite(joints).all(-1)
    if "valid" in arrays:
        if arrays["valid"].shape != valid.shape or arrays["valid"].dtype != bool:
            raise ValueError(f"{path}: valid is not bool {valid.shape}; write it again")
        valid = valid & arrays["valid"]
    return Poses(torch.from_numpy(joints.astype(np.float64)), torch.from_numpy(valid), skeleton)


def _skeleton(arrays: dict[str, np.ndarray], protocol: PoseProtocol) -> Skeleton:
    named = str(arrays["skeleton"]) if "skeleton" in arrays and arrays["skeleton"].dtype.kind == "U" else ""
    if named in SKELETONS:
        return SKELETONS[named]
    return get_skeleton(
        {"itop": "itop15", "itop-map": "itop15", "ntu": "ntu25"}.get(protocol.name, "panoptic19")
    )


def _free(true: Poses) -> dict[str, Float[Tensor, "N J 3"]]:
    """What knows the truth's mean: one pose for all frames, and the same put at each frame's true torso."""
    known = true.valid.all(-1)
    if not known.any():
        return {}
    centre = "torso" if "torso" in true.skeleton.joints else true.skeleton.joints[true.skeleton.root]
    root = true.joints[:, [true.skeleton.index(centre)]]
    mean = true.joints[known].mean(0, keepdim=True)
    relative = (true.joints - root)[known].mean(0, keepdim=True)
    return {
        "mean pose of the truth": mean.expand_as(true.joints),
        f"mean pose at the true {centre}": root + relative,
    }


_HALVES = (
    ("upper body", ("head", "neck"), ("shoulders", "elbows", "hands")),
    ("lower body", (), ("hips", "knees", "feet")),
)
_PLURALS = {"foot": "feet", "head_centre": "head", "shoulder_centre": "neck"}


def _sides_together(by_joint: dict[str, float]) -> dict[str, float]:
    """The mean of left and right, under the plural that published tables use."""
    found: dict[str, list[float]] = {}
    for joint, value in by_joint.items():
        side, _, part = joint.partition("_")
        sided = side in ("left", "right")
        name = _PLURALS.get(part, f"{part}s") if sided else _PLURALS.get(joint, joint)
        found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _halves(row: Mapping[str, Any]) -> dict[str, float]:
    """Means over the joints of the upper and of the lower body, each side of a pair counted; the torso is of
    neither, as in Haque et al.'s table."""
    halves = {}
    for half, single, paired in _HALVES:
        total = sum(row[name] for name in single) + 2 * sum(row[name] for name in paired)
        halves[half] = total / (len(single) + 2 * len(paired))
    return halves


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
