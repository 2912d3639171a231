"""What a trained network for hands does for a user's own picture."""

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from posedata.geometry.boxes import bounding_box
from posedata.readers.files.interhand import cut_image
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posetrain.files import write_png

from unipose.hands.task import HandsRun

mpl.use("Agg")
from matplotlib import pyplot as plt

_LEAST, _LEAST_INSIDE = 4, 0.1

COLOURS = ("#1b6ca8", "#d1495b")
"""The right hand is blue, the left one red."""


@torch.no_grad()
def predict(
    trained: HandsRun,
    picture: Path,
    box: tuple[float, float, float, float] | None = None,
    say: Callable[[str], None] = print_line,
) -> dict[str, Float[np.ndarray, "42 _d"]]:
    """Both hands in a picture: `pixels` (42, 2) of the picture, `depth` (42, 1) from the own wrist, metres.

    The network says 42 joints whatever is there: of a picture with one hand, take that one's.

    Args:
        picture: an image file.
        box: x0, y0, x1, y1 about the hands, px; the whole picture if None. Made square.
        say: told of a box that is partly outside the picture, which is black there, and what `open_picture`
            says.

    Raises:
        FileNotFoundError, ValueError: the picture is not there, or cannot be read; or the box is empty, or
            not of this picture (`check_box`).
    """
    size = trained.recipe.data.size
    image = open_picture(picture, say)
    whole = (-0.5, -0.5, image.width - 0.5, image.height - 0.5)
    box = whole if box is None else box
    if warning := check_box(box, picture, whole):
        say(warning)
    corners = torch.tensor(box, dtype=torch.float32).reshape(2, 2)
    square = bounding_box(corners, margin=0.0, aspect=1.0)
    inside = torch.from_numpy(cut_image(image, tuple(square.tolist()), size).copy()).permute(2, 0, 1)[None]
    device = trained.model.anchors.device
    said = trained.model.eval()(inside.to(device).float() / 255).joints[0].cpu()
    scale = (square[2] - square[0]) / size
    pixels = (said[:, :2] + 0.5) * scale + square[:2]
    return {"pixels": pixels.numpy(), "depth": said[:, 2:].numpy()}


def check_box(
    box: tuple[float, float, float, float], picture: Path, whole: tuple[float, float, float, float]
) -> str | None:
    """What to tell of a box that is partly outside its picture; None where it lies within, to a pixel.

    Args:
        box, whole: x0, y0, x1, y1, px; of the hands and of the picture.

    Raises:
        ValueError: a number is not finite, the box has no size, or (nearly) all of it is outside.
    """
    x0, y0, x1, y1 = box
    said = f"--box {x0:g} {y0:g} {x1:g} {y1:g}"
    if any(math.isinf(edge) for edge in box):
        raise ValueError(f"{said}: is not finite; give four numbers of pixels")
    if not (x0 < x1 and y0 < y1):
        raise ValueError(
            f"{said}: is empty; give x0 < x1 and y0 < y1 (x, y, width, height is x y x+width y+height)"
        )
    if min(x1 - x0, y1 - y0) < _LEAST:
        raise ValueError(f"{said}: is smaller than {_LEAST} pixels; give pixels, not shares of the picture")
    width, height = whole[2] - whole[0], whole[3] - whole[1]
    across, down = min(x1, whole[2]) - max(x0, whole[0]), min(y1, whole[3]) - max(y0, whole[1])
    inside = max(across, 0.0) * max(down, 0.0) / ((x1 - x0) * (y1 - y0))
    where = f"{picture}, which has {width:g}x{height:g} pixels"
    if inside < _LEAST_INSIDE:
        what = "lies outside" if inside == 0 else f"lies to {1 - inside:.0%} outside"
        raise ValueError(f"{said}: {what} {where}; give x0, y0, x1, y1 in them")
    beyond = max(whole[0] - x0, whole[1] - y0, x1 - whole[2], y1 - whole[3])
    return f"{said}: lies to {1 - inside:.0%} outside {where}; that part is black" if beyond > 1 else None


def draw(picture: Path, pixels: Float[np.ndarray, "42 2"], out: Path, hands: str = "both") -> None:
    """The picture with its hands drawn on it, as a PNG."""
    skeleton = get_skeleton("interhand42")
    shown = np.asarray(open_picture(picture, lambda text: None))
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


def open_picture(picture: Path, say: Callable[[str], None] = print_line) -> Image.Image:
    """A picture in RGB of 8 bits, turned as its EXIF orientation says a viewer shows it.

    Args:
        say: told of colour of 16 bits, of which the upper 8 are taken.

    Raises:
        FileNotFoundError, ValueError: it is not there, cannot be read, or has one channel of more than 8 bits
            (as depth has), whose white nobody knows.
    """
    if not picture.is_file():
        raise FileNotFoundError(f"{picture}: no such picture; give an image file")
    try:
        with Image.open(picture) as image:
            if image.mode.startswith(("I", "F")):
                raise TypeError
            deep = any("16" in str(tile[3]) for tile in image.tile)  # which mode the file has them in
            found = ImageOps.exif_transpose(image).convert("RGB")
    except TypeError:
        raise ValueError(
            f"{picture}: has one channel of more than 8 bits, as depth has; give a colour picture of 8 bits"
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(f"{picture}: not a readable picture; give a PNG or JPEG") from None
    if deep:
        say(f"note: {picture}: has 16 bits a channel, of which the upper 8 are taken")
    return found
