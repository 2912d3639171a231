"""What cameras that stand a little elsewhere do to a whole person, against triangulation with them."""

import numpy as np
import pytest
from capture_people import H36M, ring, walker, watched
from polypose.capture.aside import ASIDE, aside
from polypose.capture.rays import Rays, box_size, cast, with_standing
from polypose.capture.triangulate import Joints, triangulate


def seen(count: int) -> tuple[Rays, np.ndarray, np.ndarray]:
    """Exact rays of cameras, what of them stands, and radians by which each is turned, at one sd."""
    joints = walker(2)
    cameras = ring(count, joints[0].mean(0))
    points = watched(joints, cameras)
    rays, lasting = with_standing(cast(cameras, points, H36M), points, H36M)
    angle = ASIDE * box_size(points).mean(1) / np.array([float(c.focal.mean()) for c in cameras])
    return rays, lasting, angle


def turned(rays: Rays, angle: np.ndarray, rng: np.random.Generator) -> Rays:
    """All rays of each camera aside together."""
    middle = rays.direction.mean((1, 2))
    shift = rng.normal(size=middle.shape) * angle[:, None]
    direction = rays.direction + shift[:, None, None]
    return Rays(rays.origin, direction / np.linalg.norm(direction, axis=-1, keepdims=True), rays.sd)


def found(rays: Rays) -> Joints:
    """Every ray counts in full."""
    out = triangulate(rays)
    return Joints(out.joints, out.covariance, out.relative, rays.seen.astype(float), out.leverage)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_whole_person_moves_as_cameras_turned_by_chance_say(count):
    """Where rays meet exactly the usual angle counts for 4 dimensions, beside 2 V - 3 that tell of none."""
    rays, lasting, angle = seen(count)
    exact = found(rays)
    told = aside(rays, lasting, np.ones(len(rays.origin)), exact, H36M)[0] * (4 + 2 * count - 3) / 4
    rng = np.random.default_rng(0)
    moved = np.stack(
        [(triangulate(turned(rays, angle, rng)).joints - exact.joints)[0].mean(0) for _ in range(600)]
    )
    wanted = np.cov(moved.T, bias=True)
    np.testing.assert_allclose(
        np.sqrt(np.linalg.eigvalsh(told)), np.sqrt(np.linalg.eigvalsh(wanted)), rtol=0.12
    )
    apart = np.linalg.norm(told - wanted) / np.linalg.norm(wanted)
    assert apart < 0.2


def test_cameras_that_disagree_by_more_say_so():
    rays, lasting, angle = seen(4)
    calm = aside(rays, lasting, np.ones(len(rays.origin)), found(rays), H36M)[0]
    rng = np.random.default_rng(1)
    sizes = []
    for _ in range(40):
        askew = turned(rays, 3 * angle, rng)
        sizes.append(np.trace(aside(askew, lasting, np.ones(4), found(askew), H36M)[0]) / np.trace(calm))
    assert np.mean(sizes) * 4 / 9 == pytest.approx((4 + 9 * 5) / 9, rel=0.2)  # of the usual variance


def test_one_camera_says_nothing_of_itself():
    rays, lasting, angle = seen(2)
    alone = Rays(rays.origin[:1], rays.direction[:1], rays.sd[:1])
    joints = found(rays)
    mine = Joints(joints.joints, joints.covariance, joints.relative, joints.weights[:1], joints.leverage[:1])
    spread = aside(alone, lasting[:1], np.ones(1), mine, H36M)
    away = np.linalg.norm(joints.joints[0].mean(0) - alone.origin[0])
    across = np.sqrt(np.linalg.eigvalsh(spread[0])[-2:])
    np.testing.assert_allclose(across, angle[0] * away, rtol=0.1)
