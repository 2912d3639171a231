"""The `polypose` command line: a trained model on files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from polypose.console import console
from polypose.console import faults as _faults
from polypose.search.cli import index_app, search, serve
from polypose.senses.cli import app as senses_app

if TYPE_CHECKING:
    from polypose.invariant import ViewInvariant
    from polypose.model import Model

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="3D poses from keypoints, and what is alike."
)
export_app = typer.Typer(no_args_is_help=True, help="Write the model for other programs.")
app.add_typer(export_app, name="export")
app.add_typer(senses_app, name="senses")
app.add_typer(index_app, name="index")
app.command()(search)
app.command()(serve)

Part = Literal["lifter", "image", "2d", "3d"]
NetworkOption = Annotated[
    Literal["lite", "full", "heavy"], typer.Option(help="of BlazePose: faster, or surer about left and right")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="a run, a file, user/name, view-invariant, small; else the package's"),
]
KeypointsArgument = Annotated[
    Path,
    typer.Argument(help="in pixels: .npy, .npz, .csv, a detector's .json or a folder of those"),
]
OutArgument = Annotated[Path, typer.Argument(help="an .npz or .csv to write")]
SkeletonOption = Annotated[
    str | None, typer.Option(help="of the keypoints: coco17, openpose25, ...; where the file does not tell")
]
SizeOption = Annotated[tuple[int, int] | None, typer.Option(help="width and height of the images, pixels")]
FocalOption = Annotated[float | None, typer.Option(help="pixels, with --size; else a view 60 degrees wide")]
IntrinsicsOption = Annotated[
    tuple[float, float, float, float] | None, typer.Option(help="fx fy cx cy in pixels, instead of --focal")
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**53, help="decides everything random")]


@app.command()
def lift(
    keypoints: KeypointsArgument,
    out: OutArgument,
    model: ModelOption = None,
    skeleton: SkeletonOption = None,
    size: SizeOption = None,
    focal: FocalOption = None,
    intrinsics: IntrinsicsOption = None,
    picture: Annotated[Path | None, typer.Option(help="a PNG of the first poses")] = None,
) -> None:
    """3D poses, (N, 17, 3) metres in the camera's frame about the pelvis, with their sd and place.

    A view-invariant model has them in the body's frame, of one size, and needs no camera.
    """
    with _faults():
        from posedata.arrays import check_ending

        from polypose.files import lift_file

        check_ending(out)
        shape = lift_file(
            _model(model),
            keypoints,
            out,
            size=size,
            intrinsics=intrinsics,
            focal=focal,
            skeleton=skeleton,
            picture=picture,
        )
        console.print(f"{out}: joints {shape}")


@app.command()
def sample(
    keypoints: KeypointsArgument,
    out: OutArgument,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="poses to draw of each")] = 20,
    model: ModelOption = None,
    skeleton: SkeletonOption = None,
    size: SizeOption = None,
    focal: FocalOption = None,
    intrinsics: IntrinsicsOption = None,
    seed: SeedOption = 0,
) -> None:
    """Poses that the keypoints allow, (COUNT, N, 17, 3), as of lift."""
    with _faults():
        from posedata.arrays import check_ending

        from polypose.files import lift_file

        check_ending(out)
        shape = lift_file(
            _model(model),
            keypoints,
            out,
            size=size,
            intrinsics=intrinsics,
            focal=focal,
            skeleton=skeleton,
            hypotheses=count,
            seed=seed,
        )
        console.print(f"{out}: joints {shape}")


@app.command()
def embed(
    source: Annotated[Path, typer.Argument(help="keypoints as of lift, or a store")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv; if view-invariant, .index too")],
    model: ModelOption = None,
    skeleton: SkeletonOption = None,
    size: SizeOption = None,
    focal: FocalOption = None,
    intrinsics: IntrinsicsOption = None,
    modality: Annotated[
        str, typer.Option(help="of a store: image, 2d, 3d or all; 3d: of an .npy of joints")
    ] = "all",
) -> None:
    """Embeddings by modality, (N, D): of unit length, or of a view-invariant model compared by distance."""
    with _faults():
        from posedata.arrays import check_ending

        from polypose.files import embed_file
        from polypose.retrieval import INDEX

        check_ending(out, more=(INDEX,))
        shapes = embed_file(
            _model(model),
            source,
            out,
            modality=modality,
            size=size,
            intrinsics=intrinsics,
            focal=focal,
            skeleton=skeleton,
        )
        console.print(f"{out}: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


@app.command()
def retrieve(
    queries: Annotated[Path, typer.Argument(help="an .npz of embeddings (embed)")],
    gallery: Annotated[Path, typer.Argument(help="another")],
    out: OutArgument,
    source: Annotated[str, typer.Option("--from", help="of the queries: image, 2d or 3d")] = "2d",
    target: Annotated[str, typer.Option("--to", help="of the gallery")] = "2d",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="how many of each")] = 10,
) -> None:
    """The nearest of a gallery for every query: `row` and `cosine` (or `distance`), (N, K), best first."""
    with _faults():
        from polypose.files import retrieve_files

        shape = retrieve_files(queries, gallery, out, source, target, k)
        console.print(f"{out}: rows {shape}")


@app.command()
def view(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="of capture, lift, or that posedata reads")],
    out: Annotated[Path | None, typer.Option(help="the page; NAME.view.html, if left out")] = None,
    show: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    form: Annotated[
        str | None, typer.Option("--format", help="of posedata prepare, where FILE's end does not tell")
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="of a data set, which one")] = None,
    unit: Annotated[
        str | None, typer.Option(help="of .bvh, .trc, .c3d: m, cm, mm, ..., or metres of one")
    ] = None,
) -> None:
    """A page that plays the people of a file in 3D: .npz .csv .trc .c3d .bvh .glb, a store, a data set."""
    with _faults():
        from polypose.capture.view import view as view_file

        view_file(path, out, form=form, sequence=sequence, unit=unit, show=show)


@export_app.command()
def onnx(
    out: Annotated[Path, typer.Argument(help="an .onnx to write")],
    part: Annotated[Part, typer.Option(help="the lifter, or an encoder")] = "lifter",
    model: ModelOption = None,
) -> None:
    """A part of the model as ONNX, for any batch."""
    with _faults():
        from polypose.export import export_onnx

        export_onnx(_model(model), part, out)
        console.print(f"wrote {out}")


@app.command()
def capture(
    inputs: Annotated[list[Path], typer.Argument(help="films, photos, folders of photos, RGB-D folders")],
    out: Annotated[Path, typer.Option("--out", "-o", help="a folder for the results")],
    calibration: Annotated[
        Path | None, typer.Option(help="of the cameras: Pose2Sim, OpenCV, Qualisys, anipose; films together")
    ] = None,
    height: Annotated[float | None, typer.Option(help="of the person, metres")] = None,
    detector: Annotated[
        str, typer.Option(help="blazepose, rtmlib, or keypoints: a file, a folder")
    ] = "blazepose",
    network: NetworkOption = "full",
    start: Annotated[float, typer.Option(help="seconds of the film")] = 0.0,
    end: Annotated[float | None, typer.Option(help="seconds of the film")] = None,
    every: Annotated[int, typer.Option(help="of the frames each n-th")] = 1,
    rate: Annotated[
        float | None, typer.Option(help="a folder of photos is a film of so many a second")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="the films show the same people; no calibration")
    ] = False,
    formats: Annotated[str, typer.Option(help="npz,csv,trc,c3d,bvh,glb,html, some of them or all")] = "all",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="results that are there")] = False,
    model: ModelOption = None,
) -> None:
    """People in 3D of one's own footage, with their uncertainty; stopped and given again, it goes on."""
    with _faults():
        from polypose.capture.progress import bars
        from polypose.capture.run import capture as run

        with bars(console) as watch:
            run(
                *inputs,
                out=out,
                model=model,
                calibration=calibration,
                height=height,
                detector=detector,
                network=network,
                start=start,
                end=end,
                every=every,
                rate=rate,
                together=together,
                formats=formats,
                overwrite=overwrite,
                say=console.print,
                watch=watch,
            )


@app.command()
def get(
    what: Annotated[Literal["blazepose"], typer.Argument(help="the 2D detector of capture")] = "blazepose",
    network: NetworkOption = "full",
    source: Annotated[
        Path | None, typer.Option("--from", help="a wheel, archive or folder that holds it; no network then")
    ] = None,
) -> None:
    """Fetch what capture sees people with, once: out of a package of the registry, checked by digest."""
    with _faults():
        from polypose.capture.fetch import get as fetched

        for path in fetched(network, source, console.print):
            console.print(f"{path}: ready")


@app.command()
def info(model: Annotated[str | None, typer.Argument(help="as of --model")] = None) -> None:
    """What a model is: its network, frame, weights and data."""
    with _faults():
        from polypose.doctor import about

        for line in about(_model(model)):
            console.print(line)


@app.command()
def doctor() -> None:
    """What is installed, what is missing for which input, and a self-test of ten seconds at most."""
    with _faults():
        from polypose.doctor import examine

        for line in examine():
            console.print(line)


def _model(source: str | None) -> Model | ViewInvariant:
    from polypose.loading import load

    model = load(source)
    if model.kind == "senses":
        raise ValueError(f"{source}: is a space of senses; its commands are those of polypose senses")
    if model.kind == "depth":
        raise ValueError(
            f"{source}: lifts depth images, in Python: polypose.load({source!r}).lift(depth, ...)"
        )
    return model


if __name__ == "__main__":
    app()
