"""What an embedding is worth: retrieval across cameras, and the pose it decodes to.

Hit@k (PR-VIPE, section 4.1; V-VIPE, section 4.2): for every ordered pair of cameras, queries as the one sees
the test poses, a gallery as the other does; a hit where one of the k nearest is within 0.1 torsos of the
query's pose after Procrustes. Percent, means over queries and pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import torch
from jaxtyping import Bool, Float
from posedata.scoring.metrics import mpjpe_mm, nearest, pa_mpjpe_mm
from posedata.scoring.similar import pose_distances
from posedata.sharing import shared
from posedata.views.rigs import CHEST_CAMERAS
from torch import Tensor

from .hit_rules import HitRules
from .seen import Normalised
from .vvipe import VVIPE, Model, embed_views

Metrics = dict[str, Any]
Pairs = list[tuple[int, int]]


@torch.no_grad()
def evaluate(model: Model, test: TestSet, torso: float, config: HitRules, align: bool = True) -> Metrics:
    """Hit@k on the training rig, on all pairs of the test rig and on its unseen pairs; 3D error of V-VIPE.

    All of it is computed on the model's device.

    Args:
        torso: metres that a torso has, of the universal skeleton.
        align: False where the model was taught poses as the world has them.
    """
    model.eval()
    test = test.to(model.body.lengths.device)
    same, other = (embed_views(model, views, config.batch) for views in (test.same, test.other))
    metrics = retrieval(same, other, test, config)
    metrics |= {"torso_mm": 1000 * torso, "test_poses": len(test)}
    if isinstance(model, VVIPE):
        truth = test.pose
        for name, embedded in (("same_rig", same), ("all", other)):
            metrics[name] |= estimation(model, embedded, truth, torso, config.batch, align)
        if align:
            metrics["reconstruct"] = {"mpjpe_mm": rebuilt_mm(model, truth, torso)}
            metrics["3d_to_2d"] = three_to_two(model, other, test, config)
    return metrics


@dataclass(frozen=True)
class TestSet:
    """Held-out poses, no two nearly alike.

    Attributes:
        joints: (N, 17, 3) in the world, metres.
        pose: (N, 17, 3) as embedded: in torsos, in the body frame.
        same: (N, 4, ...) seen by the training cameras.
        other: (N, 11, ...) seen by the test cameras: `CHEST_CAMERAS` at chest height, then the steep ones.
    """

    joints: Float[Tensor, "N J 3"]
    pose: Float[Tensor, "N J 3"]
    same: Normalised
    other: Normalised

    def __len__(self) -> int:
        return len(self.pose)

    @cached_property
    def distances(self) -> Float[Tensor, "N N"]:
        """Of every pose (row) to every other after Procrustes, in torsos: what decides a hit."""
        return pose_distances(self.pose, self.pose, aligned=True)

    def to(self, device: torch.device | str) -> TestSet:
        """On a device, with the distances if they have been computed."""
        if self.pose.device == torch.device(device):
            return self
        moved = TestSet(
            self.joints.to(device), self.pose.to(device), self.same.to(device), self.other.to(device)
        )
        if "distances" in self.__dict__:
            moved.__dict__["distances"] = self.distances.to(device)
        return moved

    def hits(self, threshold: float) -> Bool[Tensor, "N N"]:
        """Which pose counts as found for which query."""
        return self.distances <= threshold


@torch.no_grad()
def nearest_2d(test: TestSet, config: HitRules) -> Metrics:
    """The row that needs no training: the normalised keypoints themselves as the embedding."""
    return retrieval(test.same.keypoints.flatten(2), test.other.keypoints.flatten(2), test, config)


def retrieval(
    same: Float[Tensor, "N C dim"], other: Float[Tensor, "N K dim"], test: TestSet, config: HitRules
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

    def rates(pair: tuple[int, int]) -> Tensor:
        query, gallery = pair
        found = nearest(embeddings[:, query], embeddings[:, gallery], max(ks), distance="euclidean")
        first = hit.gather(1, found)
        return torch.stack([first[:, :k].any(1).float().mean() for k in ks])

    total = torch.zeros(len(ks), device=embeddings.device)
    for found in shared(rates, pairs):
        total += found
    return {f"hit{k}": float(100 * value / len(pairs)) for k, value in zip(ks, total, strict=True)}


def estimation(
    model: VVIPE,
    embedded: Float[Tensor, "N K dim"],
    truth: Float[Tensor, "N J 3"],
    torso: float,
    batch: int,
    align: bool = True,
) -> Metrics:
    """3D error of all views, in millimetres of the universal skeleton; MPJPE only in the body frame."""
    decoded = torch.cat(shared(model.decode, embedded.flatten(0, 1).split(batch)))
    repeated = truth.repeat_interleave(embedded.shape[1], dim=0)
    found = {"pa_mpjpe_mm": float(torso * pa_mpjpe_mm(decoded, repeated).mean())}
    if align:
        found["mpjpe_mm"] = float(torso * mpjpe_mm(decoded, repeated).mean())
    return found


def three_to_two(
    model: VVIPE, galleries: Float[Tensor, "N K dim"], test: TestSet, config: HitRules
) -> Metrics:
    """Hit@k of 3D queries in galleries of 2D, over the test rig's cameras."""
    query, hit = model.embed_pose(test.pose), test.hits(config.threshold)
    both = torch.cat([query[:, None], galleries], dim=1)
    return hit_rates(both, hit, [(0, c) for c in range(1, both.shape[1])], config.hits)


def rebuilt_mm(model: VVIPE, pose: Float[Tensor, "N J 3"], torso: float) -> float:
    """Error of poses embedded and decoded, mm."""
    return float(1000 * torso * (model.decode(model.embed_pose(pose)) - pose).norm(dim=-1).mean())
