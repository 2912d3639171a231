"""Pictures of people, galleries of images, keypoints and poses in one set of colours; curves of trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from torch import Tensor

from posedata.skeleton import get_skeleton
from posedata.writing import write_png

mpl.use("Agg")
from matplotlib import pyplot as plt

LEFT, RIGHT, MIDDLE = "#d1495b", "#1b6ca8", "#444444"
"""Left limbs are red and right limbs blue in every picture."""

POSE = get_skeleton("h36m17")


def gallery(rows: Sequence[Sequence[tuple[str, Any]]]) -> Any:
    """A grid of pictures: each cell is a title and an image (H, W, 3), keypoints (J, 2) or joints (J, 3)."""
    count = max(len(row) for row in rows)
    figure = plt.figure(figsize=(1.7 * count, 2.1 * len(rows)))
    for i, row in enumerate(rows):
        for j, (title, picture) in enumerate(row):
            place = (len(rows), count, i * count + j + 1)
            picture = np.asarray(picture)
            if picture.ndim == 3:
                axis = figure.add_subplot(*place)
                axis.imshow(picture)
                axis.set(xticks=[], yticks=[])
            elif picture.shape[-1] == 2:
                axis = figure.add_subplot(*place)
                skeleton_2d(axis, picture)
            else:
                axis = figure.add_subplot(*place, projection="3d")
                skeleton_3d(axis, picture)
            axis.set_title(title, fontsize=8)
    figure.subplots_adjust(0, 0, 1, 0.95, 0.02, 0.15)
    return figure


def skeleton_2d(axis: Any, keypoints: Float[np.ndarray, "J 2"]) -> None:
    """Draw keypoints, y down."""
    for child, parent in POSE.edges:
        axis.plot(*keypoints[[child, parent]].T, color=colour(POSE.joints[child]), lw=1.6)
    axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), xticks=[], yticks=[], aspect="equal")


def skeleton_3d(axis: Any, joints: Float[np.ndarray, "J 3"] | Tensor) -> None:
    """Draw camera-frame joints from a little aside and above, so that depth shows."""
    x, y, z = np.asarray(joints).T
    for child, parent in POSE.edges:
        at = [child, parent]
        axis.plot(x[at], z[at], -y[at], color=colour(POSE.joints[child]), lw=1.6)
    axis.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), zlim=(-1, 0.9))
    axis.set_box_aspect((1, 1, 1.2), zoom=1.5)
    axis.view_init(elev=12, azim=-65)
    axis.set_axis_off()


def colour(joint: str) -> str:
    """Of a joint's side, by its name."""
    return LEFT if joint.startswith("left") else RIGHT if joint.startswith("right") else MIDDLE


def curves(
    records: Sequence[Mapping[str, Any]], keys: Sequence[str], ylabel: str = "", scale: str = "linear"
) -> Any:
    """Logged scalars over the steps of a stage, one panel a stage that has any of them."""
    stages = list(dict.fromkeys(r["stage"] for r in records if any(key in r for key in keys)))
    width = max(1, len(stages))
    figure, axes = plt.subplots(1, width, figsize=(4 * width, 3), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=False):
        for key in keys:
            points = [(r["step"], r[key]) for r in records if r["stage"] == stage and key in r]
            if points:
                axis.plot(*zip(*points, strict=True), label=key)
        axis.set(title=stage, xlabel="step", ylabel=ylabel, yscale=scale)
        axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def watched(records: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    """Names of what training was followed by (`loop.evaluate_every`), of one metric."""
    return sorted({name for r in records for name in r if name.startswith("eval/") and name.endswith(metric)})


def draw_hands(
    picture: Float[np.ndarray, "H W 3"], pixels: Float[np.ndarray, "42 2"], out: Path, hands: str = "both"
) -> None:
    """A picture with its hands drawn on it, as a PNG.

    Args:
        hands: which: `left`, `right` or `both`.
    """
    skeleton = get_skeleton("interhand42")
    figure, axis = plt.subplots(figsize=(6, 6 * picture.shape[0] / picture.shape[1]))
    axis.imshow(picture)
    for child, parent in skeleton.edges:
        side = skeleton.joints[child].partition("_")[0]
        if side == skeleton.joints[parent].partition("_")[0] and hands in (side, "both"):
            axis.plot(*pixels[[child, parent]].T, color=LEFT if side == "left" else RIGHT, linewidth=1.5)
    axis.set(xticks=[], yticks=[], xlim=(-0.5, picture.shape[1] - 0.5), ylim=(picture.shape[0] - 0.5, -0.5))
    figure.tight_layout(pad=0)
    write_png(out, figure, dpi=120)
    plt.close(figure)
