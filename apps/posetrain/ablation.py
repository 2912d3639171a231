"""Variants of a recipe trained alike and set side by side: a named comparison, or any keys of any recipe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Generic

from posedata.readers.files.safe_text import read_json
from posedata.records import Record, flat, spread
from posedata.results import write_results
from posedata.splits import Part

from posetrain.fitting import DivergedError
from posetrain.lifecycle import Trained, open_data, train
from posetrain.recipe import changed, differences, load_recipe, to_plain, to_yaml
from posetrain.runs import Run, precisions
from posetrain.task import DataT, Metrics, ModelT, RecipeT, Table, Task

_WIDE = 8


@dataclass(frozen=True)
class Comparison:
    """The rows and columns of a table.

    Attributes:
        variants: by a row's name, what it changes in the recipe, as `--set` would.
        measured: metrics by dotted key, and their headings.
        within: the part of the metrics whose keys these are.
        group: of stages that are trained (`About.groups`); all, if None.
        published: by a row's name, numbers of a paper by key, and `headings` of these keys.
        also: further metrics of a run that has just been trained.
        ending: of the folder's name.
    """

    title: str
    variants: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, str]
    within: str = ""
    group: str | None = None
    published: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    also: Callable[[Trained[Any, Any, Any]], Metrics] | None = None
    ending: str = "-ablation"


@dataclass(frozen=True)
class Variant:
    """One run of many.

    Attributes:
        labels: what tells it from the others, in its record.
        folder: of the run.
    """

    labels: Mapping[str, Any]
    folder: Path
    recipe: Any


class Variants(Generic[RecipeT, ModelT, DataT]):
    """Trains variants in a folder, one after the other; finished ones are only read, a broken one goes on.

    Those with the same data share them once they are open; a stage that several train alike is trained once.
    They are measured on a part of the split.
    """

    def __init__(
        self, task: Task[RecipeT, ModelT, DataT], table: Comparison | None = None, part: Part = "test"
    ) -> None:
        self.task, self.part, self.group = task, part, table.group if table else None
        self.also = table.also if table else None
        self._opened: dict[Any, DataT] = {}
        self._trained: dict[Any, Path] = {}

    def data(self, recipe: RecipeT) -> DataT:
        """A recipe's data, opened once."""
        if recipe.data not in self._opened:
            self._opened[recipe.data] = open_data(self.task, recipe)
        return self._opened[recipe.data]

    def measured(self, variants: Iterable[Variant], keys: Callable[[Metrics], Record]) -> list[Record]:
        """A record of every variant: its labels, and what `keys` takes from its metrics.

        Raises:
            ValueError: runs diverged; all others are finished then.
        """
        records, diverged = [], []
        for variant in variants:
            try:
                metrics = self.metrics(variant.recipe, variant.folder, keys)
            except DivergedError as error:
                diverged.append(f"{variant.folder}: {error}")
                continue
            records.append({**variant.labels, **keys(metrics)})
        if diverged:
            raise ValueError("; ".join(diverged))
        return records

    def metrics(self, recipe: RecipeT, folder: Path, keys: Callable[[Metrics], Record] = dict) -> Metrics:
        """The metrics of a run: trained and measured unless they are there already, with all `keys`.

        Raises:
            ValueError: what is there was trained by another recipe, or on other data.
        """
        data, folder = self.data(recipe), found(recipe, folder)
        self._share_stages(recipe, folder)
        stored = self._stored(recipe, folder, data, keys)
        if stored is not None:
            return stored
        trained, metrics = train(
            self.task, recipe, folder, "resume", group=self.group, part=self.part, report=False, data=data
        )
        if self.also is not None and metrics:
            metrics |= self.also(trained)
            trained.run.write_metrics(metrics, self.part)
        return metrics

    def write(self, path: Path, rows: Sequence[Record], recipe: RecipeT, folder: Path, **more: Any) -> None:
        """Write the results file of runs in a folder that vary a recipe."""
        more |= {"recipe": to_plain(recipe), "precision": precisions(folder)}
        write_results(path, rows, data=self.task.fingerprint(self.data(recipe)), **more)

    def _stored(
        self, recipe: RecipeT, folder: Path, data: DataT, keys: Callable[[Metrics], Record]
    ) -> Metrics | None:
        run, names = Run(folder), self.task.about.groups.get(self.group or "")
        steps = {n: count for n, count in self.task.steps(recipe).items() if names is None or n in names}
        begun = (folder / "recipe.yaml").is_file()  # or all that is there was shared
        if not begun or not run.finished(steps, self.task.fingerprint(data)):
            return None
        before = load_recipe(folder / "recipe.yaml", type(recipe))
        Run.start(folder, recipe, "resume")  # or says that it is another recipe's
        file = run.metrics_file(self.part)
        if not file.is_file():
            return None
        if any(text.startswith("evaluation.") for text in differences(before, recipe)):
            return None
        metrics: Metrics = read_json(file, constants=True, cure="delete it, and it is measured anew")
        try:
            keys(metrics)
        except KeyError:
            return None
        return metrics

    def _share_stages(self, recipe: RecipeT, folder: Path) -> None:
        """Take stages from an earlier run that trained them alike."""
        for stage, alike in self.task.shared(recipe).items():
            own = folder / "checkpoints" / stage
            first = self._trained.setdefault((stage, alike), own)
            if first.is_dir() and not own.exists():
                shutil.copytree(first, own)


def ablate(
    task: Task[RecipeT, ModelT, DataT],
    recipe: RecipeT,
    folder: Path,
    table: Comparison,
    seeds: int = 1,
    json: Path | None = None,
) -> Table:
    """Train every variant with `seeds` seeds, from the recipe's own on; write and return the table.

    Variants of one seed begin with the same weights. Numbers are means over the seeds, with the standard
    deviation where there are several; the results file also says (`minus_first.*`) how far each variant is
    from the first one, seed by seed.

    Raises:
        ValueError: a variant changes what no recipe has; or runs diverged, and all others are finished then.
    """
    numbers = seeds_of(recipe, seeds)
    made = {name: changed(recipe, overrides) for name, overrides in table.variants.items()}
    variants = [
        Variant(
            {"variant": name, "seed": seed},
            folder / run_folder(name, seed),
            replace(one, loop=replace(one.loop, seed=seed)),  # type: ignore[type-var]
        )
        for seed in numbers
        for name, one in made.items()
    ]
    runs = Variants(task, table)

    def taken(metrics: Metrics) -> Record:
        found = flat(metrics, within=table.within)
        return {key: found[key] for key in table.measured or found}

    records = runs.measured(variants, taken)
    rows = [summary(table, name, records) for name in table.variants]
    if json:
        runs.write(json, rows, recipe, folder, seeds=list(numbers), runs=records)
    return shown(table, rows, table.measured or task.headline)


def over_keys(texts: Sequence[str]) -> Comparison:
    """The product of `key=a,b,c` texts as a comparison; commas within brackets are of a value.

    Raises:
        ValueError: a text is not written so.
    """
    choices = []
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise ValueError(f"--over {text}: write it as key=a,b,c, for instance loop.seed=0,1,2")
        choices.append([f"{key.strip()}={value}" for value in _split(values)])
    variants = {" ".join(overrides): overrides for overrides in product(*choices)}
    keys = [text.partition("=")[0].strip() for text in texts]
    return Comparison(" x ".join(keys), variants, {}, ending=f"-over-{'-'.join(keys)}")


def seeds_of(recipe: RecipeT, seeds: int) -> range:
    """As many seeds, from the recipe's own."""
    return range(recipe.loop.seed, recipe.loop.seed + seeds)


def run_folder(name: str, seed: int) -> str:
    """The folder of a variant's run."""
    plain = name.replace(" + ", "-").replace(" ", "-")
    return f"{''.join(c if c.isalnum() or c in '-_.=,+' else '_' for c in plain)}-seed{seed}"


def summary(table: Comparison, name: str, records: Sequence[Record]) -> Record:
    """A variant's row: means over its seeds, and how far it is from the first variant, seed by seed."""
    own = [record for record in records if record["variant"] == name]
    first = [record for record in records if record["variant"] == next(iter(table.variants))]
    keys = [key for key in own[0] if key not in ("variant", "seed")]
    row: Record = {"variant": name} | {key: spread([r[key] for r in own], key) for key in keys}
    for key in keys:
        row[f"minus_first.{key}"] = spread([a[key] - b[key] for a, b in zip(own, first, strict=True)], key)
    return row | dict(table.published.get(name, {}))


def shown(table: Comparison, rows: Sequence[Record], measured: Mapping[str, str]) -> Table:
    """Rows for the screen: a variant in each, or in each column where metrics are many.

    Args:
        measured: keys and headings; all there are, if empty.
    """
    heads = {"variant": "variant", **measured, **table.headings}
    if not measured:
        heads = {key: key for key in rows[0] if not key.startswith("minus_first.")}
    cells = [[_cell(row.get(key), key) for key in heads] for row in rows]
    lines = [list(heads.values()), *cells]
    if len(heads) > _WIDE:
        lines = [list(line) for line in zip(*lines, strict=True)]
    return Table(table.title, [str(cell) for cell in lines[0]], lines[1:])


def found(recipe: Any, folder: Path) -> Path:
    """A run's folder, or another one beside it that holds a run of the very same recipe."""
    same = (file.parent for file in sorted(folder.parent.glob("*/recipe.yaml")) if _reads(file, recipe))
    return folder if folder.exists() else next(same, folder)


def _reads(file: Path, recipe: Any) -> bool:
    return file.read_bytes() == to_yaml(recipe).encode()


def _cell(value: Any, key: str) -> Any:
    if isinstance(value, float) and "cosine" in key:
        return f"{value:.3f}"
    return "" if value is None else value


def _split(values: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth = [""], 0
    for letter in values:
        depth += (letter in "[{(") - (letter in ")}]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
