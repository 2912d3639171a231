"""The camera against written-out numbers, its own inverse, and finite differences."""

import math

import numpy as np
import pytest
import torch
from posedata.geometry.camera import Camera

H36M_DISTORTION = [-0.2070987, 0.2477752, -0.00142447, -0.0009757, -0.0030751]


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pinhole(focal: float = 500.0, size: tuple[int, int] = (640, 480)) -> Camera:
    return Camera(
        double([focal, focal]),
        (double(size) - 1) / 2,
        torch.eye(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
        size=size,
    )


def distorted(batch: int = 4) -> Camera:
    turn = torch.Generator().manual_seed(0)
    position = torch.randn(batch, 3, generator=turn, dtype=torch.float64) + double([0, -5, 1.5])
    camera = Camera.look_at(
        position, torch.zeros(3, dtype=torch.float64), double([1145.0, 1143.8]), (1000, 1002)
    )
    return camera.replace(distortion=double(H36M_DISTORTION))


def pixels(batch: int = 4, count: int = 300) -> torch.Tensor:
    return torch.rand(batch, count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1000


def brown_conrady_naive(point: np.ndarray, camera: Camera) -> list[float]:
    k1, k2, p1, p2, k3 = camera.distortion.tolist()
    x, y = point[0] / point[2], point[1] / point[2]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    yd = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    (fx, fy), (cx, cy) = camera.focal.tolist(), camera.centre.tolist()
    return [fx * xd + cx, fy * yd + cy]


def test_pinhole_by_hand() -> None:
    world = double([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]])
    assert pinhole().project(world).tolist() == [[500 / 4 + 319.5, 1000 / 4 + 239.5], [319.5, 239.5]]


def test_distortion_equals_the_formula_written_out() -> None:
    camera = distorted()[1].replace(distortion=double([-0.3, 0.2, 0.01, -0.02, 0.05]))
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + double(
        [-0.5, -0.5, 1]
    )
    expected = [brown_conrady_naive(point, camera) for point in points.numpy()]
    np.testing.assert_allclose(camera.project_camera(points).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_unproject_then_project_is_the_identity_under_distortion(
    dtype: torch.dtype, tolerance: float
) -> None:
    camera = distorted().to(dtype=dtype)
    where = pixels().to(dtype)
    depth = torch.rand(4, 300, generator=torch.Generator().manual_seed(3)).to(dtype) + 2
    points = camera.unproject(where, depth)
    torch.testing.assert_close(points[..., 2], depth)
    assert (camera.project_camera(points) - where).abs().max() < tolerance
    world = camera.camera_to_world(points)
    assert (camera.project(world) - where).abs().max() < 3 * tolerance


def test_strong_distortion_still_round_trips() -> None:
    camera = pinhole().replace(distortion=double([-0.35, 0.15, 0.002, -0.003, -0.02]))
    where = pixels()[0] * double([0.639, 0.479])
    assert (
        camera.project_camera(camera.unproject(where, torch.ones(300).double())) - where
    ).abs().max() < 1e-4


def test_beyond_a_fold_there_is_no_ray() -> None:
    """r (1 + 0.1 r² - 0.3 r⁴) is largest where 1 + 0.3 r² - 1.5 r⁴ = 0."""
    camera = pinhole(size=(640, 480)).replace(distortion=double([0.1, -0.3, 0, 0, 0]))
    turn = math.sqrt((0.3 + math.sqrt(0.09 + 6)) / 3)
    reach = 500 * turn * (1 + 0.1 * turn**2 - 0.3 * turn**4)
    away = torch.linspace(0, 2 * reach, 200).double()
    angle = torch.linspace(0, 6, 200).double()
    for dtype in (torch.float64, torch.float32):
        where = (away[:, None] * torch.stack([angle.cos(), angle.sin()], -1) + camera.centre).to(dtype)
        rays = camera.to(dtype=dtype).rays(where)
        assert torch.equal(rays[:, :2].isnan().all(-1), away > reach)
        inside = rays[away < reach]
        assert float(inside[:, :2].norm(dim=-1).max()) <= turn
        seen = camera.to(dtype=dtype).project_camera(inside)
        assert (seen - where[away < reach]).abs().max() < 1e-2
        assert (rays[:, 2] == 1).all()


def test_pixels_without_a_ray_leave_the_gradients_of_others_alone() -> None:
    where = double([[330.0, 200.0], [3000.0, 200.0], [500.0, 400.0]])
    grads = []
    for rows in ([0, 1, 2], [0, 2]):
        lens, pixel = double([0.1, -0.3, 0.001, 0, 0]).requires_grad_(), where[rows].requires_grad_()
        rays = pinhole().replace(distortion=lens).rays(pixel)
        rays[~rays.isnan()].square().sum().backward()
        assert lens.grad is not None
        assert pixel.grad is not None
        grads.append((lens.grad, pixel.grad))
    torch.testing.assert_close(grads[0][0], grads[1][0])
    torch.testing.assert_close(grads[0][1][[0, 2]], grads[1][1])
    assert grads[0][1][1].tolist() == [0, 0]


def test_world_to_camera_and_back() -> None:
    camera = distorted()
    world = torch.randn(4, 9, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = torch.stack(
        [r @ p + t for r, t, ps in zip(camera.rotation, camera.translation, world, strict=True) for p in ps]
    )
    torch.testing.assert_close(camera.world_to_camera(world).flatten(0, 1), expected)
    torch.testing.assert_close(camera.camera_to_world(camera.world_to_camera(world)), world)


def test_look_at_keeps_the_target_central_and_the_world_upright() -> None:
    camera = Camera.look_at(double([0.0, -4.0, 1.0]), double([0.0, 0.0, 1.0]), 500.0, (640, 480))
    seen = camera.project(double([[0, 0, 1], [0, 0, 1.5], [0.5, 0, 1]]))
    torch.testing.assert_close(seen, double([[319.5, 239.5], [319.5, 239.5 - 62.5], [319.5 + 62.5, 239.5]]))
    torch.testing.assert_close(camera.position, double([0.0, -4.0, 1.0]))


def test_look_at_is_a_rotation_for_every_direction_also_straight_down() -> None:
    position = torch.randn(50, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    position[:2] = double([[0, 0, 3], [0, 0, -3]])
    camera = Camera.look_at(position, torch.zeros(3, dtype=torch.float64), 500.0, (640, 480))
    identity = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(camera.rotation @ camera.rotation.mT, identity)
    torch.testing.assert_close(torch.linalg.det(camera.rotation), torch.ones(50).double())
    torch.testing.assert_close(camera.project(torch.zeros(50, 1, 3).double())[:, 0], camera.centre)
    up = camera.project(double([[[0.0, 0.0, 0.1]]]).expand(50, 1, 3))[2:, 0, 1]
    assert (up < 239.5).all()
    # From above, the world's y is up in the image and x right.
    down = camera[0].project(double([[0.0, 0.3, 0.0], [0.3, 0.0, 0.0]]))
    torch.testing.assert_close(down, double([[319.5, 189.5], [369.5, 239.5]]))


def test_a_positive_roll_turns_the_image_anticlockwise() -> None:
    camera = Camera.look_at(double([0.0, -5.0, 0.0]), torch.zeros(3).double(), 500.0, (640, 480), math.pi / 2)
    top = camera.project(double([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(top, double([[219.5, 239.5]]))


def test_points_behind_stay_finite_and_are_told() -> None:
    camera = pinhole()
    points = double([[0.1, 0.2, 1.0], [0.1, 0.2, -1.0], [0.1, 0.2, 0.0]]).requires_grad_()
    seen = camera.project(points)
    torch.testing.assert_close(seen[0] - camera.centre, -(seen[1] - camera.centre))
    assert seen.isfinite().all()
    assert camera.in_front(points).tolist() == [True, False, False]
    (slope,) = torch.autograd.grad(seen.sum(), points)
    assert slope.isfinite().all()


def test_gradients_are_right_in_points_and_in_every_field() -> None:
    camera = distorted(2)
    fields = [
        getattr(camera, name).clone().requires_grad_()
        for name in ("focal", "centre", "rotation", "translation", "distortion")
    ]
    world = torch.randn(
        2, 3, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64
    ).requires_grad_()
    where = pixels(2, 3).requires_grad_()

    def project(world: torch.Tensor, *fields: torch.Tensor) -> torch.Tensor:
        return Camera(*fields, size=(1000, 1002)).project(world)

    def rays(where: torch.Tensor, *fields: torch.Tensor) -> torch.Tensor:
        return Camera(*fields, size=(1000, 1002)).rays(where)

    assert torch.autograd.gradcheck(project, (world, *fields))
    assert torch.autograd.gradcheck(rays, (where, *fields))


def test_resize_keeps_pixel_edges_not_pixel_centres() -> None:
    camera, small = pinhole(), pinhole().resize((320, 120))
    world = double([[0.3, -0.2, 2.0], [0.0, 0.1, 1.0]])
    expected = (camera.project(world) + 0.5) * double([0.5, 0.25]) - 0.5
    torch.testing.assert_close(small.project(world), expected)
    assert small.size.tolist() == [320, 120]
    torch.testing.assert_close(small.resize((640, 480)).centre, camera.centre)


def test_resize_agrees_with_resampling_an_image() -> None:
    """The centre of mass of a blob moves as the camera says when the image is area-averaged."""
    image = torch.zeros(1, 1, 40, 60, dtype=torch.float64)
    image[0, 0, 12:16, 21:27] = 1
    small = torch.nn.functional.avg_pool2d(image, 2)[0, 0]
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    centre = double([(small * columns).sum() / small.sum(), (small * rows).sum() / small.sum()])
    camera = pinhole(size=(60, 40))
    point = camera.unproject(double([[23.5, 13.5]]), double([2.0]))
    torch.testing.assert_close(camera.resize((30, 20)).project_camera(point)[0], centre)


def test_crop_maps_the_box_to_the_new_image_and_keeps_distortion() -> None:
    camera = distorted()
    box = double([[100, 50, 400, 650], [0, 0, 300, 300], [-20, 10, 80, 20], [-0.5, -0.5, 999.5, 1001.5]])
    cut = camera.crop(box, (192, 256))
    points = camera.unproject(pixels(), torch.full((4, 300), 3.0).double())
    seen = camera.project_camera(points)
    scale = double([192, 256]) / (box[:, 2:] - box[:, :2])
    expected = (seen - box[:, None, :2]) * scale[:, None] - 0.5
    torch.testing.assert_close(cut.project_camera(points), expected)
    torch.testing.assert_close(cut[3].centre, camera.resize((192, 256))[3].centre)


def test_batches_broadcast_index_and_join() -> None:
    camera = distorted()
    world = torch.randn(7, 1, 5, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    every = camera.project(world)
    assert every.shape == (7, 4, 5, 2)
    torch.testing.assert_close(every[:, 2], camera[2].project(world[:, 0]))
    joined = Camera.cat([camera[:1], camera[torch.tensor([1, 2])], Camera.stack([camera[3]])])
    torch.testing.assert_close(joined.project(world), every)
    assert len(camera) == 4
    assert camera[:, None].shape == (4, 1)
    with pytest.raises(IndexError, match="single camera"):
        camera[0][0]
