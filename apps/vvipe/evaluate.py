"""What an embedding is worth: retrieval across cameras, and the pose it decodes to.

Hit@k (PR-VIPE, section 4.1; V-VIPE, section 4.2): for every ordered pair of cameras, queries as the one sees
the test poses, a gallery as the other does; a hit where one of the k nearest is within 0.1 torsos of the
query's pose after Procrustes. Percent, means over queries and pairs.
"""

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import torch
from jaxtyping import Bool, Float
from posedata.scoring.metrics import mpjpe_mm, nearest, pa_mpjpe_mm
from torch import Tensor

from vvipe.data import Data, Normalised, TestSet
from vvipe.model import VVIPE, Model
from vvipe.recipe import EvaluationConfig, Recipe
from vvipe.rigs import CHEST_CAMERAS

Metrics = dict[str, Any]
Pairs = list[tuple[int, int]]


@torch.no_grad()
def evaluate(
    model: Model, test: TestSet, torso: float, config: EvaluationConfig, align: bool = True
) -> Metrics:
    """Hit@k on the training rig, on all pairs of the test rig and on its unseen pairs; 3D error of V-VIPE.

    All of it is computed on the model's device.

    Args:
        torso: metres that a torso has, of the universal skeleton.
        align: False where the model was taught poses as the world has them.
    """
    model.eval()
    test = test.to(model.body.lengths.device)
    metrics = retrieval(
        embed_views(model, test.same, config.batch),
        embed_views(model, test.other, config.batch),
        test,
        config,
    )
    metrics |= {"torso_mm": 1000 * torso, "test_poses": len(test)}
    if isinstance(model, VVIPE):
        truth = test.pose
        for name, views in (("same_rig", test.same), ("all", test.other)):
            metrics[name] |= estimation(model, views, truth, torso, config.batch, align)
        if align:
            metrics["reconstruct"] = {"mpjpe_mm": _rebuilt_mm(model, truth, torso)}
            metrics["3d_to_2d"] = three_to_two(model, test, config)
    return metrics


@torch.no_grad()
def watch(model: Model, data: Data, recipe: Recipe, stage: str) -> dict[str, float]:
    """A stage of training in few numbers: the error of poses rebuilt, mm, then Hit@k and the 3D error."""
    if stage == "vae":
        assert isinstance(model, VVIPE)
        truth = data.body.pose(data.test.joints, recipe.vae.align).to(model.body.lengths.device)
        return {"reconstruct.mpjpe_mm": _rebuilt_mm(model, truth, data.body.torso)}
    found = evaluate(model, data.test, data.body.torso, recipe.evaluation, recipe.vae.align)
    rigs = ("same_rig", "all", "unseen")
    return {f"{rig}.{name}": value for rig in rigs for name, value in found[rig].items()}


@torch.no_grad()
def nearest_2d(test: TestSet, config: EvaluationConfig) -> Metrics:
    """The row that needs no training: the normalised keypoints themselves as the embedding."""
    return retrieval(test.same.keypoints.flatten(2), test.other.keypoints.flatten(2), test, config)


def retrieval(
    same: Float[Tensor, "N C dim"], other: Float[Tensor, "N K dim"], test: TestSet, config: EvaluationConfig
) -> Metrics:
    """Hit@k of embeddings of both rigs' views."""
    hit = test.hits(config.threshold)
    everywhere = list(permutations(range(other.shape[1]), 2))
    unseen = [(a, b) for a, b in everywhere if (a < CHEST_CAMERAS) != (b < CHEST_CAMERAS)]
    return {
        "same_rig": hit_rates(same, hit, list(permutations(range(same.shape[1]), 2)), config.hits),
        "all": hit_rates(other, hit, everywhere, config.hits),
        "unseen": hit_rates(other, hit, unseen, config.hits),
    }


def hit_rates(
    embeddings: Float[Tensor, "N C dim"], hit: Bool[Tensor, "N N"], pairs: Pairs, ks: Iterable[int]
) -> Metrics:
    """Hit@k in percent over ordered pairs of cameras.

    Args:
        embeddings: of every pose as every camera sees it.
        hit: which pose (column) counts for which query (row).
    """
    ks = [min(k, len(hit)) for k in ks]
    total = torch.zeros(len(ks), device=embeddings.device)
    for query, gallery in pairs:
        found = nearest(embeddings[:, query], embeddings[:, gallery], max(ks), distance="euclidean")
        first = hit.gather(1, found)
        total += torch.stack([first[:, :k].any(1).float().mean() for k in ks])
    return {f"hit{k}": float(100 * value / len(pairs)) for k, value in zip(ks, total, strict=True)}


def estimation(
    model: VVIPE, views: Normalised, truth: Tensor, torso: float, batch: int, align: bool = True
) -> Metrics:
    """3D error of all views, in millimetres of the universal skeleton; MPJPE only in the body frame."""
    embedded = embed_views(model, views, batch)
    decoded = torch.cat([model.decode(part) for part in embedded.flatten(0, 1).split(batch)])
    repeated = truth.repeat_interleave(embedded.shape[1], dim=0)
    found = {"pa_mpjpe_mm": float(torso * pa_mpjpe_mm(decoded, repeated).mean())}
    if align:
        found["mpjpe_mm"] = float(torso * mpjpe_mm(decoded, repeated).mean())
    return found


def three_to_two(model: VVIPE, test: TestSet, config: EvaluationConfig) -> Metrics:
    """Hit@k of 3D queries in galleries of 2D, over the test rig's cameras."""
    query, hit = model.embed_pose(test.pose), test.hits(config.threshold)
    galleries = embed_views(model, test.other, config.batch)
    both = torch.cat([query[:, None], galleries], dim=1)
    return hit_rates(both, hit, [(0, c) for c in range(1, both.shape[1])], config.hits)


@torch.no_grad()
def embed_views(model: Model, views: Normalised, batch: int) -> Float[Tensor, "*n dim"]:
    """Embeddings of views of any leading shape, in batches."""
    shape, flat = views.confidence.shape[:-1], views.flatten()
    starts = range(0, len(flat.confidence), batch)
    return torch.cat([model.embed(flat[i : i + batch]) for i in starts]).unflatten(0, shape)


def _rebuilt_mm(model: VVIPE, pose: Float[Tensor, "N J 3"], torso: float) -> float:
    """Error of poses embedded and decoded, mm."""
    return float(1000 * torso * (model.decode(model.embed_pose(pose)) - pose).norm(dim=-1).mean())
