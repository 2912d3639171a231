"""The command line: `typer apps/vvipe train`, or `vvipe train` where the app is installed."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from posetrain.commands import load_named, task_app
from posetrain.errors import plain_errors
from posetrain.options import (
    JsonOption,
    NameOption,
    PictureOption,
    RecipeOption,
    RunArgument,
    RunsOption,
    SeedsOption,
    SetOption,
    console,
    print_table,
)

from vvipe.recipe import ABOUT

SourceHelp = "a store (posedata views), or an .npy of keypoints (N, K, 2 or 3) or joints (N, 17, 3)"
SourceArgument = Annotated[Path, typer.Argument(help=SourceHelp)]
Modality = Literal["2d", "3d"]
KeypointsOption = Annotated[str, typer.Option("--keypoints", help="the store's column: keypoints_NAME")]
SkeletonOption = Annotated[
    str, typer.Option("--skeleton", help="of an .npy: coco17, h36m17, openpose25, ...")
]
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
    keypoints: KeypointsOption = "true",
    skeleton: SkeletonOption = "coco17",
) -> None:
    """Embed views (2d) or poses (3d): `embedding` (N, D), compared by Euclidean distance."""
    from vvipe.use import embed_source

    console.print(f"{out}: {embed_source(run, source, out, modality, keypoints, skeleton)}")


@app.command()
@plain_errors()
def retrieve(
    run: RunArgument,
    queries: SourceArgument,
    gallery: Annotated[Path, typer.Argument(help=f"{SourceHelp}; or NAME.index made by embed")],
    source: Annotated[Modality, typer.Option("--from", help="modality of the queries")] = "2d",
    target: Annotated[Modality, typer.Option("--to", help="modality of the gallery")] = "2d",
    k: Annotated[int, typer.Option("--k", "-k", help="how many to retrieve", min=1)] = 5,
    show: Annotated[int, typer.Option(help="queries to print")] = 10,
    keypoints: KeypointsOption = "true",
    skeleton: SkeletonOption = "coco17",
    json: JsonOption = None,
) -> None:
    """The gallery's poses nearest to every query, whatever camera saw either."""
    from vvipe.use import retrieve as search

    rows = search(run, queries, gallery, source, target, k, keypoints, skeleton, json)
    print_table(f"{source} to {target}", ("query", "gallery rows", "PA-MPJPE mm of the first"), rows[:show])


@app.command()
@plain_errors()
def lift(
    run: RunArgument,
    keypoints: Annotated[Path, typer.Argument(help=".npy (N, K, 2 or 3): x, y and confidence")],
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
    from vvipe.use import lift as lift_file

    console.print(f"{out}: joints {lift_file(run, keypoints, out, skeleton, picture, size)}")


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
    from vvipe.use import generate as make

    console.print(f"{out}: joints {make(run, out, around, row, amount, count, seed)}")


if __name__ == "__main__":
    app()
