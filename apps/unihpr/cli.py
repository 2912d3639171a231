"""The command line: `typer apps/unihpr train`, or `unihpr train` where the app is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from trainer.errors import plain_errors
from trainer.options import (
    JsonOption,
    NameOption,
    Overwrite,
    PartOption,
    RecipeOption,
    Resume,
    RunArgument,
    RunsOption,
    SetOption,
    console,
    existing,
    print_recipe,
    print_table,
)
from trainer.poses import Part

from unihpr.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from unihpr.evaluate import Metrics
    from unihpr.train import Trained

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

HEADER = ("", "this run, % of mean pose", "paper, Human3.6M")

StoreArgument = Annotated[Path, typer.Argument(help="a store of views (posedata views, posedata render)")]


@app.command()
@plain_errors()
def train(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    resume: Resume = False,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option(help="write report.html too")] = True,
    json: JsonOption = None,
) -> None:
    """Prepare data, train the three steps, evaluate, and write the report."""
    loaded, found = _load(recipe, set_), existing(resume, overwrite)
    folder = runs / (name or Path(recipe).stem)
    print_recipe(loaded)
    from unihpr.train import train as run_training

    trained, metrics = run_training(loaded, folder, found, report=report)
    if not metrics:
        return  # another process tells
    _finish(trained, metrics, json)
    console.print(f"run {folder}" + (f", report {folder / 'report.html'}" if report else ""))


@app.command()
@plain_errors()
def evaluate(
    run: RunArgument,
    json: JsonOption = None,
    baseline: Annotated[
        list[Path], typer.Option(help="run folder of `baseline`, for a further row of the JSON; repeatable")
    ] = [],  # noqa: B006
    protocol: Annotated[
        str | None,
        typer.Option(help="score by a paper's protocol, its numbers beside: h36m-p1, h36m-p2, ..."),
    ] = None,
    part: PartOption = "test",
) -> None:
    """Measure a finished run on its test views: a table, and JSON (keys: docs/pages/metrics.md)."""
    if protocol:
        if part != "test":
            raise ValueError("--protocol scores the test; leave --part out")
        _by_protocol(run, protocol, json)
        return
    if baseline and not json:
        raise ValueError("--baseline adds a row to the JSON: give --json too")
    from unihpr.train import measure, open_run

    trained = open_run(run)
    _finish(trained, measure(trained, part), json, baseline, part)


@app.command()
@plain_errors()
def report(run: RunArgument) -> None:
    """Evaluate a finished run and write its report again."""
    from unihpr.report import write_report
    from unihpr.train import measure, open_run

    trained = open_run(run)
    path = write_report(trained.run, trained.model, trained.data, trained.recipe, measure(trained))
    console.print(f"report {path}")


@app.command()
@plain_errors()
def baseline(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonOption = None,
    part: PartOption = "test",
) -> None:
    """Train SimpleBaseline on a recipe's data, with exact and with detector keypoints, and measure it."""
    loaded, found = _load(recipe, set_), existing(resume, overwrite)
    folder = runs / (name or f"{Path(recipe).stem}-simplebaseline")
    from unihpr.baseline import run_baseline

    rows = run_baseline(loaded, folder, found, json, part)
    if not rows:
        return  # another process tells
    print_table(f"SimpleBaseline, {part} subjects", ("keypoints", "MPJPE mm", "PA-MPJPE mm"), rows)


@app.command()
@plain_errors()
def ablate(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    variants: Annotated[str, typer.Option(help="components (UniHPE's table 6) or losses")] = "components",
    seeds: Annotated[int, typer.Option(min=1, help="runs of each variant")] = 1,
    json: JsonOption = None,
) -> None:
    """Train variants of a recipe and compare them: its components, or the losses. Resumes automatically."""
    loaded = _load(recipe, set_)
    from unihpr.ablate import ablate as run_ablation
    from unihpr.ablate import comparison

    table = comparison(variants, loaded)
    folder = runs / (name or f"{Path(recipe).stem}-{'ablation' if variants == 'components' else variants}")
    rows = run_ablation(loaded, folder, seeds, json, table)
    turned = list(zip(table.columns, *rows, strict=True))  # metrics are many, variants few
    print_table(table.title, tuple(map(str, turned[0])), turned[1:])


@app.command()
@plain_errors()
def embed(
    run: RunArgument,
    store: StoreArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    modality: Annotated[str, typer.Option(help="image, 2d, 3d or all")] = "all",
    keypoints: Annotated[str, typer.Option(help="the store's column: keypoints_NAME")] = "true",
) -> None:
    """Embed the views of a store: `image`, `2d` and `3d`, each (N, D), unit length."""
    from unihpr.use import embed_store

    shapes = embed_store(run, store, out, modality, keypoints)
    console.print(f"{out}: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


@app.command()
@plain_errors()
def retrieve(
    run: RunArgument,
    queries: StoreArgument,
    gallery: StoreArgument,
    source: Annotated[str, typer.Option("--from", help="modality of the queries")] = "2d",
    target: Annotated[str, typer.Option("--to", help="modality of the gallery")] = "3d",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="how many to retrieve")] = 5,
    show: Annotated[int, typer.Option(min=0, help="queries to print")] = 10,
    json: JsonOption = None,
) -> None:
    """Retrieve the nearest views of a gallery, by embeddings, for every view of another store."""
    from unihpr.use import retrieve_views

    rows = retrieve_views(run, queries, gallery, source, target, k, json)
    print_table(f"{source} to {target}", ("query row", "gallery rows", "cosine", "MPJPE mm"), rows[:show])


@app.command()
@plain_errors()
def lift(
    run: RunArgument,
    keypoints: Annotated[Path, typer.Argument(help=".npy (N, J, 2 or 3) in pixels: x, y and confidence")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    size: Annotated[tuple[int, int], typer.Option(help="width and height of the image")] = (1000, 1000),
    focal: Annotated[float | None, typer.Option(help="pixels; by default a view 60 degrees wide")] = None,
    skeleton: Annotated[
        str, typer.Option(help="of the keypoints: coco17, h36m17, openpose25, ...")
    ] = "coco17",
    hypotheses: Annotated[int, typer.Option(min=0, help="0: the mean pose; else poses to draw")] = 0,
    picture: Annotated[Path | None, typer.Option(help="a PNG of the first poses")] = None,
) -> None:
    """Lift 2D keypoints to 3D: `joints` (N, 17, 3), metres, camera frame, relative to the pelvis.

    `valid` (N,) tells the frames that hold a person; the joints of others are NaN.
    """
    from unihpr.use import lift_keypoints

    shape = lift_keypoints(run, keypoints, out, size, focal, skeleton, hypotheses, picture)
    console.print(f"{out}: joints {shape}")


@app.command()
@plain_errors()
def interpolate(
    run: RunArgument,
    store: StoreArgument,
    first: Annotated[int, typer.Argument(help="a row of the store")],
    last: Annotated[int, typer.Argument(help="another")],
    out: Annotated[
        Path, typer.Argument(help="an .npz or .csv to write; a PNG of the same name goes beside it")
    ],
    steps: Annotated[int, typer.Option(min=2, help="poses, both ends included")] = 9,
) -> None:
    """Decode 3D poses along the great arc between the embeddings of two poses."""
    from unihpr.use import interpolate_rows

    picture = interpolate_rows(run, store, first, last, out, steps)
    console.print(f"{out}, {picture}")


def _load(recipe: str, overrides: list[str]) -> Recipe:
    from trainer.recipe import load_recipe

    return load_recipe(recipe, Recipe, overrides, RECIPES)


def _finish(
    trained: "Trained",
    metrics: "Metrics",
    json: Path | None,
    baselines: Sequence[Path] = (),
    part: Part = "test",
) -> None:
    from unihpr.evaluate import CALIBRATION, calibration, summary
    from unihpr.train import save_results

    print_table(f"MPJPE, mm, {part} subjects", HEADER, summary(metrics))
    if shares := calibration(metrics):
        print_table("hypotheses: share of truth in their intervals", CALIBRATION, shares)
    if json:
        save_results(json, trained, metrics, baselines, part)
        console.print(f"results {json}")


def _by_protocol(run: Path, name: str, json: Path | None) -> None:
    from trainer.results import write_results

    from unihpr.protocol import pose_protocol, published_rows, remark, score_branches
    from unihpr.train import open_run

    protocol = pose_protocol(name)
    trained = open_run(run)
    scores = score_branches(trained.model, trained.data, trained.recipe.evaluation, protocol)
    said = remark(trained.data, protocol)
    print_table(
        protocol.title, ("method", "input", *protocol.columns, "source"), published_rows(scores, [name])
    )
    for branch, found in scores.items():
        for key, values in found.items():
            if isinstance(values, dict):
                print_table(f"{branch}: {key}", ("", key.partition("_by_")[0]), list(values.items()))
    console.print(said)
    if json:
        rows = [{"method": branch, "protocol": name, **found} for branch, found in scores.items()]
        data = trained.data.stores.fingerprint
        write_results(json, rows, data=data, remark=said, published=protocol.published())
        console.print(f"results {json}")


if __name__ == "__main__":
    app()
