"""Standing people found in depth images of scenes that are known: pillars on a floor before a wall."""

import pytest
import torch
from pointcloud_weak import DepthUnprojector
from pointcloud_weak.people import Person, doubt_people, doubt_size, find_floor, find_people, nearest_body
from posedata import Camera
from torch import Tensor

CAMERA = Camera(
    torch.tensor([300.0, 300.0]), torch.tensor([159.5, 119.5]), torch.eye(3), torch.zeros(3), size=(320, 240)
)
LENS = 1.2
"""Metres from the floor to the camera."""


def _scene(pillars: list[tuple[float, ...]], floor: bool = True) -> tuple[Tensor, Tensor]:
    """Depth (240, 320) of round pillars (x, z, height), 20 cm in radius or their own, and which one a pixel
    shows (-1)."""
    rays = DepthUnprojector(CAMERA).rays
    a, b = rays[..., 0], rays[..., 1]
    depth = torch.full((240, 320), 5.0)
    if floor:
        depth = torch.where(b > 0, torch.minimum(depth, LENS / b.clamp(min=1e-6)), depth)
    shown = torch.full((240, 320), -1)
    for number, (x, z, height, *radius) in enumerate(pillars):
        # (a t - x)² + (t - z)² = radius²
        p, q, r = a * a + 1, a * x + z, x * x + z * z - (radius or [0.2])[0] ** 2
        root = q * q - p * r
        t = (q - root.clamp(min=0).sqrt()) / p
        y = b * t
        hit = (root > 0) & (y > LENS - height) & (y < LENS) & (t < depth)
        depth, shown = torch.where(hit, t, depth), torch.where(hit, number, shown)
    return depth, shown


def test_people_are_found_by_height_and_form() -> None:
    """Two pillars of a person's height, one standing half before the other; not the low one, not the wall."""
    depth, shown = _scene([(0.2, 2.4, 1.75), (-0.4, 3.2, 1.6), (0.9, 2.6, 0.8)])
    people = find_people(depth, DepthUnprojector(CAMERA))
    assert len(people) == 2
    for number, (person, height) in enumerate(zip(people, (1.75, 1.6), strict=True)):
        assert person.height == pytest.approx(height, abs=0.03)
        true = shown == number
        share = (person.mask & true).sum() / (person.mask | true).sum()
        assert share > 0.9
        rows, columns = torch.nonzero(person.mask, as_tuple=True)
        expected = [columns.min(), rows.min(), columns.max(), rows.max()]
        assert person.box.tolist() == [float(edge) for edge in expected]


def test_five_people_shoulder_to_shoulder_and_no_pole() -> None:
    """A group of five, 15 cm between neighbours, two half hidden; a pole of a person's height is nobody."""
    group = [(-0.9, 2.0, 1.8), (-0.45, 2.4, 1.7), (-0.05, 2.9, 1.75), (0.5, 2.6, 1.65), (0.95, 1.9, 1.85)]
    depth, shown = _scene([*group, (1.5, 4.0, 1.7, 0.04)])
    people = find_people(depth, DepthUnprojector(CAMERA))
    assert len(people) == 5
    order = sorted(range(5), key=lambda number: group[number][1])
    for number, person in zip(order, people, strict=True):
        assert person.height == pytest.approx(group[number][2], abs=0.03)
        true = shown == number
        assert (person.mask & true).sum() / (person.mask | true).sum() > 0.9


def test_the_floor_is_found_with_its_normal_up() -> None:
    """The camera is LENS above it: the plane is -y + LENS = 0, and a wall is no floor."""
    unproject = DepthUnprojector(CAMERA)
    depth, _ = _scene([(0.0, 2.5, 1.7)])
    plane = find_floor(unproject(depth), depth > 0)
    torch.testing.assert_close(plane, torch.tensor([0.0, -1.0, 0.0, LENS]), atol=0.01, rtol=0)


def test_millimetres_and_metres_agree() -> None:
    depth, _ = _scene([(0.0, 2.5, 1.7)])
    millimetres = (depth * 1000).round().to(torch.int32).to(torch.uint16)
    one, other = (find_people(image, DepthUnprojector(CAMERA)) for image in (depth, millimetres))
    assert len(one) == len(other) == 1
    assert one[0].distance == pytest.approx(other[0].distance, abs=1e-3)


def test_a_tilted_camera_makes_no_difference() -> None:
    """The same pillar seen from a camera that looks 15 degrees down: the floor tells what is up."""
    turn = torch.deg2rad(torch.tensor(15.0))
    rotation = torch.tensor(
        [[1, 0, 0], [0, float(turn.cos()), -float(turn.sin())], [0, float(turn.sin()), float(turn.cos())]]
    )
    rays = DepthUnprojector(CAMERA).rays @ rotation  # of the tilted camera, in the level frame
    a, b, c = rays.unbind(-1)
    t = torch.where(b > 0, LENS / b.clamp(min=1e-6), 1e9).minimum(5 / c)
    p, q, r = a * a + c * c, 3.6 * c, 3.6**2 - 0.04
    root = q * q - p * r
    near = (q - root.clamp(min=0).sqrt()) / p
    y = b * near
    t = torch.where((root > 0) & (y > LENS - 1.5) & (y < LENS), near, t)
    people = find_people(t, DepthUnprojector(CAMERA))
    assert len(people) == 1
    assert people[0].height == pytest.approx(1.5, abs=0.03)


def test_without_a_floor_an_error_says_what_to_give() -> None:
    depth, _ = _scene([(0.0, 2.5, 1.7)], floor=False)
    with pytest.raises(ValueError, match="no floor is seen"):
        find_people(depth, DepthUnprojector(CAMERA))
    with pytest.raises(ValueError, match="too little was measured"):
        find_people(torch.zeros(240, 320), DepthUnprojector(CAMERA))


def test_points_go_to_the_body_with_the_nearest_limb() -> None:
    """Beyond a limb's end its end counts; a limb without length is a point."""
    upright = torch.tensor([[[0.0, 0, 2], [0, 1, 2]], [[0, 1, 2], [0.5, 1, 2]]])
    point = torch.tensor([[[1.0, 0, 2], [1, 0, 2]]])
    places = torch.tensor([[0.3, 0.2, 2], [0.7, 0.2, 2], [0.6, 1.3, 2], [0.55, 0.0, 2]])
    assert nearest_body(places, [upright, point]).tolist() == [0, 1, 0, 1]


def test_half_precision_depth_is_taken() -> None:
    depth, _ = _scene([(0.0, 2.5, 1.7)])
    found = find_people(depth.half(), DepthUnprojector(CAMERA))
    assert [person.height for person in found] == [pytest.approx(1.7, abs=0.03)]


def _person(height: float) -> Person:
    return Person(torch.zeros(1, 1, dtype=torch.bool), torch.zeros(4), height, 2.0)


def test_people_who_are_all_cut_off_at_the_top_cast_doubt_on_the_camera() -> None:
    assert doubt_people([]) is None
    assert doubt_people([_person(1.7), _person(2.15)]) is None  # one tall person of two
    said = doubt_people([_person(2.2), _person(2.15), _person(1.3)])
    assert said is not None
    assert said.startswith("2 of 3 people are 2.1 m tall or more; give the intrinsics of this camera")


def test_points_of_a_persons_size_cast_none() -> None:
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.7, 0.3])
    assert doubt_size(points) is None
    assert doubt_size(points[:10] * 9) is None  # too few to tell
    assert str(doubt_size(points * 3)).startswith("the points measure 4.9 m; give the intrinsics")
    assert str(doubt_size(points / 1000)).startswith("the points measure 0.0016 m")
