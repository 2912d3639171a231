"""Stage A, stage B and their supervised twins as stages of the shared trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pointcloud_weak.clips import ClipBatch, Clips
from pointcloud_weak.frames import Frames, vary
from pointcloud_weak.students import Student
from pointcloud_weak.teacher import Teacher, label_loss
from pointcloud_weak.turn import Turn
from poseenc.anchor import Estimate
from posetrain.loop import Trainer
from posetrain.optimise import adamw, warmed
from posetrain.stage import Stage
from torch import Tensor, nn

from unipose.recipe import Recipe, StageConfig

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class _TeacherBatch:
    """A drawn batch: clips, how they are turned, which see their picture, how far the training is."""

    clips: ClipBatch
    turn: Turn
    seen: Tensor
    progress: float


def teacher(model: Teacher, clips: Clips, recipe: Recipe, trainer: Trainer) -> Stage:
    """Stage A: the point-cloud network by weak losses alone."""
    draw = _drawer(clips, recipe, trainer)

    def loss(batch: _TeacherBatch, generator: torch.Generator) -> Losses:
        joints = _predict(model, batch)
        weights = recipe.losses.at(batch.progress)
        return model.weak_loss(joints, batch.clips.seen, clips.skeleton, weights, recipe.model.robust)

    return _stage("teacher", model, recipe.teacher, draw, loss)


def teacher_twin(model: Teacher, clips: Clips, recipe: Recipe, trainer: Trainer) -> Stage:
    """The same network trained on 3D labels, of clips that have all: what stage A could at best come to."""
    draw = _drawer(clips, recipe, trainer, clips.labelled())
    truth = clips.truth()

    def loss(batch: _TeacherBatch, generator: torch.Generator) -> Losses:
        joints = _predict(model, batch)
        return label_loss(joints, truth[batch.clips.index.cpu()].to(joints))

    return _stage("teacher_twin", model, recipe.teacher, draw, loss)


def student(
    name: str,
    model: Student,
    frames: Frames,
    joints: Float[Tensor, "F J 3"],
    weight: Float[Tensor, "F J"],
    recipe: Recipe,
    trainer: Trainer,
) -> Stage:
    """Stage B: an anchor network on given joints, the teacher's or (a twin) the true ones.

    Args:
        frames: every training frame.
        joints: their labels, camera frame, metres.
        weight: of every joint; frames of weight 0 are left out.
    """
    config = recipe.student
    usable = torch.nonzero(weight.sum(-1) > 0).flatten()
    if not len(usable):
        raise ValueError(
            "pseudo: no frame passed the filter; train the teacher longer, or set pseudo.ray and "
            "pseudo.support higher"
        )
    targets = frames.targets(model.kind, joints)

    def batch(step: int, generator: torch.Generator) -> Int[Tensor, " B"]:
        at = torch.randint(len(usable), (config.batch,), generator=generator, device=generator.device)
        return trainer.share(usable[at.to(usable.device)])

    def loss(rows: Int[Tensor, " B"], generator: torch.Generator) -> Losses:
        device = trainer.device
        with trainer.whole.draws():
            pictures, target = vary(
                frames.pictures(model.kind, rows, device),
                targets[rows].to(device),
                frames.skeleton,
                config.turn,
                config.mirror,
                generator,
                model.kind,
            )
        said, whole = model.estimates(pictures), trainer.whole
        estimate = Estimate(*(whole.gather(part.float(), 1) for part in said))
        return model.loss(estimate, whole.gather(target), whole.gather(weight[rows].to(device)))

    return _stage(name, model, config, batch, loss)


def _drawer(
    clips: Clips, recipe: Recipe, trainer: Trainer, usable: Int[Tensor, " k"] | None = None
) -> Callable[[int, torch.Generator], _TeacherBatch]:
    config = recipe.teacher
    usable = torch.arange(len(clips)) if usable is None else usable

    def draw(step: int, generator: torch.Generator) -> _TeacherBatch:
        at = torch.randint(len(usable), (config.batch,), generator=generator, device=generator.device)
        index = usable.to(at.device)[at]
        turn = Turn.draw(config.batch, config.turn, config.mirror, clips.skeleton, generator)
        seen = torch.rand(config.batch, generator=generator, device=generator.device)
        mine = trainer.share(torch.arange(config.batch, device=generator.device))
        turn = Turn(turn.rotation[mine], turn.mirrored[mine], clips.skeleton)
        with trainer.whole.draws():
            batch = clips.batch(index[mine], generator)
        return _TeacherBatch(batch, turn, seen[mine] < recipe.model.image_share, step / max(1, config.steps))

    return draw


def _predict(model: Teacher, batch: _TeacherBatch) -> Float[Tensor, "B T J 3"]:
    clips = batch.clips
    if model.interaction is None or clips.images is None or not batch.seen.any():
        return model(clips.points, batch.turn)
    return model(clips.points, batch.turn, clips.images[batch.seen], batch.seen, clips.seen.camera)


def _stage(
    name: str,
    model: nn.Module,
    config: StageConfig,
    batch: Callable[[int, torch.Generator], object],
    loss: Callable[..., Losses],
) -> Stage:
    model.train()
    optimizer = adamw(model.parameters(), config.lr, config.weight_decay)
    fall = warmed(optimizer, config.steps, config.warmup)
    return Stage(name, {"model": model}, optimizer, config.steps, batch, loss, fall)
