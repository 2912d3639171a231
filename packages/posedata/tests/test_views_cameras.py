"""One pose before several cameras: the same body, side by side, each camera drawn for it."""

import numpy as np
import pytest
import torch
from posedata.skeleton import get_skeleton
from posedata.views.batch import TRUE
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import RIGS
from posedata.views.virtual import Bodies, VirtualViews

COUNT = 6


@pytest.fixture(scope="module")
def virtual() -> VirtualViews:
    generator = torch.Generator().manual_seed(0)
    joints = 0.3 * torch.randn(20, 17, 3, generator=generator) + torch.tensor([0.0, 0.0, 1.0])
    rigs = (RIGS["mocap"], RIGS["anywhere"])
    bodies = Bodies(mirror=0.5, stature=0.1, bones=0.1)
    return VirtualViews(joints, get_skeleton("h36m17"), rigs, DetectorNoise(), bodies, np.arange(20) // 10)


def test_a_pose_keeps_its_body_before_every_camera(virtual: VirtualViews) -> None:
    one = virtual.draw(COUNT, torch.Generator().manual_seed(1), augment=True)
    two = virtual.draw(COUNT, torch.Generator().manual_seed(1), augment=True, cameras=2)
    assert one.joints is not None
    assert two.joints is not None
    assert len(two) == 2 * COUNT
    assert torch.equal(two.joints[::2], one.joints)  # drawn once, with the same chance
    assert torch.equal(two.joints[1::2], one.joints)
    assert ((two.camera.position[::2] - two.camera.position[1::2]).norm(dim=1) > 0.05).all()
    seen = two.camera.project(two.joints)
    torch.testing.assert_close(two.keypoints[TRUE][..., :2], seen)


def test_a_clip_has_one_camera_at_a_time(virtual: VirtualViews) -> None:
    views = virtual.draw(COUNT, torch.Generator().manual_seed(1), frames=3, cameras=2)
    assert views.joints is not None
    joints = views.joints.view(COUNT, 2, 3, 17, 3)
    assert torch.equal(joints[:, 0], joints[:, 1])
    assert not torch.equal(joints[:, :, 0], joints[:, :, 1])
    eyes = views.camera.position.view(COUNT, 2, 3, 3)
    assert (eyes == eyes[:, :, :1]).all()
    assert ((eyes[:, 0, 0] - eyes[:, 1, 0]).norm(dim=1) > 0.05).all()
