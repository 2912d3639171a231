"""Pictures of a space of several senses: what each of them finds, and what is estimated of some together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.patches import Ellipse, Rectangle
from posedata.figures import POSE, colour, plt, skeleton_2d, skeleton_3d
from posedata.geometry.canonical import body_rotation
from posedata.scoring.metrics import nearest
from posedata.views.batch import MIXED, TRUE, Views
from posedata.views.crops import cloud_crop, depth_crop
from poseenc import Embedded
from torch import Tensor

from polypose.samples import Sample
from polypose.senses.held_out import HeldOut
from polypose.senses.network import shown

NEAR, FAR = -0.6, 0.6
"""Metres about the person's median that the colours of depth and clouds span."""
SIDES = {"as the camera sees it": 0, "from the side, the camera to the left": 2}
"""What is drawn to the right, of x right, y down, z away from the camera."""
SOLID = ("3d", "cloud")
"""Senses that are drawn in three dimensions."""
DIAGONAL = "#eef2f6"


def called(name: str) -> str:
    """A sense's name for people."""
    return {"2d": "2D", "3d": "3D"}.get(name, name)


def in_the_plane(points: Float[Tensor, "M N 2"], names: Sequence[str], facing: Float[Tensor, " N"]) -> Any:
    """Embeddings of N views by M senses in the plane: by sense, and by where the person faces (`facing`)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.9))
    for xy, name in zip(points.tolist(), names, strict=True):
        left.scatter(*zip(*xy, strict=True), s=7, alpha=0.6, linewidths=0, label=called(name))
    hue = plt.get_cmap("hsv")
    right.scatter(
        *points.flatten(0, 1).T.tolist(), s=7, c=hue(facing.repeat(len(names)).numpy()), linewidths=0
    )
    for i, where in enumerate(("the camera", "the picture's right", "away", "its left")):
        right.scatter([], [], color=hue(i / 4), label=where)
    for axis, title in ((left, "by sense"), (right, "by where the person faces")):
        axis.set(title=title, xticks=[], yticks=[])
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5, markerscale=2, frameon=False)
    figure.tight_layout()
    return figure


def facing(joints: Float[Tensor, "N J 3"]) -> Float[Tensor, " N"]:
    """Where people face, of x right and z away: 0 the camera, a quarter to the right, half away."""
    front = -body_rotation(joints, POSE)[:, 0]
    return torch.atan2(front[:, 0], -front[:, 2]) / (2 * torch.pi) % 1


def found_by(found: Embedded, row: int) -> dict[tuple[str, str], int]:
    """By (sense asked with, sense found) the view nearest to one view, of those that have both senses.

    It may be the view itself, as in `polypose.senses.measuring.retrieval`. Without what the view lacks.
    """
    hits = {}
    for source, target in ((s, t) for s in found.beliefs for t in found.beliefs if s != t):
        there = (found.present[source] & found.present[target]).nonzero()[:, 0]
        if row in there.tolist():
            asked = found.beliefs[source].mean[row : row + 1]
            hits[source, target] = int(there[nearest(asked, found.beliefs[target].mean[there])[0, 0]])
    return hits


def across(found: Embedded, test: HeldOut, row: int) -> Any:
    """One view by each of its senses (grey), and beside each what it finds among the others of every sense:
    the error of the pose that was found, mm."""
    names, hits, joints = list(found.beliefs), found_by(found, row), test.joints
    views, count, side = shown(test.views, TRUE), len(names), 0.04
    figure = plt.figure(figsize=(1.6 * count, 1.85 * count))
    width, height = (1 - side) / count, (1 - side) / count
    for i, source in enumerate(names):
        up, over = 1 - side - (i + 0.5) * height, side + (i + 0.5) * width
        figure.text(side / 2, up, f"by {called(source)}", rotation=90, ha="center", va="center", fontsize=10)
        figure.text(over, 1 - side / 2, f"{called(source)} found", ha="center", va="center", fontsize=10)
        for j, target in enumerate(names):
            at = row if i == j else hits.get((source, target))
            place = side + j * width, 1 - side - (i + 1) * height, width, height
            if i == j:
                figure.add_artist(Rectangle(place[:2], *place[2:], color=DIAGONAL, zorder=-1))
            if at is None or not found.present[target][at]:
                continue
            inside = place[0] + 0.05 * width, place[1] + 0.02 * height, 0.9 * width, 0.84 * height
            axis = figure.add_axes(inside, projection="3d" if target in SOLID else None)
            draw_sense(axis, views[torch.tensor([at])], target)
            error = float((joints[at] - joints[row]).norm(dim=-1).mean() * 1000)
            title = "asked" if i == j else "itself" if at == row else f"{error:.0f} mm"
            axis.set_title(title, fontsize=9, pad=2, fontweight="bold" if i == j else "normal")
    return figure


def draw_sense(axis: Any, views: Views, name: str) -> None:
    """A view, the only row, as a sense is given it; nothing of a sense that is not known here.

    Args:
        axis: of three dimensions for those in `SOLID`.
    """
    axis.patch.set_alpha(0)
    axis.set(xticks=[], yticks=[])
    if name in _DRAWN:
        _DRAWN[name](axis, views.to("cpu"))


def estimates(
    truth: Float[Tensor, "J 3"],
    lifted: Mapping[str, tuple[Float[Tensor, "J 3"], Float[Tensor, "S J 3"]]],
    views: Views,
) -> Any:
    """One view's pose by several subsets of its senses, with an ellipse of one standard deviation a joint.

    Args:
        truth: metres about the pelvis, in the person-centred camera, and so all poses.
        lifted: by what stands above it, an estimate, and hypotheses of it.
        views: the view, the only row.
    """
    truth, count = truth.cpu(), len(lifted) + 2
    middle, half = _frame([truth, *(pose.cpu() for pose, _ in lifted.values())])
    figure, axes = plt.subplots(2, count, figsize=(1.9 * count, 4.4), squeeze=False)
    for beside, name in zip(axes[:, 0], ("image", "depth"), strict=True):
        beside.axis("off")
        if getattr(views, name) is not None:
            draw_sense(beside, views, name)
            beside.set_title(name, fontsize=9)
    for (side, x), row in zip(SIDES.items(), axes[:, 1:], strict=True):
        for axis, (title, (pose, drawn)) in zip(row, lifted.items(), strict=False):
            uncertain(axis, pose.cpu(), drawn.cpu(), truth, x)
            away = float((pose.cpu() - truth).norm(dim=-1).mean() * 1000)
            if not x:
                wide = float(spread(drawn).mean() * 1000)
                axis.set_title(f"{title}\n{away:.0f} mm off, sd {wide:.0f} mm", fontsize=9)
        flat_skeleton(row[-1], truth[:, [x, 1]], solid=True)
        row[-1].set_title("" if x else "truth", fontsize=9)
        row[0].set_ylabel(side, fontsize=8)
        for axis in row:
            low, high = middle[x] - half[x], middle[x] + half[x]
            axis.set(xlim=(low, high), ylim=(middle[1] + half[1], middle[1] - half[1]))
            axis.set(xticks=[], yticks=[], aspect="equal")
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, 0.06, 0.04)
    return figure


def uncertain(
    axis: Any, pose: Float[Tensor, "J 3"], drawn: Float[Tensor, "S J 3"], truth: Float[Tensor, "J 3"], x: int
) -> None:
    """A pose by two of its axes, `x` to the right and y down, over the truth in grey; about each joint but
    the root the ellipse of one standard deviation of what was drawn."""
    flat_skeleton(axis, truth[:, [x, 1]])
    for joint, name in enumerate(POSE.joints):
        if joint != POSE.root:
            long, short, angle = ellipse(drawn[:, joint][:, [x, 1]])
            centre, look = pose[joint, [x, 1]].tolist(), {"facecolor": colour(name), "alpha": 0.25}
            axis.add_patch(Ellipse(centre, long, short, angle=angle, linewidth=0, **look))
    flat_skeleton(axis, pose[:, [x, 1]], solid=True)


def ellipse(points: Float[Tensor, "S 2"]) -> tuple[float, float, float]:
    """The ellipse of one standard deviation, as matplotlib takes it: its long and short axis, half of which is
    the points' standard deviation along it, and the long one's angle in degrees."""
    values, vectors = torch.linalg.eigh(points.double().T.cov())
    short, long = (2 * values.clamp_min(0).sqrt()).tolist()
    return long, short, torch.atan2(vectors[1, 1], vectors[0, 1]).rad2deg().item()


def spread(drawn: Float[Tensor, "S J 3"]) -> Float[Tensor, " J-1"]:
    """A joint's standard deviation, rms over its axes, metres; without the root, which is always at 0."""
    others = [joint for joint in range(drawn.shape[1]) if joint != POSE.root]
    return drawn[:, others].var(0).mean(-1).sqrt()


def flat_skeleton(axis: Any, points: Float[Tensor, "J 2"], solid: bool = False) -> None:
    """Limbs of a pose seen flat; in one light grey unless `solid`."""
    for child, parent in POSE.edges:
        tint = colour(POSE.joints[child]) if solid else "#b9bec4"
        axis.plot(*points[[child, parent]].T.tolist(), color=tint, lw=1.6 if solid else 2.6)


def _frame(poses: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    """The middle of some poses, and half of what they span with a margin, as much across as away."""
    points = torch.cat(list(poses))
    low, high = points.amin(0) - 0.1, points.amax(0) + 0.1
    half = (high - low) / 2
    half[[0, 2]] = half[[0, 2]].max()
    return ((low + high) / 2).tolist(), half.tolist()


def _image(axis: Any, views: Views) -> None:
    assert views.image is not None
    axis.imshow(views.image[0].permute(1, 2, 0))


def _keypoints(axis: Any, views: Views) -> None:
    sample = Sample.of(views, keypoints=MIXED)
    skeleton_2d(axis, sample.keypoints[0].numpy())
    for side in axis.spines.values():
        side.set_visible(False)


def _joints(axis: Any, views: Views) -> None:
    skeleton_3d(axis, Sample.of(views).joints[0])


def _depth(axis: Any, views: Views) -> None:
    metres, measured = depth_crop(views).picture[0]
    axis.imshow(metres.masked_fill(measured == 0, torch.nan), cmap="viridis", vmin=NEAR, vmax=FAR)


def _cloud(axis: Any, views: Views) -> None:
    x, y, z = cloud_crop(views)[0].T.tolist()
    axis.scatter(x, z, [-value for value in y], c=z, s=1.5, cmap="viridis", vmin=NEAR, vmax=FAR)
    axis.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), zlim=(-1, 0.9))
    axis.set_box_aspect((1, 1, 1.2), zoom=1.5)
    axis.view_init(elev=12, azim=-65)
    axis.set_axis_off()


_DRAWN: dict[str, Callable[[Any, Views], None]] = {
    "image": _image,
    "2d": _keypoints,
    "3d": _joints,
    "depth": _depth,
    "cloud": _cloud,
}
