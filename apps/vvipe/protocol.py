"""Hit@k by a paper's protocol, on a data set's own cameras (`evaluate --protocol NAME --store STORE`)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from posedata.scoring.protocols import PROTOCOLS, HitProtocol, get_protocol
from posedata.store import PoseStore
from trainer.results import write_results

from vvipe.train import Trained, need_end
from vvipe.use import embed_any


def hit_protocol(name: str) -> HitProtocol:
    """The protocol of this name. Raises ValueError for one that is not known, or that scores poses."""
    protocol = get_protocol(name)
    if not isinstance(protocol, HitProtocol):
        known = ", ".join(n for n, p in PROTOCOLS.items() if isinstance(p, HitProtocol))
        raise ValueError(f"protocol {name} scores poses, V-VIPE is scored by retrieval; use one of {known}")
    return protocol


def across_cameras(
    store: PoseStore, rows: Int[np.ndarray, " n"], cameras: tuple[str, ...] = ()
) -> tuple[Int[np.ndarray, "N C"], list[str]]:
    """The rows of each moment as every camera saw it, and the cameras' names; moments that one missed go.

    Args:
        rows: those to look at; a moment is a frame of a sequence of a subject.
        cameras: by name; all that saw any of the rows, if empty.

    Raises:
        ValueError: the store does not name its cameras, or no moment was seen by all of them.
    """
    names = store.meta.get("cameras")
    if names is None or "camera" not in store:
        raise ValueError(f"{store.path}: has no named cameras; prepare the data set with its cameras")
    named = np.array([*names, ""])[store.column("camera")[rows]]
    chosen = [name for name in dict.fromkeys(named.tolist()) if name and (not cameras or name in cameras)]
    moment = np.stack([store.column(c)[rows] for c in ("subject", "sequence", "frame") if c in store], axis=1)
    _, which = np.unique(moment, axis=0, return_inverse=True)
    table = np.full((int(which.max(initial=-1)) + 1, len(chosen)), -1)
    for i, name in enumerate(chosen):
        seen = named == name
        table[which[seen], i] = rows[seen]
    table = table[(table >= 0).all(axis=1)]
    if not len(table) or len(chosen) < 2:
        raise ValueError(f"{store.path}: no frame was seen by all of {len(chosen)} cameras; give two or more")
    return table, chosen


@torch.no_grad()
def score_hits(
    trained: Trained, path: Path, protocol: HitProtocol, keypoints: str, json: Path | None
) -> list[dict[str, Any]]:
    """Ours on a store, then the papers' rows; with `json`, ours written there."""
    need_end(trained)
    store = PoseStore.open(path)
    rows = protocol.test.rows(store)
    if not len(rows):
        raise ValueError(f"{path}: has no row of {protocol.name}'s test part; prepare {protocol.formats[0]}")
    views, names = across_cameras(store, rows, protocol.cameras)
    joints = torch.from_numpy(np.array(store.column("joints")[views[:, 0]]))
    views = views[protocol.subset(joints, store.skeleton).numpy()]
    joints = torch.from_numpy(np.array(store.column("joints")[views[:, 0]]))
    embedded = embed_any(trained, path, "2d", keypoints, "")[torch.from_numpy(views)]
    if lost := int((~embedded.isfinite().all(-1)).any(-1).sum()):
        raise ValueError(
            f"{path}: in {lost} of {len(views)} frames some camera's keypoints_{keypoints} show no hip or no"
            " shoulder; name keypoints that do with --keypoints"
        )
    hits = protocol.hits(joints, store.skeleton)
    scores: dict[str, Any] = {"frames": len(views), **protocol.score(embedded, hits, protocol.pairs(names))}
    if unseen := protocol.pairs(names, unseen=True):
        scores["unseen"] = protocol.score(embedded, hits, unseen)
    if json:
        row = {"method": trained.run.name, "protocol": protocol.name, "keypoints": keypoints, **scores}
        write_results(json, [row], data=store.fingerprint, published=protocol.published())
    return protocol.beside({trained.run.name: scores})
