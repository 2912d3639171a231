"""Cameras where a small change of the code would not show in a round trip."""

import math

import pytest
import torch
from posedata.geometry.camera import Camera, _distort, _jacobian, _newton_step

FIELDS = {
    "focal": torch.tensor([900.0, 1100.0]).double(),
    "centre": torch.tensor([320.0, 240.0]).double(),
    "rotation": torch.eye(3).double(),
    "translation": torch.tensor([0.1, 0.2, 3.0]).double(),
    "distortion": torch.tensor([0.1, -0.05, 0.01, -0.02, 0.03]).double(),
    "size": torch.tensor([640, 480]),
}


@pytest.mark.parametrize("name", FIELDS)
def test_any_field_alone_may_carry_the_batch(name: str) -> None:
    given = {**FIELDS, name: FIELDS[name].expand(4, *FIELDS[name].shape)}
    camera = Camera(**given)
    assert camera.shape == (4,)
    for field, value in FIELDS.items():
        assert torch.equal(getattr(camera[2], field), value)
    one = Camera(**FIELDS)
    assert one.shape == ()
    with pytest.raises(TypeError, match="a single camera has no length"):
        len(one)


def test_slopes_of_a_lens_are_those_of_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    plane = torch.rand(20, 2, generator=generator, dtype=torch.float64) - 0.5
    coefficients = torch.randn(20, 5, generator=generator, dtype=torch.float64) * 0.3
    xx, xy, yy = _jacobian(plane, coefficients)
    for i in range(20):
        exact = torch.autograd.functional.jacobian(lambda p, i=i: _distort(p, coefficients[i]), plane[i])
        found = torch.stack([torch.stack([xx[i], xy[i]]), torch.stack([xy[i], yy[i]])])
        torch.testing.assert_close(found, exact)
        bent = plane[i] + torch.tensor([0.3, -0.2], dtype=torch.float64)
        step = torch.linalg.solve(exact, _distort(plane[i], coefficients[i]) - bent)
        torch.testing.assert_close(_newton_step(plane[i], bent, coefficients[i]), plane[i] - step)


def test_points_on_the_cameras_plane_go_far_off_to_their_own_side() -> None:
    """The nearest depth, 1 mm, stands in for what is nearer, on either side."""
    camera = Camera(**{**FIELDS, "distortion": None, "translation": torch.zeros(3).double()})
    points = torch.tensor([[0.1, 0.2, d] for d in (0.0, 1e-9, -1e-9, 0.5, -0.5)]).double()
    found = (camera.project_camera(points) - camera.centre) / camera.focal
    nearest = 0.1 / found[0, 0].item()
    assert 0 < nearest < 0.01
    depths = torch.tensor([nearest, nearest, -nearest, 0.5, -0.5]).double()
    torch.testing.assert_close(found, points[:, :2] / depths[:, None])
    assert camera.in_front(points).tolist() == [False, False, False, True, False]


def test_a_rolled_camera_turns_right_and_down_by_the_angle() -> None:
    """Looking along y: right is x, down is -z; a roll turns right towards down, and down away from right."""
    position, target = torch.zeros(3).double(), torch.tensor([0.0, 5.0, 0.0]).double()
    rolled = Camera.look_at(position, target, 500.0, (64, 48), roll=0.3)
    right, down = torch.tensor([1.0, 0.0, 0.0]).double(), torch.tensor([0.0, 0.0, -1.0]).double()
    cos, sin = math.cos(0.3), math.sin(0.3)
    expected = torch.stack([cos * right + sin * down, cos * down - sin * right, target / 5])
    torch.testing.assert_close(rolled.rotation, expected)
    two = Camera.look_at(position, target, torch.tensor([500.0, 700.0]).double(), (64, 48))
    assert two.focal.tolist() == [500.0, 700.0]
    each = Camera.look_at(position, target, torch.tensor([[5.0, 7.0], [6.0, 8.0]]).double(), (64, 48))
    assert each.focal.tolist() == [[5.0, 7.0], [6.0, 8.0]]
    assert Camera.look_at(position.float(), target.float(), 500.0, (64, 48)).focal.dtype == torch.float32


def test_a_strong_lens_that_does_not_fold_has_rays_everywhere() -> None:
    """Where both axes are stretched fourfold and sheared, the Jacobian is positive definite all the same."""
    lens = torch.tensor([0.47, 0.208, -0.024, 0.252, 0.073], dtype=torch.float64)
    camera = Camera(
        torch.tensor([500.0, 500.0], dtype=torch.float64),
        torch.tensor([320.0, 240.0], dtype=torch.float64),
        torch.eye(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
        lens,
        size=(640, 480),
    )
    point = torch.tensor([[0.699, -0.771, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(camera.rays(camera.project(point)), point)


def test_a_pinhole_knows_every_pixel_but_those_that_are_none() -> None:
    camera = Camera(
        torch.tensor([500.0, 400.0]), torch.tensor([10.0, 20.0]), torch.eye(3), torch.zeros(3), size=(64, 48)
    )
    inf, nan = math.inf, math.nan
    pixels = torch.tensor([[510.0, 420.0], [inf, 5.0], [7.0, nan], [-490.0, 20.0], [nan, inf]])
    want = torch.tensor(
        [[1.0, 1.0, 1.0], [nan, nan, 1.0], [nan, nan, 1.0], [-1.0, 0.0, 1.0], [nan, nan, 1.0]]
    )
    assert torch.equal(camera.rays(pixels).nan_to_num(9), want.nan_to_num(9))
    both = camera.rays(torch.stack([pixels[:2], pixels[3:]]))
    assert torch.equal(both.nan_to_num(9), torch.stack([want[:2], want[3:]]).nan_to_num(9))
