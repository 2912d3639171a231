"""The command line of a task: its verbs, made from what is particular to it.

Nothing heavy is imported before a command's arguments are known to be right.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from posedata.splits import Elsewhere, Part

from posetrain import options
from posetrain.errors import plain_errors
from posetrain.task import About, Metrics, Row, Scored, Table

if TYPE_CHECKING:
    from posetrain.lifecycle import Trained


def task_app(about: About, doc: str | None) -> typer.Typer:
    """An app with the commands that every task has; it adds its own verbs.

    Args:
        doc: its help.
    """
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=doc)
    add_train(app, about)
    add_evaluate(app, about)
    if about.reports:
        add_report(app, about)
    add_ablate(app, about)
    add_tune(app, about)
    return app


def add_train(app: typer.Typer, about: About, name: str = "train", said: str = "") -> None:
    """`train`, or by another name what trains something else, and its help."""
    groups = StrEnum("Group", ["all", *about.groups])  # type: ignore[misc]
    stage_help = "train these stages alone; those before them must be trained"
    StageOption = Annotated[groups, typer.Option("--stage", help=stage_help, hidden=not about.groups)]
    report_help = "write report.html too, of the test"
    ReportOption = Annotated[bool, typer.Option(help=report_help, hidden=not about.reports)]

    @plain_errors()
    def train(
        recipe: options.Recipe = about.recipe,
        set_: options.Set = [],  # noqa: B006
        name: options.Name = None,
        runs: options.Runs = Path("runs"),
        stage: StageOption = groups.all,  # type: ignore[attr-defined]
        resume: options.Resume = False,
        overwrite: options.Overwrite = False,
        report: ReportOption = True,
        json: options.Json = None,
        part: options.OfPart = "test",
    ) -> None:
        loaded, found = load_named(about, recipe, set_), options.existing(resume, overwrite)
        folder = runs / (name or about.run_name(recipe))
        options.print_recipe(loaded)
        from posetrain.lifecycle import train as run_training

        task, group = about.load().of(loaded), None if stage == "all" else str(stage)
        report = report and part == "test"
        trained, metrics = run_training(task, loaded, folder, found, group=group, part=part, report=report)
        if metrics:
            tell(trained, metrics, json, part=part)
        if metrics or group in about.unmeasured:  # else another process tells
            reports = metrics and report and trained.task.about.reports
            made = f", report {folder / 'report.html'}" if reports else ""
            options.console.print(f"run {folder}{made}")

    train.__name__ = name
    _add(app, train, said or f"Prepare data, train {about.label}, measure it, and write the report.")


def add_evaluate(app: typer.Typer, about: About) -> None:
    """`evaluate`."""
    beside_help = "another run on the same data, for a further row; repeatable"
    BesideOption = Annotated[list[Path], typer.Option("--beside", *about.beside, help=beside_help)]

    @plain_errors()
    def evaluate(
        run: options.Run,
        json: options.Json = None,
        beside: BesideOption = [],  # noqa: B006
        protocol: options.Protocol = None,
        data: options.Data = None,
        split: options.Split = None,
        keypoints: options.Keypoints = None,
        views: options.SeenAs = None,
        part: options.OfPart = "test",
    ) -> None:
        place = elsewhere(data, split, keypoints, views)
        if protocol is not None:
            if part != "test":
                raise ValueError("--protocol scores the test; leave --part out")
            if beside:
                raise ValueError("--protocol has the papers' rows beside it; leave --beside out")
            by_protocol(about, run, protocol, place, json)
        else:
            measure_run(about, run, json, beside, part, place)

    _add(app, evaluate, "Measure a finished run: a table, and JSON (keys: docs/pages).")


def add_report(app: typer.Typer, about: About) -> None:
    """`report`."""

    @plain_errors()
    def report(run: options.Run) -> None:
        from posetrain.lifecycle import measure, open_run

        trained = open_run(about.load(), run)
        metrics = measure(trained)
        if _first():
            options.console.print(f"report {trained.task.report(trained, metrics)}")

    _add(app, report, "Measure a finished run and write its report anew.")


def add_ablate(app: typer.Typer, about: About) -> None:
    """`ablate`."""
    named = " or ".join(about.variants)
    VariantsOption = Annotated[
        str | None, typer.Option(help=f"a named comparison: {named}", hidden=not about.variants)
    ]

    @plain_errors()
    def ablate(
        recipe: options.Recipe = about.recipe,
        set_: options.Set = [],  # noqa: B006
        name: options.Name = None,
        runs: options.Runs = Path("runs"),
        variants: VariantsOption = None,
        over: options.Over = [],  # noqa: B006
        seeds: options.Seeds = 1,
        json: options.Json = None,
    ) -> None:
        loaded = load_named(about, recipe, set_)
        if over and variants is not None:
            raise ValueError("--over and --variants exclude each other; give one")
        if not (over or about.variants):
            raise ValueError("say what to vary: --over key=a,b,c, repeatable")
        chosen = variants or next(iter(about.variants), "")
        if not over and chosen not in about.variants:
            raise ValueError(f"--variants {chosen}: no such comparison; choose {named}")
        from posetrain.ablation import ablate as run_ablation
        from posetrain.ablation import over_keys

        task = about.load().of(loaded)
        table = over_keys(over) if over else task.comparison(chosen, loaded)
        folder = runs / (name or about.run_name(recipe, table.ending))
        options.print_table(*run_ablation(task, loaded, folder, table, seeds, json))

    said = "Train variants of a recipe and set them side by side: a named comparison, or any keys (--over)."
    _add(app, ablate, f"{said} Resumes.")


def add_tune(app: typer.Typer, about: About) -> None:
    """`tune`."""
    over_help = "a key and its range: finetune.lr=log:1e-4..1e-2, model.hidden=256,512; repeatable"
    OverOption = Annotated[list[str], typer.Option("--over", help=over_help)]
    metric_help = "dotted key of the validation's metrics to make least"

    @plain_errors()
    def tune(
        over: OverOption,
        metric: Annotated[str, typer.Option(help=metric_help)],
        recipe: options.Recipe = about.recipe,
        set_: options.Set = [],  # noqa: B006
        name: options.Name = None,
        runs: options.Runs = Path("runs"),
        maximise: Annotated[bool, typer.Option("--maximise", help="make it greatest instead")] = False,
        trials: Annotated[int, typer.Option(min=1, help="runs in all")] = 20,
        json: options.Json = None,
    ) -> None:
        from posetrain.tuning import Search
        from posetrain.tuning import tune as run_search

        loaded, search = load_named(about, recipe, set_), Search(over, metric, maximise, trials)
        folder = runs / (name or about.run_name(recipe, "-tune"))
        task = about.load().of(loaded)
        options.print_table(*run_search(task, loaded, folder, search, json))

    said = "Search values of a recipe's keys by Optuna, each trial a run measured on validation people."
    _add(app, tune, f"{said} Resumes.")


def add_baseline(app: typer.Typer, about: About) -> None:
    """`baseline`: trains and measures a method to compare with, which is a task of its own."""
    add_train(
        app, about, "baseline", f"Train {about.label} on a recipe's data and measure it, to compare with."
    )


def add_release(app: typer.Typer, about: About, name: str, results: str, module: str) -> None:
    """`release`: the weights that polypose ships.

    Args:
        name, results: of the weights, and of the file of results.
        module: whose `release` writes them, given a model's run or file, the recipe, the weights and the
            results to write; returns what to show.
    """
    file = Path(f"docs/results/{results}.json")

    @plain_errors()
    def release(
        recipe: options.Recipe = "release",
        set_: options.Set = [],  # noqa: B006
        runs: options.Runs = Path("runs"),
        weights: Annotated[
            Path | None, typer.Option(help="the .safetensors to write, with its card; the package's")
        ] = None,
        json: options.Json = None,
        from_: Annotated[Path | None, typer.Option("--from", help="a model's file: train nothing")] = None,
    ) -> None:
        from posedata.errors import check_new_file

        from posetrain.lifecycle import train as run_training

        if recipe != "release" and (weights is None or json is None):
            raise ValueError("--recipe: give --weights and --json, or those of release are lost")
        weights = weights or Path(f"packages/polypose/src/polypose/weights/{name}.safetensors")
        check_new_file(weights)
        made, run, task = load_named(about, recipe, set_), runs / about.run_name(recipe), about.load()
        if task.of(made) is not task:
            raise ValueError(f"--recipe {recipe}: trains {task.of(made).about.label}, which no release is of")
        if from_ is None and not (run / "metrics.json").is_file():
            run_training(task, made, run, "resume")
        write = import_module(module).release
        options.print_table(*write(from_ or run, made, weights, json or file))
        options.console.print(f"{weights}, {json or file}")

    _add(app, release, "Make the weights that polypose ships: train the recipe, write and measure.")


def load_named(about: About, recipe: str, overrides: Iterable[str]) -> Any:
    """A recipe of a task, by name or file."""
    from posetrain.recipe import load_recipe

    return load_recipe(recipe, about.schema, overrides, about.recipes)


def elsewhere(
    data: Path | None, split: Path | None, keypoints: str | None, views: str | None
) -> Elsewhere | None:
    """Where `--data` says that a run is measured; None for its own data.

    Raises:
        ValueError: what is said of such data, without any.
    """
    if data is not None:
        seen: Any = None if views is None else str(views)
        return Elsewhere(data, split, keypoints or "", seen)
    for name, value in (("split", split), ("keypoints", keypoints), ("views", views)):
        if value is not None:
            raise ValueError(f"--{name} is of what --data names; give both")
    return None


def measure_run(
    about: About,
    run: Path,
    json: Path | None,
    beside: Sequence[Path] = (),
    part: Part = "test",
    place: Elsewhere | None = None,
) -> None:
    """What `evaluate` does without a protocol, on a run's own data or elsewhere."""
    from posetrain.lifecycle import measure, open_run

    trained = open_run(about.load(), run, place)
    tell(trained, measure(trained, part), json, beside, part)


def by_protocol(about: About, run: Path, name: str, place: Elsewhere | None, json: Path | None) -> None:
    """What `evaluate` does with a protocol of the papers."""
    from posetrain.lifecycle import open_run, score

    tell_scored(score(open_run(about.load(), run, place), name), json)


def tell_scored(scored: Scored, json: Path | None) -> None:
    """Show what a protocol says, and write it where asked: the first process alone."""
    from posedata.results import write_results

    if not _first():
        return
    _show(scored.shown)
    if json:
        write_results(json, scored.rows, **scored.more)
        options.console.print(f"results {json}")


def tell(
    trained: "Trained[Any, Any, Any]",
    metrics: Metrics,
    json: Path | None,
    beside: Sequence[Path] = (),
    part: Part = "test",
) -> None:
    """Show what was measured, and write it where asked, with the rows of other runs.

    All processes that measured call it; the first one shows and writes.
    """
    from posetrain.lifecycle import measure_beside, save_results

    own = trained.task.rows(trained, metrics, part)
    rows: list[Row] = trained.task.joined(own, measure_beside(trained, beside, part))
    if not _first():
        return
    _show(trained.task.show(metrics, rows, part))
    if json:
        save_results(json, trained, metrics, rows, part)
        options.console.print(f"results {json}")


def _first() -> bool:
    """Whether this is the first of the processes that have joined, or the only one."""
    from posedata.sharing import processes

    return processes()[0] == 0


def _show(shown: Iterable[Table | str]) -> None:
    for part in shown:
        if isinstance(part, str):
            options.console.print(part)
        else:
            options.print_table(*part)


def _add(app: typer.Typer, command: Callable[..., None], said: str) -> None:
    command.__doc__ = said
    app.command()(command)
