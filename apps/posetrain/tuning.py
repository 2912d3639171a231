"""Values of a recipe's keys searched by Optuna: every trial a run, measured on validation people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posedata.records import flat
from posedata.results import flatten
from posedata.terminal import print_line

from posetrain.ablation import Variants
from posetrain.fitting import DivergedError
from posetrain.recipe import changed, to_plain
from posetrain.task import DataT, ModelT, RecipeT, Table, Task

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Search:
    """What is searched, and by what.

    Attributes:
        over: keys and how they may be, as `spaces_of` reads them.
        metric: dotted key of what is measured on validation people.
        maximise: it, instead of making it least.
        trials: runs, those that diverge included.
    """

    over: Sequence[str]
    metric: str
    maximise: bool = False
    trials: int = 20


def spaces_of(over: Sequence[str]) -> dict[str, BaseDistribution]:
    """`key=low..high` of whole numbers or of any, `key=log:low..high`, or `key=a,b,c` to choose from, by key.

    Raises:
        ValueError: a text is none of these.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for text in over:
        key, _, how = (part.strip() for part in text.partition("="))
        low, between, high = how.removeprefix("log:").partition("..")
        if not key or not how:
            raise ValueError(f"--over {text}: write it as key=low..high, key=log:low..high or key=a,b,c")
        try:
            if not between:
                found[key] = CategoricalDistribution([part.strip() for part in how.split(",")])
            elif low.strip().isdigit() and high.strip().isdigit():
                found[key] = IntDistribution(int(low), int(high), log=how.startswith("log:"))
            else:
                found[key] = FloatDistribution(float(low), float(high), log=how.startswith("log:"))
        except ValueError:
            raise ValueError(f"--over {text}: low and high are two numbers, log: above 0") from None
    return found


def tune(
    task: Task[RecipeT, ModelT, DataT],
    recipe: RecipeT,
    folder: Path,
    search: Search,
    json: Path | None = None,
) -> Table:
    """Train a run a trial; write and return them, the best first.

    The first trial is the recipe as it is, where the ranges hold it; all others are Optuna's
    tree-structured Parzen estimator's. Each draws from a seed of its own, so that a search that was stopped
    goes on when it is called again: finished runs are read, and it comes to the same trials.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError: a key that no recipe has, a metric that is not measured, or no trial came to its end.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise ModuleNotFoundError("Optuna is not installed: pip install 'polypose-apps[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = spaces_of(search.over)
    direction: Literal["maximize", "minimize"] = "maximize" if search.maximise else "minimize"
    study = optuna.create_study(direction=direction)
    if own := _own(recipe, spaces):
        study.enqueue_trial(own)
    runs, metric = Variants(task, part="validation"), search.metric
    rows: list[dict[str, Any]] = []
    for number in range(search.trials):
        begun = max(2, search.trials // 4)
        study.sampler = optuna.samplers.TPESampler(seed=recipe.loop.seed + number, n_startup_trials=begun)
        trial = study.ask(spaces)
        overrides = [f"{key}={_written(value)}" for key, value in trial.params.items()]
        print_line(f"trial {number}: {' '.join(overrides)}")
        try:
            measured = flat(runs.metrics(changed(recipe, overrides), folder / f"trial-{number:03d}", flat))
            if metric not in measured and not rows:
                raise ValueError(f"--metric {metric}: is not measured; choose of {', '.join(measured)}")
            if not math.isfinite(score := measured.get(metric, math.nan)):
                raise DivergedError(f"{metric} is {score}")
        except DivergedError as error:
            print_line(f"trial {number}: {error}")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, score)
        told = {key: measured[key] for key in {metric: "", **task.headline} if key in measured}
        rows.append({"trial": number, **told, "values": " ".join(overrides)})
    if not rows:
        raise ValueError(f"all {search.trials} trials diverged; give lower rates")
    rows.sort(key=lambda row: row[metric], reverse=search.maximise)
    if json:
        more = {"over": list(search.over), "metric": metric, "direction": direction}
        runs.write(json, rows, recipe, folder, seeds=[recipe.loop.seed], **more)
    return Table("Trials, validation people", list(rows[0]), [list(row.values()) for row in rows])


def _own(recipe: Any, spaces: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's values where the ranges hold all of them, else none."""
    values, found = flatten(to_plain(recipe)), {}
    for key, space in spaces.items():
        listed, value = hasattr(space, "choices"), values.get(key)
        found[key] = value = _written(value) if listed else value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (value in space.choices if listed else number and space.low <= value <= space.high):
            return {}
    return found


def _written(value: Any) -> str:
    """As `--set` reads it; of numbers three digits, which say enough."""
    plain = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"{value:.3g}" if isinstance(value, float) else plain
