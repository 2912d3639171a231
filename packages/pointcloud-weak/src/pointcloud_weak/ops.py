"""Sampling and grouping of point sets, batched; pytorch3d's where it is there, else a twin in plain torch.

Everything here is geometry: it runs in float32 under autocast too, and gives indices that carry no gradient.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

try:
    from pytorch3d.ops import sample_farthest_points as _sample_farthest_points
except ImportError:  # a machine without its compiled part
    _sample_farthest_points = None


@torch.no_grad()
def farthest_points(points: Float[Tensor, "B N 3"], count: int) -> Int[Tensor, "B count"]:
    """Indices of points that lie far from each other (farthest point sampling), beginning with the first.

    PointNet++ (Qi et al., NeurIPS 2017), section 3.2. pytorch3d's on a GPU that has it; on a CPU the twin is
    the faster one for batches of small clouds.

    Raises:
        ValueError: there are fewer points than that.
    """
    if not 1 <= count <= points.shape[1]:
        raise ValueError(f"count is {count}; give 1 to {points.shape[1]}, the number of points")
    if points.is_cuda and _sample_farthest_points is not None:
        return _sample_farthest_points(points.float(), K=count)[1]
    return farthest_points_twin(points, count)


@torch.no_grad()
def farthest_points_twin(points: Float[Tensor, "B N 3"], count: int) -> Int[Tensor, "B count"]:
    """`farthest_points` in plain torch: serves where pytorch3d does not, and is its oracle."""
    planes = points.float().movedim(-1, 0).contiguous()
    batch = torch.arange(points.shape[0], device=points.device)
    chosen = torch.zeros(points.shape[0], count, dtype=torch.long, device=points.device)
    nearest = torch.full(points.shape[:2], torch.inf, device=points.device)
    for step in range(1, count):
        last = planes[:, batch, chosen[:, step - 1], None]
        x, y, z = (planes - last).square_()
        nearest = torch.minimum(nearest, x.add_(y).add_(z))
        chosen[:, step] = nearest.argmax(dim=1)
    return chosen


@torch.no_grad()
def ball_query(
    points: Float[Tensor, "B N 3"], centres: Float[Tensor, "B M 3"], radius: float, count: int
) -> Int[Tensor, "B M count"]:
    """The nearest `count` points of each centre; those farther than `radius` are replaced by the nearest.

    The group of PointNet++ takes the first points found within the radius; the nearest are the same where
    there are fewer than `count`, and do not depend on the order of points.

    Raises:
        ValueError: there are fewer points than that.
    """
    if not 1 <= count <= points.shape[1]:
        raise ValueError(f"count is {count}; give 1 to {points.shape[1]}, the number of points")
    found = torch.cdist(centres.float(), points.float()).topk(count, dim=-1, largest=False)
    return torch.where(found.values <= radius, found.indices, found.indices[..., :1])


def gather(values: Float[Tensor, "B N C"], index: Int[Tensor, "B *shape"]) -> Float[Tensor, "B *shape C"]:
    """Rows of each batch entry by index."""
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.ndim - 1))
    return values[batch, index]


def subsample(
    points: Float[Tensor, "N C"], count: int, generator: torch.Generator | None = None
) -> Float[Tensor, "count C"]:
    """`count` points at random, each at most once while there are enough, repeated where there are not.

    Raises:
        ValueError: there is no point.
    """
    if not len(points):
        raise ValueError("no point to sample from: leave such frames out")
    order = torch.randperm(len(points), generator=generator, device=points.device)
    return points[order[torch.arange(count, device=points.device) % len(points)]]


def voxels(points: Float[Tensor, "N 3"], size: float) -> tuple[Float[Tensor, "M 3"], Int[Tensor, " N"]]:
    """The mean of the points in every occupied cube of edge `size`, and each point's cube.

    Like `pointcloud_weak.voxel_downsample` with the way back; but this grid begins at the cloud's lowest
    corner and Open3D's half a cube before it, so that the cubes differ.
    """
    if not len(points):
        return points, torch.zeros(0, dtype=torch.long, device=points.device)
    cell = torch.div(points - points.amin(0), size, rounding_mode="floor").long()
    width, height, _ = (cell.amax(0) + 1).tolist()
    keys, index = ((cell[:, 2] * height + cell[:, 1]) * width + cell[:, 0]).unique(return_inverse=True)
    sums = points.new_zeros(len(keys), 3).index_add_(0, index, points)
    return sums / torch.bincount(index, minlength=len(keys))[:, None], index
