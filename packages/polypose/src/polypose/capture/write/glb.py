"""A motion as .glb (binary glTF 2.0): y up, metres, every person a skinned body of capsules in its colour.

Written as the bytes of the specification (Khronos, glTF 2.0, 2021): a JSON chunk that describes what lies
where in a binary chunk.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from posedata.writing import replacing

from polypose.capture.write.capsules import body_mesh
from polypose.capture.write.people import check_somebody, colour_of
from polypose.capture.write.rig import Rig, rig_of

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person

_KINDS = {np.dtype("<f4"): 5126, np.dtype("<u4"): 5125, np.dtype("u1"): 5121}
_SHAPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


def write_glb(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write everybody in one file, with true times; a person is there from its first frame to its last.

    Gaps are filled (`rig`). Time starts at 0.
    """
    check_somebody(motion, path)
    scene = _Scene()
    for person in motion.people:
        _add(scene, motion, person)
    scene.write(path, {"unit": "metre", "notes": list(motion.notes)})
    return (path,)


def _add(scene: _Scene, motion: Motion, person: Person) -> None:
    rig = rig_of(person.joints, motion.skeleton, motion.rate)
    name, first = f"person{person.id}", len(scene.nodes)
    for i, bone in enumerate(rig.bones):
        place = rig.root[0] if i == 0 else bone.offset
        label = bone.name or f"{rig.bones[bone.parent].name}_end"
        children = [first + k for k, child in enumerate(rig.bones) if child.parent == i]
        node = {"name": label, "translation": [float(x) for x in place]}
        scene.nodes.append(node | ({"children": children} if children else {}))
    skinned = scene.add("nodes", {"name": f"{name}_body", **_skin(scene, motion, person, rig, first)})
    scene.roots.append(scene.add("nodes", {"name": name, "children": [first, skinned]}))
    _animate(scene, motion, person, rig, first)


def _skin(scene: _Scene, motion: Motion, person: Person, rig: Rig, first: int) -> dict[str, int]:
    """The mesh and the skin of a person, whose nodes count from `first`."""
    mesh = body_mesh(rig, motion.skeleton)
    if not len(mesh.vertices):
        return {}
    nodes = np.zeros((len(mesh.vertices), 4), np.uint8)
    nodes[:, 0] = mesh.nodes
    weights = np.zeros((len(mesh.vertices), 4), "<f4")
    weights[:, 0] = 1
    attributes = {
        "POSITION": scene.accessor(mesh.vertices.astype("<f4"), 34962, bounds=True),
        "NORMAL": scene.accessor(mesh.normals.astype("<f4"), 34962),
        "JOINTS_0": scene.accessor(nodes, 34962),
        "WEIGHTS_0": scene.accessor(weights, 34962),
    }
    colour = [*_linear(colour_of(motion, person)), 1.0]
    look = {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": 0.7}
    material = scene.add("materials", {"name": f"person{person.id}", "pbrMetallicRoughness": look})
    primitive = {
        "attributes": attributes,
        "indices": scene.accessor(mesh.triangles.reshape(-1).astype("<u4"), 34963),
        "material": material,
    }
    unbind = np.tile(np.eye(4), (len(rig.bones), 1, 1))
    unbind[:, 3, :3] = -rig.rest  # columns first, as glTF stores a matrix
    skin = {
        "joints": [first + i for i in range(len(rig.bones))],
        "inverseBindMatrices": scene.accessor(unbind.astype("<f4")),
        "skeleton": first,
    }
    return {
        "mesh": scene.add("meshes", {"name": f"person{person.id}", "primitives": [primitive]}),
        "skin": scene.add("skins", skin),
    }


def _animate(scene: _Scene, motion: Motion, person: Person, rig: Rig, first: int) -> None:
    clock = motion.times - motion.times[0]
    times = scene.accessor(clock[person.frames].astype("<f4"), bounds=True)
    scene.channel(first, "translation", times, rig.root)
    for i, bone in enumerate(rig.bones):
        if not bone.tip:
            scene.channel(first + i, "rotation", times, quaternions(rig.turns[:, i]))
    there = [(0.0, 0.0)] if person.first else []
    there.append((float(clock[person.first]), 1.0))
    if person.frames.stop < len(clock):
        there.append((float(clock[person.frames.stop]), 0.0))
    if len(there) > 1:
        moments, sizes = np.array(there, "<f4").T
        scale = np.repeat(sizes[:, None], 3, axis=1)
        scene.channel(first, "scale", scene.accessor(moments.copy(), bounds=True), scale, "STEP")


def quaternions(turns: np.ndarray) -> np.ndarray:
    """x, y, z, w (T, 4) of rotations (T, 3, 3), of unit length, next to the one before."""
    xx, yy, zz = turns[:, 0, 0], turns[:, 1, 1], turns[:, 2, 2]
    square = np.stack([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz], axis=1)
    outer = np.empty((len(turns), 4, 4))  # four times q q^T
    outer[:, range(4), range(4)] = square
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        outer[:, i, j] = outer[:, j, i] = turns[:, i, j] + turns[:, j, i]
        outer[:, k, 3] = outer[:, 3, k] = turns[:, j, i] - turns[:, i, j]
    found = outer[np.arange(len(turns)), square.argmax(1)]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    flips = np.where((found[1:] * found[:-1]).sum(1) < 0, -1.0, 1.0)
    return found * np.concatenate([[1.0], np.cumprod(flips)])[:, None]


def _linear(colour: str) -> list[float]:
    """Of #rrggbb, which is sRGB (IEC 61966-2-1)."""
    values = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


class _Scene:
    """What the JSON chunk lists, and the arrays of the binary one."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"nodes": [], "accessors": [], "bufferViews": []}
        self.nodes = self.lists["nodes"]
        self.roots: list[int] = []
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []
        self._arrays: list[bytes] = []
        self._length = 0

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Its index."""
        items = self.lists.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def accessor(self, values: np.ndarray, target: int | None = None, bounds: bool = False) -> int:
        """Index of an accessor of these values, whose first axis counts."""
        raw = np.ascontiguousarray(values).tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._length, "byteLength": len(raw)}
        if target is not None:
            view["target"] = target
        self._arrays.append(raw + bytes(-len(raw) % 4))
        self._length += len(self._arrays[-1])
        item: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view),
            "componentType": _KINDS[values.dtype],
            "count": len(values),
            "type": _SHAPES[values.shape[1:]],
        }
        if bounds:
            ends = values.reshape(len(values), -1)
            item |= {"min": ends.min(0).tolist(), "max": ends.max(0).tolist()}
        return self.add("accessors", item)

    def channel(self, node: int, path: str, times: int, values: np.ndarray, how: str = "LINEAR") -> None:
        """Animate a node."""
        output = self.accessor(values.astype("<f4"))
        self._samplers.append({"input": times, "output": output, "interpolation": how})
        target = {"node": node, "path": path}
        self._channels.append({"sampler": len(self._samplers) - 1, "target": target})

    def write(self, path: Path, extras: dict[str, Any]) -> None:
        about = {
            "asset": {"version": "2.0", "generator": "polypose", "extras": extras},
            "scene": 0,
            "scenes": [{"nodes": self.roots}],
            "animations": [{"name": "capture", "samplers": self._samplers, "channels": self._channels}],
            "buffers": [{"byteLength": self._length}],
            **self.lists,
        }
        text = json.dumps(about, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        whole = 12 + 8 + len(text) + 8 + self._length
        if whole >= 1 << 32:
            raise ValueError(
                f"{path}: would be larger than the 4 GiB of a GLB; capture a part (--start, --end)"
            )
        with replacing(path) as file:
            file.write(struct.pack("<4sII", b"glTF", 2, whole))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self._length, b"BIN\0"))
            for raw in self._arrays:
                file.write(raw)
