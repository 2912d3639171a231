"""The command line: `typer apps/vvipe train`, or `vvipe train` where the app is installed."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from posetrain.commands import add_release, load_named, task_app
from posetrain.errors import plain_errors
from posetrain.options import (
    FROM,
    TO,
    ColumnOption,
    JsonOption,
    KOption,
    NameOption,
    PictureOption,
    RecipeOption,
    RunArgument,
    RunsOption,
    SeedsOption,
    SetOption,
    ShowOption,
    SkeletonOption,
    console,
    print_hits,
    print_table,
)

from vvipe.recipe import ABOUT

SourceHelp = "a store (posedata views), a file of keypoints, or an .npy of joints (N, 17, 3)"
SourceArgument = Annotated[Path, typer.Argument(help=SourceHelp)]
Modality = Literal["2d", "3d"]
AmountOption = Annotated[list[float], typer.Option("--amount", help="of noise; may be repeated")]


app = task_app(ABOUT, __doc__)


@app.command()
@plain_errors()
def compare(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    seeds: SeedsOption = 1,
    beside: Annotated[
        str | None, typer.Option(help="another recipe, for rows of its own; --set changes both")
    ] = None,
    json: JsonOption = None,
) -> None:
    """V-VIPE, PR-VIPE, bare keypoints; exact and detector; with and without augmentation. Resumes."""
    folder = runs / (name or ABOUT.run_name(recipe, "-compare"))
    other = (Path(beside).stem, load_named(ABOUT, beside, set_)) if beside else None
    loaded = load_named(ABOUT, recipe, set_)
    from vvipe.compare import compare as run_comparison

    print_table(*run_comparison(loaded, folder, seeds, json, other))


@app.command()
@plain_errors()
def embed(
    run: RunArgument,
    source: SourceArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv, or NAME.index to retrieve from")],
    modality: Annotated[Modality, typer.Option(help="of the source")] = "2d",
    keypoints: ColumnOption = "true",
    skeleton: SkeletonOption = "coco17",
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
    console.print(f"{out}: {shapes[name]}")


@app.command()
@plain_errors()
def retrieve(
    run: RunArgument,
    queries: SourceArgument,
    gallery: Annotated[Path, typer.Argument(help=f"{SourceHelp}; or NAME.index made by embed")],
    source: Annotated[Modality, FROM] = "2d",
    target: Annotated[Modality, TO] = "2d",
    k: KOption = 5,
    show: ShowOption = 10,
    keypoints: ColumnOption = "true",
    skeleton: SkeletonOption = "coco17",
    json: JsonOption = None,
) -> None:
    """The gallery's poses nearest to every query, whatever camera saw either."""
    from polypose.retrieval import retrieve_views

    from vvipe.task import open_model

    model = open_model(run)
    hits = retrieve_views(model, queries, gallery, source, target, k, keypoints=keypoints, skeleton=skeleton)
    print_hits(hits, f"{source} to {target}", show, json)


@app.command()
@plain_errors()
def lift(
    run: RunArgument,
    keypoints: Annotated[Path, typer.Argument(help="a file of keypoints: x, y and confidence, pixels")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    skeleton: SkeletonOption = "coco17",
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="width and height of the image, to check keypoints by")
    ] = None,
    picture: PictureOption = None,
) -> None:
    """Lift 2D keypoints to 3D: `joints` (N, 17, 3) of the universal skeleton, metres, body frame.

    `valid` (N,) tells the frames that show a hip and a shoulder; the joints of others are NaN.
    """
    from polypose.files import lift_file
    from posedata.arrays import check_ending

    from vvipe.task import open_model

    check_ending(out, picture)
    shape = lift_file(open_model(run), keypoints, out, skeleton=skeleton, size=size, picture=picture)
    console.print(f"{out}: joints {shape}")


@app.command()
@plain_errors()
def generate(
    run: RunArgument,
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
    console.print(f"{out}: joints {shape}")


add_release(app, ABOUT, "vvipe", "vvipe_release", "vvipe.release")


if __name__ == "__main__":
    app()
