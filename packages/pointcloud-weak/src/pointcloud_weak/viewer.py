"""What `predict` found, to look at: a picture of image, cloud and skeletons, or Open3D's window."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from posedata.figures import colour, mpl, plt
from posedata.open3d_loader import open3d
from posedata.readers.rgbd import RgbdFrame

from .cloud import DepthUnprojector, metric
from .gallery import bones
from .predict import Prediction

_SCENE_POINTS = 12_000


def picture(frame: RgbdFrame, found: Prediction, number: int = 0) -> Any:
    """A figure of one frame: the image with 2D projections of the joints, and the cloud from two sides.

    Args:
        frame: the recording's frame `number`.
        found: what was predicted.
        number: of the frame.
    """
    mine = np.flatnonzero(found.frame == number)
    figure = plt.figure(figsize=(15, 5))
    axis = figure.add_subplot(1, 3, 1)
    axis.imshow(frame.rgb if frame.rgb is not None else np.where(frame.depth > 0, frame.depth, np.nan))
    axis.set(title=f"{frame.name}: {len(mine)} people", xticks=[], yticks=[])
    for i in mine:
        pixels = frame.camera.project_camera(torch.from_numpy(found.joints[i])).numpy()
        bones(axis, pixels, found.skeleton, width=2.0)
        axis.scatter(pixels[:, 0], pixels[:, 1], s=6, color="white", zorder=3)
    axis.set(xlim=(-0.5, frame.depth.shape[1] - 0.5), ylim=(frame.depth.shape[0] - 0.5, -0.5))
    scene, colours = _scene(frame)
    people = found.points[mine].reshape(-1, 3)
    for place, (azimuth, elevation) in enumerate(((-60, 15), (-90, 80)), start=2):
        axis = figure.add_subplot(1, 3, place, projection="3d", computed_zorder=False)
        axis.view_init(elev=elevation, azim=azimuth)
        near = _set_limits(axis, people)
        inside = ((scene >= near[0]) & (scene <= near[1])).all(1)
        _cloud(axis, scene[inside], colours[inside], 0.25)
        _cloud(axis, people, np.array([[0.2, 0.6, 0.3]]), 0.3)
        for i in mine:
            bones(axis, found.joints[i][:, [0, 2, 1]] * [1, 1, -1], found.skeleton, width=2.5)
        axis.set_title("from the side" if place == 2 else "from above", y=1.0)
    figure.tight_layout()
    return figure


def view(frame: RgbdFrame, found: Prediction, number: int = 0) -> None:
    """Open3D's window with the frame's cloud and skeletons; returns when it is closed.

    Raises:
        ValueError: there is no display.
    """
    check_display()
    module = open3d()
    scene, colours = _scene(frame)
    cloud = module.geometry.PointCloud(module.utility.Vector3dVector(scene.astype(np.float64)))
    cloud.colors = module.utility.Vector3dVector(colours.astype(np.float64))
    drawn, names = [cloud], found.skeleton.joints
    for i in np.flatnonzero(found.frame == number):
        lines = module.geometry.LineSet(
            module.utility.Vector3dVector(found.joints[i].astype(np.float64)),
            module.utility.Vector2iVector(np.array(found.skeleton.edges)),
        )
        shades = [mpl.colors.to_rgb(colour(names[child])) for child, _ in found.skeleton.edges]
        lines.colors = module.utility.Vector3dVector(np.array(shades))
        drawn.append(lines)
    module.visualization.draw_geometries(drawn, window_name=frame.name, front=[0, 0, -1], up=[0, -1, 0],
                                         lookat=found.joints[0].mean(0).tolist(), zoom=0.5)  # fmt: skip


def check_display() -> None:
    """Raise ValueError where no window can be opened."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ValueError("--view: there is no display here; write a picture with --picture instead")


def _scene(frame: RgbdFrame) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 3"]]:
    """Some of the frame's points with their colours (grey by depth, where there is no colour)."""
    metres = metric(torch.from_numpy(frame.depth))
    points = DepthUnprojector(frame.camera)(metres).reshape(-1, 3).numpy()
    known = np.flatnonzero(frame.depth.reshape(-1) > 0)
    known = known[:: max(1, len(known) // _SCENE_POINTS)]
    if frame.rgb is not None:
        colours = frame.rgb.reshape(-1, 3)[known] / 255
    else:
        near = points[known, 2:]
        colours = np.repeat(0.3 + 0.5 * (near - near.min()) / max(float(np.ptp(near)), 1e-6), 3, axis=1)
    return points[known].astype(np.float32), colours.astype(np.float32)


def _cloud(axis: Any, points: np.ndarray, colours: np.ndarray, alpha: float) -> None:
    axis.scatter(points[:, 0], points[:, 2], -points[:, 1], s=1.5, c=colours, alpha=alpha, linewidths=0)


def _set_limits(axis: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal scales, and as much of the scene as the people need: corners in the camera's frame."""
    if not len(points):
        return np.full(3, -np.inf), np.full(3, np.inf)
    low, high = np.percentile(points, [1, 99], axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2 + 0.15, 0.8)
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[2] - half, middle[2] + half)
    axis.set_zlim(-middle[1] - half, -middle[1] + half)
    axis.set_box_aspect((1, 1, 1), zoom=1.15)
    axis.locator_params(nbins=4)
    axis.set(xlabel="x, m", ylabel="z, m", zlabel="up, m")
    return middle - half, middle + half
