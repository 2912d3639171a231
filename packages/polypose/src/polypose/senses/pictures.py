"""Pictures of a space of several senses: what each of them finds, and what is estimated of some together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.patches import Ellipse, Rectangle
from posedata.figures import POSE, colour, plt, skeleton_2d, skeleton_3d
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
FACING = ("the camera", "the picture's right", "away", "its left")
SIDES = {"as the camera sees it": 0, "from the camera's right": 2}
"""What is drawn to the right, of x right, y down, z away from the camera."""
SOLID = ("3d", "cloud")
"""Senses that are drawn in three dimensions."""
DIAGONAL = "#eef2f6"


def called(name: str) -> str:
    """A sense's name for people."""
    return {"2d": "2D", "3d": "3D"}.get(name, name)


def in_the_plane(points: Float[Tensor, "M N 2"], names: Sequence[str], azimuth: Float[Tensor, " N"]) -> Any:
    """Embeddings of N views by M senses in the plane: by sense, and by where the person faces, of which
    `polypose.senses.invariance.azimuth` tells."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
    for xy, name in zip(points.tolist(), names, strict=True):
        left.scatter(*zip(*xy, strict=True), s=7, alpha=0.6, linewidths=0, label=called(name))
    hue, turned = plt.get_cmap("hsv"), (0.5 - azimuth / (2 * torch.pi)) % 1  # from the camera to the right
    x, y = points.flatten(0, 1).T.tolist()
    right.scatter(x, y, s=7, alpha=0.6, linewidths=0, c=hue(turned.repeat(len(names)).numpy()))
    for i, where in enumerate(FACING):
        right.scatter([], [], s=7, color=hue(i / len(FACING)), label=where)
    for axis, title in ((left, "by sense"), (right, "by where the person faces")):
        axis.set(title=title, xticks=[], yticks=[])
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": 5, "frameon": False}
        axis.legend(**place, fontsize=9, markerscale=2.5, handletextpad=0, columnspacing=1)
    return figure


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
    truth = truth.cpu()
    middle, half = _frame([truth, *(pose.cpu() for pose, _ in lifted.values())])
    tall, wide = 2.3, 2.3 * half[0] / half[1]
    widths = [0.75 * tall, *[wide] * (len(lifted) + 1)]
    figure, axes = plt.subplots(
        2, len(widths), figsize=(sum(widths) + 0.4, 2 * tall + 0.5), width_ratios=widths, layout="constrained"
    )
    for beside, name in zip(axes[:, 0], ("image", "depth"), strict=True):
        beside.axis("off")
        if getattr(views, name) is not None:
            draw_sense(beside, views, name)
            beside.set_title(name, fontsize=9)
    for (side, x), row in zip(SIDES.items(), axes[:, 1:], strict=True):
        for axis, (title, (pose, drawn)) in zip(row, lifted.items(), strict=False):
            uncertain(axis, pose.cpu(), drawn.cpu(), truth, x)
            away = float((pose.cpu() - truth).norm(dim=-1).mean() * 1000)
            told = f"{title}\n{away:.0f} mm off, sd {1000 * deviation(drawn):.0f} mm"
            axis.set_title("" if x else told, fontsize=9)
        flat_skeleton(row[-1], truth[:, [x, 1]], solid=True)
        row[-1].set_title("" if x else "truth,\ngrey in the others", fontsize=9)
        row[0].set_ylabel(side, fontsize=9)
        for axis in row:
            axis.set(xlim=(middle[x] - half[x], middle[x] + half[x]), xticks=[], yticks=[], aspect="equal")
            axis.set_ylim(middle[1] + half[1], middle[1] - half[1])
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
            centre, look = (float(pose[joint, x]), float(pose[joint, 1])), {"facecolor": colour(name)}
            axis.add_patch(Ellipse(centre, long, short, angle=angle, alpha=0.25, linewidth=0, **look))
    flat_skeleton(axis, pose[:, [x, 1]], solid=True)


def ellipse(points: Float[Tensor, "S 2"]) -> tuple[float, float, float]:
    """The ellipse of one standard deviation, as matplotlib takes it: its long and short axis, half of which
    is the points' standard deviation along it, and the long one's angle in degrees."""
    values, vectors = torch.linalg.eigh(points.double().T.cov())
    short, long = (2 * values.clamp_min(0).sqrt()).tolist()
    return long, short, torch.atan2(vectors[1, 1], vectors[0, 1]).rad2deg().item()


def deviation(drawn: Float[Tensor, "S J 3"]) -> float:
    """The rms distance of joints to their mean, metres, its mean over all but the root, which is at 0."""
    others = [joint for joint in range(drawn.shape[1]) if joint != POSE.root]
    return float(drawn[:, others].var(0).sum(-1).sqrt().mean())


def flat_skeleton(axis: Any, points: Float[Tensor, "J 2"], solid: bool = False) -> None:
    """Limbs of a pose seen flat; in one light grey unless `solid`."""
    for child, parent in POSE.edges:
        tint = colour(POSE.joints[child]) if solid else "#b9bec4"
        axis.plot(*points[[child, parent]].T.tolist(), color=tint, lw=1.6 if solid else 2.6)


def _frame(poses: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    """The middle of some poses, and half of what they span with a margin, as much across as away."""
    points = torch.cat(list(poses))
    low, high = points.amin(0) - 0.15, points.amax(0) + 0.15
    half = (high - low) / 2
    half[[0, 2]] = half[[0, 2]].max().clamp_min(0.78 * half[1])  # wide enough for a title
    return ((low + high) / 2).tolist(), half.tolist()


def _image(axis: Any, views: Views) -> None:
    assert views.image is not None
    axis.imshow(views.image[0].permute(1, 2, 0).numpy())


def _keypoints(axis: Any, views: Views) -> None:
    sample = Sample.of(views, keypoints=MIXED)
    skeleton_2d(axis, sample.keypoints[0].numpy())
    for side in axis.spines.values():
        side.set_visible(False)


def _joints(axis: Any, views: Views) -> None:
    skeleton_3d(axis, Sample.of(views).joints[0])


def _depth(axis: Any, views: Views) -> None:
    metres, measured = depth_crop(views).picture[0]
    seen = metres.masked_fill(measured == 0, torch.nan).numpy()
    axis.imshow(seen, cmap="viridis", vmin=NEAR, vmax=FAR)


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
