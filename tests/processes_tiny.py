"""Ten steps of every stage of an app, alone or by torchrun, in float32: the weights must agree.

torchrun --nproc_per_node 2 tests/processes_tiny.py CACHE FOLDER APP
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import unihpr_tiny
import unipose_tiny
import vvipe_tiny
from accelerate.state import AcceleratorState
from trainer.loop import Trainer
from trainer.recipe import to_plain
from trainer.runs import Run
from trainer.stage import Stage

LOOP = ("loop.precision=no", "loop.checkpoint_every=10", "loop.log_every=5", "loop.evaluate_every=0")
STEPS = 10

UNIHPR = (
    *("model.dropout=0.1", "model.decoder_dropout=0.1", "align_image.negatives=paper_sampled"),
    *("align_poses.steps=10", "align_image.steps=10", "finetune.steps=10"),
    *("align_image.batch=24", "finetune.batch=24", "finetune.poses=12", "data.image_size=[64, 64]"),
    *("align_image.lr=3e-5", "finetune.lr=3e-5", "align_image.warmup=20", "finetune.warmup=20"),
)
"""Runs of rows that share a noise level fall across the processes' shares: 24 + 12 rows, 12 + 6 each."""

VVIPE = ("vae.steps=10", "mapping={steps: 10, batch: 16, views: 2, contrast: 0.5}", "augment.share=0.5")
UNPRETRAINED = ("mapping={steps: 10, batch: 16, views: 2, pretrained: false}",)
PRVIPE = ("model.method=prvipe", "matching={steps: 10, batch: 16, dim: 4, draws: 3}")
UNIPOSE = (
    "teacher={steps: 10, batch: 8}",
    "student={steps: 10, batch: 8, lr: 3e-5, warmup: 0}",
    "twins=true",
)


def unihpr(cache: Path, folder: Path) -> None:
    from unihpr.data import Data
    from unihpr.model import UniHPR
    from unihpr.steps import STEPS
    from unihpr.train import prepare_on_one

    recipe = unihpr_tiny.tiny(cache, *UNIHPR, *LOOP)
    stores = prepare_on_one(recipe)
    trainer = open_trainer(folder / "unihpr", recipe)
    data = Data(stores, recipe.data)
    for step in STEPS.values():  # each from the same weights: few and tiny images are chaotic for long
        torch.manual_seed(0)
        model = UniHPR(recipe.model)
        model.fit_scale(*data.scale())
        fit(trainer, step(model, data, recipe, trainer))
    trainer.close()


def vvipe(cache: Path, folder: Path) -> None:
    from vvipe.model import build
    from vvipe.steps import stages
    from vvipe.train import open_on_one

    for name, more in (("vvipe", VVIPE), ("unpretrained", UNPRETRAINED), ("prvipe", PRVIPE)):
        recipe = vvipe_tiny.tiny(cache, *more, *LOOP)
        data = open_on_one(recipe)
        trainer = open_trainer(folder / name, recipe)
        model = build(recipe)
        model.body.lengths.copy_(data.body.lengths)
        for step in stages(recipe).values():
            fit(trainer, step(model, data, recipe, trainer))
        trainer.close()


def unipose(cache: Path, folder: Path) -> None:
    from unipose import steps
    from unipose.data import prepare_on_one
    from unipose.model import KINDS, Student, Teacher
    from unipose.pictures import Frames

    recipe = unipose_tiny.tiny(cache, *UNIPOSE, *LOOP)
    clips = prepare_on_one(recipe)[0].train
    trainer = open_trainer(folder / "unipose", recipe)
    for step in (steps.teacher, steps.teacher_twin):
        fit(trainer, step(Teacher(recipe.model, clips.skeleton, 64), clips, recipe, trainer))
    frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
    weight = torch.rand(truth.shape[:2], generator=torch.Generator().manual_seed(0)) - 0.3
    for kind in KINDS:
        model = Student(recipe.student_model, kind, len(clips.skeleton), 64)
        named = f"student_{kind}"
        fit(trainer, steps.student(named, model, frames, truth, weight.clamp(min=0), recipe, trainer))
    trainer.close()


def open_trainer(path: Path, recipe: Any) -> Trainer:
    AcceleratorState._reset_state()  # which holds one precision a process; the processes stay joined
    trainer = Trainer(Run(path), recipe.loop, {"recipe": to_plain(recipe)})
    trainer.start(recipe, "refuse")
    return trainer


def fit(trainer: Trainer, stage: Stage) -> None:
    """As it is, but for what a gradient no larger than its rounding does: Adam makes whole steps of those."""
    assert stage.steps == STEPS
    for group in stage.optimizer.param_groups:
        group["eps"] = 1e-5 if isinstance(stage.optimizer, torch.optim.Adam) else group["eps"]
    trainer.fit(stage)


APPS: dict[str, Callable[[Path, Path], None]] = {"unihpr": unihpr, "vvipe": vvipe, "unipose": unipose}

if __name__ == "__main__":
    APPS[sys.argv[3]](Path(sys.argv[1]), Path(sys.argv[2]))
