"""A2J-Transformer for two hands: what it says of a picture, and what it is worth beside trivial baselines."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from posedata.geometry.boxes import bounding_box
from posedata.readers.files.interhand import cut_image
from posedata.scoring.hands import hand_errors, swapped_hands
from posedata.scoring.metrics import epe_px
from posedata.sharing import shared
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posedata.views.hand_pictures import Hands
from posedata.views.hands import WRISTS, decode, own_wrist
from torch import Tensor

from .transformer import A2JTransformer

Rows = list[dict[str, Any]]
_BATCH = 64
METHOD = "A2J-Transformer"
_LEAST, _LEAST_INSIDE = 4, 0.1


@torch.no_grad()
def evaluate(model: A2JTransformer, train: Hands | None, test: Hands) -> Rows:
    """One row a method: MPJPE in mm over single hands, two hands and all; of the network also the 2D error in
    px of the crop, and the percentage of scenes whose hands are exchanged.

    Hands are aligned at their wrists, and placed at their wrists' true depth, as A2J-Transformer is
    evaluated. The baselines: the mean pose of the training hands (where given), in the camera's frame; true
    pixels at the wrist's depth, which is what a perfect 2D detector knows. And what the network would err
    by if somebody put right which hand is which.
    """
    said = _said(model, test)
    flat = torch.cat([test.targets[..., :2], torch.zeros_like(test.targets[..., 2:])], -1)
    rows = [
        {"method": METHOD, **_row(said, test)},
        {"method": "true 2D, depth of the wrist", **_errors(_placed(flat, test), test)},
    ]
    if train is not None:
        mean = _mean_pose(train) + own_wrist(test.joints)
        rows.append({"method": "mean pose", **_errors(mean, test)})
    other = said[:, list(get_skeleton("interhand42").mirror)]
    named = torch.where(_exchanged(said, test)[:, None, None], other, said)
    return [*rows, {"method": f"{METHOD}, exchanged hands put right", **_row(named, test)}]


@torch.no_grad()
def errors(model: A2JTransformer, test: Hands) -> dict[str, float]:
    """The row of a network in `evaluate`, without its name."""
    return _row(_said(model, test), test)


def _said(model: A2JTransformer, test: Hands) -> Float[Tensor, "N 42 3"]:
    """Pixels of the crop, and metres from the own wrist."""
    model.eval()
    parts = torch.arange(len(test), device=test.targets.device).split(_BATCH)
    return torch.cat(shared(lambda rows: model(test.images(rows)).joints, parts))


def _row(predicted: Float[Tensor, "N 42 3"], test: Hands) -> dict[str, float]:
    return {
        **_errors(_placed(predicted, test), test),
        "epe_px": _px(predicted, test),
        **_swapped(predicted, test),
    }


def _placed(targets: Float[Tensor, "N 42 3"], test: Hands) -> Float[Tensor, "N 42 3"]:
    return decode(targets, test.joints[:, list(WRISTS), 2], test.camera)


def _errors(joints: Float[Tensor, "N 42 3"], test: Hands) -> dict[str, float]:
    """Without MRRPE, which the wrists' true depth would flatter."""
    found = hand_errors(joints, test.joints, test.valid, test.interacting)
    return {
        "single_mpjpe_mm": found["single_mpjpe_mm"],
        "two_mpjpe_mm": found["two_mpjpe_mm"],
        "all_mpjpe_mm": found["all_mpjpe_mm"],
    }


def _px(predicted: Tensor, test: Hands) -> float:
    error = epe_px(predicted[..., :2], test.targets[..., :2], test.trained)
    return float(error[test.trained.any(1)].mean())


def _swapped(predicted: Tensor, test: Hands) -> dict[str, float]:
    """Percent of the scenes of one hand, and of two, in which left and right are exchanged in the picture."""
    wrong = _exchanged(predicted, test)
    seen = test.trained.any(1)
    parts = {"single": seen & ~test.interacting, "two": seen & test.interacting}
    return {
        f"{name}_swapped_percent": 100 * float(wrong[rows].float().mean()) for name, rows in parts.items()
    }


def _exchanged(predicted: Tensor, test: Hands) -> Bool[Tensor, " N"]:
    return swapped_hands(predicted[..., :2], test.targets[..., :2], test.trained)


def _mean_pose(train: Hands) -> Float[Tensor, "42 3"]:
    """Mean over the training hands, each relative to its wrist."""
    relative = train.joints - own_wrist(train.joints)
    weight = (train.valid & own_wrist(train.valid[..., None])[..., 0])[..., None].to(relative)
    return (weight * relative).sum(0) / weight.sum(0).clamp(min=1)


@torch.no_grad()
def predict(
    model: A2JTransformer,
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
    size = model.size
    image = open_picture(picture, say)
    whole = (-0.5, -0.5, image.width - 0.5, image.height - 0.5)
    box = whole if box is None else box
    if warning := check_box(box, picture, whole):
        say(warning)
    corners = torch.tensor(box, dtype=torch.float32).reshape(2, 2)
    square = bounding_box(corners, margin=0.0, aspect=1.0)
    inside = torch.from_numpy(cut_image(image, tuple(square.tolist()), size).copy()).permute(2, 0, 1)[None]
    device = model.anchors.device
    said = model.eval()(inside.to(device).float() / 255).joints[0].cpu()
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
