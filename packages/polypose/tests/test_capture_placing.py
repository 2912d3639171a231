"""Where somebody stands before one camera: bearings stay what was seen, however wrong the distance is."""

import numpy as np
import torch
from polypose.capture.placing import along_bearings
from polypose.capture.smoothing import Process
from posedata.geometry.camera import Camera

TIMES = np.arange(120) / 30
PROCESS = Process(np.array([4.0, 1.0]), 0.95, 1.0)


def camera() -> Camera:
    """Two metres up, looking along the world's y and a little down."""
    focal = torch.tensor([1000.0, 1000.0], dtype=torch.float64)
    position = torch.tensor([0.0, -6.0, 2.0], dtype=torch.float64)
    return Camera.look_at(position, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), focal, (1000, 800))


def seen(places: np.ndarray, eye: Camera, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Measured places, whose distance is wrong by more and more, up to a sixth, and their covariance."""
    noise = np.random.default_rng(seed)
    away = places - eye.position.numpy()
    wrong = 1 + np.linspace(0, 0.16, len(places)) + 0.01 * noise.standard_normal(len(places))
    measured = eye.position.numpy() + away * wrong[:, None]
    measured = measured + 0.008 * noise.standard_normal(places.shape)
    ray = away / np.linalg.norm(away, axis=1, keepdims=True)
    covariance = 0.008**2 * np.eye(3) + 0.7**2 * ray[:, :, None] * ray[:, None]
    return measured, covariance


def pixels(places: np.ndarray, eye: Camera) -> np.ndarray:
    return eye.project(torch.from_numpy(places)).numpy()


def test_who_walks_across_the_view_is_not_pulled_off_its_bearing() -> None:
    eye = camera()
    places = np.column_stack([np.linspace(-3, 3, 120), np.zeros(120), np.full(120, 0.95)])
    measured, covariance = seen(places, eye)
    found, spread = along_bearings(TIMES, measured, covariance, eye, PROCESS)
    off = np.linalg.norm(pixels(found, eye) - pixels(places, eye), axis=1)
    raw = np.linalg.norm(pixels(measured, eye) - pixels(places, eye), axis=1)
    assert off.max() < 6
    assert off.mean() < raw.mean()
    # along the ray it is as wrong as measured, and says so; across it, millimetres
    away = found - eye.position.numpy()
    ray = away / np.linalg.norm(away, axis=1, keepdims=True)
    along = np.sqrt(np.einsum("ti,tij,tj->t", ray, spread, ray))
    wrong = np.linalg.norm(away, axis=1) - np.linalg.norm(places - eye.position.numpy(), axis=1)
    assert (np.abs(wrong) < 2.5 * along).all()
    side = np.cross(ray, [0, 0, 1])
    assert np.sqrt(np.einsum("ti,tij,tj->t", side, spread, side)).max() < 0.02


def test_who_jumps_is_followed() -> None:
    eye = camera()
    phase = (TIMES % 1.0) - 0.5
    height = 0.95 + np.where(np.abs(phase) < 0.3, 0.5 * 9.81 * (0.09 - phase**2), 0)
    places = np.column_stack([np.zeros(120), np.zeros(120), height])
    measured, covariance = seen(places, eye)
    found, _ = along_bearings(TIMES, measured, covariance, eye, PROCESS)
    assert np.abs(pixels(found, eye) - pixels(places, eye)).max() < 12  # of 75 that the jump has


def test_frames_in_which_nobody_stands_before_the_camera_are_bridged() -> None:
    eye = camera()
    places = np.column_stack([np.linspace(-1, 1, 120), np.zeros(120), np.full(120, 0.95)])
    measured, covariance = seen(places, eye)
    measured[50:56] = np.nan
    measured[80] = eye.position.numpy() - [0, 1, 0]  # behind it
    found, spread = along_bearings(TIMES, measured, covariance, eye, PROCESS)
    assert np.abs(pixels(found, eye) - pixels(places, eye)).max() < 8
    assert np.trace(spread[53]) > np.trace(spread[30])
