"""A whole run: clips, stage A, pseudo labels, stage B, evaluation, report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pointcloud_weak.pseudo import pseudo_labels
from posedata.terminal import print_line
from torch import Tensor
from trainer.checkpoint import load_weights
from trainer.loop import Trainer
from trainer.poses import Part as SplitPart
from trainer.processes import join_processes
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run

from unipose import steps
from unipose.clips import Clips
from unipose.data import Data, prepare, prepare_on_one
from unipose.evaluate import (
    LABELS,
    PSEUDO_LABELS,
    Metrics,
    Models,
    errors,
    evaluate,
    predict_clips,
    student_errors,
    teacher_errors,
)
from unipose.model import KINDS, Student, Teacher
from unipose.pictures import Frames
from unipose.recipe import Recipe

Part = Literal["teacher", "student", "all"]

PSEUDO_FRAMES = 900
"""So many training frames, evenly spread, are looked at again after training."""


@dataclass
class Trained:
    """A run that can be asked: its models, its data and its recipe."""

    run: Run
    recipe: Recipe
    models: Models
    data: Data


@dataclass(frozen=True)
class Labels:
    """Joints (F, J, 3) in the camera's frame and their weights (F, J); kept: share of frames with weight."""

    joints: Float[Tensor, "F J 3"]
    weight: Float[Tensor, "F J"]

    @property
    def kept(self) -> float:
        return float((self.weight.sum(-1) > 0).float().mean())


def train(
    recipe: Recipe, folder: Path, existing: Existing = "refuse", part: Part = "all"
) -> tuple[Trained, Metrics]:
    """Train by a recipe into a run folder, then evaluate.

    Args:
        part: `teacher` (stage A), `student` (stage B, on the teacher that the folder holds), or both.

    Raises:
        ValueError, FileNotFoundError: no data, the folder holds a run already, or (student) no teacher, one
            that has steps to go, or one of other data.
    """
    run = Run(folder)
    if part == "student":
        if existing == "replace":
            raise ValueError(
                f"--stage student learns from the teacher in {folder}, which --overwrite would delete; leave"
                " --overwrite out"
            )
        run.checkpoint("teacher")  # or says that there is none
        existing = "resume"
    data, watched = prepare_on_one(recipe)
    _need_truth(recipe, data.train, watched)
    card = {"recipe": to_plain(recipe), "app": "unipose"}
    trainer = Trainer(run, recipe.loop, card, data.fingerprint, existing)
    models = _build(recipe, data.train)
    trainer.start(recipe, existing)
    if part == "student":
        run.require(_steps(recipe, students=False), data.fingerprint)
        load_weights(run.checkpoint("teacher"), {"model": _on(models.teacher, trainer)})
    else:
        _train_teachers(models, data, recipe, trainer, watched)
    if part != "teacher":
        _train_students(models, data, recipe, trainer, watched)
    trained = Trained(run, recipe, _found(models, run, trainer.device), data)
    metrics = measure(trained) if trainer.accelerator.is_main_process else {}
    trainer.close()
    return trained, metrics


def _need_truth(recipe: Recipe, clips: Clips, watched: Clips | None) -> None:
    """Raise ValueError where twins, or the people kept for validation, have no true joints."""
    if recipe.twins and not len(clips.labelled()):
        raise ValueError(
            f"{clips.store.path}: no clip has its true 3D joints, which twins learn from; set twins=false"
        )
    if watched is not None and not bool(watched.truth().isfinite().any()):
        raise ValueError(
            f"{watched.store.path}: people kept for validation have no true 3D joints to measure by; set"
            " loop.evaluate_every=0"
        )


def _train_teachers(
    models: Models, data: Data, recipe: Recipe, trainer: Trainer, watched: Clips | None
) -> None:
    todo = {steps.teacher: models.teacher}
    if recipe.twins:
        todo[steps.teacher_twin] = models.teacher_twin
    for step, built in todo.items():
        model = _on(built, trainer)
        stage = step(model, data.train, recipe, trainer)
        if watched:
            stage.evaluate = partial(teacher_errors, model, watched)
        trainer.fit(stage)


def _train_students(
    models: Models, data: Data, recipe: Recipe, trainer: Trainer, watched: Clips | None
) -> None:
    frames = Frames.of(data.train)
    assert models.teacher is not None
    assert models.students is not None
    assert models.student_twins is not None
    groups = [("", models.students, labels(models.teacher, data.train, recipe))]
    if recipe.twins:
        truth = data.train.truth().flatten(0, 1)
        known = truth.isfinite().all(-1).all(-1)
        weight = known[:, None].expand(truth.shape[:2]).to(truth)
        groups.append(("_twin", models.student_twins, Labels(truth, weight)))
    for ending, group, told in groups:
        for kind in KINDS:
            model = _on(group[kind], trainer)
            name = f"student_{kind}{ending}"
            stage = steps.student(name, model, frames, told.joints, told.weight, recipe, trainer)
            if watched:
                true = watched.truth().flatten(0, 1)
                stage.evaluate = partial(student_errors, model, Frames.of(watched), true)
            trainer.fit(stage)


def labels(teacher: Teacher, clips: Clips, recipe: Recipe) -> Labels:
    """The teacher's joints of every training frame, and which of them are believed."""
    config = recipe.pseudo
    joints = predict_clips(teacher, clips)
    told = pseudo_labels(
        joints,
        clips.rays,
        clips.keypoints[..., 2],
        clips.points[:, :, : clips.config.points],
        clips.skeleton,
        ray=config.ray,
        support=config.support,
        scale=config.scale,
        shortest=config.bones[0],
        longest=config.bones[1],
    )
    return Labels(joints.flatten(0, 1), told.weight.flatten(0, 1))


def open_run(folder: Path) -> Trained:
    """A finished run, with as many of its models as it has trained, on the device that its recipe says.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a teacher.
        ValueError: a stage that it has begun has steps to go, or its data are no longer the same.
    """
    run, recipe = Run.open(folder, Recipe, "unipose")
    run.checkpoint("teacher")
    data = prepare(recipe.data)
    begun = any(run.checkpoints(f"student_{kind}").path() for kind in KINDS)
    run.require(_steps(recipe, students=begun), data.fingerprint)
    device = join_processes(recipe.loop).device
    return Trained(run, recipe, _found(_build(recipe, data.train, trained=True), run, device), data)


def open_teacher(folder: Path) -> tuple[Recipe, Teacher]:
    """A run's recipe and teacher, without its data: to predict with.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a teacher.
        ValueError: the teacher has steps to go.
    """
    from posedata.skeleton import get_skeleton

    run, recipe = Run.open(folder, Recipe, "unipose")
    model = Teacher(recipe.model, get_skeleton(recipe.data.skeleton), recipe.data.image_size)
    run.require({"teacher": recipe.teacher.steps})
    load_weights(run.checkpoint("teacher"), {"model": model})
    return recipe, model.eval()


def measure(trained: Trained, part: SplitPart = "test") -> Metrics:
    """Evaluate a run and write its metrics file: the test, and what pseudo labels and students make of the
    training frames; or the validation part of its split alone.

    Raises:
        ValueError: the split has no such part.
    """
    if part != "test":
        held_out = trained.data.on(part).test
        metrics: Metrics = {part: _measured(trained.models, held_out), "clips": {part: len(held_out)}}
        trained.run.write_metrics(metrics, part)
        return metrics
    metrics = {"test": _measured(trained.models, trained.data.test)}
    clips, recipe = trained.data.train, trained.recipe
    metrics["clips"] = {"train": len(clips), "test": len(trained.data.test), "dropped": clips.dropped}
    if trained.models.teacher is not None:
        metrics["pseudo"] = _pseudo(trained.models, clips, recipe)
        metrics["skin_mm"] = _skin(trained.models.teacher, clips)
    last = {record["stage"]: record["seconds"] for record in trained.run.curves()}
    metrics["training_seconds"] = {name: round(seconds, 1) for name, seconds in last.items()}
    trained.run.write_metrics(metrics)
    return metrics


def _measured(models: Models, clips: Clips) -> Metrics:
    metrics = evaluate(models, clips)
    if not metrics:
        print_line(f"{clips.store.path}: has no true 3D joints of these people, so no error is measured")
    return metrics


def save_results(path: Path, trained: Trained, metrics: Metrics, part: SplitPart = "test") -> None:
    """Write metrics as a results file: a row a method and part of the data, with where they come from."""
    rows: list[dict[str, Any]] = [
        {"method": label, "key": key, "frames": part, **metrics[part][key]}
        for key, label in LABELS.items()
        if key in metrics[part]
    ]
    rows += [
        {"method": label, "key": key, "frames": "train", **metrics["pseudo"][key]}
        for key, label in PSEUDO_LABELS.items()
        if key in metrics.get("pseudo", {})
    ]
    write_results(
        path,
        rows,
        data=trained.data.on(part).fingerprint,
        seeds=[trained.recipe.loop.seed],
        metrics={key: value for key, value in metrics.items() if key != part},
        recipe=to_plain(trained.recipe),
        precision=trained.run.precision(),
        part=part,
    )


def _pseudo(models: Models, clips: Clips, recipe: Recipe) -> Metrics:
    """On kept training frames: the teacher's labels, and what the students learnt from them."""
    assert models.teacher is not None
    told = labels(models.teacher, clips, recipe)
    kept = torch.nonzero(told.weight.sum(-1) > 0).flatten()
    truth = clips.truth().flatten(0, 1)
    found: Metrics = {"kept": told.kept}
    if not bool(truth.isfinite().any()):
        return found
    found["all"] = errors(told.joints, truth, clips.skeleton)
    kept = kept[truth[kept].isfinite().all(-1).all(-1)]
    if not len(kept):
        return found
    some = kept[torch.linspace(0, len(kept) - 1, min(PSEUDO_FRAMES, len(kept))).round().long()]
    found["labels"] = errors(told.joints[some], truth[some], clips.skeleton)
    frames = Frames.of(clips)[some]
    for kind in KINDS if models.students else ():
        assert models.students is not None
        found[f"student_{kind}"] = student_errors(models.students[kind], frames, truth[some])
    return found


def _skin(teacher: Teacher, clips: Clips) -> dict[str, float]:
    depths = teacher.offset().detach().mul(1000).tolist()
    return {name: round(depth, 1) for name, depth in zip(clips.skeleton.joints, depths, strict=True)}


def _steps(recipe: Recipe, students: bool) -> dict[str, int]:
    """How many steps each stage has, those of the students left out or not."""
    twins = ("", "_twin") if recipe.twins else ("",)
    steps = {f"teacher{twin}": recipe.teacher.steps for twin in twins}
    if students:
        steps |= {f"student_{kind}{twin}": recipe.student.steps for twin in twins for kind in KINDS}
    return steps


def _build(recipe: Recipe, clips: Clips, trained: bool = False) -> Models:
    """All models of a recipe; trained: to be filled from checkpoints."""
    size, joints = recipe.data.image_size, len(clips.skeleton)
    torch.manual_seed(recipe.loop.seed)

    def student(kind: Any) -> Student:
        return Student(recipe.student_model, kind, joints, size, trained=trained)

    return Models(
        Teacher(recipe.model, clips.skeleton, size),
        Teacher(recipe.model, clips.skeleton, size),
        {kind: student(kind) for kind in KINDS},
        {kind: student(kind) for kind in KINDS},
    )


def _on(model: Any, trainer: Trainer) -> Any:
    assert model is not None
    return model.to(trainer.device)


def _found(models: Models, run: Run, device: torch.device) -> Models:
    """Of these models those that the run has trained, with their weights, on a device."""

    def load(name: str, model: Any) -> Any:
        if model is None or run.checkpoints(name).path() is None:
            return None
        load_weights(run.checkpoint(name), {"model": model})
        return model.to(device).eval()

    def group(ending: str, students: Any) -> Any:
        found = {kind: load(f"student_{kind}{ending}", students[kind]) for kind in KINDS}
        return found if all(model is not None for model in found.values()) else None

    return Models(
        load("teacher", models.teacher),
        load("teacher_twin", models.teacher_twin),
        group("", models.students),
        group("_twin", models.student_twins),
    )
