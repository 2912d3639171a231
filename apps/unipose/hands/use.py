"""What a trained network for hands does for a user's own picture."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from posedata.boxes import bounding_box
from posedata.hands.interhand import cut
from posedata.skeleton import get_skeleton
from trainer.files import write_png

from unipose.hands.train import Trained

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = ("#1b6ca8", "#d1495b")
"""The right hand is blue, the left one red."""


@torch.no_grad()
def predict(
    trained: Trained, picture: Path, box: tuple[float, float, float, float] | None = None
) -> dict[str, Float[np.ndarray, "42 _d"]]:
    """Both hands in a picture: `pixels` (42, 2) of the picture, `depth` (42, 1) from the own wrist, metres.

    The network says 42 joints whatever is there: of a picture with one hand, take that one's.

    Args:
        picture: an image file.
        box: x0, y0, x1, y1 about the hands, px; the whole picture if None. Made square.

    Raises:
        FileNotFoundError, ValueError: the picture is not there, or cannot be read; or the box is empty.
    """
    size = trained.recipe.data.size
    if box is None:
        box = _whole(picture)
    x0, y0, x1, y1 = box
    if not (0 < x1 - x0 < math.inf and 0 < y1 - y0 < math.inf):
        raise ValueError(f"--box {x0:g} {y0:g} {x1:g} {y1:g}: is empty; give x0 < x1 and y0 < y1")
    corners = torch.tensor(box, dtype=torch.float32).reshape(2, 2)
    square = bounding_box(corners, margin=0.0, aspect=1.0)
    image = torch.from_numpy(cut(picture, tuple(square.tolist()), size).copy()).permute(2, 0, 1)[None]
    device = trained.model.anchors.device
    said = trained.model.eval()(image.to(device).float() / 255).joints[0].cpu()
    scale = (square[2] - square[0]) / size
    pixels = (said[:, :2] + 0.5) * scale + square[:2]
    return {"pixels": pixels.numpy(), "depth": said[:, 2:].numpy()}


def draw(picture: Path, pixels: Float[np.ndarray, "42 2"], out: Path, hands: str = "both") -> None:
    """The picture with its hands drawn on it, as a PNG."""
    skeleton = get_skeleton("interhand42")
    with Image.open(picture) as image:
        shown = np.asarray(image.convert("RGB"))
    figure, axis = plt.subplots(figsize=(6, 6 * shown.shape[0] / shown.shape[1]))
    axis.imshow(shown)
    for child, parent in skeleton.edges:
        side = skeleton.joints[child].partition("_")[0]
        if side == skeleton.joints[parent].partition("_")[0] and hands in (side, "both"):
            axis.plot(*pixels[[child, parent]].T, color=COLOURS[side == "left"], linewidth=1.5)
    axis.set(xticks=[], yticks=[], xlim=(-0.5, shown.shape[1] - 0.5), ylim=(shown.shape[0] - 0.5, -0.5))
    figure.tight_layout(pad=0)
    write_png(out, figure, dpi=120)
    plt.close(figure)


def _whole(picture: Path) -> tuple[float, float, float, float]:
    if not picture.is_file():
        raise FileNotFoundError(f"{picture}: no such picture")
    try:
        with Image.open(picture) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{picture}: not a readable picture ({error})") from None
    return -0.5, -0.5, width - 0.5, height - 0.5
