"""What teaches a part of the space the pose alone: two views of one pose, found among those of others."""

import torch
from contrastive import views_info_nce
from jaxtyping import Bool
from polypose.senses.invariance import alike
from posedata.views.batch import Views
from poseenc import Embedded
from posetrain.loop import Trainer
from torch import Tensor

from unihpr.data import TrainingData
from unihpr.recipe import PAIRED

CAMERAS = 2


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
    found: Embedded, near: Bool[Tensor, "b B"], temperature: float | Tensor, *, gather: bool = False
) -> Tensor:
    """Of the pose's parts of two views of each pose, `contrastive.views_info_nce`.

    Args:
        found: views of b poses, those of one side by side.
        near: which poses, of this process's and of all, are alike (`polypose.senses.invariance.alike`).
    """
    sides = [found.of_pose().at(slice(camera, None, CAMERAS)) for camera in range(CAMERAS)]
    first, second = ({name: x for name, x in side.directions().items() if name in PAIRED} for side in sides)
    there = (sides[0].present, sides[1].present)
    return views_info_nce(first, second, temperature, present=there, positives=near, gather=gather)
