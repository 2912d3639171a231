"""Values of a recipe's keys searched by Optuna: every trial a run, measured on validation people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posedata.records import Record, flat
from posedata.terminal import print_line

from posetrain.ablation import Variants
from posetrain.fitting import DivergedError
from posetrain.recipe import changed, to_plain
from posetrain.task import DataT, Metrics, ModelT, RecipeT, Table, Task

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_LOG = "log:"


@dataclass(frozen=True)
class Search:
    """What is searched, and by what.

    Attributes:
        over: by key, how it may be, as `distribution` reads it.
        metric: dotted key of what is measured on validation people.
        maximise: it, instead of making it least.
        trials: runs, those that diverge included.
    """

    over: Mapping[str, str]
    metric: str
    maximise: bool = False
    trials: int = 20


def search_of(texts: Sequence[str]) -> dict[str, str]:
    """`key=how` texts by key. ValueError where one is not written so."""
    pairs = [text.partition("=")[::2] for text in texts]
    for text, (key, how) in zip(texts, pairs, strict=True):
        if not key.strip() or not how.strip():
            raise ValueError(f"--over {text}: write it as key=low..high, key=log:low..high or key=a,b,c")
    return {key.strip(): how.strip() for key, how in pairs}


def distribution(key: str, how: str) -> BaseDistribution:
    """`low..high` of whole numbers or of any, `log:low..high` likewise, or `a,b,c` to choose from.

    Raises:
        ValueError: it is none of these.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if ".." not in how:
        return CategoricalDistribution([part.strip() for part in how.split(",")])
    low, _, high = how.removeprefix(_LOG).partition("..")
    log = how.startswith(_LOG)
    try:
        if low.strip().isdigit() and high.strip().isdigit():
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(float(low), float(high), log=log)
    except ValueError:
        raise ValueError(f"--over {key}={how}: low and high are two numbers, log: above 0") from None


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
    spaces = {key: distribution(key, how) for key, how in search.over.items()}
    direction: Literal["maximize", "minimize"] = "maximize" if search.maximise else "minimize"
    study = optuna.create_study(direction=direction)
    own = _own(recipe, spaces)
    if own:
        study.enqueue_trial(own)
    runs, rows = Variants(task, part="validation"), []
    for number in range(search.trials):
        begun = max(2, search.trials // 4)
        study.sampler = optuna.samplers.TPESampler(seed=recipe.loop.seed + number, n_startup_trials=begun)
        trial = study.ask(spaces)
        overrides = [f"{key}={_written(value)}" for key, value in trial.params.items()]
        print_line(f"trial {number}: {' '.join(overrides)}")
        try:
            metrics = runs.metrics(changed(recipe, overrides), folder / f"trial-{number:03d}", _numbers)
        except DivergedError as error:
            print_line(f"trial {number}: {error}")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        measured = _numbers(metrics)
        if search.metric not in measured:
            raise ValueError(f"--metric {search.metric}: is not measured; choose of {', '.join(measured)}")
        study.tell(trial, measured[search.metric])
        row: Record = {"trial": number, "overrides": " ".join(overrides)}
        rows.append(
            row | {key: measured[key] for key in {search.metric: "", **task.headline} if key in measured}
        )
    if not rows:
        raise ValueError(f"all {search.trials} trials diverged; give lower rates")
    rows.sort(key=lambda row: row[search.metric], reverse=search.maximise)
    if json:
        over = {key: str(how) for key, how in search.over.items()}
        more = {"over": over, "metric": search.metric, "direction": direction}
        runs.write(json, rows, recipe, folder, seeds=[recipe.loop.seed], **more)
    heads = [key for key in rows[0] if key != "overrides"]
    lines = [[*(row[key] for key in heads), row["overrides"]] for row in rows]
    return Table("Trials, validation people", [*heads, "values"], lines)


def _numbers(metrics: Metrics) -> Record:
    return {key: value for key, value in flat(metrics).items() if isinstance(value, int | float)}


def _own(recipe: Any, spaces: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The recipe's values where all are within the ranges, else none."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found = {}
    for key, space in spaces.items():
        value: Any = to_plain(recipe)
        for name in key.split("."):
            if not isinstance(value, dict) or name not in value:
                return {}  # `changed` says what is wrong with it
            value = value[name]
        if isinstance(space, CategoricalDistribution):
            value = _written(value)
            if value not in space.choices:
                return {}
        else:
            assert isinstance(space, FloatDistribution | IntDistribution)
            if isinstance(value, str | bool | None) or not space.low <= value <= space.high:
                return {}
        found[key] = value
    return found


def _written(value: Any) -> str:
    """As `--set` reads it; of numbers three digits, which say enough."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
