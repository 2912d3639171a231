"""Draws the pictures of the pages into docs/pages/figures: `python docs/make_figures.py`.

One person, one camera: every number in the pictures is computed by `posedata`, whose conventions they show.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from posedata.geometry.aim import aim, reproject
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic import Flesh, Renderer, body_of
from posedata.synthetic.people.body import DOF
from posedata.synthetic.people.kinematics import forward_kinematics
from torch import Tensor

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

FIGURES = Path(__file__).parent / "pages" / "figures"
LEFT, RIGHT, MIDDLE, AXIS, FAINT = "#d1495b", "#1b6ca8", "#444444", "#1a1a1a", "#c8ccd0"
NOTE = "#7a5200"
SKELETON = get_skeleton("h36m17")
WRIST = SKELETON.index("right_wrist")
SIZE = (640, 480)
BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
GREETING = {
    "right_shoulder_abduction": 130,
    "right_elbow_flexion": 40,
    "left_shoulder_abduction": 25,
    "left_elbow_flexion": 75,
    "left_hip_flexion": 25,
    "left_knee_flexion": 20,
    "right_hip_flexion": -12,
    "right_knee_flexion": 8,
    "neck_twist": 15,
}
SPREAD = {
    f"{side}_{name}": degrees
    for side in ("left", "right")
    for name, degrees in {"shoulder_abduction": 50, "elbow_flexion": 8, "hip_abduction": 12}.items()
}
"""Poses, degrees; other degrees of freedom are 0."""


def person(
    pose: Mapping[str, float], heading: float = 0.0, place: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """Joints (17, 3) of a person on the floor; with heading 0 it faces the world's x."""
    body = body_of(torch.tensor([0]), torch.tensor([1.7]))
    angles = torch.zeros(1, 1, len(DOF))
    for name, degrees in pose.items():
        angles[..., DOF[name]] = math.radians(degrees)
    c, s = math.cos(heading), math.sin(heading)
    turn = torch.tensor([[[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]]])
    joints = forward_kinematics(body, angles, turn, torch.zeros(1, 1, 3))[0, 0]
    floor = joints[:, 2].min() - 0.07
    return joints + torch.tensor([*place, -float(floor)])


class View:
    """A plain 2D panel on which 3D points of the world are drawn as an onlooker's camera sees them."""

    def __init__(self, axes: Any, onlooker: Camera) -> None:
        self.axes, self.onlooker = axes, onlooker
        width, height = onlooker.size.tolist()
        axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        axes.set_axis_off()

    def at(self, points: Tensor) -> Any:
        """(2, N) on the panel."""
        return self.onlooker.project(points.reshape(-1, 3)).T.numpy()

    def line(self, *points: Tensor, **style: Any) -> None:
        self.axes.plot(*self.at(torch.stack(points)), solid_capstyle="round", **style)

    def arrow(self, tail: Tensor, head: Tensor, label: str, nudge: float = 1.16) -> None:
        """An axis, with its name a little beyond its tip."""
        a, b = self.at(torch.stack([tail, head])).T
        self.axes.annotate(
            "", b, a, arrowprops={"arrowstyle": "-|>", "color": AXIS, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
        )
        (x,), (y,) = self.at(tail + nudge * (head - tail))
        self.axes.text(x, y, label, color=AXIS, ha="center", va="center", fontweight="bold", bbox=BOX)

    def note(self, point: Tensor, text: str, offset: tuple[float, float]) -> None:
        (x,), (y,) = self.at(point)
        mark(self.axes, (x, y), text, offset)

    def skeleton(self, joints: Tensor) -> None:
        draw_skeleton(self.axes, self.at(joints).T)

    def frustum(self, camera: Camera, depth: float = 0.5) -> None:
        """The camera as a pyramid whose base is its image."""
        w, h = camera.size.tolist()
        corners = torch.tensor([[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]) - 0.5
        base = camera.camera_to_world(camera.unproject(corners, torch.full((4,), depth)))
        for i in range(4):
            self.line(camera.position, base[i], color=MIDDLE, lw=1)
        self.axes.fill(*self.at(base), fc="#9fb3c833", ec=MIDDLE, lw=1.4)


def draw_skeleton(axes: Any, points: Any, width: float = 3.0) -> None:
    """Bones and joints in the plane: left red, right blue."""
    for child, parent in SKELETON.edges:
        axes.plot(*points[[child, parent]].T, color=colour(child), lw=width, solid_capstyle="round", zorder=3)
    for joint, point in enumerate(points):
        axes.plot(*point, "o", color=colour(joint), ms=1.4 * width, mec="white", mew=0.5, zorder=4)


def colour(joint: int) -> str:
    name = SKELETON.joints[joint]
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE


def mark(axes: Any, point: Any, text: str, offset: tuple[float, float]) -> None:
    """A ring around a point and its coordinates, `offset` typographic points away."""
    axes.plot(*point, "o", ms=11, mfc="none", mec=NOTE, mew=1.6, zorder=5)
    axes.annotate(
        text, point, offset, textcoords="offset points", color=NOTE, fontsize=10, ha="center", zorder=6,
        bbox=BOX | {"alpha": 0.9}, arrowprops={"arrowstyle": "-", "color": NOTE, "lw": 0.8, "shrinkB": 6},
    )  # fmt: skip


def coordinates(values: Tensor, digits: int, unit: str) -> str:
    numbers = ", ".join(f"{value:.{digits}f}".replace("-", "−") for value in values.tolist())
    return f"right wrist\n({numbers}){unit}"


def frames() -> None:
    """The four frames that a keypoint passes: world, camera, pixels, person-centred camera."""
    joints = person(GREETING, heading=math.radians(-55), place=(1.0, 1.3))
    camera = Camera.look_at(torch.tensor([2.2, -1.3, 1.45]), torch.tensor([1.5, 1.3, 1.0]), 460.0, SIZE)
    figure, panels = plt.subplots(2, 2, figsize=(12, 9.6))
    world_panel(panels[0, 0], joints, camera)
    camera_panel(panels[0, 1], joints, camera)
    pixel_panel(panels[1, 0], joints, camera)
    aimed_panel(panels[1, 1], joints, camera)
    figure.subplots_adjust(0.03, 0.04, 0.98, 0.95, 0.08, 0.12)
    save(figure, "frames")


def world_panel(axes: Any, joints: Tensor, camera: Camera) -> None:
    onlooker = Camera.look_at(
        torch.tensor([6.0, -1.2, 2.8]), torch.tensor([1.0, 0.2, 0.82]), 1260.0, (800, 600)
    )
    view = View(axes, onlooker)
    floor(view)
    origin = torch.zeros(3)
    for unit, label in zip(torch.eye(3), ("x", "y", "z up"), strict=True):
        view.arrow(origin, unit, label)
    view.frustum(camera)
    view.skeleton(joints)
    view.note(joints[WRIST], coordinates(joints[WRIST], 2, " m"), (-75, 12))
    axes.set_title("World: metres, right-handed, z up, floor at z = 0")


def camera_panel(axes: Any, joints: Tensor, camera: Camera) -> None:
    eye = camera.position
    right, down, forward = camera.rotation
    onlooker = Camera.look_at(
        eye - 1.9 * forward + 2.3 * right - 1.1 * down, eye + 1.1 * forward + 0.1 * down, 960.0, (800, 600)
    )
    view = View(axes, onlooker)
    floor(view)
    view.frustum(camera)
    for axis, label, nudge in (
        (0.55 * right, "x right", 1.35),
        (0.55 * down, "y down", 1.2),
        (1.1 * forward, "z forward", 1.2),
    ):
        view.arrow(eye, eye + axis, label, nudge)
    view.skeleton(joints)
    seen = camera.world_to_camera(joints)
    view.note(joints[WRIST], coordinates(seen[WRIST], 2, " m"), (-80, 14))
    axes.set_title("Camera frame: x = R X + t, metres; x right, y down, z forward")


def pixel_panel(axes: Any, joints: Tensor, camera: Camera) -> None:
    generator = torch.Generator().manual_seed(3)
    picture = Renderer(SIZE).render(
        joints, Flesh.sample(generator), camera, generator=generator, background="room"
    )
    axes.imshow(picture.rgb, alpha=0.45)
    pixels = camera.project(joints)
    draw_skeleton(axes, pixels.numpy(), 2.2)
    x0, y0, x1, y1 = bounding_box(pixels, margin=0.1, aspect=192 / 256).tolist()
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=AXIS, ls="--", lw=1.2))
    axes.text(x1 + 4, y1 - 4, "box", color=AXIS, va="bottom", bbox=BOX)
    mark(axes, pixels[WRIST].tolist(), coordinates(pixels[WRIST], 1, " px"), (62, 50))
    arrow = {"arrowstyle": "-|>", "color": AXIS, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
    for tip, label, place in (((110, 0), "u", (126, 14)), ((0, 110), "v", (14, 126))):
        axes.annotate("", tip, (0, 0), arrowprops=arrow, annotation_clip=False)
        axes.text(*place, label, color=AXIS, fontweight="bold", ha="center", va="center", bbox=BOX)
    axes.text(10, 12, "(0, 0)", color=AXIS, va="top", bbox=BOX)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{SIZE[0]} pixels wide, {SIZE[1]} high")
    axes.set_title("Pixels: u right, v down, centre of the top-left pixel at (0, 0)")


def aimed_panel(axes: Any, joints: Tensor, camera: Camera) -> None:
    pixels = camera.project(joints)
    box = bounding_box(pixels, margin=0.1, aspect=192 / 256)
    keypoints = reproject(pixels, camera, aim(camera, box))
    draw_skeleton(axes, keypoints.numpy())
    axes.add_patch(Rectangle((-0.75, -1), 1.5, 2, fill=False, ec=AXIS, ls="--", lw=1.2))
    arrow = {"arrowstyle": "-|>", "color": AXIS, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
    for tip, label, place in (((0.5, 0), "x", (0.58, 0)), ((0, 0.5), "y", (-0.09, 0.5))):
        axes.annotate("", tip, (0, 0), arrowprops=arrow, zorder=6)
        axes.text(*place, label, color=AXIS, fontweight="bold", ha="center", va="center", bbox=BOX, zorder=6)
    mark(axes, keypoints[WRIST].tolist(), coordinates(keypoints[WRIST], 2, ""), (-85, 6))
    axes.set(xlim=(-1.6, 1.6), ylim=(1.2, -1.2), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Person-centred camera: unit is half the box's longer side")


def floor(view: View) -> None:
    for k in range(-1, 5):
        at, low, high = float(k), -2.0, 4.0
        view.line(torch.tensor([at, low, 0]), torch.tensor([at, high, 0]), color=FAINT, lw=0.8)
    for k in range(-2, 5):
        at, low, high = float(k), -1.0, 4.0
        view.line(torch.tensor([low, at, 0]), torch.tensor([high, at, 0]), color=FAINT, lw=0.8)


def skeleton() -> None:
    """The canonical skeleton, seen from the front."""
    joints = person(SPREAD)
    flat = joints[:, 1:].numpy()
    figure, axes = plt.subplots(figsize=(8.6, 6.6))
    draw_skeleton(axes, flat, 4)
    for joint, name in enumerate(SKELETON.joints):
        x, y = flat[joint]
        side = -1 if name.startswith("right") or name == "thorax" else 1
        rise = {"pelvis": 14, "thorax": 15}.get(name, 0)  # clear of the hip's and the shoulder's names
        axes.annotate(
            f"{joint} {name}", (x, y), (side * 12, rise), textcoords="offset points", color=colour(joint),
            ha="left" if side > 0 else "right", va="center", fontsize=10, bbox=BOX,
        )  # fmt: skip
    axes.set(aspect="equal", xlim=(-1.1, 1.1))
    axes.set_axis_off()
    axes.set_title("Human3.6M-17 from the front: the person's left is red, the right is blue")
    save(figure, "skeleton")


def pixel_grid() -> None:
    """Where pixel coordinates are counted from."""
    figure, axes = plt.subplots(figsize=(6.4, 3.7))
    width, height = 4, 2
    for i in range(width):
        for j in range(height):
            shade = "#e9edf1" if (i + j) % 2 else "#f7f9fa"
            axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, fc=shade, ec=FAINT))
            axes.plot(i, j, "o", color=AXIS, ms=4)
            axes.text(i, j + 0.14, f"({i}, {j})", ha="center", va="top", fontsize=10)
    for point, text, offset in (
        ((-0.5, -0.5), "(−0.5, −0.5)", (-8, 8)),
        (
            (width - 0.5, height - 0.5),
            f"(width − 0.5, height − 0.5) = ({width - 0.5}, {height - 0.5})",
            (-40, -22),
        ),
        ((width / 2 - 0.5, height / 2 - 0.5), f"middle: ({width / 2 - 0.5}, {height / 2 - 0.5})", (0, -20)),
    ):
        axes.plot(*point, "x", color=NOTE, ms=8, mew=2, clip_on=False, zorder=5)
        axes.annotate(text, point, offset, textcoords="offset points", color=NOTE, ha="center", bbox=BOX)
    axes.set(xlim=(-0.7, width - 0.3), ylim=(height - 0.2, -0.8), aspect="equal")
    axes.set_axis_off()
    axes.set_title(f"An image of width {width} and height {height}")
    save(figure, "pixels")


def save(figure: Any, name: str) -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    plt.rcParams.update({"font.size": 11, "axes.titlesize": 12.5, "axes.titlepad": 8})
    frames()
    skeleton()
    pixel_grid()
