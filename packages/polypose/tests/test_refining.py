"""Hypotheses seen again by a camera that is known: distances against the camera's own."""

import pytest
import torch
from polypose.lifting import place, place_along
from polypose.network import POSE_SKELETON
from polypose.peer import JOINTS
from polypose.refining import distances, refined
from polypose.samples import Sample
from posedata.geometry.aim import aim
from posedata.geometry.camera import Camera
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import see
from torch import Tensor


def joints(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(count, JOINTS, 3, generator=generator) + torch.tensor([0, 0, 1.0])


def sample(count: int, seed: int = 0) -> tuple[Sample, Tensor, Camera]:
    """Views by virtual cameras; the joints in the person-centred camera, which is the third."""
    world = joints(count, seed)
    cameras = sample_cameras(world, get_rig("anywhere"), torch.Generator().manual_seed(seed))
    views = see(world, cameras, POSE_SKELETON)
    aimed = aim(cameras, views.box)
    return Sample.of(views, "aimed"), aimed.world_to_camera(world), aimed


def test_the_truth_is_seen_where_it_is() -> None:
    seen, local, _ = sample(40)
    found = distances(seen.joints[None].double(), _double(seen))
    assert float(found.max()) < 1e-4
    rays = local[..., :2] / local[..., 2:]
    at = place_along(seen.joints, rays, seen.confidence)
    torch.testing.assert_close(at, local[:, 0], atol=1e-2, rtol=1e-3)


def test_distances_are_the_camera_s_own() -> None:
    """Placed by `place`, projected by the camera, over its focal length."""
    seen, _, aimed = sample(10)
    seen.confidence[:, 3:7] = 0.3
    wrong = seen.joints + 0.05 * torch.randn(3, 10, JOINTS, 3, generator=torch.Generator().manual_seed(1))
    found = distances(wrong, seen)
    eye = torch.eye(3).expand(10, 3, 3)
    camera = Camera(aimed.focal, torch.zeros(10, 2), eye, torch.zeros(10, 3), size=(2, 2))
    for s in range(3):
        keypoints = torch.cat([seen.keypoints, seen.confidence[..., None]], -1)
        at = place(wrong[s], keypoints, camera)
        pixels = camera.project(wrong[s] + at[:, None])
        expected = (pixels - seen.keypoints).norm(dim=-1) / aimed.focal[:, :1]
        torch.testing.assert_close(found[s], expected, atol=1e-4, rtol=1e-3)


def around(seen: Sample, generator: torch.Generator) -> Tensor:
    """The truth, third among poses that are off."""
    away = 0.1 * torch.randn(20, *seen.joints.shape, generator=generator)
    away[2] = 0
    away[:, :, 0] = 0
    return seen.joints + away


def test_the_truth_among_hypotheses_is_found() -> None:
    seen, kept = sample(30)[0], sample(30, 5)[0]
    generator = torch.Generator().manual_seed(0)
    drawn = around(seen, generator)
    found = refined(drawn, seen, around(kept, generator), kept)
    assert found["draws_mpjpe_mm"] == pytest.approx(
        1000 * float((drawn.mean(0) - seen.joints).norm(dim=-1).mean()), rel=1e-5
    )
    assert found["draws_mpjpe_mm"] > 20
    assert found["chosen_mpjpe_mm"] < 0.1
    assert found["weighted_mpjpe_mm"] < 0.1
    assert found["joints_chosen_mpjpe_mm"] < 1
    assert 0 < found["noise"] < 0.05
    assert found["refine_ms"] > 0


def test_one_hypothesis_is_what_everything_comes_to() -> None:
    seen = sample(12)[0]
    wrong = (seen.joints * 1.1)[None]
    found = refined(wrong, seen, wrong, seen)
    expected = 100 * float(seen.joints.norm(dim=-1).mean())
    for name in ("draws", "chosen", "joints_chosen", "weighted"):
        assert found[f"{name}_mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
    assert found["noise"] is None


def _double(seen: Sample) -> Sample:
    return Sample(
        seen.keypoints.double(),
        seen.confidence.double(),
        seen.token.double(),
        seen.joints.double(),
        seen.rotation.double(),
    )
