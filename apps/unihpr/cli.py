"""The command line: `typer apps/unihpr train`, or `unihpr train` where the app is installed."""

from pathlib import Path
from typing import Annotated

import typer
from posetrain import options
from posetrain.commands import add_baseline, add_release, task_app
from posetrain.errors import plain_errors

from unihpr.recipe import ABOUT, BASELINE

StoreArgument = Annotated[Path, typer.Argument(help="a store of views (posedata views, posedata render)")]


app = task_app(ABOUT, __doc__)
add_baseline(app, BASELINE)


@app.command()
@plain_errors()
def embed(
    run: options.Run,
    store: StoreArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    modality: Annotated[str, typer.Option(help="image, 2d, 3d or all")] = "all",
    keypoints: options.Column = "true",
) -> None:
    """Embed the views of a store: `image`, `2d` and `3d`, each (N, D), unit length."""
    from polypose.files import embed_file
    from posedata.arrays import check_ending

    from unihpr.task import open_model

    check_ending(out)
    shapes = embed_file(open_model(run), store, out, modality=modality, keypoints=keypoints)
    options.console.print(f"{out}: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


@app.command()
@plain_errors()
def retrieve(
    run: options.Run,
    queries: StoreArgument,
    gallery: StoreArgument,
    source: Annotated[str, options.FROM] = "2d",
    target: Annotated[str, options.TO] = "3d",
    k: options.K = 5,
    show: options.Show = 10,
    json: options.Json = None,
) -> None:
    """Retrieve the nearest views of a gallery, by embeddings, for every view of another store."""
    from polypose.retrieval import retrieve_views

    from unihpr.task import open_model

    hits = retrieve_views(open_model(run), queries, gallery, source, target, k)
    options.print_hits(hits, f"{source} to {target}", show, json)


@app.command()
@plain_errors()
def lift(
    run: options.Run,
    keypoints: Annotated[Path, typer.Argument(help=".npy (N, J, 2 or 3) in pixels: x, y and confidence")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    size: Annotated[tuple[int, int], typer.Option(help="width and height of the image")] = (1000, 1000),
    focal: Annotated[float | None, typer.Option(help="pixels; by default a view 60 degrees wide")] = None,
    skeleton: options.Skeleton = "coco17",
    hypotheses: Annotated[int, typer.Option(min=0, help="0: the mean pose; else poses to draw")] = 0,
    picture: options.Picture = None,
) -> None:
    """Lift 2D keypoints to 3D: `joints` (N, 17, 3), metres, camera frame, relative to the pelvis.

    `valid` (N,) tells the frames that hold a person; the joints of others are NaN.
    """
    from polypose.files import lift_file
    from posedata.arrays import check_ending

    from unihpr.task import open_model

    check_ending(out, picture)
    shape = lift_file(
        open_model(run),
        keypoints,
        out,
        size=size,
        focal=focal,
        skeleton=skeleton,
        hypotheses=hypotheses,
        picture=picture,
    )
    options.console.print(f"{out}: joints {shape}")


@app.command()
@plain_errors()
def interpolate(
    run: options.Run,
    store: StoreArgument,
    first: Annotated[int, typer.Argument(help="a row of the store")],
    last: Annotated[int, typer.Argument(help="another")],
    out: Annotated[
        Path, typer.Argument(help="an .npz or .csv to write; a PNG of the same name goes beside it")
    ],
    steps: Annotated[int, typer.Option(min=2, help="poses, both ends included")] = 9,
) -> None:
    """Decode 3D poses along the great arc between the embeddings of two poses."""
    from polypose.stores import interpolate_rows
    from posedata.arrays import check_ending

    from unihpr.task import open_model

    check_ending(out)
    picture = interpolate_rows(open_model(run), store, first, last, out, steps)
    options.console.print(f"{out}, {picture}")


@app.command()
@plain_errors()
def board(
    recipe: options.Recipe = "quickstart",
    set_: options.Set = [],  # noqa: B006
    name: options.Name = None,
    runs: options.Runs = Path("runs"),
    lifters: Annotated[str, typer.Option(help="names, comma-separated; all by default")] = "",
    keypoints: Annotated[str, typer.Option(help="exact, detector, or both")] = "exact,detector",
    seeds: options.Seeds = 1,
    tries: Annotated[int, typer.Option(min=1, max=3, help="learning rates of each, on validation")] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="a second table: processor time of each")] = 0.0,
    data: Annotated[
        Path | None, typer.Option("--data", help="a second domain: measure on this store too")
    ] = None,
    split: options.Split = None,
    views: options.SeenAs = None,
    json: options.Json = None,
) -> None:
    """Train every lifter on the same views and budget, and set them side by side. Resumes."""
    from posetrain.commands import elsewhere
    from posetrain.recipe import load_recipe

    from unihpr.board import KINDS, PEERS, Board
    from unihpr.lifters import LIFTERS

    loaded = load_recipe(recipe, LIFTERS.schema, set_, LIFTERS.recipes)
    kinds = tuple(keypoints.split(","))
    if not {*kinds} <= {*KINDS}:
        raise ValueError(f"--keypoints {keypoints}: choose of {', '.join(KINDS)}")
    folder = runs / (name or LIFTERS.run_name(recipe))
    chosen = tuple(filter(None, lifters.split(","))) or tuple(PEERS)
    place = elsewhere(data, split, None, views)
    options.print_table(*Board(loaded, folder, chosen, kinds, seeds, seconds, tries, place).run(json))


@app.command()
@plain_errors()
def board_figures(
    results: Annotated[Path, typer.Argument(help="a board's results file (board --json)")],
    folder: Annotated[Path, typer.Argument(help="where the pictures go")],
    ending: Annotated[str, typer.Option("--format", help="png or svg")] = "png",
) -> None:
    """Draw a board: error by joint, elevation and distance, and error against time a pose."""
    from polypose.standing_figures import draw

    for path in draw(results, folder, ending):
        options.console.print(str(path))


add_release(app, ABOUT, "unihpr", "release", "unihpr.release")


if __name__ == "__main__":
    app()
