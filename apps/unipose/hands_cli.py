"""Two interacting hands: `typer apps/unipose hands train`, `evaluate`, `predict`."""

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

if TYPE_CHECKING:
    from unipose.hands.evaluate import Rows

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


class Side(StrEnum):
    """Which hands are in a picture."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"


@app.command()
@plain_errors()
def train(
    recipe: RecipeOption = "hands",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonOption = None,
) -> None:
    """Render or cut pictures of hands, train A2J-Transformer on them, and evaluate it."""
    from trainer.recipe import load_recipe

    from unipose.hands.recipe import RECIPES, Recipe

    loaded, found = load_recipe(recipe, Recipe, set_, RECIPES), existing(resume, overwrite)
    print_recipe(loaded)
    folder = runs / (name or Path(recipe).stem)
    from unipose.hands.train import save_results
    from unipose.hands.train import train as run_training

    trained, rows = run_training(loaded, folder, found)
    if not rows:
        return  # another process tells
    _table(rows)
    if json:
        save_results(json, trained, rows)
    console.print(f"run {folder}")


@app.command()
@plain_errors()
def evaluate(run: RunArgument, json: JsonOption = None, part: PartOption = "test") -> None:
    """Measure a finished run on its test pictures, by InterHand2.6M's protocol."""
    from unipose.hands.train import measure, open_run, save_results

    trained = open_run(run)
    rows = measure(trained, part)
    _table(rows)
    if json:
        save_results(json, trained, rows, part)


@app.command()
@plain_errors()
def predict(
    run: RunArgument,
    picture: Annotated[Path, typer.Argument(help="an image file")],
    out: Annotated[Path, typer.Argument(help="an .npz to write; a PNG of the same name goes beside it")],
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="x0 y0 x1 y1 about the hands, px; the whole picture by default"),
    ] = None,
    hands: Annotated[Side, typer.Option(help="which are in the picture; the rest is not drawn")] = Side.BOTH,
) -> None:
    """Hands in a picture: `pixels` (42, 2) and `depth` (42, 1) from each hand's wrist, metres."""
    if out.suffix != ".npz":
        raise ValueError(f"{out}: write to a file that ends in .npz")
    import numpy as np
    from posedata.skeleton import get_skeleton
    from trainer.files import keep_input, write_npz

    from unipose.hands.train import open_run
    from unipose.hands.use import draw
    from unipose.hands.use import predict as run_network

    keep_input(out.with_suffix(".png"), picture)

    found = run_network(open_run(run), picture, box)
    hand = get_skeleton("interhand42")
    about = {"skeleton": hand.name, "joint_names": hand.joints, "unit": "pixels; depth in metres"}
    write_npz(out, **found, **{name: np.array(value) for name, value in about.items()})
    draw(picture, found["pixels"], out.with_suffix(".png"), hands.value)
    console.print(f"{out}, {out.with_suffix('.png')}")


def _table(rows: "Rows") -> None:
    keys = ("single_mpjpe_mm", "two_mpjpe_mm", "all_mpjpe_mm", "epe_px")
    cells = [(row["method"], *(row.get(key, "") for key in keys)) for row in rows]
    print_table("MPJPE, mm, hands aligned at their wrists", ("", "single", "two", "all", "2D, px"), cells)


if __name__ == "__main__":
    app()
