"""The papers' protocols as objects: which rows to train and test on, how a pose is scored, what is published.

`evaluate --protocol NAME` of the apps takes these names:

    h36m-p1        Human3.6M, MPJPE                     h36m-p2         Human3.6M, PA-MPJPE
    3dpw-pa        3DPW, PA-MPJPE, cross-domain         3dhp-pck-auc    MPI-INF-3DHP, PCK and AUC
    itop-map       ITOP, joints within 10 cm
    prvipe-hit     Hit@k across Human3.6M's cameras     prvipe-hit-3dhp  and across MPI-INF-3DHP's

A pose protocol scores poses (`PoseProtocol.score`), retrieval across cameras embeddings (`HitProtocol`).
Neither knows a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from posedata.scoring.metrics import MPI_INF_3DHP_14, auc3d, mpjpe_mm, pa_mpjpe_mm, pck3d
from posedata.scoring.protocol import HitProtocol, PoseProtocol, Protocol, Selection
from posedata.store.names import did_you_mean

__all__ = ["PROTOCOLS", "THREEDPW_14", "HitProtocol", "PoseProtocol", "Protocol", "Selection", "get_protocol"]

H36M = ("h36m", "h36m_npz")
H36M_TRAIN = ("S1", "S5", "S6", "S7", "S8")
H36M_TEST = ("S9", "S11")
_LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
THREEDPW_14 = (*_LIMBS, "thorax", "neck")
"""Joints that SMPL-24 and Human3.6M-17 both have, pelvis aside: the twelve of the limbs, thorax and neck.

Papers on 3DPW score 14 joints too, but regressed from the body's surface; UniHPE does not say which."""


def _pck_percent(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    return 100 * pck3d(predicted, true, 0.150, valid)


def _auc_percent(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    return 100 * auc3d(predicted, true, valid)


def _map_percent(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    return 100 * pck3d(predicted, true, 0.100, valid)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        PoseProtocol(
            name="h36m-p1",
            title="Human3.6M protocol 1: MPJPE relative to the pelvis, by frame and by action",
            metrics={"mpjpe_mm": mpjpe_mm},
            by=("action",),
            columns={"mpjpe_mm": "h36m_mpjpe_mm"},
            source="UniHPE, section 4.1",
            formats=H36M,
            train=Selection(H36M_TRAIN),
            test=Selection(H36M_TEST),
        ),
        PoseProtocol(
            name="h36m-p2",
            title="Human3.6M protocol 2: MPJPE after Procrustes, by frame and by action",
            metrics={"pa_mpjpe_mm": pa_mpjpe_mm},
            by=("action",),
            columns={"pa_mpjpe_mm": "h36m_pa_mpjpe_mm"},
            source="UniHPE, section 4.1",
            formats=H36M,
            train=Selection(H36M_TRAIN),
            test=Selection(H36M_TEST),
        ),
        PoseProtocol(
            name="3dpw-pa",
            title="3DPW test set: MPJPE after Procrustes, of a model that never saw 3DPW",
            formats=("3dpw",),
            test=Selection(part="test"),
            metrics={"pa_mpjpe_mm": pa_mpjpe_mm},
            joints=THREEDPW_14,
            by=("sequence",),
            columns={"pa_mpjpe_mm": "3dpw_pa_mpjpe_mm"},
            source="UniHPE, section 4.1; the joints are ours to state",
        ),
        PoseProtocol(
            name="3dhp-pck-auc",
            title="MPI-INF-3DHP test set: joints within 150 mm, and the area under that curve from 0",
            formats=("mpi_inf_3dhp",),
            train=Selection(tuple(f"S{i}" for i in range(1, 9))),
            test=Selection(tuple(f"TS{i}" for i in range(1, 7))),
            metrics={"pck_percent": _pck_percent, "auc_percent": _auc_percent, "mpjpe_mm": mpjpe_mm},
            joints=MPI_INF_3DHP_14,
            by=("subject", "action"),
            columns={},
            source="Mehta et al., 3DV 2017; the joints are ours to state",
        ),
        PoseProtocol(
            name="itop-map",
            title="ITOP: joints within 10 cm in the camera's frame, of frames whose joints are valid",
            formats=("itop",),
            train=Selection(sequence_starts=("side train", "top train")),
            test=Selection(sequence_starts=("side test", "top test")),
            metrics={"map_percent": _map_percent},
            root=None,
            by_joint=True,
            columns={"map_percent": "itop_side_map"},
            source="Haque et al., ECCV 2016",
        ),
        HitProtocol(
            name="prvipe-hit",
            title="Hit@k across the four cameras of Human3.6M's test subjects, poses nearly alike left out",
            columns={f"hit{k}": f"h36m_hit{k}" for k in (1, 10, 20)},
            source="PR-VIPE, section 4.1; V-VIPE, section 4.2",
            formats=H36M,
            train=Selection(H36M_TRAIN),
            test=Selection(H36M_TEST),
        ),
        HitProtocol(
            name="prvipe-hit-3dhp",
            title="Hit@k across MPI-INF-3DHP's eleven cameras below the ceiling",
            formats=("mpi_inf_3dhp",),
            test=Selection(tuple(f"S{i}" for i in range(1, 9))),
            cameras=tuple(str(i) for i in range(11)),
            chest=("0", "2", "4", "7", "8"),
            columns={f"hit{k}": f"3dhp_all_hit{k}" for k in (1, 10, 20)},
            source="V-VIPE, section 4.3; camera sets as the data set's own tools name them",
        ),
    )
}
"""Protocols by the name that `evaluate --protocol` takes."""


def get_protocol(name: str) -> Protocol:
    """The protocol of this name. Raises ValueError, with the nearest name, for one that is not known."""
    if name not in PROTOCOLS:
        near = did_you_mean(name, PROTOCOLS)
        raise ValueError(f"protocol {name!r} is not known{near}; use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def published_rows(ours: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows (method, input, the protocols' scores, source): ours, then the papers' that have any of them."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name in names:
        for row in get_protocol(name).beside(ours):
            rows.setdefault((row["method"], row["input"]), {}).update(row)
    scores = [score for name in names for score in get_protocol(name).columns]
    return [
        (row["method"], row["input"], *(_cell(row.get(score)) for score in scores), row["source"])
        for row in rows.values()
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
