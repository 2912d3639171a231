"""The cloud as a modality of a space, beside keypoints."""

from dataclasses import replace

import pointcloud_weak.modality as cloud
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.views.batch import Views, see
from poseenc import Space, get_modality

ROWS, DIM = 4, 16


def people() -> Views:
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(ROWS, len(get_skeleton("h36m17")), 3, generator=generator) * 0.3
    joints[..., 1] += 4
    camera = Camera.look_at(torch.zeros(ROWS, 3), joints.mean(1), focal=500.0, size=(640, 480))
    views = see(joints, camera)
    points = views.local[:, torch.arange(200) % 17] + 0.05 * torch.randn(ROWS, 200, 3, generator=generator)
    return replace(views, points=points)


def test_cloud_is_a_modality_once_its_package_is_imported() -> None:
    assert get_modality("cloud") is cloud.CLOUD
    torch.manual_seed(0)
    space, views = Space(["2d", "cloud"], DIM).eval(), people()
    assert views.points is not None
    views.points[1, 7] = torch.nan
    views.points[2] = 0
    with torch.no_grad():
        found = space(views)
        moved = space(replace(views, points=views.points.roll(3, dims=1)))
    assert found.present["cloud"].tolist() == [True, False, False, True]
    assert (found.beliefs["cloud"].mean[1:3] == 0).all()
    torch.testing.assert_close(found.beliefs["cloud"].mean[[0, 3]].norm(dim=1), torch.ones(2))
    assert (found.beliefs["cloud"].mean[0] - found.beliefs["cloud"].mean[3]).abs().max() > 1e-4
    assert moved.present["cloud"].equal(found.present["cloud"])
    without = space(replace(views, points=None))
    assert not without.present["cloud"].any()
    torch.testing.assert_close(without.fused().mean, without.beliefs["2d"].mean)


def test_training_wears_clouds_by_the_generator() -> None:
    points = people().points
    assert points is not None
    worn = cloud.CLOUD.augment({"points": points}, torch.Generator().manual_seed(0))["points"]
    again = cloud.CLOUD.augment({"points": points}, torch.Generator().manual_seed(0))["points"]
    assert torch.equal(worn, again)
    moved = (worn - points).norm(dim=-1)
    lost = (worn - points[:, :1]).norm(dim=-1) < 0.03
    assert 0.05 < lost.float().mean() < 0.15
    assert moved[~lost].max() < 10 * cloud.JITTER
    assert moved[~lost].mean() > cloud.JITTER
