"""Pictures of embeddings, and of V-VIPE's keypoints and poses for `posedata.figures.gallery`, its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.figures import colour, plt, skeleton_3d
from poseenc.canonical import KEYPOINTS
from torch import Tensor


def upright(pose: Float[Tensor, "J 3"]) -> Float[Tensor, "J 3"]:
    """A pose of the body frame (metres) as seen by a level camera before the person, for `gallery`.

    The body looks along -x with its right side along y: the camera's x is -y, its y is -z, its z is x.
    """
    x, y, z = pose.detach().unbind(-1)
    return torch.stack([-y, -z, x], dim=-1)


def flat(keypoints: Float[Tensor, "13 2"]) -> np.ndarray:
    """A drawing (H, W, 3) of `poseenc.canonical.KEYPOINTS`, to stand in a gallery as an image."""
    figure = plt.figure(figsize=(1.6, 2.0), dpi=80)
    axis = figure.add_axes((0, 0, 1, 1))
    points = keypoints.detach().numpy()
    for child, parent in KEYPOINTS.edges:
        axis.plot(*points[[child, parent]].T, color=colour(KEYPOINTS.joints[child]), lw=1.8)
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    axis.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] + half, middle[1] - half))
    axis.set_aspect("equal")
    axis.axis("off")
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return image


def shared_space(points: Float[np.ndarray, "M N 2"], names: Sequence[str], action: np.ndarray) -> Any:
    """The embedding in the plane: one panel coloured by modality, one by action."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5))
    for xy, name in zip(points, names, strict=True):
        left.scatter(*xy.T, s=4, alpha=0.6, label=name)
    left.legend(markerscale=3)
    right.scatter(*points.reshape(-1, 2).T, s=4, c=np.tile(action, len(points)), cmap="tab20")
    left.set_title("by modality")
    right.set_title("by action")
    for axis in (left, right):
        axis.set(xticks=[], yticks=[])
    return figure


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
