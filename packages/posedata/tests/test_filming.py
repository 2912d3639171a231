"""Clips of motion, filmed."""

from pathlib import Path

import numpy as np
import torch
from posedata.geometry.canonical import facing_x
from posedata.store import PoseStore
from posedata.synthetic import film
from posedata.synthetic.people.build import build_synthetic
from posedata.views import choose_clips, windows

FACING = 30.0


def test_cameras_stand_before_the_person(tmp_path: Path) -> None:
    """The way to the camera and the way the person faces are within `facing` of each other."""
    poses = PoseStore.open(build_synthetic(tmp_path / "poses", subjects=2, clips=1, frames=20, seed=1))
    chosen = choose_clips(poses, poses.rows(), 3, 4, 6, seed=0)
    said: list[str] = []
    given = {"size": 32, "facing": FACING, "kinect": False, "seed": 3, "say": said.append}
    store = film(poses, chosen, tmp_path, "film", **given)
    again = film(poses, chosen, tmp_path, "film", **given)
    assert (len(said), again.fingerprint) == (1, store.fingerprint)
    assert store.images(np.arange(1), "depth").shape == (1, 32, 32)
    assert windows(store, store.rows(), 3, 99).tolist() == np.arange(18).reshape(6, 3).tolist()
    skeleton = store.skeleton
    middle = np.arange(1, len(store), 3)
    joints = torch.from_numpy(np.array(store.column("joints")[middle]))
    hips = joints[:, skeleton.index("left_hip")] - joints[:, skeleton.index("right_hip")]
    shoulders = joints[:, skeleton.index("left_shoulder")] - joints[:, skeleton.index("right_shoulder")]
    front = torch.linalg.cross(hips + shoulders, torch.tensor([0.0, 0.0, 1.0]).expand(len(middle), 3))
    away = store.camera(middle).position - joints.mean(1)
    cosine = torch.cosine_similarity(front[:, :2], away[:, :2], dim=1)
    assert torch.rad2deg(cosine.acos()).max() < FACING + 6  # they look at a point near the person
    turned = facing_x(joints[:, None], skeleton)
    torch.testing.assert_close(turned, joints[:, None], atol=1e-4, rtol=0)
