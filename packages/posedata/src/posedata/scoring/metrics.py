"""Metrics by protocol name. Joints go in as metres (..., J, 3); names say what comes out.

None of these centres its input unless its text says so: make poses root-relative first
(``posedata.geometry.align.root_relative``) where the protocol does. Every function returns one value per
pose (or per query) unless it says otherwise; the caller averages. Retrieval is ``nearest`` once, then
any of ``top_k``, ``retrieval_mm`` and ``hit_at_k`` on what it found.

Alike everywhere: a NaN that counts (in the prediction or in the truth, at a joint that ``valid`` does not
leave out) makes the value of its pose NaN, never a miss; where the answer is an index or a yes or no, which
hold no NaN, it is refused. Prediction and truth have the same shape: nothing is broadcast. An empty batch
gives an empty answer. ValueError says what does not fit, TypeError what is not a tensor of floats.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from posedata.geometry.align import align
from posedata.scoring._metric_checks import (
    check_embeddings,
    check_found,
    check_metres,
    check_pair,
    check_reference,
)

_PIECE = 4096
_SIMILARITIES = 2**24

MPI_INF_3DHP_14 = (
    *("head", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow"),
    *("left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
)
"""Joints on which PCK3D and AUC are reported here, a choice among several in use: MPI-INF-3DHP's head top,
neck (our ``thorax``) and limbs, without pelvis (the root, zero by construction), spine and mid-head."""


def mpjpe_mm(
    predicted: Float[Tensor, "*batch J 3"],
    true: Float[Tensor, "*batch J 3"],
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean per-joint position error (Human3.6M protocol 1, on root-relative poses), mm."""
    check_pair(predicted, true, valid)
    return _mean(per_joint_mm(predicted, true), valid)


def pa_mpjpe_mm(
    predicted: Float[Tensor, "*batch J 3"],
    true: Float[Tensor, "*batch J 3"],
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """MPJPE after the best similarity (protocol 2), mm; it is fitted to the valid joints alone."""
    check_pair(predicted, true, valid)
    if not true.numel():
        return mpjpe_mm(predicted, true, valid)
    weights = None
    if valid is not None:
        predicted = predicted.masked_fill(~valid[..., None], 0)
        true = true.masked_fill(~valid[..., None], 0)
        weights = valid.to(predicted.dtype)
    # In pieces that stay in the cache: a hundred thousand poses at once take twice the time.
    poses, truths = _pieces(predicted, 2), _pieces(true, 2)
    shares = [None] * len(poses) if weights is None else _pieces(weights, 1)
    fitted = [align(p, t, weights=w) for p, t, w in zip(poses, truths, shares, strict=True)]
    return mpjpe_mm(torch.cat(fitted).reshape(true.shape), true, valid)


def n_mpjpe_mm(
    predicted: Float[Tensor, "*batch J 3"], true: Float[Tensor, "*batch J 3"]
) -> Float[Tensor, "*batch"]:
    """MPJPE after the least-squares scale alone (protocol 3; Rhodin et al., CVPR 2018), mm.

    The scale is about the origin, so the poses must be root-relative. A prediction of all zeros stays so.
    """
    check_pair(predicted, true)
    power = predicted.square().sum((-2, -1))
    scale = (predicted * true).sum((-2, -1)) / power.clamp_min(torch.finfo(power.dtype).tiny)
    return mpjpe_mm(scale[..., None, None] * predicted, true)


def per_joint_mm(
    predicted: Float[Tensor, "*batch J 3"], true: Float[Tensor, "*batch J 3"]
) -> Float[Tensor, "*batch J"]:
    """Position error of every joint, mm."""
    check_pair(predicted, true)
    return 1000 * torch.linalg.vector_norm(predicted - true, dim=-1)


def epe_px(
    predicted: Float[Tensor, "*batch J 2"],
    true: Float[Tensor, "*batch J 2"],
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """End-point error: mean 2D distance, in the unit of the keypoints (pixels)."""
    check_pair(predicted, true, valid)
    return _mean(torch.linalg.vector_norm(predicted - true, dim=-1), valid)


def pck(
    predicted: Float[Tensor, "*batch J 2"],
    true: Float[Tensor, "*batch J 2"],
    reference: Float[Tensor, "*batch"],
    threshold: float = 0.05,
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Share of keypoints nearer than ``threshold`` times the reference length.

    Args:
        reference: (...) pixels, one length per pose: the longer side of the person's box (PCK), the head
            segment (PCKh), the torso. A pose whose reference is not positive has no PCK: NaN.
        threshold: 0.05 for PCK@0.05.
    """
    check_pair(predicted, true, valid)
    check_reference(reference, true, threshold)
    distance = torch.linalg.vector_norm(predicted - true, dim=-1)
    nearer = _hits(distance, threshold * reference[..., None])
    return _mean(nearer.masked_fill(~(reference[..., None] > 0), torch.nan), valid)


def pck3d(
    predicted: Float[Tensor, "*batch J 3"],
    true: Float[Tensor, "*batch J 3"],
    threshold: float = 0.150,
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Share of joints strictly nearer than ``threshold`` metres (MPI-INF-3DHP: 150 mm, root-relative).

    State the joint list with the number; ``MPI_INF_3DHP_14`` is ours.
    """
    check_pair(predicted, true, valid)
    check_metres(threshold)
    return _mean(_hits(per_joint_mm(predicted, true), 1000 * threshold), valid)


def auc3d(
    predicted: Float[Tensor, "*batch J 3"],
    true: Float[Tensor, "*batch J 3"],
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean of PCK3D over the 31 thresholds 0, 5, ..., 150 mm (MPI-INF-3DHP; Mehta et al., 3DV 2017)."""
    check_pair(predicted, true, valid)
    error = per_joint_mm(predicted, true)
    thresholds = torch.arange(0.0, 151.0, 5.0, dtype=error.dtype, device=error.device)
    # Of sorted thresholds, those beyond the error count as hits: strict, as in ``pck3d``.
    missed = torch.searchsorted(thresholds, error.detach().contiguous(), right=True)
    share = 1 - missed.to(error.dtype) / len(thresholds)
    return _mean(share.masked_fill(error.isnan(), torch.nan), valid)


def best_of(errors: Float[Tensor, " S *batch"]) -> Float[Tensor, "*batch"]:
    """The smallest error of S hypotheses, which stand along the first axis; NaN where one of them is NaN."""
    if not len(errors):
        raise ValueError("errors: there is no hypothesis; draw one or more")
    return errors.amin(0)


def joint_map(
    predicted: Float[Tensor, "*batch J 3"],
    true: Float[Tensor, "*batch J 3"],
    threshold: float = 0.10,
    valid: Bool[Tensor, "*batch J"] | None = None,
) -> Float[Tensor, ""]:
    """ITOP's mAP: the share of joints strictly nearer than ``threshold`` metres, over all poses and joints.

    Camera-space metres, no alignment. ITOP counts only frames whose ``is_valid`` is 1: leave the others out.
    NaN where nothing counts.
    """
    check_pair(predicted, true, valid)
    check_metres(threshold)
    hit = _hits(torch.linalg.vector_norm(predicted - true, dim=-1).double(), threshold)
    return hit.mean() if valid is None else hit[valid].mean()


class Neighbours(NamedTuple):
    """What a query may not find: gallery poses of its own sequence within ``window`` frames of its own.

    ``window=0`` leaves out the pose itself alone.
    """

    query_sequence: Int[Tensor, " Q"]
    query_frame: Int[Tensor, " Q"]
    gallery_sequence: Int[Tensor, " G"]
    gallery_frame: Int[Tensor, " G"]
    window: int

    def mask(self, rows: slice) -> Bool[Tensor, "q G"]:
        """For some of the queries, the gallery poses left out."""
        same = self.query_sequence[rows, None] == self.gallery_sequence
        apart = (self.query_frame[rows, None].long() - self.gallery_frame.long()).abs()
        return same & (apart <= self.window)


def nearest(
    queries: Float[Tensor, "Q D"],
    gallery: Float[Tensor, "G D"],
    k: int = 1,
    *,
    exclude: Neighbours | Bool[Tensor, "Q G"] | None = None,
    distance: Literal["cosine", "euclidean"] = "cosine",
    rows: int | None = None,
) -> Int[Tensor, "Q k"]:
    """Indices of the k gallery embeddings nearest to each query, nearest first.

    Args:
        exclude: what must not be found: a mask, or ``Neighbours``, which takes no Q x G memory.
        rows: queries at a time; by default as many as make 64 MB of float32 similarities.

    Raises:
        ValueError: the gallery, less what is excluded, leaves some query fewer than k; an embedding is NaN or
            infinite, or (for the cosine) zero, which is near to nothing; or widths differ.
    """
    for name, values in (("queries", queries), ("gallery", gallery)):
        check_embeddings(name, values, distance)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} numbers each, the gallery's {gallery.shape[1]}; embed both by"
            " one model"
        )
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k is {k}: it must lie between 1 and the gallery's size, {len(gallery)}")
    if isinstance(exclude, Tensor) and exclude.shape != (len(queries), len(gallery)):
        raise ValueError(f"exclude has shape {tuple(exclude.shape)}, {(len(queries), len(gallery))} are due")
    half_squares: Tensor | float = 0.0
    if distance == "cosine":
        queries = torch.nn.functional.normalize(queries, dim=-1)
        gallery = torch.nn.functional.normalize(gallery, dim=-1)
    else:
        half_squares = gallery.square().sum(-1) / 2
    rows = rows or max(1, _SIMILARITIES // len(gallery))
    found = []
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        score = queries[part] @ gallery.T - half_squares
        if exclude is not None:
            score.masked_fill_(
                exclude[part] if isinstance(exclude, Tensor) else exclude.mask(part), -torch.inf
            )
        best = score.topk(k, dim=-1)
        if exclude is not None and bool(best.values[:, -1].isneginf().any()):
            raise ValueError(
                f"exclude leaves fewer than k={k} gallery poses to some query: use a larger gallery"
            )
        found.append(best.indices)
    return torch.cat(found) if found else torch.zeros(0, k, dtype=torch.long, device=gallery.device)


def top_k(found: Int[Tensor, "Q n"], truth: Int[Tensor, " Q"], k: int) -> Bool[Tensor, " Q"]:
    """Whether the true gallery index is among the first k found; the mean is the Top-k accuracy."""
    if len(truth) != len(found):
        raise ValueError(f"truth has {len(truth)} entries for {len(found)} queries; give one each")
    return (_first(found, k) == truth[:, None]).any(-1)


def retrieval_mm(
    found: Int[Tensor, "Q n"],
    query_poses: Float[Tensor, "Q J 3"],
    gallery_poses: Float[Tensor, "G J 3"],
    *,
    aligned: bool = False,
) -> Float[Tensor, " Q"]:
    """Error between the pose of the first gallery entry found and the query's own pose, mm.

    MPJPE, or PA-MPJPE if ``aligned``. UniHPE and UniHPR keep the true pose in the gallery; pass
    ``exclude`` to ``nearest`` for the harder number without it and its temporal neighbours.
    """
    check_found(found, query_poses, gallery_poses)
    metric = pa_mpjpe_mm if aligned else mpjpe_mm
    return metric(gallery_poses[found[:, 0]], query_poses)


def hit_at_k(
    found: Int[Tensor, "Q n"],
    query_poses: Float[Tensor, "Q J 3"],
    gallery_poses: Float[Tensor, "G J 3"],
    k: int,
    threshold: float = 0.1,
) -> Bool[Tensor, " Q"]:
    """Whether one of the first k found is within ``threshold`` of the query's pose after Procrustes.

    PR-VIPE (Sun et al., ECCV 2020) and V-VIPE, section 4.2. The found pose is aligned to the query's, so the
    threshold (at most, not strict) is in the unit of ``query_poses``: pass poses of normalised size, and say
    how they were normalised.
    """
    if not threshold > 0:
        raise ValueError(f"threshold {threshold:g}: give a positive distance in the unit of the query poses")
    check_found(found, query_poses, gallery_poses)
    candidates = gallery_poses[_first(found, k)]
    errors = pa_mpjpe_mm(candidates, query_poses[:, None].expand_as(candidates)) / 1000
    if bool(errors.isnan().any()):
        query = int(errors.isnan().any(-1).nonzero()[0, 0])
        raise ValueError(f"query {query}: its pose, or one found for it, holds NaN; leave such poses out")
    return (errors <= threshold).any(-1)


def _first(found: Tensor, k: int) -> Tensor:
    if not 1 <= k <= found.shape[1]:
        raise ValueError(f"k is {k}, but nearest() was asked for {found.shape[1]}: ask it for k or more")
    return found[:, :k]


def _hits(distance: Tensor, threshold: float | Tensor) -> Tensor:
    """1 where strictly nearer than the threshold, else 0; NaN stays NaN."""
    return (distance < threshold).to(distance.dtype).masked_fill(distance.isnan(), torch.nan)


def _pieces(values: Tensor, trailing: int) -> tuple[Tensor, ...]:
    return values.reshape(-1, *values.shape[-trailing:]).split(_PIECE)


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Over the last axis, of the valid entries; NaN where there are none."""
    if valid is None:
        return values.mean(-1)
    return torch.where(valid, values, 0).sum(-1) / valid.sum(-1)
