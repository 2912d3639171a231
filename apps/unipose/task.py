"""UniPose as a task: a teacher by weak losses, students by its labels, and their twins on 3D labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from pointcloud_weak.frames import Frames
from pointcloud_weak.pseudo import Labels
from pointcloud_weak.scores import (
    Models,
    evaluate,
    label_errors,
    predictions,
    student_errors,
    teacher_errors,
)
from pointcloud_weak.teacher import Teacher
from posedata.scoring.pose_files import Poses, joint_rows, pose_protocol, score_methods, table_rows
from posedata.sharing import processes
from posedata.splits import Elsewhere, Part
from posedata.terminal import print_line
from posetrain import lifecycle
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer
from posetrain.runs import Existing, Run
from posetrain.stage import Stage
from posetrain.task import Metrics, Row, Say, Scored, Table, Task

from unipose import steps
from unipose.ablate import WEAK_LOSSES
from unipose.data import ClipSplit, open_part, open_test, prepare
from unipose.model import build, make_teacher, student_kinds
from unipose.recipe import ABOUT, Recipe
from unipose.report import HEADER, LABELS, PSEUDO_LABELS, lines, write_report

UniPoseRun = Trained[Recipe, Models, ClipSplit]


class UniPoseTask(Task[Recipe, Models, ClipSplit]):
    """3D joints from RGB-D without 3D labels."""

    about = ABOUT
    comparisons = {"losses": WEAK_LOSSES}  # noqa: RUF012

    def open(self, recipe: Recipe, device: torch.device, say: Say) -> ClipSplit:
        return prepare(recipe.data, say)

    def on(self, data: ClipSplit, part: Part, say: Say) -> ClipSplit:
        return data if part == "test" else replace(data, test=open_part(data.config, part, say))

    def elsewhere(self, trained: UniPoseRun, place: Elsewhere, part: Part) -> ClipSplit:
        if place.keypoints or place.views:
            raise ValueError("UniPose's 2D joints are those of its recipe; leave --keypoints and --views out")
        return open_test(trained.recipe.data, place, part)

    def check(self, recipe: Recipe, folder: Path, existing: Existing, group: str | None) -> None:
        """Refuse clouds of more points than are kept of a frame."""
        if (points := recipe.data.points) > (stored := recipe.data.stored_points):
            raise ValueError(f"data.points: {points}, but data.stored_points is {stored}; raise that")

    def build(self, recipe: Recipe, data: ClipSplit | None, begun: Collection[str]) -> Models:
        """Teacher and students, with their twins where the recipe has some.

        Raises:
            ValueError: twins are to be trained, and no clip has the 3D labels they learn from.
        """
        train = None if data is None else data.train
        if train is not None and recipe.twins and not len(train.labelled()):
            raise ValueError(
                f"{train.origin}: no clip has its true 3D joints, which twins learn from; set twins=false"
            )
        return build(recipe, trained=data is None)

    def steps(self, recipe: Recipe) -> dict[str, int]:
        twins = ("", "_twin") if recipe.twins else ("",)
        teachers = {f"teacher{twin}": recipe.teacher.steps for twin in twins}
        kinds = student_kinds(recipe)
        return teachers | {f"student_{kind}{twin}": recipe.student.steps for twin in twins for kind in kinds}

    def needed(self, recipe: Recipe, begun: Collection[str]) -> dict[str, int]:
        """Of a run without a student, only its teachers."""
        every = any(name.startswith("student") for name in begun)
        return {n: count for n, count in self.steps(recipe).items() if every or n.startswith("teacher")}

    def stages(
        self, model: Models, data: ClipSplit, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        """Students learn from the teacher's pseudo labels, made once; twins from the truth."""
        assert data.train is not None
        clips = data.train
        frames = cache(partial(Frames.of, clips))
        pseudo = cache(lambda: Labels.taught(model.get_teacher(), clips, recipe.pseudo))
        true = cache(partial(Labels.true, clips))

        def student(name: str) -> Stage:
            taught = true() if name.endswith("_twin") else pseudo()
            pupil = model.get_student(name)
            return steps.student(name, pupil, frames(), taught.joints, taught.weight, recipe, trainer)

        def teacher(name: str) -> Stage:
            step = steps.teacher_twin if name.endswith("_twin") else steps.teacher
            return step(model.get_teacher(name), clips, recipe, trainer)

        return {
            name: partial(teacher if name.startswith("teacher") else student, name)
            for name in self.steps(recipe)
        }

    def restore(self, model: Models, run: Run) -> None:
        """Those that the run has trained; the others go."""
        for name in list(model):
            if run.checkpoints(name).path() is None:
                del model[name]
            else:
                load_weights(run.checkpoint(name), {"model": model[name]})

    def watch(self, model: Models, held_out: ClipSplit, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        clips = held_out.test
        frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
        if not bool(truth.isfinite().any()):
            raise ValueError(
                f"{clips.origin}: people kept for validation have no true 3D joints to measure by; set"
                " loop.evaluate_every=0"
            )

        def errors(stage: str) -> dict[str, float]:
            if stage.startswith("teacher"):
                return teacher_errors(model.get_teacher(stage), clips)
            return student_errors(model.get_student(stage), frames, truth)

        return errors

    def measure(self, trained: UniPoseRun, held_out: ClipSplit, part: Part) -> Metrics:
        """The test, and what pseudo labels and students make of training frames; of others the first."""
        models = trained.model
        metrics: Metrics = {part: evaluate(models, held_out.test), "clips": {part: len(held_out.test)}}
        if not metrics[part] and processes()[0] == 0:
            path = held_out.test.origin
            print_line(f"{path}: has no true 3D joints of these people, so no error is measured")
        clips = held_out.train
        if part == "test" and clips is not None:
            metrics["clips"] |= {"train": len(clips), "dropped": clips.dropped}
            teacher = models.get_teacher()
            pseudo = Labels.taught(teacher, clips, trained.recipe.pseudo)
            metrics["pseudo"] = label_errors(models, clips, pseudo)
            metrics["skin_mm"] = teacher.skin_mm(clips.skeleton)
            seconds = trained.run.seconds()
            metrics["training_seconds"] = {name: round(value, 1) for name, value in seconds.items()}
        return metrics

    def rows(self, trained: UniPoseRun, metrics: Metrics, part: Part) -> list[Row]:
        """A row a method and part of the data."""
        return [
            {"method": label, "key": key, "frames": frames, **metrics[section][key]}
            for section, frames, names in ((part, part, LABELS), ("pseudo", "train", PSEUDO_LABELS))
            for key, label in names.items()
            if key in metrics.get(section, {})
        ]

    def more(self, trained: UniPoseRun, metrics: Metrics, part: Part) -> dict[str, Any]:
        return {"metrics": {key: value for key, value in metrics.items() if key != part}}

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        yield Table(f"People of the {part}", HEADER, lines(metrics[part], LABELS))

    def score(self, trained: UniPoseRun, protocol: str) -> Scored:
        """Joints in the camera's frame against the truth, without any alignment."""
        scored, clips = pose_protocol(protocol), trained.data.test
        truth = clips.truth().flatten(0, 1).double()
        known = truth.isfinite().all(-1)
        if not known.any():
            raise ValueError(f"{clips.origin}: has no true 3D joints of the test; nothing can be scored")
        found = predictions(trained.model, clips)
        methods = {label: found[key].double() for key, label in LABELS.items() if key in found}
        true = Poses(truth.masked_fill(~known[..., None], 0), known, clips.skeleton)
        return told(score_methods(scored, methods, clips.skeleton, true), clips.store.fingerprint)

    def report(self, trained: UniPoseRun, metrics: Metrics) -> Path:
        return write_report(trained.run, trained.model, trained.data.test, trained.recipe, metrics)


UNIPOSE = UniPoseTask()


def told(scores: dict[str, Any], data: str) -> Scored:
    """What a protocol found, as tables and as results."""
    title = f"{scores['protocol']}: {scores['frames']} frames"
    shown: list[Table | str] = [
        Table(title, ("method", "mAP@10cm, %", "MPJPE, mm", "from"), table_rows(scores)),
        Table("Percent of joints within 10 cm, left and right together", *joint_rows(scores)),
    ]
    return Scored(shown, scores["rows"], {"data": data, "joints": scores["joints"]})


def open_run(folder: Path) -> UniPoseRun:
    """A finished run of UniPose, with as many of its models as it has trained (`lifecycle.open_run`)."""
    return lifecycle.open_run(UNIPOSE, folder)


def open_teacher(folder: Path) -> tuple[Recipe, Teacher]:
    """A run's recipe and teacher, whether or not it has gone on to students: to predict with.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a teacher.
        ValueError: the teacher has steps to go.
    """
    run, recipe = Run.open(folder, Recipe, ABOUT.app)
    model = make_teacher(recipe)
    run.require({"teacher": recipe.teacher.steps})
    load_weights(run.checkpoint("teacher"), {"model": model})
    return recipe, model.eval()
