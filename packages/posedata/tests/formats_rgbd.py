"""Writes small data sets of depth cameras in the layouts in which their owners publish them.

The reading tests and the fuzzing use it. `WRITERS` maps a format's name to a function that makes a whole data
set in a folder and returns the files that are worth damaging; the other functions make one kind of file each.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

ITOP_BODY = np.array(
    [
        [-0.05, 0.48, 2.91],
        [-0.05, 0.235, 2.94],
        [-0.21, 0.23, 2.94],
        [0.11, 0.24, 2.94],
        [-0.29, 0.01, 2.90],
        [0.19, 0.02, 2.91],
        [-0.25, -0.11, 2.76],
        [0.16, -0.07, 2.76],
        [-0.05, -0.01, 2.97],
        [-0.15, -0.26, 2.99],
        [0.06, -0.25, 2.99],
        [-0.16, -0.75, 3.01],
        [0.06, -0.74, 2.98],
        [-0.14, -1.21, 3.13],
        [0.05, -1.20, 3.10],
    ]
)
"""ITOP's 15 joints (metres, camera frame, y up) of somebody who faces the camera: right is at smaller x."""


def itop_frames(count: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of ITOP's files for two people; frame 2 of each is not valid."""
    rng = np.random.default_rng(seed)
    joints = (ITOP_BODY + rng.normal(0, 0.02, (2 * count, 1, 3))).astype(np.float16)
    v, u = np.mgrid[:240, :320]
    depth = (1.5 + v / 256 + u / 512 + np.arange(2 * count)[:, None, None] / 64).astype(np.float16)
    depth[:, :10] = 0
    depth[:, 10] = np.nan
    segmentation = np.where((u > 100) & (u < 200), 3, -1).astype(np.int8)
    wide = joints.astype(np.float64)
    pixels = np.stack(
        [160 + wide[..., 0] / (0.0035 * wide[..., 2]), 120 - wide[..., 1] / (0.0035 * wide[..., 2])], -1
    )
    z = depth.astype(np.float64)
    cloud = np.stack([(u - 160) * 0.0035 * z, (120 - v) * 0.0035 * z, z], -1).reshape(2 * count, -1, 3)
    return {
        "id": np.array([f"{7 + i // count:02d}_{i % count:05d}".encode() for i in range(2 * count)]),
        "is_valid": np.array([i % count != 2 for i in range(2 * count)], np.uint8),
        "visible_joints": (rng.random((2 * count, 15)) > 0.2).astype(np.int16),
        "image_coordinates": np.rint(pixels).astype(np.int16),
        "real_world_coordinates": joints,
        "segmentation": np.repeat(segmentation[None], 2 * count, 0),
        "depth": depth,
        "cloud": cloud.astype(np.float16),
    }


def write_itop(
    folder: Path,
    *,
    view: str = "side",
    part: str = "test",
    packed: bool = False,
    cloud: bool = False,
    frames: dict[str, np.ndarray] | None = None,
) -> list[Path]:
    """Labels and depth maps (or point clouds) of one view and part, as h5 or h5.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = itop_frames() if frames is None else frames
    labels = {name: frames[name] for name in frames if name not in ("depth", "cloud")}
    kind = "point_cloud" if cloud else "depth_map"
    files = {
        "labels": labels,
        kind: {"id": frames["id"], "data": frames["cloud" if cloud else "depth"]},
    }
    written = []
    for name, arrays in files.items():
        path = folder / f"ITOP_{view}_{part}_{name}.h5"
        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                file.create_dataset(key, data=values)
        if packed:
            with path.open("rb") as read, gzip.open(f"{path}.gz", "wb", compresslevel=1) as write:
                shutil.copyfileobj(read, write)
            path.unlink()
            path = Path(f"{path}.gz")
        written.append(path)
    return written


NTU_FOCAL, NTU_CENTRE, NTU_RADIAL = 365.5, (256.3, 208.5), (0.0905, -0.268, 0.095)
"""Of a Kinect v2's mirrored depth image; with the third coefficient it is a lens out to the corners."""


def ntu_body(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 25, 3) metres in the sensor's frame (x to its left, y up): somebody faces it and walks aside."""
    rng = np.random.default_rng(seed)
    side = [0, 0, 0, 0, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, 0, -1, -1, 1, 1]
    height = [0.0, 0.3, 0.6, 0.75, 0.45, 0.2, 0, -0.1, 0.45, 0.2, 0, -0.1, -0.05, -0.5, -0.9, -1, -0.05]
    height += [-0.5, -0.9, -1, 0.5, -0.15, -0.1, -0.15, -0.1]
    still = np.stack([0.2 * np.array(side), np.array(height), np.full(25, 3.2)], -1)
    still[[15, 19], 2] -= 0.15  # toes point to the camera
    path = np.stack([np.linspace(-1, 1, frames), np.zeros(frames), np.linspace(0, 0.8, frames)], -1)
    return still + path[:, None] + rng.normal(0, 0.01, (frames, 25, 3))


def ntu_pixels(joints: np.ndarray) -> np.ndarray:
    """depthX, depthY of joints in the sensor's frame."""
    plane = joints[..., :2] / joints[..., 2:] * [1, -1]
    square = (plane**2).sum(-1, keepdims=True)
    bent = sum(k * square ** (power + 1) for power, k in enumerate(NTU_RADIAL))
    return NTU_FOCAL * plane * (1 + bent) + NTU_CENTRE


def write_skeleton(
    path: Path, bodies: dict[str, tuple[int, np.ndarray]], frames: int, state: int = 2
) -> Path:
    """A .skeleton file: by identity, the frame in which a body appears and its joints from there on."""
    lines = [str(frames)]
    for frame in range(frames):
        here = {
            name: joints[frame - first]
            for name, (first, joints) in bodies.items()
            if first <= frame < first + len(joints)
        }
        lines.append(str(len(here)))
        for name, joints in here.items():
            lines += [f"{name} 0 1 1 1 1 0 0.0276 0.0574 2", "25"]
            for point, pixel in zip(joints, ntu_pixels(joints), strict=True):
                numbers = [*point, *pixel, *(3 * pixel), 0.1, 0.2, 0.3, 0.4]
                lines.append(" ".join(f"{number:.7g}" for number in numbers) + f" {state}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


def write_depth_png(path: Path, depth: np.ndarray) -> Path:
    """16-bit grey, millimetres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(depth.astype(np.uint16)).save(path)
    return path


def write_ntu(folder: Path, *, frames: int = 8, depth: bool = True) -> list[Path]:
    """Two recordings by one performer; in the second a body more appears. Depth images are ramps."""
    skeletons, images = folder / "nturgb+d_skeletons", folder / "nturgb+d_depth_masked"
    one, two = "S001C002P003R001A008", "S001C002P003R002A050"
    main = ntu_body(frames)
    written = [
        write_skeleton(skeletons / f"{one}.skeleton", {"72057594037931101": (0, main)}, frames),
        write_skeleton(
            skeletons / f"{two}.skeleton",
            {"72057594037931102": (0, main), "72057594037931103": (2, ntu_body(frames - 3, seed=1))},
            frames,
        ),
    ]
    for name in (one, two) if depth else ():
        for frame in range(frames):
            ramp = 1000 + np.arange(512)[None] + 512 * np.arange(424)[:, None] % 60_000 + frame
            written.append(write_depth_png(images / name / f"MDepth-{frame + 1:08d}.png", ramp))
    return written


PANOPTIC_BODY = np.array(
    [
        [0, -140, 0], [0, -158, -10], [0, -95, 0],
        [18, -138, 0], [25, -112, 3], [27, -90, -8], [10, -95, 0], [11, -50, 0], [11, -8, 2],
        [-18, -138, 0], [-25, -112, 3], [-27, -90, -8], [-10, -95, 0], [-11, -50, 0], [-11, -8, 2],
        [3, -161, -8], [7, -160, 0], [-3, -161, -8], [-7, -160, 0],
    ],
    dtype=float,
)  # fmt: skip
"""coco19 of somebody upright who looks along -z, centimetres, y down."""

KINECT = {
    "K_depth": [[364.73, 0, 255.8], [0, 364.73, 209.5], [0, 0, 1]],
    "M_depth": [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "distCoeffs_depth": [0.0956, -0.272, 9.65e-05, -0.000133, 0.0925, 1000.0, 0.0],
    "K_color": [[1057.8, 0, 948.2], [0, 1057.8, 539.3], [0, 0, 1]],
    "distCoeffs_color": [[0.0237], [-0.0109], [0.0005], [-0.000325], [-0.0062]],
    "M_color": [
        [-0.99995, 0.0095, 0, -0.0528],
        [-0.0095, -0.99995, 0, 0.0001],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    ],
}


def panoptic_pose(person: int, frame: int) -> np.ndarray:
    """(19, 4) as the body files hold it: two people who drift; the second one's wrists are hardly seen."""
    score = np.full((19, 1), 0.7)
    if person:
        score[[5, 11]] = 0.05
    return np.concatenate([PANOPTIC_BODY + np.array([60 * person + frame, 0, 30 * person]), score], -1)


def panoptic_cameras() -> list[dict[str, Any]]:
    """One HD camera and the colour cameras of two Kinects, 2.5 m from the middle, looking inwards."""
    cameras = []
    for name, kind, angle in (
        ("00_03", "hd", 30.0),
        ("50_01", "kinect-color", 0.0),
        ("50_02", "kinect-color", 90.0),
    ):
        turn = np.deg2rad(angle)
        rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
        camera = {"name": name, "type": kind, "resolution": [1920, 1080], "panel": int(name[:2])}
        camera |= {"node": int(name[3:]), "K": [[1053.9, 0, 947.3], [0, 1054.3, 535.4], [0, 0, 1]]}
        camera |= {"distCoef": [0.0476, -0.0538, 0.00073, -0.00058, 0.0123], "R": rotation.tolist()}
        cameras.append(camera | {"t": [[5.0], [100.0], [250.0]]})
    return cameras


def panoptic_depth(frame: int) -> np.ndarray:
    """What a Kinect's depth image shows when it is turned back: a wall with a ramp, (424, 512)."""
    return (2350 + np.arange(512)[None] // 8 + np.arange(424)[:, None] // 4 + 10 * frame).astype(np.uint16)


def panoptic_colour(frame: int) -> np.ndarray:
    """What a Kinect's colour image shows: columns in red, rows in green, the frame in blue, smoothly."""
    out = np.zeros((1080, 1920, 3), np.uint8)
    out[..., 0] = (np.arange(1920) // 8)[None]
    out[..., 1] = (np.arange(1080) // 5)[:, None]
    out[..., 2] = 40 * frame
    return out


def write_panoptic_colour(folder: Path, *, images: int, sequence: str = "171204_pose1") -> None:
    """The first Kinect's colour images, counted from 1."""
    place = folder / sequence / "kinectImgs" / "50_01"
    place.mkdir(parents=True)
    for number in range(images):
        Image.fromarray(panoptic_colour(number)).save(place / f"50_01_{number + 1:08d}.jpg", quality=97)


def write_panoptic(
    folder: Path, *, sequence: str = "171204_pose1", frames: int = 6, packed: bool = False, kinects: int = 2
) -> list[Path]:
    """A sequence: bodies, calibrations, and depth that lies 5 ms after the poses, with none near frame 2."""
    top = folder / sequence
    bodies = top / "hdPose3d_stage1_coco19"
    bodies.mkdir(parents=True, exist_ok=True)
    times = [1000 + 33.367 * frame for frame in range(frames)]
    files = []
    for frame, time in enumerate(times):
        people = [{"id": k, "joints19": panoptic_pose(k, frame).ravel().tolist()} for k in (0, 1)]
        scene = {"version": 0.7, "univTime": time, "fpsType": "hd_29_97", "bodies": people}
        files.append(bodies / f"body3DScene_{100 + frame:08d}.json")
        files[-1].write_text(json.dumps(scene), encoding="utf-8")
    if packed:
        with tarfile.open(top / "hdPose3d_stage1_coco19.tar", "w") as archive:
            archive.add(bodies, "hdPose3d_stage1_coco19")
        shutil.rmtree(bodies)
        files = [top / "hdPose3d_stage1_coco19.tar"]
    taken = [time + 5 for frame, time in enumerate(times) if frame != 2]
    nodes = {f"KINECTNODE{k}": {"univ_time": taken} for k in range(1, 11)}
    tables = {
        "calibration": {"calibDataSource": "made up", "cameras": panoptic_cameras()},
        "kcalibration": {"sensors": [KINECT] * 10},
        "ksynctables": {"kinect": {"depth": nodes, "color": nodes}},
        "synctables": {"hd": {"univ_time": [0.0, *[1000 + 33.367 * (f - 100) for f in range(100 + frames)]]}},
    }
    for name, content in tables.items():
        files.append(top / f"{name}_{sequence}.json")
        files[-1].write_text(json.dumps(content), encoding="utf-8")
    for k in range(1, kinects + 1):
        files.append(top / "kinect_shared_depth" / f"KINECTNODE{k}" / "depthdata.dat")
        files[-1].parent.mkdir(parents=True)
        stack = np.stack([panoptic_depth(index)[:, ::-1] for index in range(len(taken))])
        files[-1].write_bytes(stack.astype("<u2").tobytes())
    return files


RGBD_CAMERA = {"width": 64, "height": 48, "fx": 52.5, "fy": 52.0, "cx": 31.5, "cy": 23.5, "fps": 15}


def rgbd_depth(frame: int) -> np.ndarray:
    """(48, 64) millimetres: a slope with a hole."""
    depth = 1500 + 3 * np.arange(64)[None] + 5 * np.arange(48)[:, None] + 7 * frame
    depth[:4, :6] = 0
    return depth.astype(np.uint16)


def rgbd_colour(frame: int) -> np.ndarray:
    """(48, 64, 3): columns in red, rows in green, the frame in blue."""
    out = np.zeros((48, 64, 3), np.uint8)
    out[..., 0], out[..., 1], out[..., 2] = 3 * np.arange(64)[None], 4 * np.arange(48)[:, None], 10 * frame
    return out


def write_rgbd(folder: Path, *, frames: int = 4, names: list[str] | None = None, **table: Any) -> list[Path]:
    """A recording with registered colour and, for its frames 0 and 2, 2D keypoints of one and two people."""
    (folder / "rgb").mkdir(parents=True)
    names = [f"{frame:06d}" for frame in range(frames)] if names is None else names
    files = []
    for frame, name in enumerate(names):
        files.append(write_depth_png(folder / "depth" / f"{name}.png", rgbd_depth(frame)))
        files.append(folder / "rgb" / f"{name}.png")
        Image.fromarray(rgbd_colour(frame)).save(files[-1])
    files.append(folder / "intrinsics.json")
    files[-1].write_text(json.dumps(RGBD_CAMERA | table), encoding="utf-8")
    people = [(0, 20.0), (2, 10.0), (2, 40.0)]
    coco = {
        "images": [{"id": 5 + frame, "file_name": f"{name}.png"} for frame, name in enumerate(names)],
        "annotations": [
            {
                "id": i,
                "image_id": 5 + frame,
                "category_id": 1,
                "keypoints": [x, 10, 2, x + 6, 30, 1] + 15 * [0, 0, 0],
            }
            for i, (frame, x) in enumerate(people)
        ],
    }
    files.append(folder / "keypoints.json")
    files[-1].write_text(json.dumps(coco), encoding="utf-8")
    return files


def write_pcd(path: Path, *, width: int = 24, height: int = 18, focal: float = 30.0) -> Path:
    """An organised cloud, binary, without colour; the first column has no points."""
    v, u = np.mgrid[:height, :width].astype(np.float32)
    z = 1.5 + 0.01 * u + 0.02 * v
    points = np.stack([(u - 11.5) * z / focal, (v - 8.5) * z / focal, z], -1)
    points[:, 0] = np.nan
    head = [
        "# .PCD v0.7 - Point Cloud Data", "VERSION 0.7", "FIELDS x y z", "SIZE 4 4 4", "TYPE F F F",
        "COUNT 1 1 1", f"WIDTH {width}", f"HEIGHT {height}", "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {width * height}", "DATA binary", "",
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(head).encode() + points.astype("<f4").tobytes())
    return path


WRITERS: dict[str, Callable[[Path], list[Path]]] = {
    "itop": write_itop,
    "ntu": lambda folder: write_ntu(folder, frames=4),
    "panoptic": lambda folder: write_panoptic(folder, frames=4, kinects=1),
    "rgbd": write_rgbd,
}
"""Small data sets of every format here, for damaging."""
