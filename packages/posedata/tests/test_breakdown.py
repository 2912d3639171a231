"""Errors by joint, name and range, counted by hand; a camera's elevation and distance by its place."""

import math

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.scoring.breakdown import by_joint, by_name, by_range, distance, elevation, field_of_view, roll


def test_errors_are_sorted_out_by_joint_and_name() -> None:
    errors = torch.tensor([[1.0, 20.0, 4.0], [3.0, torch.nan, 8.0]])
    assert by_joint(errors, ["a", "b", "c"]) == [("b", 1, 20.0), ("c", 2, 6.0), ("a", 2, 2.0)]
    found = by_name(torch.tensor([1.0, 5.0, 3.0]), ["walk", "sit", "walk"])
    assert found == [("sit", 1, 5.0), ("walk", 2, 2.0)]


def test_ranges_hold_equal_shares_of_the_views() -> None:
    values = torch.tensor([3.0, 1.0, 2.0, 4.0])
    found = by_range(torch.tensor([30.0, 10.0, 20.0, 50.0]), values, "m", parts=2)
    assert found == [("1 to 2.5 m", 2, 15.0), ("2.5 to 4 m", 2, 40.0)]
    assert by_range(torch.tensor([1.0, 2.0]), torch.ones(2), "m") == [("1 m", 2, 1.5)]


@pytest.mark.parametrize("degrees", [0.0, 30.0, -15.0])
def test_a_camera_above_looks_down(degrees: float) -> None:
    angle = math.radians(degrees)
    position = torch.tensor([[4 * math.cos(angle), 0.0, 1 + 4 * math.sin(angle)]])
    camera = Camera.look_at(position, torch.tensor([[0.0, 0.0, 1.0]]), 1000.0, (1000, 1000))
    assert float(elevation(camera)) == pytest.approx(degrees, abs=1e-3)
    person = torch.tensor([[[0.0, 0.0, 0.5], [0.0, 0.0, 1.5]]])
    assert float(distance(camera, person)) == pytest.approx(4.0, abs=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 12.0, -30.0])
def test_a_rolled_camera_says_by_how_much_wherever_it_stands(degrees: float) -> None:
    position = torch.tensor([[3.0, 2.0, 4.0], [-1.0, 0.5, 0.2]])
    camera = Camera.look_at(position, torch.tensor([[0.0, 0.0, 1.0]]), 1000.0, (1000, 1000))
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ camera.rotation
    assert roll(camera.replace(rotation=turned)).tolist() == pytest.approx([abs(degrees)] * 2, abs=1e-3)


def test_field_of_view_is_of_the_width() -> None:
    camera = Camera(
        torch.tensor([[500.0, 1.0]]), torch.zeros(2), torch.eye(3), torch.zeros(3), size=(1000, 10)
    )
    assert float(field_of_view(camera)) == pytest.approx(90.0)
