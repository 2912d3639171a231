"""The conventions of the rotations that people and hands are made of, against closed forms."""

import math

import pytest
import torch
from posedata.synthetic.hands.hand import _REST_DEGREES, _rest_frames
from posedata.synthetic.people.kinematics import ball, unball
from roma import euler_to_rotmat, rotvec_to_rotmat
from torch import Tensor

DOUBLE = torch.float64


def turn(axis: int, angle: float) -> Tensor:
    """A right-handed turn about one axis, written out."""
    c, s = math.cos(angle), math.sin(angle)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.eye(3, dtype=DOUBLE)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 0.7, math.pi / 2, 3.1, math.pi])
def test_a_rotation_vector_is_the_exponential_of_its_cross_product(angle: float) -> None:
    axis = torch.nn.functional.normalize(
        torch.randn(20, 3, dtype=DOUBLE, generator=torch.manual_seed(0)), dim=-1
    )
    x, y, z = (angle * axis).unbind(-1)
    still = torch.zeros_like(x)
    cross = torch.stack([still, -z, y, z, still, -x, -y, x, still], -1).reshape(-1, 3, 3)
    made = rotvec_to_rotmat(angle * axis)
    torch.testing.assert_close(made, torch.matrix_exp(cross), rtol=0, atol=1e-11)
    single = rotvec_to_rotmat((angle * axis).float())
    torch.testing.assert_close(single, made.float(), rtol=0, atol=5e-7)


def test_euler_angles_turn_about_axes_that_turn_along() -> None:
    z, y, x = 0.4, -1.1, 2.3
    made = euler_to_rotmat("ZYX", torch.tensor([[z, y, x]], dtype=DOUBLE))[0]
    torch.testing.assert_close(made, turn(2, z) @ turn(1, y) @ turn(0, x))


def test_a_finger_at_rest_points_along_its_azimuth_and_elevation() -> None:
    frames = _rest_frames(torch.zeros(0, dtype=DOUBLE))
    assert len(frames) == len(_REST_DEGREES) == 5
    for frame, degrees in zip(frames, _REST_DEGREES.values(), strict=True):
        azimuth, elevation, roll = map(math.radians, degrees)
        flat = math.cos(elevation)
        along = [flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)]
        torch.testing.assert_close(frame[:, 0].tolist(), along)
        torch.testing.assert_close(frame, turn(2, azimuth) @ turn(1, -elevation) @ turn(0, roll))


def test_a_limb_swings_forward_and_to_the_left_and_back_again() -> None:
    quarter, none = torch.tensor(math.pi / 2, dtype=DOUBLE), torch.tensor(0.0, dtype=DOUBLE)
    torch.testing.assert_close(ball(quarter, none, none), turn(1, -math.pi / 2))
    torch.testing.assert_close(ball(none, quarter, none), turn(0, math.pi / 2))
    torch.testing.assert_close(ball(none, none, quarter), turn(2, math.pi / 2))
    angles = torch.tensor([[0.3, -0.8, 1.2], [0.0, 0.0, 0.4]], dtype=DOUBLE)
    torch.testing.assert_close(unball(ball(*angles.unbind(-1))), angles)


def test_no_rotation_vectors_give_no_rotations() -> None:
    assert rotvec_to_rotmat(torch.zeros(0, 4, 3)).shape == (0, 4, 3, 3)
