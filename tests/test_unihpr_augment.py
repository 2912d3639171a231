"""Mirrored views: what a mirrored camera sees of a mirrored person."""

from dataclasses import replace

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.views import get_rig, sample_cameras
from unihpr.samples import Sample, see

H36M = get_skeleton("h36m17")


@pytest.mark.parametrize("frame", ["aimed", "crop"])
def test_a_mirrored_sample_is_the_mirrored_scene_seen_by_the_mirrored_camera(frame):
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(6, 17, 3, generator=generator, dtype=torch.float64) * 0.4
    camera = sample_cameras(joints, get_rig("mocap"), generator)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1], dtype=joints.dtype))
    width = torch.as_tensor(camera.size, dtype=joints.dtype).reshape(-1, 2)[:, 0]
    other = Camera(
        camera.focal,
        torch.stack([width - 1 - camera.centre[:, 0], camera.centre[:, 1]], dim=-1),
        mirror @ camera.rotation @ mirror,
        camera.translation @ mirror,
        size=camera.size,
    )
    seen = see(joints, camera, frame=frame)
    expected = see(H36M.flip(joints), other, frame=frame)
    which = torch.tensor([True, False] * 3)
    images = torch.arange(6 * 3 * 4 * 5, dtype=torch.uint8).reshape(6, 3, 4, 5)
    got = replace(seen, images=images).mirrored(which)
    for name in ("keypoints", "confidence", "token", "joints", "rotation"):
        torch.testing.assert_close(getattr(got, name)[which], getattr(expected, name)[which], msg=name)
        assert torch.equal(getattr(got, name)[~which], getattr(seen, name)[~which])
    assert got.images is not None
    assert torch.equal(got.images[0], images[0].flip(-1))
    assert torch.equal(got.images[1], images[1])
    twice = got.mirrored(which)
    assert isinstance(twice, Sample)
    torch.testing.assert_close(twice.rotation, seen.rotation)
