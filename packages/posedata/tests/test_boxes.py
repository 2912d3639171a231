import pytest
import torch
from posedata.geometry.boxes import (
    bounding_box,
    bounding_box_token,
    crop_keypoints,
    denormalise_keypoints,
    normalise_keypoints,
)
from posedata.geometry.camera import Camera

KEYPOINTS = torch.tensor([[10.0, 20.0], [30.0, 100.0], [25.0, 60.0], [500.0, 500.0]])
VALID = torch.tensor([True, True, True, False])


def test_box_covers_the_valid_keypoints_with_a_margin_of_the_longer_side() -> None:
    assert bounding_box(KEYPOINTS, VALID, margin=0.0).tolist() == [10, 20, 30, 100]
    assert bounding_box(KEYPOINTS, VALID, margin=0.1).tolist() == [2, 12, 38, 108]
    assert bounding_box(KEYPOINTS, margin=0.0).tolist() == [10, 20, 500, 500]


@pytest.mark.parametrize(("aspect", "expected"), [(0.75, [-10, 20, 50, 100]), (0.2, [10, 10, 30, 110])])
def test_aspect_is_reached_by_growing_about_the_centre(aspect: float, expected: list[float]) -> None:
    box = bounding_box(KEYPOINTS, VALID, margin=0.0, aspect=aspect)
    torch.testing.assert_close(box, torch.tensor(expected, dtype=torch.float32))


def test_no_valid_keypoint_gives_nan() -> None:
    box = bounding_box(KEYPOINTS.expand(2, 4, 2), torch.stack([VALID, VALID & False]), margin=0.1)
    assert box.isnan().any(-1).tolist() == [False, True]


def test_token_is_place_and_size_over_the_focal_length() -> None:
    camera = Camera.look_at(
        torch.tensor([0.0, -3, 1]), torch.zeros(3), torch.tensor([500.0, 400.0]), (640, 480)
    )
    box = torch.tensor([300.0, 100.0, 439.0, 300.0])
    expected = torch.tensor([(369.5 - 319.5) / 500, (200 - 239.5) / 400, 200 / 450])
    torch.testing.assert_close(bounding_box_token(box, camera), expected)


def test_normalised_keypoints_span_the_longer_side_and_keep_confidence() -> None:
    box = torch.tensor([10.0, 20.0, 30.0, 100.0])
    corners = torch.tensor([[10.0, 20.0, 0.3], [30.0, 100.0, 0.7], [20.0, 60.0, 1.0]])
    expected = torch.tensor([[-0.25, -1.0, 0.3], [0.25, 1.0, 0.7], [0.0, 0.0, 1.0]])
    placed = normalise_keypoints(corners, box)
    torch.testing.assert_close(placed, expected)
    torch.testing.assert_close(denormalise_keypoints(placed, box), corners)


def test_pixels_of_a_crop_are_those_of_its_camera() -> None:
    camera = Camera(
        torch.tensor([30.0, 40.0]), torch.tensor([24.5, 19.5]), torch.eye(3), torch.zeros(3), size=(50, 40)
    )
    box = torch.tensor([[9.5, 4.5, 29.5, 34.5], [0.0, 1.0, 7.0, 5.0]])
    points = torch.tensor([[0.1, 0.2, 1.0], [-0.3, 0.1, 2.0]])
    whole = torch.cat([camera.project_camera(points), torch.tensor([[0.9], [0.4]])], -1).expand(2, 2, 3)
    found = crop_keypoints(whole, box, (10, 12))
    parts = [camera.crop(one, (10, 12)).project_camera(points) for one in box]
    torch.testing.assert_close(found[..., :2], torch.stack(parts), atol=1e-4, rtol=1e-5)
    assert torch.equal(found[..., 2], whole[..., 2])
