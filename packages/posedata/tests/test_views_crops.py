"""Depth and clouds about the person: distance, focal length and box must not show, metres must."""

import math

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.views.batch import Views
from posedata.views.crops import REACH, cloud_crop, depth_crop, median_depth
from torch import Tensor


def camera(focal: float = 500.0, size: tuple[int, int] = (640, 480)) -> Camera:
    """One, as a batch, at the origin, looking along z."""
    middle = (torch.tensor(size, dtype=torch.float32) - 1) / 2
    one = Camera(torch.tensor([focal, focal]), middle, torch.eye(3), torch.zeros(3), size=size)
    return Camera.stack([one])


def board(
    distance: float, focal: float = 500.0, side: float = 1.0, margin: float = 0.5, wall: float = 0.0
) -> Views:
    """A square board before the camera, in a square box that is larger by `margin` metres on every side."""
    lens = camera(focal)
    half = (side / 2 + margin) * focal / distance
    middle = lens.centre[0]
    box = torch.cat([middle - half, middle + half])[None]
    cells = 200
    metres = ((torch.arange(cells) + 0.5) / cells - 0.5) * 2 * half / focal * distance
    on = (metres.abs() < side / 2)[:, None] & (metres.abs() < side / 2)
    depth = torch.where(on, distance, wall)[None]
    return Views(lens, box, depth=depth, mask=on[None])


@pytest.mark.parametrize(("distance", "focal"), [(2.0, 500.0), (5.0, 500.0), (2.0, 900.0)])
@pytest.mark.parametrize("margin", [0.1, 0.6])
def test_a_metre_is_as_many_pixels_at_any_distance(distance: float, focal: float, margin: float) -> None:
    crop = depth_crop(board(distance, focal, margin=margin), (60, 80), window=2.0)
    assert crop.median.item() == distance
    seen = crop.picture[0, 1]
    assert seen.sum(0).max().item() == pytest.approx(40, abs=1)  # 1 m of the 2 m that 80 rows span
    assert seen.sum(1).max().item() == pytest.approx(40, abs=1)
    assert seen[40, 30] == 1
    assert crop.picture[0, 0].abs().max() == 0


def test_depth_is_about_the_persons_median_and_clipped() -> None:
    views = board(3.0, wall=4.0)
    assert views.depth is not None
    views.depth[0, 100, 100:] = 2.5
    views.depth[0, 80:90, 80:90] = 0  # a hole in the person
    crop = depth_crop(views, (100, 100), window=2.0)
    relief, seen = crop.picture[0]
    assert crop.median.item() == 3.0
    assert relief.min().item() == -0.5
    assert relief.max().item() == 0  # the wall is not the person's
    assert seen[50, 50] == 1
    assert seen[44, 44] == 0
    assert relief[44, 44] == 0
    with_wall = depth_crop(views, (100, 100), window=2.0, alone=False).picture[0]
    assert with_wall[0].max().item() == 1.0
    far = board(3.0, wall=9.0)
    assert depth_crop(far, alone=False).picture[0, 0].max().item() == pytest.approx(REACH)


def test_a_person_off_the_middle_of_the_box_stays_there() -> None:
    views = board(2.0, side=0.2, margin=0.9)
    assert views.depth is not None
    assert views.mask is not None
    depth, mask = (x.roll(20, dims=-1).roll(-40, dims=-2) for x in (views.depth, views.mask))  # 1 cm a pixel
    crop = depth_crop(Views(views.camera, views.box, depth=depth, mask=mask), (100, 100), window=2.0)
    row, column = (index.float().mean().item() for index in crop.picture[0, 1].nonzero(as_tuple=True))
    assert (column, row) == pytest.approx((49.5 + 10, 49.5 - 20), abs=0.6)


def test_nothing_measured_is_all_holes() -> None:
    views = board(2.0)
    empty = depth_crop(Views(views.camera, views.box, depth=torch.zeros_like(views.depth), mask=views.mask))  # type: ignore[arg-type]
    assert empty.median.isnan().all()
    assert (empty.picture == 0).all()
    nowhere = depth_crop(Views(views.camera, views.box * torch.nan, depth=views.depth, mask=views.mask))
    assert (nowhere.picture == 0).all()
    with pytest.raises(ValueError, match="have no depth"):
        depth_crop(Views(views.camera, views.box))
    with pytest.raises(ValueError, match="have no points"):
        cloud_crop(Views(views.camera, views.box))


def test_median_is_of_the_person_alone() -> None:
    depth = torch.tensor([[[1.0, 2.0, 3.0, 0.0, 9.0]]])
    person = torch.tensor([[[True, True, True, True, False]]])
    assert median_depth(depth, person).item() == 2.0
    assert math.isnan(median_depth(depth, torch.zeros_like(person)).item())


def turned(angle: float) -> Tensor:
    """About the camera's y axis."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def test_a_cloud_is_the_same_wherever_it_is_seen() -> None:
    points = torch.randn(1, 51, 3, generator=torch.Generator().manual_seed(0)).mul(0.3).clamp(-1, 1)
    lens, found = camera(), []
    for angle, distance in ((0.0, 3.0), (0.3, 3.0), (0.3, 5.0), (-0.4, 4.0)):
        there = (points + torch.tensor([0.0, 0.0, distance])) @ turned(angle).T
        middle = lens.project_camera(torch.tensor([[[0.0, 0.0, distance]]]) @ turned(angle).T)[0, 0]
        found.append(cloud_crop(Views(lens, torch.cat([middle - 60, middle + 60])[None], points=there)))
    for cloud in found[1:]:
        torch.testing.assert_close(cloud, found[0], atol=1e-5, rtol=0)
    expected = points - torch.tensor([0, 0, 1]) * points[..., 2].median()
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)


def test_stray_points_are_clipped() -> None:
    points = torch.tensor([[[0.0, 0.0, 3.0], [0.0, 0.0, 3.0], [4.0, -4.0, 9.0]]])
    lens = camera()
    box = torch.cat([lens.centre[0] - 50, lens.centre[0] + 50])[None]
    assert cloud_crop(Views(lens, box, points=points))[0, 2].tolist() == pytest.approx([REACH, -REACH, REACH])
