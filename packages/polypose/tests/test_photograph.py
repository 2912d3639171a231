"""Left and right of every skeleton, on a real photograph: COCO's, of a skier who faces the camera."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from people import COCO
from polypose.inputs import lifted_skeletons, take_keypoints
from posedata.skeleton import get_skeleton

PHOTO = Path(__file__).resolve().parents[3] / "../shared/data/coco/person_keypoints_one_image.json"
NAMED = ("coco17", "openpose25", "mediapipe33", "halpe26", "h36m17")


@pytest.fixture(scope="module")
def skier() -> np.ndarray:
    """(17, 3) of coco17."""
    if not PHOTO.is_file():
        pytest.skip("COCO's photograph is not here")
    values = json.loads(PHOTO.read_text())["annotations"][0]["keypoints"]
    return np.array(values, float).reshape(17, 3) * (1, 1, 0.5)


@pytest.mark.parametrize("name", NAMED)
def test_left_stays_left(name: str, skier: np.ndarray) -> None:
    skeleton = get_skeleton(name)
    place = dict(zip(COCO.joints, skier, strict=True))
    middle = {
        "pelvis": ("left_hip", "right_hip"),
        "thorax": ("left_shoulder", "right_shoulder"),
        "shoulder_centre": ("left_shoulder", "right_shoulder"),
        "neck": ("nose", "nose"),
    }
    place |= {joint: (place[a] + place[b]) / 2 for joint, (a, b) in middle.items()}
    points = np.stack([place.get(joint, np.zeros(3)) for joint in skeleton.joints])
    found = take_keypoints(points[None], name, say=lambda text: None)[0]
    joints = get_skeleton("h36m17").joints
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        left, right = (found[joints.index(f"{side}_{part}")] for side in ("left", "right"))
        assert left[0] > right[0], part  # who faces the camera has the left hand at the picture's right
        torch.testing.assert_close(left[:2].double(), torch.from_numpy(place[f"left_{part}"][:2]))
    assert name in lifted_skeletons()
