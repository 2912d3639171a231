"""The report's own pictures; what they share with others is in `posedata.figures`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from polypose.drawing import upright
from posedata.figures import plt, skeleton_3d
from torch import Tensor


def one_point(
    cloud: Float[np.ndarray, "N 2"],
    views: Float[np.ndarray, "P C 2"],
    poses: Float[np.ndarray, "P 2"] | None,
    chest: int,
) -> Any:
    """All embeddings grey; of a few poses the views, round from chest height, triangles from above.

    Args:
        poses: where the 3D pose itself lies, a star.
    """
    figure, axis = plt.subplots(figsize=(7, 6))
    axis.scatter(cloud[:, 0], cloud[:, 1], s=4, c="#cccccc", linewidths=0)
    for i, seen in enumerate(views):
        tint = f"C{i}"
        axis.scatter(seen[:chest, 0], seen[:chest, 1], s=40, c=tint, label=f"pose {i + 1}")
        axis.scatter(seen[chest:, 0], seen[chest:, 1], s=40, c=tint, marker="^")
        if poses is not None:
            axis.scatter(poses[i, 0], poses[i, 1], s=160, c=tint, marker="*", edgecolors="black")
    axis.legend(fontsize=8)
    axis.set(xticks=[], yticks=[])
    return figure


def by_key_pose(
    points: Float[np.ndarray, "N 2"], nearest: np.ndarray, keys: Sequence[Float[Tensor, "J 3"]]
) -> Any:
    """Embeddings in the plane, each in the colour of the key pose it is nearest to; the key poses beneath."""
    figure = plt.figure(figsize=(10, 8))
    axis = figure.add_axes((0, 0.25, 1, 0.75))
    axis.scatter(points[:, 0], points[:, 1], s=6, c=nearest, cmap="tab10", vmin=0, vmax=9)
    axis.set(xticks=[], yticks=[])
    for i, pose in enumerate(keys):
        small = figure.add_axes((i / len(keys), 0, 1 / len(keys), 0.24), projection="3d")
        skeleton_3d(small, upright(pose))
        small.set_title(str(i + 1), color=plt.get_cmap("tab10")(i), fontsize=12, fontweight="bold")
    return figure
