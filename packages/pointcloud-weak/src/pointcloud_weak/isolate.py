"""One person's points out of a depth image, with what a 2D detection knows and no constant of a data set."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Num
from posedata.geometry.boxes import bounding_box
from posedata.synthetic.sensor import axial_sigma
from torch import Tensor

from .cloud import DepthUnprojector, clusters, fit_plane
from .ops import voxels

CONFIDENT = 0.3
"""2D joints below this confidence say nothing about where the person is."""
_WINDOW = 2
_LEAST_FLOOR = 50
_MOST_BELOW = 0.03  # strays
_UPRIGHT = 0.7  # cosine of 45 degrees


class Isolation(NamedTuple):
    """What `isolate_person` found.

    Attributes:
        mask: (H, W) the person's pixels.
        depth: the person's median depth, metres.
        floor: (a, b, c, d), or None where no floor was seen.
        box: (4,) x0, y0, x1, y1 in pixels, around the confident joints with a margin.
    """

    mask: Bool[Tensor, "H W"]
    depth: float
    floor: Float[Tensor, "4"] | None
    box: Float[Tensor, "4"]


def isolate_person(
    depth: Num[Tensor, "H W"],
    unproject: DepthUnprojector,
    keypoints: Float[Tensor, "J 2"],
    confidence: Float[Tensor, " J"] | None = None,
    *,
    margin: float = 0.15,
    band: float = 0.8,
    up: tuple[float, float, float] = (0.0, -1.0, 0.0),
    seed: int = 0,
) -> Isolation:
    """The pixels of the person that a detector saw.

    The box of the joints with a margin; within it what lies no more than `band` from the median depth at the
    joints; less the floor (a plane by RANSAC in the lower part of the box, taken for the floor only where it
    lies across `up`); of what is left, the cluster (DBSCAN) on which most joints lie, and others near it that
    hold a joint. All reaches follow from the pixels' size at that depth and from the sensor's noise.

    Args:
        depth: metres, or millimetres as uint16; 0 where nothing was measured.
        unproject: of the camera that measured it.
        keypoints: pixels of this image.
        confidence: in [0, 1]; ones if left out. Joints below `CONFIDENT`, and any at NaN, are not used.
        margin: around the joints, as a share of the longer side of their box.
        band: metres to either side of the median depth.
        up: roughly against gravity, in the camera frame.
        seed: of RANSAC's choices.

    Raises:
        ValueError: fewer than two joints are confident, or no depth was measured at any of them.
    """
    metres = unproject.metres(depth)
    sure = keypoints.isfinite().all(1)
    if confidence is not None:
        sure &= confidence >= CONFIDENT
    if int(sure.sum()) < 2:
        raise ValueError(f"fewer than two 2D joints of confidence {CONFIDENT} or more: leave this frame out")
    box = bounding_box(keypoints[sure], margin=margin)
    rows, columns = _at(keypoints[sure], metres.shape)
    seen = metres[rows, columns]
    if not (seen > 0).any():
        raise ValueError("depth: nothing was measured at any 2D joint; check that depth and 2D are aligned")
    middle = float(seen[seen > 0].median())
    near = (metres - middle).abs() <= band
    near &= (metres > 0) & _inside(box, metres)
    cloud = unproject(metres)
    pixel = unproject.footprint * middle
    floor, on_floor = _floor(cloud, metres, near, box, middle, band, pixel, up, seed)
    if on_floor is not None:
        near &= ~on_floor
    kept = _clusters_with_joints(cloud[near], near, rows, columns, pixel)
    mask = torch.zeros_like(near)
    mask[near] = kept
    if not mask.any():
        raise ValueError("depth: no cluster of points holds a 2D joint; check that depth and 2D are aligned")
    return Isolation(mask, float(metres[mask].median()), floor, box)


def _at(keypoints: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Rows and columns of the windows around the joints, (J, window), held inside the image."""
    steps = torch.arange(-_WINDOW, _WINDOW + 1, device=keypoints.device)
    middle = keypoints.round().long()
    rows = (middle[:, 1, None, None] + steps[:, None]).clamp(0, size[0] - 1)
    columns = (middle[:, 0, None, None] + steps).clamp(0, size[1] - 1)
    rows, columns = torch.broadcast_tensors(rows, columns)
    return rows.flatten(1), columns.flatten(1)


def _inside(box: Tensor, image: Tensor) -> Tensor:
    rows = torch.arange(image.shape[0], device=image.device)[:, None]
    columns = torch.arange(image.shape[1], device=image.device)
    x0, y0, x1, y1 = box
    return (rows >= y0) & (rows <= y1) & (columns >= x0) & (columns <= x1)


def _floor(
    cloud: Tensor,
    metres: Tensor,
    near: Tensor,
    box: Tensor,
    middle: float,
    band: float,
    pixel: float,
    up: tuple[float, float, float],
    seed: int,
) -> tuple[Tensor | None, Tensor | None]:
    """The floor's plane with its normal up, and the pixels on or below it."""
    x0, y0, x1, y1 = box
    beside = torch.stack([x0 - (x1 - x0) / 2, y0 + 0.65 * (y1 - y0), x1 + (x1 - x0) / 2, y1])
    low = _inside(beside, metres) & (metres > 0) & ((metres - middle).abs() <= 1.5 * band)
    thickness = max(0.02, pixel, 2 * float(axial_sigma(torch.tensor(middle))))
    if int(low.sum()) < _LEAST_FLOOR:
        return None, None
    plane, on = fit_plane(cloud[low], thickness, seed=seed)
    across = float(plane[:3] @ plane.new_tensor(up))
    plane = plane if across > 0 else -plane
    if abs(across) < _UPRIGHT or len(on) < _LEAST_FLOOR:
        return None, None
    height = cloud @ plane[:3] + plane[3]
    # A real floor has nothing under it; a raised thigh, or a table, has.
    if (height[low | near] < -2 * thickness).float().mean() > _MOST_BELOW:
        return None, None
    return plane, height < 1.5 * thickness


def _clusters_with_joints(
    points: Tensor, near: Tensor, rows: Tensor, columns: Tensor, pixel: float
) -> Tensor:
    """Which of the points belong to the person."""
    size = max(0.03, 2 * pixel)
    centres, cell = voxels(points, size)
    label = clusters(centres, 2.5 * size, 3).to(cell.device)[cell]
    image = near.new_full(near.shape, -1, dtype=torch.long)
    image[near] = label
    votes = image[rows, columns]  # (J, window)
    count = int(label.max()) + 1 if len(label) else 0
    holds = torch.stack([(votes == k).any(1).sum() for k in range(count)]) if count else label
    if not count or not holds.any():
        return torch.zeros_like(label, dtype=torch.bool)
    main = int(holds.argmax())
    body = points[label == main]
    low, high = body.amin(0) - 0.3, body.amax(0) + 0.3
    kept = label == main
    for other in torch.nonzero(holds).flatten().tolist():
        part = label == other
        if ((points[part] >= low) & (points[part] <= high)).all(1).float().mean() > 0.5:
            kept |= part
    return kept
