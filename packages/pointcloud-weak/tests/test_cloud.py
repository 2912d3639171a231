"""Depth to cloud against the camera and a real Kinect cloud; clean-up against clouds built for it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pointcloud_weak.cloud import DepthUnprojector, clusters, fit_plane, voxel_downsample
from posedata import Camera
from posedata.open3d_loader import open3d

KINECT = Path(__file__).resolve().parents[3] / "../shared/data/rgbd/five_people.pcd"


def camera(size=(7, 5), distortion=None):
    return Camera(
        focal=torch.tensor([30.0, 31.0]),
        centre=torch.tensor([3.2, 1.9]),
        rotation=torch.eye(3),
        translation=torch.zeros(3),
        distortion=distortion,
        size=size,
    )


@pytest.mark.parametrize("distortion", [None, torch.tensor([0.1, -0.02, 0.003, -0.001, 0.01])])
def test_cloud_projects_back_to_its_pixels(distortion):
    cam = camera(distortion=distortion)
    depth = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0)) + 1
    cloud = DepthUnprojector(cam)(depth)
    assert torch.equal(cloud[..., 2], depth)
    pixels = cam.project_camera(cloud.view(2, 35, 3)).view(2, 5, 7, 2)
    expected = torch.stack(torch.meshgrid(torch.arange(7.0), torch.arange(5.0), indexing="xy"), dim=-1)
    torch.testing.assert_close(pixels, expected.expand_as(pixels), rtol=0, atol=1e-4)


def test_what_no_ray_reaches_is_nowhere():
    """A lens that folds at a radius of 0.7 leaves the image's corners without rays."""
    folding = camera(size=(60, 50), distortion=torch.tensor([-0.5, 0.0, 0.0, 0.0, 0.0])).replace(
        centre=torch.tensor([29.5, 24.5])
    )
    unproject = DepthUnprojector(folding)
    seen_radius = (2 / 3) * (2 / 3) ** 0.5  # r (1 - r²/2) at its greatest
    u, v = torch.meshgrid(torch.arange(60.0), torch.arange(50.0), indexing="xy")
    radius = torch.stack([(u - 29.5) / 30, (v - 24.5) / 31]).norm(dim=0)
    clear = (radius - seen_radius).abs() > 0.01
    assert torch.equal(unproject.has_ray[clear], (radius < seen_radius)[clear])
    cloud = unproject(torch.ones(50, 60))
    assert torch.equal(cloud[~unproject.has_ray], torch.zeros(int((~unproject.has_ray).sum()), 3))
    assert cloud.isfinite().all()


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="depth is 5x7, the camera 7x5"):
        DepthUnprojector(camera())(torch.ones(7, 5))


def test_real_kinect_cloud_comes_back_from_its_depth():
    if not KINECT.is_file():
        pytest.skip("../shared/data/rgbd/five_people.pcd is not here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = np.asarray(open3d().io.read_point_cloud(str(KINECT), remove_nan_points=False).points)
    cloud = torch.from_numpy(points).float().view(480, 640, 3)
    seen = cloud.isfinite().all(-1)
    kinect = Camera(
        torch.full((2,), 525.0), torch.tensor([319.5, 239.5]), torch.eye(3), torch.zeros(3), size=(640, 480)
    )
    again = DepthUnprojector(kinect)(cloud[..., 2].nan_to_num())
    assert seen.sum() > 50_000
    assert (again - cloud)[seen].abs().max() < 1e-3


def test_voxels_hold_the_mean():
    points = torch.tensor([[0.01, 0.01, 0.01], [0.03, 0.01, 0.01], [1.0, 1.0, 1.0]])
    thin = voxel_downsample(points, 0.5)
    expected = torch.tensor([[0.02, 0.01, 0.01], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(thin[thin[:, 0].argsort()], expected)


def test_clusters_are_numbered_by_size_and_strays_left_out():
    generator = torch.Generator().manual_seed(0)
    small, large = (
        torch.rand(30, 3, generator=generator) * 0.1,
        torch.rand(60, 3, generator=generator) * 0.1 + 2,
    )
    labels = clusters(torch.cat([small, large, torch.tensor([[9.0, 9.0, 9.0]])]), 0.1)
    assert labels.tolist() == [1] * 30 + [0] * 60 + [-1]
    assert clusters(torch.zeros(0, 3), 0.1).shape == (0,)
    assert clusters(torch.eye(3) * 9, 0.1).tolist() == [-1, -1, -1]


def test_plane_is_found_among_clutter():
    generator = torch.Generator().manual_seed(0)
    floor = torch.rand(300, 3, generator=generator) * 4
    floor[:, 1] = 1.2
    clutter = torch.rand(60, 3, generator=generator)
    plane, rows = fit_plane(torch.cat([floor, clutter]))
    torch.testing.assert_close(
        plane * plane[1].sign(), torch.tensor([0.0, 1.0, 0.0, -1.2]), atol=1e-3, rtol=0
    )
    assert set(range(300)) <= set(rows.tolist())
    assert torch.equal(fit_plane(torch.cat([floor, clutter]))[1], rows)
    with pytest.raises(ValueError, match="2 points do not make a plane"):
        fit_plane(torch.zeros(2, 3))


def test_a_plane_does_not_depend_on_the_order_in_which_threads_end():
    """A noisy floor, where every triple gives another plane: always the same one."""
    generator = torch.Generator().manual_seed(0)
    floor = torch.rand(1200, 3, generator=generator) * 2
    floor[:, 1] = 1.2 + 0.015 * torch.randn(1200, generator=generator)
    cloud = torch.cat([floor, torch.rand(200, 3, generator=generator) * 2])
    found = [fit_plane(cloud, 0.02) for _ in range(100)]
    assert all(torch.equal(rows, found[0][1]) for _, rows in found)
    assert all(torch.equal(plane, found[0][0]) for plane, _ in found)
