"""Writes MPI-INF-3DHP, 3DPW, COCO and AMASS as they are distributed, from what the tests know.

None of it uses the readers: MATLAB files are written by scipy and h5py, pickles in Python 2's form, SMPL+H
bodies are posed by homogeneous matrices of scipy's rotations.
"""

import json
import pickle
import pickletools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from PIL import Image
from scipy.spatial.transform import Rotation

# ---------------------------------------------------------------------- MPI-INF-3DHP


def hp_cameras(rng: np.random.Generator, count: int = 14, size: int = 2048) -> list[dict[str, np.ndarray]]:
    """Cameras around the origin of a world with y up, millimetres; pictures of `size` x `size` pixels."""
    cameras = []
    for i in range(count):
        azimuth = 2 * np.pi * i / count
        place = np.array([4000 * np.sin(azimuth), 1200 + 50 * i, 4000 * np.cos(azimuth)])
        forward = np.array([0, 1000.0, 0]) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 1.0, 0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        lens = np.array([[1500.0 + i, 0, 1024], [0, 1498, 1040 - i], [0, 0, 1]])
        lens[:2] *= size / 2048
        cameras.append({"rotation": rotation, "translation": -rotation @ place, "lens": lens})
    return cameras


def write_calibration(path: Path, cameras: list[dict[str, np.ndarray]], size: int = 2048) -> None:
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, camera in enumerate(cameras):
        extrinsic, intrinsic = np.eye(4), np.eye(4)
        extrinsic[:3, :3], extrinsic[:3, 3] = camera["rotation"], camera["translation"]
        intrinsic[:3, :3] = camera["lens"]
        lines += [
            f"name          {number}",
            "  sensor      10 10",
            f"  size        {size} {size}",
            "  animated    0",
        ]
        lines += [f"  {key} " + " ".join(f"{v:.10g}" for v in m.ravel()) for key, m in
                  (("intrinsic", intrinsic), ("extrinsic", extrinsic))]  # fmt: skip
        lines.append("  radial      0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def hp_views(world: np.ndarray, camera: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Camera-frame millimetres and pixels of world points (T, J, 3)."""
    local = world @ camera["rotation"].T + camera["translation"]
    image = local @ camera["lens"].T
    return local, image[..., :2] / image[..., 2:]


def write_hp_training(
    root: Path,
    subject: str,
    sequence: str,
    world: np.ndarray,
    cameras: list[dict[str, np.ndarray]],
    size: int = 2048,
    **save: Any,
) -> None:
    """`world` (T, 28, 3) millimetres, y up."""
    folder = root / subject / sequence
    write_calibration(folder / "camera.calibration", cameras, size)
    cells = {name: np.empty((14, 1), dtype=object) for name in ("annot2", "annot3", "univ_annot3")}
    for i, camera in enumerate(cameras):
        local, pixels = hp_views(world, camera)
        cells["annot3"][i, 0] = local.reshape(len(world), -1)
        cells["univ_annot3"][i, 0] = 0.9 * local.reshape(len(world), -1)
        cells["annot2"][i, 0] = pixels.reshape(len(world), -1)
    extra = {
        "frames": np.arange(len(world), dtype=np.int32)[:, None],
        "cameras": np.arange(14, dtype=np.int32)[None],
    }
    scipy.io.savemat(folder / "annot.mat", {**cells, **extra}, **{"do_compression": True, **save})


def write_hp_test(
    root: Path, name: str, local: np.ndarray, lens: np.ndarray, valid: np.ndarray, activity: np.ndarray
) -> None:
    """`local` (N, 17, 3) millimetres in the camera's frame, in the test set's order."""
    image = local @ lens.T
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "annot_data.mat", "w", userblock_size=512) as file:
        file["annot2"] = (image[..., :2] / image[..., 2:])[:, None]
        file["annot3"] = local[:, None]
        file["univ_annot3"] = 1.1 * local[:, None]
        file["valid_frame"] = valid.astype(np.float64)[:, None]
        file["activity_annotation"] = activity.astype(np.float64)[:, None]


# ---------------------------------------------------------------------- 3DPW


def python2_pickle(value: Any) -> bytes:
    """Protocol 2 with byte strings where Python 2 had `str`, as its numpy wrote arrays."""
    data = pickle.dumps(value, protocol=2)
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def tdpw_sequence(rng: np.random.Generator, frames: int = 7, people: int = 2) -> dict[str, Any]:
    """A carried camera and standing people, in a world with y up."""
    joints = rng.normal(size=(people, frames, 24, 3)) * 0.3
    joints[..., 12, 1] += 0.8  # the neck is above
    joints[..., 0, 1] -= 0.8
    views = np.tile(np.eye(4), (frames, 1, 1))
    for i in range(frames):
        turn = Rotation.from_euler("y", 0.05 * i).as_matrix()
        views[i, :3, :3] = np.diag([1.0, -1, -1]) @ turn  # looks along -z, its y is down
        views[i, :3, 3] = [0.1 * i, 0.2, 6.0]
    lens = np.array([[1961.0, 0, 540], [0, 1969.0, 960], [0, 0, 1]])
    valid = rng.random((people, frames)) > 0.3
    valid[:, 0] = True
    found = rng.uniform(1, 900, size=(people, frames, 3, 18))
    found[:, :, 2] = rng.random((people, frames, 18))
    found[:, 1, 2, 3] = 0
    return {
        "sequence": "downtown_walking_00",
        "jointPositions": [np.asarray(p.reshape(frames, 72)) for p in joints],
        "cam_poses": views,
        "cam_intrinsics": lens,
        "campose_valid": list(valid),
        "poses2d": list(found),
        "genders": ["m", "f"][:people],
        "img_frame_ids": np.arange(frames) * 2,
        "betas": [np.zeros(10)] * people,
        "texture_maps": [None] * people,
    }


def write_tdpw(root: Path, part: str, name: str, data: dict[str, Any], texture: bytes | None = None) -> Path:
    """`texture`: opcodes that stand for the value of texture_maps."""
    path = root / "sequenceFiles" / part / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = python2_pickle(data)
    if texture is not None:
        key = pickle.dumps("texture_maps", protocol=2)[2:-1]
        payload = payload[:-1] + key + texture + b"s."
        assert list(pickletools.genops(payload))
    path.write_bytes(payload)
    return path


def write_images(folder: Path, shades: list[int], size: tuple[int, int] = (1080, 1920)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, shade in enumerate(shades):
        Image.new("RGB", size, (shade, shade // 2, 255 - shade)).save(
            folder / f"image_{i:05d}.jpg", quality=95
        )


# ---------------------------------------------------------------------- COCO

COCO_NAMES = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
]  # fmt: skip


def coco_annotations(rng: np.random.Generator, images: int = 3) -> dict[str, Any]:
    """Two people an image, a crowd and somebody without a keypoint."""
    listed = [
        {"id": 100 + 7 * i, "file_name": f"{100 + 7 * i:012d}.jpg", "height": 480, "width": 640}
        for i in range(images)
    ]
    people: list[dict[str, Any]] = []
    for image in reversed(listed):  # not in the order of the images
        for _ in range(2):
            points = np.concatenate([rng.integers(0, 480, (17, 2)), rng.integers(0, 3, (17, 1))], 1)
            points[points[:, 2] == 0] = 0
            points[3] = (40, 50, 2)
            box = [float(v) for v in rng.uniform(20, 100, 4).round(2)]
            people.append(_person(len(people), int(image["id"]), points.ravel().tolist(), box))
    people.append(_person(98, 100, [0] * 51, [1, 1, 5, 5]) | {"num_keypoints": 0})
    people.append(_person(99, 100, [1] * 51, [1, 1, 5, 5]) | {"iscrowd": 1})
    category = {"id": 1, "name": "person", "keypoints": COCO_NAMES, "skeleton": []}
    return {"info": {}, "images": listed, "annotations": people, "categories": [category]}


def _person(identity: int, image: int, keypoints: list[int], box: list[float]) -> dict[str, Any]:
    known = sum(v > 0 for v in keypoints[2::3])
    fields = {"id": identity, "image_id": image, "category_id": 1, "bbox": box, "area": box[2] * box[3]}
    return fields | {"keypoints": keypoints, "num_keypoints": known, "iscrowd": 0}


def write_coco(root: Path, part: str, data: dict[str, Any]) -> Path:
    path = root / "annotations" / f"person_keypoints_{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


# ---------------------------------------------------------------------- AMASS

SMPLH_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19,
                 20, 22, 23, 20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35,
                 21, 37, 38, 21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50]  # fmt: skip


def smplh_model(rng: np.random.Generator, vertices: int = 80) -> dict[str, np.ndarray]:
    """A made-up body of SMPL+H's form, not its content."""
    regressor = rng.random((52, vertices))
    regressor /= regressor.sum(1, keepdims=True)
    tree = np.array([SMPLH_PARENTS, range(52)]).astype(
        np.uint32
    )  # the root's parent is 2**32 - 1, as published
    return {
        "v_template": rng.normal(size=(vertices, 3)),
        "shapedirs": rng.normal(size=(vertices, 3, 16)) * 0.05,
        "J_regressor": regressor,
        "kintree_table": tree,
        "f": np.zeros((4, 3), np.uint32),
    }


def smplh_pose(
    model: dict[str, np.ndarray], poses: np.ndarray, trans: np.ndarray, betas: np.ndarray
) -> np.ndarray:
    """(T, 52, 3) by homogeneous matrices, frame by frame."""
    shaped = model["v_template"] + np.einsum("vdk,k->vd", model["shapedirs"], betas)
    rest = model["J_regressor"] @ shaped
    out = np.zeros((len(poses), 52, 3))
    for t, pose in enumerate(poses):
        chain: list[np.ndarray] = []
        for joint, parent in enumerate(SMPLH_PARENTS):
            step = np.eye(4)
            step[:3, :3] = Rotation.from_rotvec(pose[3 * joint : 3 * joint + 3]).as_matrix()
            step[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
            chain.append(chain[parent] @ step if parent >= 0 else step)
            out[t, joint] = chain[-1][:3, 3] + trans[t]
    return out


def amass_motion(
    rng: np.random.Generator, frames: int = 6, rate: float = 120.0, gender: str = "female"
) -> dict[str, Any]:
    return {
        "poses": rng.normal(size=(frames, 156)) * 0.4,
        "trans": rng.normal(size=(frames, 3)),
        "betas": rng.normal(size=16),
        "dmpls": np.zeros((frames, 8)),
        "gender": np.array(gender),
        "mocap_framerate": np.array(rate),
    }
