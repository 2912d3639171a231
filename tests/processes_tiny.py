"""Ten steps of every stage of an app, alone or by torchrun, in float32: the weights must agree.

torchrun --nproc_per_node 2 tests/processes_tiny.py CACHE FOLDER APP[,APP ...] [HOW ...]

Rounding differs between the sum over a batch and the sum of two halves. Adam makes whole steps of a gradient
that is all rounding (a bias before a normalisation), and a network of images fresh from its initialisation
doubles a difference within a step or two. So that a fault can be told from rounding, steps are damped: Adam's
eps is 1e-5, and networks of images learn at 3e-5. HOW is `damped`, `undamped` (both as the recipes have
them) or `nudged` (undamped, from weights that are all one unit in the last place larger); its runs are in
FOLDER/APP/HOW.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hands_tiny
import senses_tiny
import torch
import unihpr_tiny
import unipose_tiny
import vvipe_tiny
from accelerate.state import AcceleratorState
from posedata.sharing import processes, sharing
from posetrain.lifecycle import open_data
from posetrain.loop import Trainer
from posetrain.recipe import to_plain
from posetrain.runs import Run
from posetrain.stage import Stage
from torch import nn

DAMPED = {
    "unihpr": ("align_image={lr: 3e-5, warmup: 20}", "finetune={lr: 3e-5, warmup: 20}"),
    "unipose": ("student={lr: 3e-5, warmup: 0}",),
    "hands": ("train={lr: 3e-5, warmup: 0}",),
}
EPS = 1e-5

LOOP = ("loop.precision=no", "loop.checkpoint_every=10", "loop.log_every=5", "loop.evaluate_every=0")
STEPS = 10

UNIHPR = (
    *("model.dropout=0.1", "model.decoder_dropout=0.1", "model.norm=layer", "model.regression=true"),
    "align_image.negatives=paper_sampled",
    *("align_poses.decode=0.5", "align_poses.poses=8", "data.more_rigs=[anywhere]"),
    *("align_poses.steps=10", "align_image.steps=10", "finetune.steps=10"),
    *("align_image.batch=24", "finetune.batch=24", "finetune.poses=12", "data.image_size=[64, 64]"),
)
"""Runs of rows that share a noise level fall across the processes' shares: 24 + 12 rows, 12 + 6 each."""

SENSES = (
    *("senses={steps: 10, batch: 8, poses: 8, pairs: 6}", "senses.space.invariant=16"),
    *("senses.space.modalities=[2d, 3d]", "data.pictures=[rgb]"),
)
"""Networks of pictures and clouds, fresh and at once with all others, would be chaotic."""
VVIPE = ("vae.steps=10", "mapping={steps: 10, batch: 16, views: 2, contrast: 0.5}", "augment.share=0.5")
UNPRETRAINED = ("mapping={steps: 10, batch: 16, views: 2, pretrained: false}",)
PRVIPE = ("model.method=prvipe", "matching={steps: 10, batch: 16, dim: 4, draws: 3}")
UNIPOSE = ("teacher={steps: 10, batch: 8}", "student={steps: 10, batch: 8}", "twins=true")
HANDS = ("train={steps: 10, batch: 8}",)
UNAUGMENTED = "train.augmentation={rotated: 0, scale: 0, shift: 0, flip: 0, colour: 0}"
BASELINE = ("baseline={steps: 10, batch: 32, hidden: 32, augment: true}", "data.augment.mirror=0.5")


def unihpr(cache: Path, folder: Path, how: str = "damped") -> None:
    from polypose.network import UniHPR
    from unihpr.evaluate import evaluate
    from unihpr.steps import STEPS
    from unihpr.task import UNIHPR as TASK

    recipe = unihpr_tiny.tiny(cache, *UNIHPR, *damping("unihpr", how))
    data = open_data(TASK, recipe)
    trainer = open_trainer(folder / "unihpr", recipe)
    for step in STEPS.values():  # each from the same weights: few and tiny images are chaotic for long
        torch.manual_seed(0)
        model = UniHPR(recipe.model)
        model.fit_scale(data.scale())
        fit(trainer, step(model, data, recipe, trainer), how)
    trainer.close()
    fresh = fresh_as(UniHPR, recipe.model)
    fresh.fit_scale(data.scale())
    few = replace(recipe.evaluation, batch=16)
    measure(folder, "unihpr", data.fingerprint, lambda: evaluate(fresh, data, few))


def senses(cache: Path, folder: Path, how: str = "damped") -> None:
    from unihpr.senses import SENSES as TASK
    from unihpr.senses import senses as stage

    for name, labels in (("senses", "true"), ("unlabelled", "false")):
        recipe = senses_tiny.tiny(cache, *SENSES, f"senses.space.labels={labels}", *LOOP)
        data = open_data(TASK, recipe)
        trainer = open_trainer(folder / name, recipe)
        torch.manual_seed(0)
        fit(trainer, stage(TASK.build(recipe, data, ()), data, recipe, trainer), how)
        trainer.close()


def vvipe(cache: Path, folder: Path, how: str = "damped") -> None:
    from poseenc.hits import evaluate
    from vvipe.steps import stages
    from vvipe.task import VVIPE_TASK

    for name, more in (("vvipe", VVIPE), ("unpretrained", UNPRETRAINED), ("prvipe", PRVIPE)):
        recipe = vvipe_tiny.tiny(cache, *more, *LOOP)
        data = open_data(VVIPE_TASK, recipe)
        trainer = open_trainer(folder / name, recipe)
        model = VVIPE_TASK.build(recipe, None, ())
        model.body.lengths.copy_(data.body.lengths)
        for step in stages(recipe).values():
            fit(trainer, step(model, data, recipe, trainer), how)
        trainer.close()
        if name == "vvipe":
            fresh = fresh_as(VVIPE_TASK.build, recipe, data, ())
            few, torso = replace(recipe.evaluation, batch=16), data.body.torso
            measure(folder, name, data.fingerprint, partial(evaluate, fresh, data.test, torso, few))


def unipose(cache: Path, folder: Path, how: str = "damped") -> None:
    from pointcloud_weak.frames import Frames
    from pointcloud_weak.scores import evaluate
    from pointcloud_weak.students import KINDS
    from unipose import steps
    from unipose.model import make_student, make_teacher
    from unipose.task import UNIPOSE as TASK

    recipe = unipose_tiny.tiny(cache, *UNIPOSE, *damping("unipose", how))
    data = open_data(TASK, recipe)
    clips = data.train
    trainer = open_trainer(folder / "unipose", recipe)
    for step in (steps.teacher, steps.teacher_twin):
        fit(trainer, step(make_teacher(recipe), clips, recipe, trainer), how)
    frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
    weight = torch.rand(truth.shape[:2], generator=torch.Generator().manual_seed(0)) - 0.3
    for kind in KINDS:
        model = make_student(recipe, kind)
        named = f"student_{kind}"
        stage = steps.student(named, model, frames, truth, weight.clamp(min=0), recipe, trainer)
        fit(trainer, stage, how)
    trainer.close()
    fresh = fresh_as(TASK.build, recipe, None, ())
    measure(folder, "unipose", data.fingerprint, partial(evaluate, fresh, clips))


def hands(cache: Path, folder: Path, how: str = "damped") -> None:
    from poseenc.anchor.hands import evaluate
    from poseenc.anchor.hands_network import hands_network
    from unipose.hands.task import HANDS as TASK
    from unipose.hands.task import stage

    for name, augmentation in (("hands", ()), ("hands_unaugmented", (UNAUGMENTED,))):
        recipe = hands_tiny.tiny(cache, *HANDS, *augmentation, *damping("hands", how))
        data = open_data(TASK, recipe)
        pictures = data.train
        trainer = open_trainer(folder / name, recipe)
        fit(trainer, stage(hands_network(recipe.model, recipe.data.size), pictures, recipe, trainer), how)
        trainer.close()
    fresh = fresh_as(hands_network, recipe.model, recipe.data.size)
    measure(folder, "hands", data.fingerprint, partial(evaluate, fresh, data.train, data.train))


def baseline(cache: Path, folder: Path, how: str = "damped") -> None:
    from posetrain.lifecycle import train
    from unihpr.baseline import SIMPLE_BASELINE, STAGES, Lifters, stage

    recipe = unihpr_tiny.tiny(cache, *BASELINE, *LOOP)
    data = open_data(SIMPLE_BASELINE, recipe)
    trainer = open_trainer(folder / "baseline", recipe)
    for name in STAGES:
        fit(trainer, stage(name, Lifters(), data, recipe, trainer), how)
    trainer.close()
    AcceleratorState._reset_state()
    _, metrics = train(SIMPLE_BASELINE, recipe, folder / "command" / "run")
    assert bool(metrics) == trainer.accelerator.is_main_process


def fresh_as(make: Callable[..., Any], *given: Any) -> Any:
    """A network whose weights are the same everywhere, however it was trained."""
    torch.manual_seed(0)
    return make(*given).eval()


def measure(folder: Path, name: str, data: str, evaluate: Callable[[], Any]) -> None:
    """Write what all processes measure together, and what on."""
    with sharing(), torch.no_grad():
        found = evaluate()
    if processes()[0] == 0:
        (folder / f"measured-{name}.json").write_text(json.dumps({"data": data, "found": found}))


def damping(app: str, how: str) -> tuple[str, ...]:
    return (*LOOP, *(DAMPED[app] if how == "damped" else ()))


def open_trainer(path: Path, recipe: Any) -> Trainer:
    AcceleratorState._reset_state()  # which holds one precision a process; the processes stay joined
    trainer = Trainer(Run(path), recipe.loop, {"recipe": to_plain(recipe)})
    trainer.start(recipe, "refuse")
    return trainer


def fit(trainer: Trainer, stage: Stage, how: str) -> None:
    assert stage.steps == STEPS
    if how == "damped" and isinstance(stage.optimizer, torch.optim.Adam):
        for group in stage.optimizer.param_groups:
            group["eps"] = EPS
    if how == "nudged":
        for parameter in nn.ModuleDict(stage.modules).parameters():
            parameter.data = parameter.data.nextafter(torch.tensor(torch.inf))
    trainer.fit(stage)


APPS: dict[str, Callable[..., None]] = {
    "unihpr": unihpr,
    "senses": senses,
    "baseline": baseline,
    "vvipe": vvipe,
    "unipose": unipose,
    "hands": hands,
}

if __name__ == "__main__":
    for name in sys.argv[3].split(","):
        for way in sys.argv[4:]:
            APPS[name](Path(sys.argv[1]) / name, Path(sys.argv[2]) / name / way, way)
