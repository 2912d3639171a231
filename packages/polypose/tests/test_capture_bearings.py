"""A way before one camera: what is known to a pixel stays so, though the distance is guessed."""

from __future__ import annotations

import numpy as np
import torch
from polypose.capture.bearings import smooth_way
from polypose.capture.smoothing import Process, smooth
from posedata.geometry.camera import Camera

TURN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
PROCESS = Process(np.array([4.0, 1.0]), 0.95, 1.0)


def camera(position=(0.5, -1.0, 1.5)) -> Camera:
    turn = torch.from_numpy(TURN)
    focal, centre = torch.tensor([1500.0, 1500.0]), torch.tensor([960.0, 540.0])
    return Camera(focal, centre, turn, -turn @ torch.tensor(position, dtype=torch.float64), size=(1920, 1080))


def walked(noise: float, far: float, seed: int = 0):
    """A person who walks 6 m across the picture, 7 m away; as seen, with its covariance.

    Args:
        noise: of a bearing, radians.
        far: share by which every distance is too large.
    """
    rng = np.random.default_rng(seed)
    eye = camera()
    times = np.arange(180) / 30
    true = np.stack([times - 2.5, np.full(180, 6.0), np.full(180, 0.9)], -1)
    rays = (true - eye.position.numpy()) @ TURN.T
    seen = rays * far
    seen[:, :2] += rng.normal(0, noise, (180, 2)) * seen[:, 2:]
    along = seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    spread = (noise * 7) ** 2 * np.eye(3) + (0.15 * 7) ** 2 * along[:, :, None] * along[:, None]
    back = seen @ TURN + eye.position.numpy()
    return times, true, back, TURN.T @ spread @ TURN, eye


def test_who_walks_across_stays_in_the_picture():
    times, true, seen, covariance, eye = walked(0.003, 1.12)
    place, spread = smooth_way(times, seen, covariance, eye, PROCESS)
    off = np.linalg.norm(
        eye.project(torch.from_numpy(place)).numpy() - eye.project(torch.from_numpy(true)).numpy(), axis=-1
    )
    assert np.median(off) < 1500 * 0.003 * 1.2
    assert off.max() < 1500 * 0.003 * 4
    depth = (place - eye.position.numpy()) @ TURN[2] / 7
    np.testing.assert_allclose(depth, 1.12, atol=0.02)
    along = (place - eye.position.numpy()) / np.linalg.norm(place - eye.position.numpy(), axis=-1)[:, None]
    sd = np.sqrt((along[:, None] @ spread @ along[..., None])[:, 0, 0])
    np.testing.assert_allclose(sd, 0.15 * 7 * 1.12, rtol=0.4)
    metres = smooth(times, seen[:, None], covariance[:, None], Process(np.array([1.0]), 0.95, 1.0)).mean[:, 0]
    worse = eye.project(torch.from_numpy(metres)).numpy() - eye.project(torch.from_numpy(true)).numpy()
    assert np.median(np.linalg.norm(worse, axis=-1)) > 5 * np.median(off)


def test_gaps_are_bridged_and_nothing_stays_nothing():
    times, true, seen, covariance, eye = walked(0.001, 1.0)
    seen[60:80] = np.nan
    place, spread = smooth_way(times, seen, covariance, eye, PROCESS)
    assert np.linalg.norm(place - true, axis=-1)[60:80].max() < 0.1
    assert np.trace(spread[70]) > np.trace(spread[40])
    nothing = np.full_like(seen, np.nan)
    assert np.isnan(smooth_way(times, nothing, covariance, eye, PROCESS)[0]).all()


def test_who_jumps_is_followed() -> None:
    times, true, _, covariance, eye = walked(0.002, 1.0)
    phase = times % 1.0 - 0.5
    true[:, 2] += np.where(np.abs(phase) < 0.3, 0.5 * 9.81 * (0.09 - phase**2), 0)
    place, _ = smooth_way(times, true, covariance, eye, PROCESS)
    off = eye.project(torch.from_numpy(place)).numpy() - eye.project(torch.from_numpy(true)).numpy()
    assert np.abs(off).max() < 15  # of 95 pixels that the jump has


def test_who_is_behind_the_camera_for_a_frame_was_not_seen_in_it() -> None:
    times, true, seen, covariance, eye = walked(0.001, 1.0)
    seen[80] = eye.position.numpy() - [0, 1, 0]
    place, _ = smooth_way(times, seen, covariance, eye, PROCESS)
    assert np.linalg.norm(place - true, axis=-1).max() < 0.1
