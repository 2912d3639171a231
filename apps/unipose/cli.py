"""The command line: `typer apps/unipose train`, or `unipose train` where the app is installed."""

from pathlib import Path
from typing import Annotated

import typer
from posetrain import options
from posetrain.commands import (
    add_ablate,
    add_release,
    add_report,
    add_train,
    by_protocol,
    elsewhere,
    measure_run,
    tell_scored,
)
from posetrain.errors import plain_errors

from unipose.hands_cli import app as hands
from unipose.recipe import ABOUT

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(hands, name="hands")
add_train(app, ABOUT)
add_report(app, ABOUT)
add_ablate(app, ABOUT)


@app.command()
@plain_errors()
def evaluate(
    run: Annotated[Path | None, typer.Argument(help="a run folder, runs/NAME")] = None,
    json: options.Json = None,
    protocol: options.Protocol = None,
    predictions: Annotated[
        Path | None, typer.Option(help="--protocol: .npz of predict, or A2J's .mat")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="--protocol: pose store, .npz, or ITOP's .mat")] = None,
    data: options.Data = None,
    split: options.Split = None,
    part: options.OfPart = "test",
) -> None:
    """Measure a finished run on held-out people: a table, and JSON (docs/pages/unipose.md says what).

    With --protocol (itop, panoptic, ntu), score a run, or predictions in a file, beside published numbers.
    """
    if protocol is not None and part != "test":
        raise ValueError("--protocol scores the test; leave --part out")
    if run is None and protocol is None:
        raise ValueError("no run given: name its folder, or score a file with --protocol")
    if run is None:
        _score(str(protocol), predictions, truth, json)
    elif predictions or truth:
        raise ValueError("--predictions and --truth are scored without a run; leave one or the other out")
    elif protocol is None:
        measure_run(ABOUT, run, json, (), part, elsewhere(data, split, None, None))
    else:
        by_protocol(ABOUT, run, protocol, elsewhere(data, split, None, None), json)


@app.command()
@plain_errors()
def predict(
    run: options.Run,
    source: Annotated[Path, typer.Argument(help="RGB-D folder, depth image (.png, .npy) or organised .pcd")],
    out: Annotated[Path, typer.Argument(help="joints to write: .npz or .json")] = Path("joints.npz"),
    keypoints: Annotated[Path | None, typer.Option(help="2D joints: COCO JSON by depth file's name")] = None,
    detector: Annotated[str | None, typer.Option(help="2D joints from the colour: mediapipe, rtmlib")] = None,
    intrinsics: Annotated[
        Path | None, typer.Option(help="JSON, where it does not lie beside the depth")
    ] = None,
    depth_scale: Annotated[
        float | None, typer.Option(help="units of a metre in the depth images, e.g. 5000 for TUM's")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="draw image, cloud and skeletons here (PNG)")] = None,
    frame: Annotated[int, typer.Option(min=0, help="which frame to draw or view")] = 0,
    view: Annotated[bool, typer.Option("--view", help="open Open3D's window when done")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    draws: Annotated[int, typer.Option(min=1, help="choices of points tried; the best pose is taken")] = 9,
) -> None:
    """3D joints of the people in recorded RGB-D, by a run's teacher, in the camera's frame in metres."""
    if picture and picture.suffix != ".png":
        raise ValueError(f"--picture {picture}: write to a file that ends in .png")
    from pointcloud_weak import viewer
    from pointcloud_weak.predict import check_ending
    from posedata.errors import check_new_file
    from posedata.readers import open_rgbd
    from posedata.writing import keep_input, write_png

    from unipose.predict import predict as find

    check_ending(out)
    for file in (out, picture):
        check_new_file(file)
        keep_input(file, source, keypoints, intrinsics)
    if view:
        viewer.check_display()
    recording = open_rgbd(source, intrinsics, depth_scale)
    if frame >= len(recording):
        raise ValueError(f"--frame {frame}: {source} has frames 0 to {len(recording) - 1}")
    found = find(
        run,
        recording,
        keypoints=keypoints,
        detector=detector,
        device=device,
        draws=draws,
        say=options.console.print,
    )
    found.save(out)
    options.console.print(f"{len(found.joints)} people in {len(recording)} frames: {out}")
    if picture:
        write_png(picture, viewer.picture(recording[frame], found, frame))
        options.console.print(f"picture {picture}")
    if view:
        viewer.view(recording[frame], found, frame)


def _score(protocol: str, predictions: Path | None, truth: Path | None, json: Path | None) -> None:
    if predictions is None or truth is None:
        raise ValueError("--protocol needs two files: give --predictions and --truth")
    from posedata.scoring.pose_files import evaluate_protocol

    from unipose.task import told

    tell_scored(told(evaluate_protocol(protocol, predictions, truth), truth.name), json)


add_release(app, ABOUT, "depth", "depth_release", "unipose.release")


if __name__ == "__main__":
    app()
