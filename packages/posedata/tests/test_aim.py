"""The person-centred camera against the geometry it stands for."""

import math

import torch
from posedata.geometry.aim import aim, reproject, turn_to
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera

SIZE = (1000, 1000)


def person(count: int = 5, spread: float = 0.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 17, 3, generator=generator, dtype=torch.float64) * spread


def cameras(count: int = 5) -> Camera:
    generator = torch.Generator().manual_seed(1)
    angle = torch.rand(count, generator=generator, dtype=torch.float64) * 2 * math.pi
    position = torch.stack([5 * angle.cos(), 5 * angle.sin(), 1 + 0 * angle], dim=-1)
    aside = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.7
    camera = Camera.look_at(position, aside, 1100.0, SIZE)
    return camera.replace(distortion=torch.tensor([-0.2, 0.1, 1e-3, -2e-3, 0.0], dtype=torch.float64))


def test_reprojected_pixels_are_what_the_aimed_camera_sees() -> None:
    joints, camera = person(), cameras()
    aimed = aim(camera, bounding_box(camera.project(joints)))
    seen = reproject(camera.project(joints), camera, aimed)
    torch.testing.assert_close(seen, aimed.project(joints), rtol=0, atol=1e-8)


def test_aimed_camera_stands_where_the_other_does_and_is_proper() -> None:
    camera = cameras()
    aimed = aim(camera, bounding_box(camera.project(person())))
    torch.testing.assert_close(aimed.position, camera.position)
    torch.testing.assert_close(torch.linalg.det(aimed.rotation), torch.ones(5, dtype=torch.float64))


def test_box_centre_is_the_origin_and_its_half_side_the_unit() -> None:
    camera = cameras()
    box = bounding_box(camera.project(person(spread=0.05)))
    aimed = aim(camera, box)
    corners = torch.stack([(box[:, :2] + box[:, 2:]) / 2, box[:, :2], box[:, 2:]], dim=1)
    seen = reproject(corners, camera, aimed)
    torch.testing.assert_close(seen[:, 0], torch.zeros(5, 2, dtype=torch.float64), atol=1e-9, rtol=0)
    half = (seen[:, 2] - seen[:, 1]).amax(dim=-1) / 2
    # Exact for a small box in the centre; distortion and obliqueness cost some per cent.
    torch.testing.assert_close(half, torch.ones_like(half), atol=0.12, rtol=0)


def test_turning_the_camera_changes_nothing() -> None:
    """The point of it: a camera that pans sees, once aimed, the same keypoints and the same pose."""
    joints = person(1, spread=0.3)
    position = torch.tensor([5.0, 0.0, 0.0], dtype=torch.float64)
    frames = []
    for aside in (0.0, 1.5):
        target = torch.tensor([0.0, aside, 0.0], dtype=torch.float64)
        camera = Camera.look_at(position, target, 1100.0, SIZE)
        # The box of the same solid angle: the direction to the person's middle, not the pixels' extent.
        middle = camera.project(joints.mean(dim=1, keepdim=True))[:, 0]
        box = torch.cat([middle - 100, middle + 100], dim=-1)
        aimed = aim(camera, box)
        # A pixel's angle changes off the axis; directions do not.
        frames.append(aimed.world_to_camera(joints))
    torch.testing.assert_close(frames[0], frames[1], atol=1e-9, rtol=0)


def test_the_turn_is_made_of_cross_products() -> None:
    camera = cameras()
    box = bounding_box(camera.project(person()))
    ray = camera.rays(((box[:, :2] + box[:, 2:]) / 2)[:, None])[:, 0]
    ahead = ray / ray.norm(dim=-1, keepdim=True)
    right = torch.linalg.cross(torch.tensor([[0.0, 1, 0]], dtype=torch.float64), ahead)
    right = right / right.norm(dim=-1, keepdim=True)
    wanted = torch.stack([right, torch.linalg.cross(ahead, right), ahead], dim=1)
    turn, focal = turn_to(camera, box)
    torch.testing.assert_close(turn, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(turn @ camera.rotation, aim(camera, box).rotation)
    half = (box[:, 2:] - box[:, :2]).amax(-1) / 2
    torch.testing.assert_close(focal[:, 0], 1100 / (half * ahead[:, 2]))


def test_no_roll() -> None:
    camera = cameras().replace(distortion=torch.zeros(5, dtype=torch.float64))
    aimed = aim(camera, bounding_box(camera.project(person())))
    turn = aimed.rotation @ camera.rotation.mT
    torch.testing.assert_close(turn[:, 0, 1], torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)
