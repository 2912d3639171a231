"""Random views: where the cameras stand, by what they see of points that tell."""

import math

import torch
from posedata.views.augment import random_views

UP, EAST = 0, 1


def axes(count: int) -> torch.Tensor:
    """A pose of two points: a little up, and a little along x."""
    return torch.tensor([[0.0, 0.0, 1e-3], [1e-3, 0.0, 0.0]], dtype=torch.float64).expand(count, 2, 3)


def test_known_camera() -> None:
    """At azimuth 0 a level camera at depth 2 looks along -x: y is to its right, z up."""
    level = {"azimuth": (0.0, 0.0), "elevation": (0.0, 0.0), "roll": (0.0, 0.0), "depth": (2.0, 2.0)}
    points = torch.tensor([[[0.0, 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 0.5, 0.0]]])
    seen = random_views(points, torch.Generator(), **level)
    torch.testing.assert_close(seen, torch.tensor([[[0.25, 0.0], [0.0, -0.5], [0.5, 0.0]]]))


def test_angles_fill_their_ranges_evenly() -> None:
    n = 4000
    generator = torch.Generator().manual_seed(0)
    seen = random_views(axes(n), generator, roll=(0.0, 0.0)) * 2e3
    # The up vector is seen cos(elevation) long, the east vector sin(azimuth) to the right.
    elevation = torch.arccos((-seen[:, UP, 1]).clamp(max=1))
    assert elevation.max() <= math.pi / 6 + 0.02
    assert abs(elevation.mean() - math.pi / 12) < 0.01
    azimuth = seen[:, EAST, 0].clamp(-1, 1).arcsin()
    assert azimuth.abs().max() > 1.5
    assert abs(azimuth.abs().mean() - math.pi / 4) < 0.02
    rolled = random_views(axes(n), generator, elevation=(0.0, 0.0))
    roll = torch.atan2(rolled[:, UP, 0], -rolled[:, UP, 1])
    assert abs(roll.min() + math.pi / 6) < 0.02
    assert abs(roll.max() - math.pi / 6) < 0.02


def test_every_pose_its_own_camera_and_the_seed_decides() -> None:
    one = torch.randn(1, 17, 3, generator=torch.Generator().manual_seed(1)).expand(5, 17, 3)
    a = random_views(one, torch.Generator().manual_seed(7))
    assert torch.pdist(a.flatten(1)).min() > 0.01
    torch.testing.assert_close(a, random_views(one, torch.Generator().manual_seed(7)))


def test_joints_at_or_behind_the_camera_stay_finite() -> None:
    points = torch.tensor([[[2.0, 0.1, 0.0], [5.0, 0.1, 0.0]]]).expand(64, 2, 3)
    assert random_views(points, torch.Generator().manual_seed(0)).abs().max() <= 5.2 / 0.25
