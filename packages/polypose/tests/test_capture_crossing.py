"""Five people who walk through each other's way: ids, and how much of them is followed."""

import numpy as np
import torch
from capture_people import H36M, Detector, walker
from crossing import Scene, filmed, owners, switches
from polypose.capture.tracks import link
from posedata.geometry.camera import Camera

FRAMES = 120
DRESS = np.array([[0.2, 0.2, 0.2], [0.8, 0.7, 0.2], [0.2, 0.5, 0.8], [0.7, 0.2, 0.3], [0.5, 0.8, 0.5]])


def crossing(detector: Detector, dress: np.ndarray | None = DRESS) -> Scene:
    people = []
    for lane in range(5):
        joints = walker(FRAMES, seed=10 + lane)
        way = np.linspace(-1.4, 1.4, FRAMES) * (-1) ** lane
        place = np.stack([way, np.full(FRAMES, 0.8 * lane), 0 * way], axis=-1)
        people.append(joints - joints[:, :1] * np.array([1.0, 1, 0]) + place[:, None])
    at, target = (torch.tensor(x, dtype=torch.float64) for x in ((0.0, -5.0, 2.2), (0.0, 1.6, 0.9)))
    return filmed(np.stack(people), Camera.look_at(at, target, 1100.0, (1280, 960)), detector, dress, seed=1)


def test_five_who_cross_and_hide_each_other_keep_their_ids() -> None:
    scene = crossing(Detector())
    assert (~scene.seen).sum() > 20  # somebody is hidden for a while
    tracks = link(scene.moments, "h36m17")
    ids = owners(scene, tracks, list(H36M.mirror))
    assert switches(ids) == 0
    assert len(tracks) == 5
    assert (ids > 0).sum() / scene.seen.sum() > 0.98


def test_switches_are_counted() -> None:
    ids = np.array([[1, 1, 0, 1, 2, 2, 1], [0, 0, 3, 3, 3, 0, 3]])
    assert switches(ids) == 2
