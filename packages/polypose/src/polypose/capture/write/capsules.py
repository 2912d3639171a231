"""A body to look at: a capsule around every bone of a rig at rest, as one mesh that the rig moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from posedata.skeleton import Skeleton

from polypose.capture.write.rig import Rig

RADII = {
    "knee": 0.07, "ankle": 0.05, "foot": 0.035, "elbow": 0.045, "wrist": 0.035, "hand": 0.03, "hip": 0.085,
    "spine": 0.11, "thorax": 0.125, "neck": 0.05, "head": 0.085, "shoulder": 0.055,
}  # fmt: skip
"""Metres, of the bone that ends at a joint with that word in its name."""
OTHERS = 0.03
_SIDES, _RINGS = 14, 4


class Mesh(NamedTuple):
    """vertices and normals (V, 3), the node that moves each (V,), triangles (F, 3), anticlockwise outside."""

    vertices: np.ndarray
    normals: np.ndarray
    nodes: np.ndarray
    triangles: np.ndarray


def radius_of(joint: str) -> float:
    """Of the capsule that ends at a joint, metres."""
    return next((radius for word, radius in RADII.items() if word in joint), OTHERS)


def body_mesh(rig: Rig, skeleton: Skeleton) -> Mesh:
    """The capsules of a rig at rest."""
    rest, parts, before = rig.rest, [], 0
    for i, bone in enumerate(rig.bones):
        if not bone.offset.any():
            continue
        radius = radius_of(skeleton.joints[bone.joint]) if bone.joint >= 0 else OTHERS
        vertices, normals, triangles = _capsule(rest[bone.parent], rest[i], radius)
        parts.append(Mesh(vertices, normals, np.full(len(vertices), bone.parent), triangles + before))
        before += len(vertices)
    if not parts:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 3), int))
    return Mesh(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _capsule(start: np.ndarray, end: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, normals and triangles of a cylinder with two half balls about its ends."""
    way = (end - start) / np.linalg.norm(end - start)
    across = np.cross(way, np.eye(3)[np.abs(way).argmin()])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(way, across), way])
    around = 2 * np.pi * np.arange(_SIDES) / _SIDES
    low = np.linspace(-np.pi / 2, 0, _RINGS + 1)
    heights = np.concatenate([low, -low[::-1]])
    ball = np.stack(
        [
            np.cos(heights)[:, None] * np.cos(around),
            np.cos(heights)[:, None] * np.sin(around),
            np.broadcast_to(np.sin(heights)[:, None], (len(heights), _SIDES)),
        ],
        axis=-1,
    )
    normals = ball @ axes
    centres = np.where((np.arange(len(heights)) > _RINGS)[:, None, None], end, start)
    ring, side = np.meshgrid(np.arange(len(heights) - 1), np.arange(_SIDES), indexing="ij")
    a, b = ring * _SIDES + side, ring * _SIDES + (side + 1) % _SIDES
    triangles = np.stack(
        [np.stack([a, b, b + _SIDES], -1), np.stack([a, b + _SIDES, a + _SIDES], -1)], axis=2
    )
    return (centres + radius * normals).reshape(-1, 3), normals.reshape(-1, 3), triangles.reshape(-1, 3)
