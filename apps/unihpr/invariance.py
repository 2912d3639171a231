"""What teaches a part of the space the pose alone: two views of one pose, found among those of others."""

from collections.abc import Sequence
from itertools import product

import torch
from contrastive import info_nce
from jaxtyping import Bool
from polypose.senses.invariance import alike
from posedata.views.batch import Views
from poseenc import Embedded
from posetrain.loop import Trainer
from torch import Tensor

from unihpr.data import TrainingData

CAMERAS = 2
PAIRED = ("2d", "3d")
"""The senses that views without pictures have: pairs of views teach them the pose alone."""


def draw_pairs(data: TrainingData, count: int, generator: torch.Generator, trainer: Trainer) -> Views:
    """Training poses at random, as the recipe changes them, before two virtual cameras each: side by side, of
    the whole batch what is this process's."""
    noise = data.config.noise
    views = data.views.virtual.draw(count, generator, noise=noise, augment=True, cameras=CAMERAS)
    rows = torch.arange(len(views), device=data.device).view(-1, CAMERAS)
    return views[trainer.share(rows).flatten()]


def alike_in_batch(pairs: Views, trainer: Trainer) -> Bool[Tensor, "b B"]:
    """Which of this process's poses are `alike` which of the whole batch's."""
    assert pairs.joints is not None
    return trainer.share(alike(trainer.whole.gather(pairs.joints[::CAMERAS])))


def across_cameras(
    found: Embedded,
    near: Bool[Tensor, "b B"],
    temperature: float | Tensor,
    senses: Sequence[str] = PAIRED,
    *,
    gather: bool = False,
) -> Tensor:
    """InfoNCE between the pose's parts of two views of each pose: mean over senses and across them.

    V-VIPE's and PR-VIPE's positives, other cameras' views; poses too alike to tell are no negatives.

    Args:
        found: views of b poses, those of one side by side.
        near: which poses, of this process's and of all, are alike (`polypose.senses.invariance.alike`).

    Raises:
        ValueError: the space has no part of the pose alone, or none of the senses.
    """
    pose = found.of_pose()
    pairs = list(product([name for name in senses if name in pose.beliefs], repeat=2))
    if not pairs:
        raise ValueError(f"senses.space: has none of {', '.join(senses)}, which invariant needs; add one")
    terms = []
    for one, other in pairs:
        x, y = pose.beliefs[one].mean[::CAMERAS], pose.beliefs[other].mean[1::CAMERAS]
        there = [pose.present[one][::CAMERAS], pose.present[other][1::CAMERAS]]
        terms.append(info_nce(x, y, temperature, present=there, positives=near, gather=gather))
    return torch.stack(terms).mean()
