"""The command line: `typer apps/unipose train`, or `unipose train` where the app is installed."""

from enum import StrEnum
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

from unipose.hands_cli import app as hands
from unipose.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from unipose.evaluate import Metrics
    from unipose.train import Trained

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(hands, name="hands")


class Stage(StrEnum):
    """What `train` trains."""

    ALL = "all"
    TEACHER = "teacher"
    STUDENT = "student"


@app.command()
@plain_errors()
def train(
    recipe: RecipeOption = "quickstart",
    stage: Annotated[
        Stage, typer.Option(help="teacher: stage A; student: stage B on a trained teacher")
    ] = Stage.ALL,
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    resume: Resume = False,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option(help="write report.html too")] = True,
    json: JsonOption = None,
) -> None:
    """Film and isolate people, train the teacher, then the students, evaluate, and write the report."""
    loaded, found = _load(recipe, set_), existing(resume, overwrite)
    folder = runs / (name or f"unipose-{Path(recipe).stem}")
    print_recipe(loaded)
    from unipose.train import train as run_training

    trained, metrics = run_training(loaded, folder, found, stage.value)
    if not metrics:
        return  # another process tells
    if report:
        from unipose.report import write_report

        write_report(trained, metrics)
    _finish(trained, metrics, json)
    console.print(f"run {folder}" + (f", report {folder / 'report.html'}" if report else ""))


@app.command()
@plain_errors()
def evaluate(
    run: Annotated[Path | None, typer.Argument(help="a run folder, runs/NAME")] = None,
    json: JsonOption = None,
    protocol: Annotated[str | None, typer.Option(help="score a file instead: itop, panoptic, ntu")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="--protocol: .npz of predict, or A2J's .mat")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="--protocol: pose store, .npz, or ITOP's .mat")] = None,
    part: PartOption = "test",
) -> None:
    """Measure a finished run on held-out people: a table, and JSON (docs/pages/unipose.md says what).

    With --protocol, score the predictions in a file as a data set's protocol does, beside what is published.
    """
    if protocol is not None:
        if part != "test":
            raise ValueError("--protocol scores a file; leave --part out")
        _score(protocol, predictions, truth, json)
        return
    if run is None:
        raise ValueError("no run given: name its folder, or score a file with --protocol")
    from unipose.train import measure, open_run

    trained = open_run(run)
    _finish(trained, measure(trained, part), json, part)


@app.command()
@plain_errors()
def predict(
    run: RunArgument,
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
    from posedata.readers import open_rgbd
    from trainer.files import keep_input, write_png

    from unipose import viewer
    from unipose.predict import check_ending
    from unipose.predict import predict as find

    check_ending(out)
    for file in (out, picture):
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
        say=console.print,
    )
    found.save(out)
    console.print(f"{len(found.joints)} people in {len(recording)} frames: {out}")
    if picture:
        write_png(picture, viewer.picture(recording[frame], found, frame))
        console.print(f"picture {picture}")
    if view:
        viewer.view(recording[frame], found, frame)


@app.command()
@plain_errors()
def report(run: RunArgument) -> None:
    """Evaluate a finished run and write its report again."""
    from unipose.report import write_report
    from unipose.train import measure, open_run

    trained = open_run(run)
    console.print(f"report {write_report(trained, measure(trained))}")


@app.command()
@plain_errors()
def ablate(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    json: JsonOption = None,
) -> None:
    """Stage A with every weak loss off in turn, and without the pictures. Resumes automatically."""
    loaded, folder = _load(recipe, set_), runs / (name or f"unipose-{Path(recipe).stem}-ablation")
    from unipose.ablate import ABLATION_COLUMNS
    from unipose.ablate import ablate as run_ablation

    rows = run_ablation(loaded, folder, json)
    print_table("Teacher, held-out people", ABLATION_COLUMNS, rows)


def _score(protocol: str, predictions: Path | None, truth: Path | None, json: Path | None) -> None:
    if predictions is None or truth is None:
        raise ValueError("--protocol needs two files: give --predictions and --truth")
    from trainer.results import write_results

    from unipose.protocols import evaluate_protocol, joint_rows, table_rows

    scores = evaluate_protocol(protocol, predictions, truth)
    title = f"{scores['protocol']}: {scores['frames']} frames"
    print_table(title, ("method", "mAP@10cm, %", "MPJPE, mm", "from"), table_rows(scores))
    print_table("Percent of joints within 10 cm, left and right together", *joint_rows(scores))
    if json:
        write_results(json, scores["rows"], data=truth.name, seeds=[], joints=scores["joints"])
        console.print(f"results {json}")


def _load(recipe: str, overrides: list[str]) -> Recipe:
    from trainer.recipe import load_recipe

    return load_recipe(recipe, Recipe, overrides, RECIPES)


def _finish(trained: "Trained", metrics: "Metrics", json: Path | None, part: Part = "test") -> None:
    from unipose.evaluate import summary
    from unipose.report import HEADER
    from unipose.train import save_results

    print_table(f"People of the {part}", HEADER, summary(metrics, part))
    if json:
        save_results(json, trained, metrics, part)
        console.print(f"results {json}")


if __name__ == "__main__":
    app()
