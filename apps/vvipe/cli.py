"""The command line: `typer apps/vvipe train`, or `vvipe train` where the app is installed."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from posetrain import options
from posetrain.commands import add_release, load_named, task_app
from posetrain.errors import plain_errors

from vvipe.recipe import ABOUT

SourceHelp = "a store (posedata views), a file of keypoints, or an .npy of joints (N, 17, 3)"
SourceArgument = Annotated[Path, typer.Argument(help=SourceHelp)]
Modality = Literal["2d", "3d"]
AmountOption = Annotated[list[float], typer.Option("--amount", help="of noise; may be repeated")]


app = task_app(ABOUT, __doc__)


@app.command()
@plain_errors()
def compare(
    recipe: options.Recipe = "quickstart",
    set_: options.Set = [],  # noqa: B006
    name: options.Name = None,
    runs: options.Runs = Path("runs"),
    seeds: options.Seeds = 1,
    beside: Annotated[
        str | None, typer.Option(help="another recipe, for rows of its own; --set changes both")
    ] = None,
    json: options.Json = None,
) -> None:
    """V-VIPE, PR-VIPE, bare keypoints; exact and detector; with and without augmentation. Resumes."""
    folder = runs / (name or ABOUT.run_name(recipe, "-compare"))
    other = (Path(beside).stem, load_named(ABOUT, beside, set_)) if beside else None
    loaded = load_named(ABOUT, recipe, set_)
    from vvipe.compare import compare as run_comparison

    options.print_table(*run_comparison(loaded, folder, seeds, json, other))


@app.command()
@plain_errors()
def embed(
    run: options.Run,
    source: SourceArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv, or NAME.index to retrieve from")],
    modality: Annotated[Modality, typer.Option(help="of the source")] = "2d",
    keypoints: options.Column = "true",
    skeleton: options.Skeleton = "coco17",
) -> None:
    """Embed views (2d) or poses (3d): `embedding` (N, D), compared by Euclidean distance."""
    from polypose.files import embed_file
    from polypose.retrieval import INDEX
    from posedata.arrays import check_ending

    from vvipe.task import open_model

    check_ending(out, more=(INDEX,))
    model, name = open_model(run), "embedding"
    shapes = embed_file(
        model, source, out, modality=modality, keypoints=keypoints, skeleton=skeleton, name=name
    )
    options.console.print(f"{out}: {shapes[name]}")


@app.command()
@plain_errors()
def retrieve(
    run: options.Run,
    queries: SourceArgument,
    gallery: Annotated[Path, typer.Argument(help=f"{SourceHelp}; or NAME.index made by embed")],
    source: Annotated[Modality, options.FROM] = "2d",
    target: Annotated[Modality, options.TO] = "2d",
    k: options.K = 5,
    show: options.Show = 10,
    keypoints: options.Column = "true",
    skeleton: options.Skeleton = "coco17",
    json: options.Json = None,
) -> None:
    """The gallery's poses nearest to every query, whatever camera saw either."""
    from polypose.retrieval import retrieve_views

    from vvipe.task import open_model

    model = open_model(run)
    hits = retrieve_views(model, queries, gallery, source, target, k, keypoints=keypoints, skeleton=skeleton)
    options.print_hits(hits, f"{source} to {target}", show, json)


@app.command()
@plain_errors()
def lift(
    run: options.Run,
    keypoints: Annotated[Path, typer.Argument(help="a file of keypoints: x, y and confidence, pixels")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    skeleton: options.Skeleton = "coco17",
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="width and height of the image, to check keypoints by")
    ] = None,
    picture: options.Picture = None,
) -> None:
    """Lift 2D keypoints to 3D: `joints` (N, 17, 3) of the universal skeleton, metres, body frame.

    `valid` (N,) tells the frames that show a hip and a shoulder; the joints of others are NaN.
    """
    from polypose.files import lift_file
    from posedata.arrays import check_ending

    from vvipe.task import open_model

    check_ending(out, picture)
    shape = lift_file(open_model(run), keypoints, out, skeleton=skeleton, size=size, picture=picture)
    options.console.print(f"{out}: joints {shape}")


@app.command()
@plain_errors()
def generate(
    run: options.Run,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write; a PNG goes beside it")],
    around: Annotated[Path | None, typer.Option(help="a store or an .npy of joints; none: the prior")] = None,
    row: Annotated[int, typer.Option(help="which of its poses")] = 0,
    amount: AmountOption = [0.2, 0.3, 0.4, 0.5],  # noqa: B006
    count: Annotated[int, typer.Option(help="directions, or samples of the prior", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="decides the noise", min=0, max=2**63 - 1)] = 0,
) -> None:
    """New poses: noise around the embedding of a pose, or samples of the prior, decoded."""
    from polypose.generation import generate_file
    from posedata.arrays import check_ending

    from vvipe.task import open_model

    check_ending(out, out.with_suffix(".png"))
    shape = generate_file(open_model(run), out, around, row, amount, count, seed)
    options.console.print(f"{out}: joints {shape}")


add_release(app, ABOUT, "vvipe", "vvipe_release", "vvipe.release")


if __name__ == "__main__":
    app()
