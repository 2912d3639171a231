"""A trained UniHPR under a paper's protocol for poses, and which of its measures stand beside the papers'."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from posedata.scoring import PoseProtocol, Scores
from posedata.scoring.protocols import get_protocol
from posedata.views.rows import StoreRows

from polypose.batches import decode, embed
from polypose.measuring import Metrics
from polypose.network import POSE_SKELETON, Modality, UniHPR
from polypose.samples import Sample

BRANCHES: dict[str, tuple[Modality, bool]] = {
    "UniHPR, true 2D": ("2d", False),
    "UniHPR, detected 2D": ("2d", True),
    "UniHPR, image": ("image", False),
}
"""Rows of ours: from which modality, and whether keypoints have detector noise."""


def pose_protocol(name: str) -> PoseProtocol:
    """The protocol of this name.

    Raises:
        ValueError: it is not known, or scores what UniHPR does not predict.
    """
    protocol = get_protocol(name)
    if not isinstance(protocol, PoseProtocol):
        raise ValueError(f"protocol {name} scores embeddings across cameras; use typer apps/vvipe evaluate")
    if protocol.root is None:
        raise ValueError(f"protocol {name} scores places in the camera's frame; UniHPR's poses have none")
    return protocol


@torch.no_grad()
def score_branches(
    network: UniHPR,
    source: StoreRows,
    views: Callable[[bool], Sample],
    batch: int,
    protocol: PoseProtocol,
) -> dict[str, Scores]:
    """Scores of each branch's mean pose, on the protocol's test rows or, of other data, on all of them.

    Args:
        source: the views that are measured.
        views: all of them, with exact keypoints, or (True) a detector's.
    """
    network.eval()
    store = source.store
    kept = np.arange(len(source))
    if protocol.applies_to(store):
        kept = np.flatnonzero(np.isin(source.rows, protocol.test.rows(store)))
    picked = torch.from_numpy(kept)
    found = {}
    for branch, (modality, detector) in BRANCHES.items():
        sample = views(detector)[picked]
        if modality == "image" and sample.images is None:
            continue
        embedding = embed(network, sample, batch, (modality,))[modality]
        predicted = decode(network, embedding, modality, batch) @ sample.rotation
        found[branch] = protocol.score_rows(predicted.cpu(), POSE_SKELETON, store, source.rows[kept])
    return found


def remark(source: StoreRows, protocol: PoseProtocol) -> str:
    """Whether the published numbers are of the same data."""
    store = source.store
    if protocol.applies_to(store):
        seen = "as recorded" if source.recorded else "seen by this run's cameras"
        return f"{store.meta['source']}, the protocol's test part {seen}"
    return f"on {store.meta['source']}, which is not the protocol's data: the papers' rows are on theirs"


def branch_scores(metrics: Metrics) -> dict[str, Mapping[str, Any]]:
    """Of `evaluate`'s metrics, those of the branches."""
    keys = zip(BRANCHES, ("lift", "lift_detector", "image"), strict=True)
    return {branch: metrics[key] for branch, key in keys if key in metrics}
