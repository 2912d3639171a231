"""People who stand in a depth image, found by their heads above the floor: where a 2D detector may look.

The idea of head-based clustering is Munaro and Menegatti's (Fast RGB-D people tracking for service robots,
Autonomous Robots 37, 2014): seen from above, a standing person is a peak of the height above the floor.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from .cloud import DepthUnprojector, fit_plane
from .ops import voxels

_CELL = 0.06
_FLOOR_POINTS = 8000
_UPRIGHT = 0.7
_NEAREST = 0.3
_TILE = 0.1
_WIDE = 1.2
_CUT = 0.1
_PLANES, _WALLS, _BARE, _FEW_BEHIND = 12, 6, 0.35, 0.03
_FEW, _SMALL, _LARGE = 50, 0.25, 2.6
_BROAD = 0.07
"""Least area that the camera sees of a person, over the squared height. Five people before a real Kinect had
0.15 to 0.19 from behind, a pillar of half the shoulders' breadth has 0.11; a strip of curtain had 0.05."""


class Person(NamedTuple):
    """Somebody who stands there.

    Attributes:
        mask: (H, W) pixels that are theirs.
        box: (4,) x0, y0, x1, y1 around these, pixels.
        height: of the highest point above the floor, metres.
        distance: median depth, metres.
    """

    mask: Bool[Tensor, "H W"]
    box: Float[Tensor, " 4"]
    height: float
    distance: float


def find_people(
    depth: Num[Tensor, "H W"],
    unproject: DepthUnprojector,
    *,
    shortest: float = 1.1,
    tallest: float = 2.2,
    reach: float = 0.42,
    farthest: float = 6.0,
    up: tuple[float, float, float] = (0.0, -1.0, 0.0),
    seed: int = 0,
) -> list[Person]:
    """Standing people, the nearest first.

    The floor is the plane that most points of the image's lower half lie on. Peaks of height above it,
    `shortest` to `tallest` and at least `reach` apart, are heads; a person is what stands within `reach` of a
    head's plumb line, if it reaches down most of the way and ends there (walls and furniture go on beside it)
    and shows as much of itself as a half hidden person does.

    Args:
        depth: metres, or millimetres as uint16; 0 where nothing was measured.
        unproject: of the camera that measured it.
        farthest: metres from the camera.
        up: roughly against gravity, in the camera frame.
        seed: of the plane's RANSAC.

    Raises:
        ValueError: no floor is seen in the lower half of the image.
    """
    metres = unproject.metres(depth)
    known = (metres > _NEAREST) & (metres < farthest)
    cloud = unproject(metres)
    plane = find_floor(cloud, known, up=up, seed=seed)
    height = cloud @ plane[:3] + plane[3]
    across = torch.linalg.cross(plane[:3], plane.new_tensor([0.0, 0.0, 1.0]))
    across = across / across.norm()
    ground = torch.stack([cloud @ across, cloud @ torch.linalg.cross(plane[:3], across)], dim=-1)
    standing = known & (height > 0.05) & (height < tallest)
    standing[standing.clone()] = ~_walls(cloud[standing], plane[:3], seed)
    rows = torch.nonzero(standing)
    at, above = ground[standing], height[standing]
    seen = (unproject.footprint * metres[standing]) ** 2  # area of each pixel there
    heads = _heads(at, above, shortest, reach)
    people = []
    nearest = torch.cdist(at, at.new_tensor(heads).view(-1, 3)[:, :2]) if heads else at.new_zeros(len(at), 0)
    for number, (_, _, top) in enumerate(heads):
        near = nearest[:, number]
        mine = (near < reach) & (nearest.argmin(1) == number)
        beside = (near >= reach + 0.05) & (near < reach + 0.25) & (nearest.amin(1) >= reach)
        if _is_person(above, mine, beside, top) and float(seen[mine].sum()) > _BROAD * top**2:
            people.append(_person(metres, rows[mine], top))
    return sorted(people, key=lambda person: person.distance)


def find_floor(
    cloud: Float[Tensor, "H W 3"],
    known: Bool[Tensor, "H W"],
    *,
    up: tuple[float, float, float] = (0.0, -1.0, 0.0),
    seed: int = 0,
) -> Float[Tensor, " 4"]:
    """The floor (a, b, c, d), its unit normal up: ``a x + b y + c z + d`` is a point's height in metres.

    Args:
        cloud: of a whole image.
        known: where something was measured.
        up, seed: as of `find_people`.

    Raises:
        ValueError: no floor is seen in the lower half of the image.
    """
    low = known.clone()
    low[: len(low) // 2] = False
    points = cloud[low]
    if len(points) < 100:
        raise ValueError(
            "depth: too little was measured in the lower half of the image to find a floor in it"
        )
    points = points[:: max(1, len(points) // _FLOOR_POINTS)]
    for attempt in range(_PLANES):  # the largest may be a wall, or a row of people: take it away, look again
        plane, on = fit_plane(points, 0.03, seed=seed + attempt)
        across = float(plane[:3] @ plane.new_tensor(up))
        if abs(across) > _UPRIGHT:
            return plane if across > 0 else -plane
        kept = torch.ones(len(points), dtype=torch.bool, device=points.device)
        kept[on] = False
        points = points[kept]
        if len(points) < 100:
            break
    raise ValueError("depth: no floor is seen in the lower half of the image; give the people's 2D joints")


def doubt_people(people: list[Person], *, tallest: float = 2.2) -> str | None:
    """Why the camera's intrinsics may be another's, judged by those who were found; None without a doubt.

    A focal length that is too short makes everybody larger: people reach up to `tallest`, where they are cut
    off, and one is found as several.
    """
    cut = sum(person.height > tallest - _CUT for person in people)
    if 2 * cut <= len(people) or not cut:
        return None
    return (
        f"{cut} of {len(people)} people are {tallest - _CUT:.1f} m tall or more; give the intrinsics of this"
        " camera at this resolution, their focal length looks too short"
    )


def doubt_size(points: Float[Tensor, "N 3"]) -> str | None:
    """Why one person's points, metres, cannot be a person's: larger than anybody, or no more than a hand."""
    if len(points) < _FEW:
        return None
    extent = points.quantile(0.98, dim=0) - points.quantile(0.02, dim=0)
    largest = float(extent.max())
    if _SMALL <= largest <= _LARGE:
        return None
    return f"the points measure {largest:.2g} m; give the intrinsics of this camera and the unit of its depth"


def nearest_body(points: Float[Tensor, "N 3"], bodies: list[Float[Tensor, "_s 2 3"]]) -> Int[Tensor, " N"]:
    """Whose limb is the nearest to each point: tells people apart who touch or stand in one another's box.

    Args:
        points: metres.
        bodies: of each person the limbs' two ends, metres.
    """
    apart = [_to_segments(points, limbs).amin(1) for limbs in bodies]
    return torch.stack(apart).argmin(0)


def _to_segments(points: Tensor, segments: Tensor) -> Tensor:
    """(N, S) distances."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    offset = points[:, None] - start
    share = (offset * along).sum(-1) / (along * along).sum(-1).clamp(min=1e-12)
    return (offset - share.clamp(0, 1)[..., None] * along).norm(dim=-1)


def _walls(points: Tensor, normal: Tensor, seed: int) -> Bool[Tensor, " N"]:
    """Points of upright planes that are walls."""
    wall = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    some = torch.arange(0, len(points), max(1, len(points) // _FLOOR_POINTS), device=points.device)
    left = some
    for attempt in range(_WALLS):
        if len(left) < 500:
            break
        plane, on = fit_plane(points[left], 0.04, seed=seed + attempt)
        if len(on) < 0.1 * len(left):
            break
        if abs(float(plane[:3] @ normal)) < 0.3 and _is_wall(points[some], points[left[on]], plane, normal):
            wall |= (points @ plane[:3] + plane[3]).abs() < 0.08
        kept = torch.ones_like(left, dtype=torch.bool)
        kept[on] = False
        left = left[kept]
    return wall


def _is_wall(points: Tensor, on: Tensor, plane: Tensor, normal: Tensor) -> bool:
    """Whether `on` fills a rectangle in the plane, wider than a person.

    Of a plane with nothing behind it, where the room ends, what people before it hide is no gap.
    """
    along = torch.linalg.cross(plane[:3], normal)
    axes = torch.stack([along / along.norm(), normal], dim=-1)
    flat = on @ axes
    low, high = flat.quantile(0.02, dim=0), flat.quantile(0.98, dim=0)
    extent = (high - low).clamp(min=_TILE)
    if extent[0] <= _WIDE:
        return False
    seen, whole = len(_tiles(flat)), float(extent.prod()) / _TILE**2
    off = points @ plane[:3] + plane[3]
    off = off * plane[3].sign()  # positive on the camera's side
    if float((off < -_TILE).float().mean()) > _FEW_BEHIND:
        return seen > 0.75 * whole
    before = points[off > 0]
    shadow = before * (-plane[3] / (before @ plane[:3]))[:, None] @ axes
    shadow = shadow[((shadow > low) & (shadow < high)).all(1)]
    hidden = len(_tiles(torch.cat([flat, shadow]))) - seen
    return seen > max(0.6 * (whole - hidden), _BARE * whole)


def _tiles(flat: Tensor) -> Tensor:
    return torch.div(flat, _TILE, rounding_mode="floor").unique(dim=0)


def _heads(at: Tensor, above: Tensor, shortest: float, reach: float) -> list[tuple[float, float, float]]:
    """Place on the ground and height of every peak."""
    flat = torch.cat([at, torch.zeros_like(above)[:, None]], dim=-1)
    centres, cell = voxels(flat, _CELL)
    tops = above.new_full((len(centres),), 0.0).scatter_reduce(0, cell, above, "amax", include_self=False)
    left = tops > shortest
    found = []
    while left.any():
        index = int(torch.where(left, tops, 0.0).argmax())
        place = centres[index, :2]
        found.append((float(place[0]), float(place[1]), float(tops[index])))
        left &= (centres[:, :2] - place).norm(dim=-1) > reach
    return found


def _is_person(above: Tensor, mine: Tensor, beside: Tensor, top: float) -> bool:
    """Whether the column below a head is filled most of the way, and little stands around it."""
    if int(mine.sum()) < 150:
        return False
    bins = torch.histc(above[mine], bins=12, min=0.15 * top, max=top)
    filled = float((bins > 3).float().mean())
    upper = above > 0.5 * top
    around = int((beside & upper).sum()) / max(1, int((mine & upper).sum()))
    return filled > 0.8 and around < 0.4


def _person(metres: Tensor, pixels: Tensor, top: float) -> Person:
    mask = torch.zeros_like(metres, dtype=torch.bool)
    mask[pixels[:, 0], pixels[:, 1]] = True
    low, high = pixels.amin(0), pixels.amax(0)
    box = torch.stack([low[1], low[0], high[1], high[0]]).float()
    return Person(mask, box, top, float(metres[mask].median()))
