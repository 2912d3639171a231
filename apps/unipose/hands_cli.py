"""Two interacting hands: `typer apps/unipose hands train`, `evaluate`, `predict`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from posetrain import options
from posetrain.commands import task_app
from posetrain.errors import plain_errors

from unipose.hands.recipe import ABOUT

app = task_app(ABOUT, __doc__)


class Side(StrEnum):
    """Which hands are in a picture."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"


@app.command()
@plain_errors()
def predict(
    run: options.Run,
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
    from posedata.errors import check_new_file
    from posedata.figures import draw_hands
    from posedata.skeleton import get_skeleton
    from posedata.writing import keep_input, write_npz
    from poseenc.anchor.hands import open_picture
    from poseenc.anchor.hands import predict as run_network

    from unipose.hands.task import open_run

    for file in (out, out.with_suffix(".png")):
        check_new_file(file)
        keep_input(file, picture)

    found = run_network(open_run(run).model, picture, box)
    hand = get_skeleton("interhand42")
    about = {"skeleton": hand.name, "joint_names": hand.joints, "unit": "pixels; depth in metres"}
    write_npz(out, **found, **{name: np.array(value) for name, value in about.items()})
    shown = np.asarray(open_picture(picture, lambda text: None))
    draw_hands(shown, found["pixels"], out.with_suffix(".png"), hands.value)
    options.console.print(f"{out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    app()
