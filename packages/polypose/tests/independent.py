"""Readers of other makers, or plain ones written from the formats' descriptions, for what capture writes.

Each gives joints in metres, z up, in the order of `names`.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pygltflib
from ezc3d import c3d

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # of what bvhio imports
    import bvhio

H36M_NODES = (
    *("Hips", "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot", "Spine", "Chest"),
    *("Head", "HeadTop_End", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand"),
)
"""What BVH and GLB files call the joints of h36m17."""
H36M_LABELS = (
    *("CHip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Spine", "Neck", "UpperNeck", "Head"),
    *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)
"""What TRC and C3D files call them."""


def z_up(points: np.ndarray) -> np.ndarray:
    """(x, y, z) with y up to z up."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def read_trc(path: Path) -> tuple[dict[str, str], list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Header, labels, frame numbers (T,), times (T,), places (T, M, 3) in its unit and axes."""
    lines = path.read_text(encoding="ascii").split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    titles = lines[3].split("\t")
    assert titles[:2] == ["Frame#", "Time"]
    labels = titles[2::3]
    assert lines[4].split("\t") == ["", "", *(f"{a}{n + 1}" for n in range(len(labels)) for a in "XYZ")]
    assert lines[5] == ""
    table = [[float(cell) if cell else np.nan for cell in line.split("\t")] for line in lines[6:] if line]
    values = np.array(table)
    return header, labels, values[:, 0], values[:, 1], values[:, 2:].reshape(len(values), len(labels), 3)


def read_c3d(path: Path) -> tuple[list[str], np.ndarray, float, str]:
    """Labels, places (T, M, 3) NaN where the residual is negative, rate, unit; by ezc3d."""
    file = c3d(str(path))
    about = file["parameters"]["POINT"]
    labels = [name for key in ("LABELS", "LABELS2") if key in about for name in about[key]["value"]]
    places = file["data"]["points"][:3].transpose(2, 1, 0).copy()
    places[file["data"]["meta_points"]["residuals"][0].T < 0] = np.nan
    return labels, places, float(about["RATE"]["value"][0]), str(about["UNITS"]["value"][0])


def read_bvh(path: Path, names: Sequence[str] = H36M_NODES) -> tuple[np.ndarray, float]:
    """(T, J, 3) and seconds a frame; by bvhio. The top of the head is an End Site."""
    container = bvhio.readAsBvh(str(path))
    root = bvhio.convertBvhToHierarchy(container.Root)
    nodes = {joint.Name: joint for joint, _, _ in root.layout()}
    ends = _ends(container.Root)
    frames = []
    for frame in range(container.FrameCount):
        root.loadPose(frame)
        places = []
        for name in names:
            owner = nodes["Head" if name == "HeadTop_End" else name]
            place = owner.PositionWorld
            if name == "HeadTop_End":
                place = owner.pointToWorld(ends[owner.Name])
            places.append([place.x, place.y, place.z])
        frames.append(places)
    return z_up(np.array(frames)) / 100, container.FrameTime


def _ends(joint: bvhio.BvhJoint) -> dict[str, object]:
    """Where the End Sites are from their nodes."""
    found = {joint.Name: joint.EndSite} if not joint.Children else {}
    for child in joint.Children:
        found |= _ends(child)
    return found


class Glb:
    """A GLB by pygltflib; names of nodes repeat between people, so they are looked up below a root."""

    def __init__(self, path: Path) -> None:
        self.file = pygltflib.GLTF2().load(str(path))
        self.blob = self.file.binary_blob()

    def values(self, accessor: int) -> np.ndarray:
        about = self.file.accessors[accessor]
        view = self.file.bufferViews[about.bufferView]
        kind = {5126: "<f4", 5125: "<u4", 5121: "u1"}[about.componentType]
        wide = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[about.type]
        flat = np.frombuffer(self.blob, kind, about.count * wide, view.byteOffset)
        return flat.reshape(about.count, wide).squeeze(-1) if wide == 1 else flat.reshape(about.count, wide)

    def below(self, root: int) -> list[int]:
        """Nodes below one, parents first."""
        found = [root]
        for child in self.file.nodes[root].children or []:
            found += self.below(child)
        return found

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]:
        """Times and values by node and path."""
        (animation,) = self.file.animations
        return {
            (channel.target.node, channel.target.path): (
                self.values(animation.samplers[channel.sampler].input),
                self.values(animation.samplers[channel.sampler].output),
            )
            for channel in animation.channels
        }

    def globals(self, person: str) -> tuple[np.ndarray, dict[str, np.ndarray], dict[int, np.ndarray]]:
        """Times (T,), and 4x4 matrices (T, 4, 4) by a node's name and by its number."""
        root = next(i for i, node in enumerate(self.file.nodes) if node.name == person)
        channels = self.channels()
        hips = self.file.nodes[root].children[0]
        times = channels[hips, "translation"][0]
        world = {root: np.tile(np.eye(4), (len(times), 1, 1))}
        named = {}
        for number in self.below(root):
            node = self.file.nodes[number]
            for child in node.children or []:
                world[child] = world[number] @ self._local(child, len(times), channels)
            named[node.name] = world[number]
        return times, named, world

    def _local(self, number: int, count: int, channels: dict) -> np.ndarray:
        node = self.file.nodes[number]
        local = np.tile(np.eye(4), (count, 1, 1))
        local[:, :3, 3] = node.translation or (0, 0, 0)
        if (number, "translation") in channels:
            local[:, :3, 3] = channels[number, "translation"][1]
        if (number, "rotation") in channels:
            x, y, z, w = channels[number, "rotation"][1].astype(float).T
            local[:, :3, :3] = np.stack(
                [
                    *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
                    *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
                    *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
                ],
                axis=-1,
            ).reshape(count, 3, 3)
        return local
