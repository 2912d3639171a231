"""Mirrored views as the encoders take them: what a mirrored camera sees of a mirrored person."""

import pytest
import torch
from polypose.samples import Sample
from posedata.skeleton import get_skeleton
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import see

H36M = get_skeleton("h36m17")


@pytest.mark.parametrize("frame", ["aimed", "crop"])
def test_a_mirrored_sample_has_every_x_turned_and_its_sides_exchanged(frame):
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(6, 17, 3, generator=generator, dtype=torch.float64) * 0.4
    views = see(joints, sample_cameras(joints, get_rig("mocap"), generator))
    which = torch.tensor([True, False] * 3)
    plain, got = Sample.of(views, frame), Sample.of(views.mirrored(which), frame)
    torch.testing.assert_close(got.keypoints[which], H36M.flip(plain.keypoints[which]))
    torch.testing.assert_close(got.joints[which], H36M.flip(plain.joints[which]))
    torch.testing.assert_close(got.token[which], plain.token[which] * torch.tensor([-1, 1, 1]))
    mirror = torch.diag(torch.tensor([-1.0, 1, 1], dtype=joints.dtype))
    torch.testing.assert_close(got.rotation[which], mirror @ plain.rotation[which] @ mirror)
    for name in ("keypoints", "joints", "token", "rotation", "confidence"):
        torch.testing.assert_close(getattr(got, name)[~which], getattr(plain, name)[~which])
