"""One person out of a rendered room: against the renderer's own mask."""

import pytest
import torch
from pointcloud_weak import DepthUnprojector, isolate_person, normals
from posedata import Camera
from posedata.synthetic import Flesh, Renderer, generate_motion

SIZE = (160, 128)


@pytest.fixture(scope="module")
def scene():
    """A person standing in a room, as a Kinect sees it: depth, camera, mask, keypoints."""
    joints = torch.from_numpy(generate_motion(1, 1, 10, seed=3).joints[5])
    return shot(joints, "room", 0)


def shot(joints, background, seed):
    target = joints.mean(0)
    camera = Camera.look_at(target + torch.tensor([2.9, 0.6, 0.5]), target, 160.0, SIZE)
    generator = torch.Generator().manual_seed(seed)
    picture = Renderer(SIZE).render(
        joints, Flesh.sample(generator), camera, generator=generator, background=background, kinect=True
    )
    return torch.from_numpy(picture.depth), camera, torch.from_numpy(picture.mask) > 0, camera.project(joints)


def overlap(found, mask):
    return float((found & mask).sum() / (found | mask).sum())


def test_person_is_cut_from_room_and_floor(scene):
    depth, camera, mask, keypoints = scene
    found = isolate_person(depth, DepthUnprojector(camera), keypoints)
    assert overlap(found.mask, mask) > 0.9
    # the floor is level: its normal is the world's up, and it lies under the feet
    up = camera.rotation[:, 2]
    assert float(found.floor[:3] @ up) > 0.99
    assert abs(found.depth - float((depth[mask] / 1000).median())) < 0.1
    plain = isolate_person(depth.float() / 1000, DepthUnprojector(camera), keypoints)
    assert torch.equal(plain.mask, found.mask)


def test_a_bad_detection_and_a_wall_close_behind_do_no_harm(scene):
    depth, camera, mask, keypoints = scene
    wild = keypoints.clone()
    wild[[3, 13]] = torch.tensor([[3.0, 4.0], [150.0, 90.0]])
    confidence = torch.ones(17)
    confidence[3] = 0.1  # the other is believed
    found = isolate_person(depth, DepthUnprojector(camera), wild, confidence)
    assert overlap(found.mask, mask) > 0.85
    metres = depth.float() / 1000
    metres[~mask] = metres[mask].max() + 0.3
    assert overlap(isolate_person(metres, DepthUnprojector(camera), keypoints).mask, mask) > 0.9


def test_of_two_people_the_detected_one_is_taken(scene):
    depth, camera, mask, keypoints = scene
    other = mask.roll(45, dims=1)
    both = torch.where(other & ~mask, depth.roll(45, dims=1).int() + 200, depth.int()).to(torch.uint16)
    found = isolate_person(both, DepthUnprojector(camera), keypoints)
    assert overlap(found.mask, mask) > 0.85


def test_what_cannot_be_isolated_says_why(scene):
    depth, camera, _, keypoints = scene
    unproject = DepthUnprojector(camera)
    with pytest.raises(ValueError, match="fewer than two 2D joints"):
        isolate_person(depth, unproject, keypoints, torch.zeros(17))
    with pytest.raises(ValueError, match="nothing was measured"):
        isolate_person(torch.zeros_like(depth), unproject, keypoints)


def test_normals_of_a_sphere_point_outwards():
    generator = torch.Generator().manual_seed(0)
    out = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=1)
    out = out[out[:, 2] < -0.2]  # what the camera sees
    points = 0.5 * out + torch.tensor([0.0, 0, 3])
    cosine = (normals(points) * out).sum(1)
    assert cosine.median() > 0.995
    assert cosine.min() > 0.9


def test_joints_that_were_not_found_are_left_out(scene):
    depth, camera, mask, keypoints = scene
    lost = keypoints.clone()
    lost[5] = torch.nan
    found = isolate_person(depth, DepthUnprojector(camera), lost)
    assert overlap(found.mask, mask) > 0.9
    with pytest.raises(ValueError, match="fewer than two 2D joints"):
        isolate_person(depth, DepthUnprojector(camera), lost[4:6])
