"""Writes the JSON of OpenPose, AlphaPose, MMPose and COCO results, each as its tool does."""

import json
from pathlib import Path
from typing import Any

import numpy as np

BODY_25 = [
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip",
    "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe",
    "LHeel", "RBigToe", "RSmallToe", "RHeel",
]  # fmt: skip
COCO_18 = [name for name in BODY_25[:19] if name != "MidHip"]
COCO_17 = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
]  # fmt: skip


def people(rng: np.random.Generator, count: int, joints: int) -> np.ndarray:
    """(N, J, 3) pixels and scores; every fourth keypoint was not found."""
    points = rng.uniform([50, 40, 0.2], [900, 600, 1.0], size=(count, joints, 3)).round(3)
    points[:, 3::4] = 0
    return points


def flat(person: np.ndarray) -> list[float]:
    return [float(value) for value in person.ravel()]


def write_openpose(
    folder: Path, frames: dict[int, list[np.ndarray]], name: str = "video", **entry: Any
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for frame, here in frames.items():
        told = [
            {"person_id": [-1], "pose_keypoints_2d": flat(p), "face_keypoints_2d": [],
             "hand_left_keypoints_2d": [1, 2, 1], "pose_keypoints_3d": [], **entry} for p in here
        ]  # fmt: skip
        files.append(folder / f"{name}_{frame:012d}_keypoints.json")
        files[-1].write_text(json.dumps({"version": 1.3, "people": told}))
    return files


def alphapose_entry(image: Any, person: np.ndarray, **more: Any) -> dict[str, Any]:
    box = [10.0, 20.0, 300.0, 400.0]
    return {"image_id": image, "category_id": 1, "keypoints": flat(person), "score": 2.9, "box": box, **more}


def alphapose_18(person: np.ndarray) -> list[float]:
    """COCO's 17 with the middle of the shoulders, in OpenPose's order, as AlphaPose makes them."""
    with_neck = np.vstack([person, (person[5] + person[6]) / 2])
    return flat(with_neck[[0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]])


def mmpose_instance(person: np.ndarray, **more: Any) -> dict[str, Any]:
    box = [[11.0, 22.0, 333.0, 444.0]]
    return {
        "keypoints": person[:, :2].tolist(),
        "keypoint_scores": person[:, 2].tolist(),
        "bbox": box,
        **more,
    }


def mmpose_meta(names: list[str]) -> dict[str, Any]:
    colours = {
        "__ndarray__": [[0, 255, 0]] * len(names),
        "dtype": "uint8",
        "shape": [len(names), 3],
        "Corder": True,
    }
    table = {str(place): name for place, name in enumerate(names)}
    return {
        "dataset_name": "x",
        "num_keypoints": len(names),
        "keypoint_id2name": table,
        "keypoint_colors": colours,
    }


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
