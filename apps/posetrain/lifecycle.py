"""How a run lives, whatever its task: trained, opened again, measured, written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic

import torch
from accelerate.utils import broadcast_object_list, gather_object
from posedata.results import write_results
from posedata.sharing import processes, sharing
from posedata.splits import Elsewhere, Part

from posetrain.loop import Trainer
from posetrain.processes import first_alone, join_processes, patient
from posetrain.recipe import tell_caches, to_plain
from posetrain.runs import Existing, Run
from posetrain.task import DataT, Metrics, ModelT, RecipeT, Row, Scored, Task

SEEN_SECONDS = 90.0
"""So long it may take until a host sees what another one has written to a network's folder."""


@dataclass
class Trained(Generic[RecipeT, ModelT, DataT]):
    """A run that can be asked.

    Attributes:
        stages: those that it has trained.
        place: other data than its own that it is measured on.
        measured: data to measure on, by the part of the split.
    """

    task: Task[RecipeT, ModelT, DataT]
    run: Run
    recipe: RecipeT
    model: ModelT
    stages: frozenset[str]
    place: Elsewhere | None = None
    opened: DataT | None = None
    measured: dict[str, DataT] = field(default_factory=dict)

    @property
    def data(self) -> DataT:
        """Its data, opened when they are first asked for, and the model brought to where they lie.

        Raises:
            ValueError, FileNotFoundError: they cannot be had, or are others than it was trained on.
        """
        if self.opened is None:
            if self.place is not None:
                return self.on("test")
            tell_caches(self.run.path / "recipe.yaml")
            opened = open_data(self.task, self.recipe)
            self.require(self.task.fingerprint(opened))
            self.model.to(self.device)
            self.opened = opened
        return self.opened

    @property
    def device(self) -> torch.device:
        """The one that the recipe says."""
        return join_processes(self.recipe.loop).device

    def require(self, data: str | None = None) -> None:
        """Raise unless the run is finished and (where a fingerprint is given) was trained on these data."""
        self.run.require(self.task.needed(self.recipe, self.stages), data)

    def on(self, part: Part) -> DataT:
        """Its data with a part of the split to measure on. ValueError where the split has no such part."""
        if part not in self.measured:
            if self.place is None:
                self.measured[part] = _on(self.task, self.data, self.recipe, part)
            else:
                self.measured[part] = self.task.elsewhere(self, self.place, part)
                self.model.to(self.device)
        return self.measured[part]


def open_data(task: Task[RecipeT, ModelT, DataT], recipe: RecipeT) -> DataT:
    """A recipe's data on its device; what has to be made is made by the first process while others wait."""
    with first_alone(recipe.loop) as say:
        return task.open(recipe, join_processes(recipe.loop).device, say)


def train(
    task: Task[RecipeT, ModelT, DataT],
    recipe: RecipeT,
    folder: Path,
    existing: Existing = "refuse",
    *,
    group: str | None = None,
    part: Part = "test",
    report: bool = True,
    data: DataT | None = None,
) -> tuple[Trained[RecipeT, ModelT, DataT], Metrics]:
    """Train by a recipe into a run folder, then pack the model, measure and, unless told not to, report.

    Args:
        existing: what to do with a run that the folder holds.
        group: of `About.groups`: train its stages alone; those before it must be finished in the folder.
        part: of the split, to measure on.
        data: to share between runs; the recipe's, opened, where left out.

    Returns:
        the run, and what was measured: empty on all processes but the first, and where a group leaves
            nothing to measure.

    Raises:
        ValueError, FileNotFoundError: data or weights cannot be had, the folder holds a run, or a stage is
            missing. The folder is as it was then.
    """
    task.check(recipe, folder, existing, group)
    run = Run(folder)
    todo, existing = _todo(task, recipe, run, existing, group)
    if data is None:
        data = open_data(task, recipe)
    kept = _on(task, data, recipe, "validation") if recipe.loop.evaluate_every else None
    held_out = _on(task, data, recipe, part)
    card = {"recipe": to_plain(recipe), "app": task.about.app}
    trainer = Trainer(run, recipe.loop, card, task.fingerprint(data), existing)
    with closing(trainer):
        begun = _begun(task, recipe, run) if existing == "resume" else frozenset()
        model = task.build(recipe, data, begun).to(trainer.device)
        watch = None if kept is None else task.watch(model, kept, recipe)
        trainer.start(recipe, existing)
        stages = task.stages(model, data, recipe, trainer)
        for name in todo:
            stage = stages[name]()
            if watch is not None:
                stage.evaluate = partial(watch, name)
            trainer.fit(stage)
        first, together = trainer.accelerator.is_main_process, _seen_by_all(task, recipe, run)
        trained = Trained(task, run, recipe, model, _begun(task, recipe, run), None, data, {part: held_out})
        metrics: Metrics = {}
        if group not in task.about.unmeasured and (first or together):
            task.restore(model, run)
            if first:
                task.pack(trained)
            metrics = _measured(trained, held_out, part, together)
        # The first process goes on alone from here: it has all it will be asked for, and waits for nobody.
        if first and metrics and report and task.about.reports:
            task.report(trained, metrics)
    return trained, metrics if first else {}


def open_run(
    task: Task[RecipeT, ModelT, DataT], folder: Path, place: Elsewhere | None = None
) -> Trained[RecipeT, ModelT, DataT]:
    """A finished run of a task or of one of its siblings: its recipe and its weights, on the CPU.

    Args:
        place: other data than its own, to measure it on.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a checkpoint.
        ValueError: it is another app's, or has steps to go.
    """
    run, recipe = Run.open(folder, task.about.schema, task.about.app)
    task = next((t for t in (task, *task.siblings) if _begun(t, recipe, run)), task)
    stages = _begun(task, recipe, run)
    run.require(task.needed(recipe, stages))
    model = task.build(recipe, None, stages)
    task.restore(model, run)
    return Trained(task, run, recipe, model.eval(), stages, place)


def measure(trained: Trained[RecipeT, ModelT, DataT], part: Part = "test") -> Metrics:
    """Measure a run on a part of its split, and keep what was measured in its folder.

    Where there are several processes all must call it: they share the work, and all have the metrics. Of
    other data than its own nothing is kept.

    Raises:
        ValueError, FileNotFoundError: its data cannot be had or have changed, or the split has no such part.
    """
    return _measured(trained, trained.on(part), part)


def score(trained: Trained[RecipeT, ModelT, DataT], protocol: str) -> Scored:
    """What a published protocol says of a run; several processes share the work, as in `measure`.

    Raises:
        ValueError: as of `Task.score`.
    """
    join_processes(trained.recipe.loop)
    with patient(trained.recipe.loop), sharing():
        return trained.task.score(trained, protocol)


def measure_beside(
    trained: Trained[Any, Any, Any], folders: Sequence[Path], part: Part = "test"
) -> list[Row]:
    """The rows of other runs of the same app, measured on the same data.

    Raises:
        FileNotFoundError, ValueError: there is no such run, or it was trained on other data.
    """
    rows = []
    for folder in folders:
        other = open_run(trained.task, folder, trained.place)
        if trained.place is None:
            other.require(trained.task.fingerprint(trained.data))
        if other.task.comparable(other.recipe) != trained.task.comparable(trained.recipe):
            raise ValueError(
                f"{folder}/recipe.yaml: its data section differs from {trained.run.name}'s; compare runs of"
                " the same data, or measure each on one store by --data"
            )
        if other.recipe.data == trained.recipe.data and isinstance(other.task, type(trained.task)):
            other.opened = trained.data
            other.model.to(other.device)
        rows.append(other.task.row(other, measure(other, part)))
    return rows


def save_results(
    path: Path,
    trained: Trained[RecipeT, ModelT, DataT],
    metrics: Metrics,
    rows: Sequence[Row] | None = None,
    part: Part = "test",
) -> None:
    """Write what was measured as a results file with where it comes from.

    Args:
        rows: the task's own, where left out.
    """
    write_results(
        path,
        trained.task.rows(trained, metrics, part) if rows is None else rows,
        data=trained.task.fingerprint(trained.on(part)),
        seeds=[trained.recipe.loop.seed],
        recipe=to_plain(trained.recipe),
        precision=trained.run.precision(),
        part=part,
        **trained.task.more(trained, metrics, part),
    )


def _measured(
    trained: Trained[RecipeT, ModelT, DataT], held_out: DataT, part: Part, together: bool = True
) -> Metrics:
    with patient(trained.recipe.loop), sharing() if together else nullcontext():
        metrics = trained.task.measure(trained, held_out, part)
    if trained.place is None and processes()[0] == 0:
        trained.run.write_metrics(metrics, part)
    return metrics


def _on(task: Task[RecipeT, ModelT, DataT], data: DataT, recipe: RecipeT, part: Part) -> DataT:
    with first_alone(recipe.loop) as say:
        return task.on(data, part, say)


def _seen_by_all(task: Task[RecipeT, Any, Any], recipe: RecipeT, run: Run) -> bool:
    """Whether every host sees what the first process has written, as on a folder that they share."""
    with patient(recipe.loop):
        (written,) = broadcast_object_list([_last(task, recipe, run)])
        began = time.monotonic()
        while (seen := _last(task, recipe, run)) != written and time.monotonic() - began < SEEN_SECONDS:
            time.sleep(1)
        return all(gather_object([seen == written]))


def _last(task: Task[RecipeT, Any, Any], recipe: RecipeT, run: Run) -> dict[str, str]:
    found = {name: run.checkpoints(name).path() for name in task.steps(recipe)}
    return {name: path.name for name, path in found.items() if path}


def _begun(task: Task[RecipeT, Any, Any], recipe: RecipeT, run: Run) -> frozenset[str]:
    """The stages that a run has checkpoints of."""
    return frozenset(name for name in task.steps(recipe) if run.checkpoints(name).path())


def _todo(
    task: Task[RecipeT, Any, Any], recipe: RecipeT, run: Run, existing: Existing, group: str | None
) -> tuple[list[str], Existing]:
    """The stages to go through, in order, and what to do with a run that is there: where a group goes on from
    others these are finished, only loaded, and kept."""
    steps = {name: count for name, count in task.steps(recipe).items() if count}
    names = list(steps)
    if group is None:
        return names, existing
    own = [name for name in names if name in task.about.groups[group]]
    if not own:
        raise ValueError(f"--stage {group}: this recipe leaves it out; it has {', '.join(names)}")
    before = names[: names.index(own[0])]
    if before and existing == "replace":
        raise ValueError(
            f"--stage {group} goes on from stage {before[-1]} in {run.path}, which --overwrite would delete;"
            " leave --overwrite out"
        )
    run.require({name: steps[name] for name in before})
    return names[: names.index(own[-1]) + 1], "resume" if before else existing
