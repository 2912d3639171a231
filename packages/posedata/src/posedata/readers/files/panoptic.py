"""The JSON files of CMU Panoptic: poses by frame, cameras, Kinect sensors, and the times that tie them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from posedata.readers.files.safe_text import parse_json, read_json
from posedata.readers.format import ClipCamera

AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Their world (y down) to ours (z up)."""

JOINTS = 19
FOLDER = "hdPose3d_stage1_coco19"
_SCENE = re.compile(r"body3DScene_(\d{8})\.json")
_LARGEST_SCENE = 8 << 20
_MOST_MEMBERS = 2_000_000
_SYNC_OFFSET = 1


def scene_files(folder: Path) -> list[Path]:
    """The body files of a sequence, in the order of their frames; or the tar that holds them; or nothing."""
    inside = folder / FOLDER
    if inside.is_dir():
        return sorted(p for p in inside.iterdir() if _SCENE.fullmatch(p.name) and p.is_file())
    packed = folder / f"{FOLDER}.tar"
    return [packed] if packed.is_file() else []


@dataclass(frozen=True)
class Scenes:
    """All bodies of a sequence: the frame of each (its place in `numbers`), who it is, and 19 x 4 numbers."""

    numbers: Int[np.ndarray, " F"]
    times: Float[np.ndarray, " F"]
    stride: int
    frames: Int[np.ndarray, " B"]
    identities: Int[np.ndarray, " B"]
    joints: Float[np.ndarray, "B 19 4"]

    @classmethod
    def read(cls, files: Sequence[Path], stride: int, note: Callable[[str], None]) -> Scenes:
        """Every `stride`-th frame by its number. A damaged file is told and left out, unless all are."""
        numbers: list[int] = []
        times, frames, identities, joints = [], [], [], []
        faults: list[ValueError] = []
        for number, where, data in _scenes(files, stride):
            try:
                time, bodies = _scene(data, where)
            except ValueError as error:
                faults.append(error)
                continue
            for identity, values in bodies:
                frames.append(len(numbers))
                identities.append(identity)
                joints.append(values)
            numbers.append(number // stride)
            times.append(time)
        if faults and not numbers:
            raise faults[0]
        for fault in faults:
            note(str(fault))
        if not joints:
            raise ValueError(f"{files[0].parent}: no body in any frame; check the sequence")
        return cls(
            np.array(numbers),
            np.array(times),
            stride,
            np.array(frames),
            np.array(identities),
            np.stack(joints),
        )

    @cached_property
    def people(self) -> list[str]:
        """By the number that they have in the files."""
        return [str(identity) for identity in np.unique(self.identities)]

    def person(
        self, name: str
    ) -> tuple[Int[np.ndarray, " T"], Float[np.ndarray, "T 19 3"], Float[np.ndarray, "T 19"]]:
        """The frames (positions), joints (their centimetres) and scores of one person."""
        mine = np.flatnonzero(self.identities == int(name))
        return self.frames[mine], self.joints[mine, :, :3], self.joints[mine, :, 3]


def _scenes(files: Sequence[Path], stride: int) -> Iterator[tuple[int, str, bytes]]:
    """Frame number, what to call it in an error, and bytes, ascending; never more than one in memory."""
    if len(files) == 1 and files[0].suffix == ".tar":
        yield from _packed_scenes(files[0], stride)
        return
    for path in files:
        number = int(_SCENE.fullmatch(path.name)[1])  # type: ignore[index]
        if number % stride == 0:
            with path.open("rb") as handle:
                yield number, str(path), handle.read(_LARGEST_SCENE + 1)


def _packed_scenes(path: Path, stride: int) -> Iterator[tuple[int, str, bytes]]:
    try:
        with tarfile.open(path, "r:") as archive:
            found: dict[int, tarfile.TarInfo] = {}
            for count, member in enumerate(archive):
                match = _SCENE.fullmatch(member.name.rpartition("/")[2])
                if match and member.isreg() and int(match[1]) % stride == 0:
                    found[int(match[1])] = member
                if count > _MOST_MEMBERS:
                    raise ValueError(f"{path}: holds more files than any sequence; download it again")
            for number, member in sorted(found.items()):
                handle = archive.extractfile(member)
                if handle is not None:
                    yield number, f"{path}: {member.name[-60:]}", handle.read(_LARGEST_SCENE + 1)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: is not a whole tar; download it again") from None


def _scene(data: bytes, where: str) -> tuple[float, list[tuple[int, np.ndarray]]]:
    if len(data) > _LARGEST_SCENE:
        raise ValueError(f"{where}: is larger than any body file; download it again")
    scene = parse_json(data.decode("utf-8", "replace"), where, constants=True)
    bodies = scene.get("bodies") if isinstance(scene, dict) else None
    if not isinstance(bodies, list):
        raise ValueError(f"{where}: has no list 'bodies'; download it again")
    out: list[tuple[int, np.ndarray]] = []
    for body in bodies:
        joints = body.get("joints19") if isinstance(body, dict) else None
        identity = body.get("id") if isinstance(body, dict) else None
        if joints is None or not isinstance(identity, int) or not -1 <= identity < 1 << 31:
            raise ValueError(f"{where}: a body lacks 'joints19' or 'id'; the mpi15 layout is not read")
        out.append((identity, _matrix(joints, (JOINTS, 4), f"{where}: joints19")))
    if len({identity for identity, _ in out}) != len(out):
        raise ValueError(f"{where}: has one id twice; download it again")
    time = scene.get("univTime")
    known = isinstance(time, int | float) and not isinstance(time, bool) and abs(time) < 1e15 and time >= 0
    return (float(time) if known else np.nan), out


def _matrix(value: Any, shape: tuple[int, ...], where: str) -> Float[np.ndarray, " ..."]:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where} is not an array of numbers; download the file again") from None
    if array.size != np.prod(shape) or not (np.abs(array) < 1e9).all():
        raise ValueError(
            f"{where} has shape {array.shape} or no finite numbers, wanted {shape}; get it again"
        )
    return array.reshape(shape)


def read_calibration(path: Path) -> dict[str, dict[str, Any]]:
    """Cameras by name, as they stand in the file."""
    cameras = read_json(path).get("cameras")
    if not isinstance(cameras, list) or not all(
        isinstance(c, dict) and isinstance(c.get("name"), str) for c in cameras
    ):
        raise ValueError(f"{path}: has no list 'cameras' with names; download it again")
    return {camera["name"]: camera for camera in cameras}


def read_sensors(path: Path) -> list[dict[str, Any]]:
    """The Kinects' entries; number k is at k - 1."""
    sensors = read_json(path).get("sensors")
    if not isinstance(sensors, list) or not all(isinstance(sensor, dict) for sensor in sensors):
        raise ValueError(f"{path}: has no list 'sensors'; download it again")
    return sensors


def color_camera(table: dict[str, dict[str, Any]], name: str, path: Path) -> ClipCamera:
    """A camera of the calibration file in our world; ValueError where it is not there or not whole."""
    rotation, translation, given = _pose(table, name, path)
    where = f"{path}: camera {name}"
    intrinsics = _matrix(given.get("K"), (3, 3), f"{where} K")
    size = _matrix(given.get("resolution"), (2,), f"{where} resolution")
    bent = _matrix(given.get("distCoef"), (5,), f"{where} distCoef")
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    if not (focal > 0).all() or not ((size > 0) & (size < 1e5)).all():
        raise ValueError(f"{where}: K or resolution is not a camera's; download it again")
    return ClipCamera(
        name, focal, centre, rotation @ AXES.T, translation / 100, (int(size[0]), int(size[1])), bent
    )


def depth_camera(
    table: dict[str, dict[str, Any]], sensors: list[dict[str, Any]], node: int, path: Path
) -> ClipCamera:
    """The depth camera of Kinect `node`, of its image turned back, in our world."""
    if len(sensors) < node:
        raise ValueError(
            f"{path}: has {len(sensors)} sensors, KINECTNODE{node} is not among them; get it again"
        )
    where = f"{path}: sensor {node}"
    sensor = sensors[node - 1]
    rotation, translation, _ = _pose(table, f"50_{node:02d}", path)
    to_color, to_depth = (_rigid(sensor.get(name), f"{where} {name}") for name in ("M_color", "M_depth"))
    world_to_color = np.eye(4)
    world_to_color[:3, :3], world_to_color[:3, 3] = rotation, translation / 100
    world_to_depth = to_depth @ np.linalg.inv(to_color) @ world_to_color
    intrinsics = _matrix(sensor.get("K_depth"), (3, 3), f"{where} K_depth")
    bent = sensor.get("distCoeffs_depth")
    if not isinstance(bent, list) or len(bent) < 5:
        raise ValueError(f"{where}: distCoeffs_depth has not five numbers; download it again")
    distortion = _matrix(bent[:5], (5,), f"{where} distCoeffs_depth")  # what follows is no coefficient
    return ClipCamera(
        f"KINECTNODE{node}",
        intrinsics[[0, 1], [0, 1]],
        intrinsics[:2, 2],
        world_to_depth[:3, :3] @ AXES.T,
        world_to_depth[:3, 3],
        (512, 424),
        distortion,
    )


def sensor_color_camera(
    table: dict[str, dict[str, Any]], sensors: list[dict[str, Any]], node: int, path: Path
) -> ClipCamera:
    """The colour camera of Kinect `node` in our world, with the lens that M_color was calibrated with."""
    where = f"{path}: sensor {node}"
    rotation, translation, _ = _pose(table, f"50_{node:02d}", path)
    sensor = sensors[node - 1]
    intrinsics = _matrix(sensor.get("K_color"), (3, 3), f"{where} K_color")
    bent = _matrix(sensor.get("distCoeffs_color"), (5,), f"{where} distCoeffs_color")
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    return ClipCamera(
        f"50_{node:02d}", focal, centre, rotation @ AXES.T, translation / 100, (1920, 1080), bent
    )


def _pose(
    table: dict[str, dict[str, Any]], name: str, path: Path
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"], dict[str, Any]]:
    if name not in table:
        raise ValueError(f"{path}: has no camera {name!r}; choose one of its {len(table)}, e.g. 00_03")
    where = f"{path}: camera {name}"
    rotation = _matrix(table[name].get("R"), (3, 3), f"{where} R")
    _check_rotation(rotation, where)
    return rotation, _matrix(table[name].get("t"), (3,), f"{where} t"), table[name]


def _rigid(value: Any, where: str) -> Float[np.ndarray, "4 4"]:
    matrix = _matrix(value, (4, 4), where)
    _check_rotation(matrix[:3, :3], where)
    return matrix


def _check_rotation(rotation: Float[np.ndarray, "3 3"], where: str) -> None:
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(f"{where} is not a rotation; download the file again")


def kinect_times(path: Path, node: int, kind: str = "depth") -> Float[np.ndarray, " D"]:
    """When each depth (or color) image of a Kinect was taken, milliseconds of the studio's clock."""
    found = read_json(path)
    for key in ("kinect", kind, f"KINECTNODE{node}", "univ_time"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path}: has no kinect.{kind}.KINECTNODE{node}.univ_time; download it again")
    return _matrix(found, (len(found),), f"{path}: univ_time of KINECTNODE{node}")


def hd_times(path: Path, numbers: Int[np.ndarray, " F"], stride: int) -> Float[np.ndarray, " F"]:
    """When HD frames were taken, where the body files do not say: entry f + 2, counted from 1, is frame f."""
    found = read_json(path)
    for key in ("hd", "univ_time"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path}: has no hd.univ_time; download it again")
    times = _matrix(found, (len(found),), f"{path}: hd.univ_time")
    places = numbers * stride + _SYNC_OFFSET
    return np.where(places < len(times), times[places.clip(max=len(times) - 1)], np.nan)
