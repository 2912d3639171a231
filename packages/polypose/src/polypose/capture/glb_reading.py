"""The skinned figures of a .glb: where their bones are in every key frame (glTF 2.0, y up, metres)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from posedata.skeleton import Skeleton, get_skeleton

from polypose.capture.write.rig import H36M_BONES

_KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MOST_BYTES = 1 << 30
_PATHS = {"translation": 3, "rotation": 4, "scale": 3}


@dataclass(frozen=True)
class Figure:
    """Joints (T, J, 3) metres, z up, at times (T,) s; NaN where the figure is scaled to nothing."""

    joints: np.ndarray
    times: np.ndarray
    skeleton: Skeleton


def read_figures(path: Path) -> list[Figure]:
    """Every skin of the file with the first animation.

    Raises:
        ValueError: it is no GLB, or holds no figure that moves.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB; give a shorter one")
    try:
        file = _File(*_chunks(path.read_bytes()))
        found = [file.figure(skin) for skin in file.about.get("skins", [])]
    except (struct.error, KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{path}: is not a whole GLB of glTF 2.0; export it again") from None
    if not found:
        raise ValueError(f"{path}: holds no skinned figure; export one with its skin and animation")
    return found


def _chunks(raw: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, _ = struct.unpack_from("<4sII", raw)
    if magic != b"glTF" or version != 2:
        raise ValueError("no glTF 2")
    parts, at = {}, 12
    while at + 8 <= len(raw):
        length, kind = struct.unpack_from("<I4s", raw, at)
        parts[kind] = raw[at + 8 : at + 8 + length]
        at += 8 + length
    return json.loads(parts[b"JSON"]), parts.get(b"BIN\0", b"")


class _File:
    """The JSON chunk and what it says of the binary one."""

    def __init__(self, about: dict[str, Any], binary: bytes) -> None:
        self.about, self._binary = about, binary
        self.nodes: list[dict[str, Any]] = about["nodes"]
        self.parents = {child: i for i, node in enumerate(self.nodes) for child in node.get("children", ())}
        self._channels: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]] = {}
        for animation in about.get("animations", [])[:1]:
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                key = (channel["target"].get("node", -1), channel["target"]["path"])
                if key[1] in _PATHS:
                    values = self._values(sampler["output"])
                    how = sampler.get("interpolation", "LINEAR")
                    values = values.reshape(-1, 3, values.shape[1])[:, 1] if how == "CUBICSPLINE" else values
                    times = self._values(sampler["input"])[:, 0]
                    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
                        raise ValueError("times that do not ascend")
                    self._channels[key] = (times, values, how)

    def figure(self, skin: dict[str, Any]) -> Figure:
        """A skin's joints over time."""
        joints: list[int] = skin["joints"]
        moving = {node for joint in joints for node in self._chain(joint)}
        clocks = [times for (node, _), (times, _, _) in self._channels.items() if node in moving]
        times = max(clocks, key=len, default=np.zeros(1)).astype(float)
        world: dict[int, np.ndarray] = {-1: np.broadcast_to(np.eye(4), (len(times), 4, 4))}
        for joint in joints:
            for node in reversed(self._chain(joint)):
                if node not in world:
                    world[node] = world[self.parents.get(node, -1)] @ self._local(node, times)
        names = [str(self.nodes[joint].get("name", f"node{joint}")) for joint in joints]
        there = np.abs(np.linalg.det(world[joints[0]][:, :3, :3])) > 1e-12
        if set(H36M_BONES) <= set(names):
            skeleton = get_skeleton("h36m17")
            joints = [joints[names.index(name)] for name in H36M_BONES]
        else:
            parents = [self._above(joint, joints) for joint in joints]
            skeleton = Skeleton("glb", tuple(names), tuple(parents))
        places = np.stack([world[joint][:, :3, 3] for joint in joints], axis=1)
        turned = np.stack([places[..., 0], -places[..., 2], places[..., 1]], axis=-1)
        return Figure(np.where(there[:, None, None], turned, np.nan), times, skeleton)

    def _chain(self, node: int) -> list[int]:
        """The node, its parent, and so on."""
        chain = [node]
        while (node := self.parents.get(node, -1)) >= 0:
            if node in chain:
                raise ValueError("nodes in a circle")
            chain.append(node)
        return chain

    def _above(self, joint: int, joints: list[int]) -> int:
        """Where in the skin the nearest joint above stands, -1 if there is none."""
        return next((joints.index(node) for node in self._chain(joint)[1:] if node in joints), -1)

    def _local(self, number: int, times: np.ndarray) -> np.ndarray:
        node = self.nodes[number]
        if "matrix" in node:
            return np.broadcast_to(np.array(node["matrix"], float).reshape(4, 4).T, (len(times), 4, 4))
        rest = {"translation": (0, 0, 0), "rotation": (0, 0, 0, 1), "scale": (1, 1, 1)}
        parts = {path: self._at(number, path, node.get(path, rest[path]), times) for path in _PATHS}
        local = np.tile(np.eye(4), (len(times), 1, 1))
        local[:, :3, :3] = _matrices(parts["rotation"]) * parts["scale"][:, None, :]
        local[:, :3, 3] = parts["translation"]
        return local

    def _at(self, node: int, path: str, rest: Any, times: np.ndarray) -> np.ndarray:
        if (node, path) not in self._channels:
            return np.tile(np.array(rest, float), (len(times), 1))
        keys, values, how = self._channels[node, path]
        after = np.clip(np.searchsorted(keys, times, side="right"), 1, max(1, len(keys) - 1))
        before = after - 1
        if len(keys) == 1:
            return np.tile(values[0].astype(float), (len(times), 1))
        share = np.clip((times - keys[before]) / (keys[after] - keys[before]), 0, 1)[:, None]
        if how == "STEP":
            share = np.floor(share)
        end = values[after]
        if path == "rotation":
            end = np.where((values[before] * end).sum(1, keepdims=True) < 0, -end, end)
        return values[before] + share * (end - values[before])

    def _values(self, accessor: int) -> np.ndarray:
        """(count, width), integers that stand for fractions made so."""
        about = self.about["accessors"][accessor]
        view = self.about["bufferViews"][about["bufferView"]]
        kind, width = np.dtype(_KINDS[about["componentType"]]), _WIDTHS[about["type"]]
        start = view.get("byteOffset", 0) + about.get("byteOffset", 0)
        stride = view.get("byteStride", 0) or kind.itemsize * width
        count = int(about["count"])
        if count < 1 or start < 0 or start + stride * (count - 1) + kind.itemsize * width > len(self._binary):
            raise ValueError("cut short")
        flat = np.ndarray((count, width), kind, self._binary, start, (stride, kind.itemsize))
        if about.get("normalized"):
            return np.maximum(flat / np.iinfo(kind).max, -1)
        return flat.astype(float)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    """(T, 3, 3) of (T, 4) x, y, z, w of any length."""
    x, y, z, w = (quaternions / np.maximum(np.linalg.norm(quaternions, axis=1, keepdims=True), 1e-12)).T
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return np.stack(rows, axis=-1).reshape(-1, 3, 3)
