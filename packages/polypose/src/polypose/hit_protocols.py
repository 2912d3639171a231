"""Hit@k of a view-invariant model by a paper's protocol, on a data set's own cameras."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from posedata.scoring.protocols import PROTOCOLS, HitProtocol, get_protocol
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.recorded import moments

from polypose.invariant import ViewInvariant
from polypose.stores import embed_views


def hit_protocol(name: str) -> HitProtocol:
    """The protocol of this name. Raises ValueError for one that is not known, or that scores poses."""
    protocol = get_protocol(name)
    if not isinstance(protocol, HitProtocol):
        known = ", ".join(n for n, p in PROTOCOLS.items() if isinstance(p, HitProtocol))
        raise ValueError(f"protocol {name} scores poses, V-VIPE is scored by retrieval; use one of {known}")
    return protocol


def whole(store: PoseStore, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    """Those whose true joints are all known: others cannot be compared with what is found. Tells how many."""
    kept = rows[store.column("valid")[rows].all(axis=1)]
    if lost := len(rows) - len(kept):
        print_line(f"{store.path}: {lost:,} of {len(rows):,} poses have a joint that is not valid; left out")
    return kept


@torch.no_grad()
def score_hits(
    model: ViewInvariant, path: Path, protocol: HitProtocol, keypoints: str
) -> tuple[dict[str, Any], str]:
    """Our scores on a store, and the store's fingerprint.

    Frames in which some camera's keypoints show nobody are left out, counted (`frames_unseen`) and told: the
    published detections of Human3.6M lack a sequence.

    Raises:
        ValueError: the store has no row of the protocol's test part, or nobody is seen in any.
    """
    store = PoseStore.open(path)
    model.require("2d")
    rows = protocol.test.rows(store)
    if not len(rows):
        raise ValueError(f"{path}: has no row of {protocol.name}'s test part; prepare {protocol.formats[0]}")
    if "valid" in store:
        rows = whole(store, rows)
    views, names = moments(store, rows, protocol.cameras)
    embedded = embed_views(model, store, ("2d",), keypoints)["2d"]
    seen = embedded.isfinite().all(-1).numpy()[views].all(axis=1)
    if not seen.any():
        raise ValueError(
            f"{path}: in each of {len(views)} frames some camera's keypoints_{keypoints} show no hip or no"
            " shoulder; name keypoints that do with --keypoints"
        )
    if lost := int((~seen).sum()):
        told = f"in {lost:,} of {len(views):,} frames some camera's keypoints_{keypoints} show no hip or no"
        print_line(f"{path}: {told} shoulder; left out")
    views = views[seen]
    joints = torch.from_numpy(np.array(store.column("joints")[views[:, 0]]))
    kept = protocol.subset(joints, store.skeleton)
    joints, embedded = joints[kept], embedded[torch.from_numpy(views)[kept]]
    hits = protocol.hits(joints, store.skeleton)
    scores: dict[str, Any] = {"frames": len(joints), "frames_unseen": lost}
    scores |= protocol.score(embedded, hits, protocol.pairs(names))
    if unseen := protocol.pairs(names, unseen=True):
        scores["unseen"] = protocol.score(embedded, hits, unseen)
    return scores, store.fingerprint
