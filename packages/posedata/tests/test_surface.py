"""Clouds out of depth pictures: on the surface, the person's alone, evenly drawn."""

from dataclasses import replace

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.views.batch import Views
from posedata.views.surface import surface_points

HEIGHT, WIDTH = 12, 10


def ramp(rows: int = 2) -> Views:
    """A slanted plane z = 2 + 0.5 x before turned cameras, seen through boxes that are no whole pixels."""
    boxes = torch.tensor([[100.0, 80.0, 160.5, 152.0], [300.0, 200.0, 380.0, 296.0]])[:rows]
    middle = torch.tensor([[320.0, 240.0]]).expand(rows, 2)
    camera = Camera(
        torch.full((rows, 2), 500.0),
        middle,
        torch.eye(3).expand(rows, 3, 3),
        torch.zeros(rows, 3),
        size=(640, 480),
    )
    v, u = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    pixels = torch.stack([u, v], -1).float().view(1, -1, 2).expand(rows, -1, 2)
    rays = camera.crop(boxes, (WIDTH, HEIGHT)).rays(pixels)
    depth = (2 / (1 - 0.5 * rays[..., 0])).view(rows, HEIGHT, WIDTH)
    mask = torch.zeros(rows, HEIGHT, WIDTH, dtype=torch.bool)
    mask[:, 3:9, 2:7] = True
    return Views(camera, boxes, depth=depth, mask=mask)


def test_points_lie_on_the_surface_and_are_the_persons() -> None:
    views = ramp()
    points = surface_points(views, 30, torch.Generator().manual_seed(0))
    torch.testing.assert_close(points[..., 2], 2 + 0.5 * points[..., 0])
    crop = views.camera.crop(views.box, (WIDTH, HEIGHT))
    pixels = crop.project_camera(points)
    torch.testing.assert_close(pixels, pixels.round(), atol=2e-3, rtol=0)
    column, row = pixels.round().long().unbind(-1)
    for i in range(2):  # 30 pixels of the person, 30 points: each once
        assert {(int(r), int(c)) for r, c in zip(row[i], column[i], strict=True)} == {
            (r, c) for r in range(3, 9) for c in range(2, 7)
        }


def test_points_of_a_mirrored_view_are_the_mirrored_points() -> None:
    views = ramp()
    assert views.depth is not None
    turned = surface_points(views.mirrored(torch.tensor([True, False])), 30)
    plain = surface_points(views, 30)
    mirrored = plain[0] * torch.tensor([-1.0, 1.0, 1.0])
    key = lambda points: points.round(decimals=4)[points[:, 0].argsort(stable=True)]  # noqa: E731
    torch.testing.assert_close(key(turned[0]).sum(0), key(mirrored).sum(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(turned[1], plain[1])


def test_fewer_points_are_spread_evenly_and_more_come_again() -> None:
    views = ramp(1)
    few = surface_points(views, 6)
    rows = views.camera.crop(views.box, (WIDTH, HEIGHT)).project_camera(few)[0, :, 1].round()
    assert rows.tolist() == [3, 4, 5, 6, 7, 8]  # one in each of the person's rows of five pixels
    many = surface_points(views, 90, torch.Generator().manual_seed(0))
    _, times = many[0].round(decimals=5).unique(dim=0, return_counts=True)
    assert times.tolist() == [3] * 30


def test_drawn_by_the_generator() -> None:
    views = ramp(1)
    one, same, other = (surface_points(views, 7, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_holes_are_never_points_and_nothing_measured_is_told() -> None:
    views = ramp()
    assert views.depth is not None
    holed = views.depth.clone()
    holed[0, 3:6] = 0
    holed[1] = 0
    points = surface_points(replace(views, depth=holed), 15)
    assert points[0].isfinite().all()
    assert (points[0, :, 2] > 0).all()
    assert points[1].isnan().all()
    whole = surface_points(replace(views, mask=None), HEIGHT * WIDTH)
    assert len(whole[0].unique(dim=0)) == HEIGHT * WIDTH
    with pytest.raises(ValueError, match="have no depth"):
        surface_points(replace(views, depth=None), 3)
