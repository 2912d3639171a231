"""Several people before one camera, who hide each other, as a detector sees them, in no order."""

from dataclasses import dataclass

import numpy as np
import torch
from capture_people import H36M, SIZE, Detector
from polypose.capture.detectors.detector import box_around
from polypose.capture.looks import PATCHES
from polypose.capture.tracks import Moment, Track
from posedata.geometry.camera import Camera

RATE = 30.0
_THICK = 0.12
"""Metres about a bone that a body covers."""
_GONE = 0.6
"""Share of hidden joints from which nobody is detected."""
_NEAR = 0.25
"""Of a person's size: how far from the truth a detection is still of that person."""


@dataclass(frozen=True)
class Scene:
    """moments: what is detected. pixels: (P, T, 17, 2) the truth. seen: (P, T) whether it was detected."""

    moments: list[Moment]
    pixels: np.ndarray
    seen: np.ndarray


def filmed(
    joints: np.ndarray,
    camera: Camera,
    detector: Detector,
    dress: np.ndarray | None = None,
    there: np.ndarray | None = None,
    seed: int = 0,
) -> Scene:
    """What a detector makes of people (P, T, 17, 3).

    Args:
        dress: (P, 3) colours; none are told where left out.
        there: (P, T) whether somebody is in the room at all.
    """
    rng = np.random.default_rng(seed)
    frames = joints.shape[1]
    pixels = camera.project(torch.from_numpy(joints)).numpy()
    away = camera.world_to_camera(torch.from_numpy(joints)).numpy()[..., 2]
    found = np.stack([detector.watch(one, RATE, rng) for one in pixels])
    covered = _covered(pixels, away, float(camera.focal.mean()))
    found[..., 2] = np.where(covered, rng.uniform(0.02, 0.3, covered.shape), found[..., 2])
    size = np.ptp(pixels, axis=2).max(-1)[..., None, None]
    found[..., :2] += np.where(covered[..., None], 0.05 * size * rng.normal(size=pixels.shape), 0)
    inside = ((pixels >= 0) & (pixels < SIZE)).all(-1).mean(-1) > 0.5
    seen = (covered.mean(-1) < _GONE) & inside & (True if there is None else there)
    moments = []
    for t in range(frames):
        rows = rng.permutation(np.flatnonzero(seen[:, t]))
        looks = np.full((len(rows), PATCHES, 3), np.nan)
        if dress is not None:
            looks = dress[rows][:, None] + rng.normal(0, 0.04, (len(rows), PATCHES, 3))
        points = found[rows, t]
        moments.append(Moment(t / RATE, points, box_around(points), looks))
    return Scene(moments, pixels, np.asarray(seen))


def _covered(pixels: np.ndarray, away: np.ndarray, focal: float) -> np.ndarray:
    """(P, T, J) which joints lie behind a bone of somebody nearer."""
    out = np.zeros(away.shape, bool)
    for one in range(len(pixels)):
        for other in range(len(pixels)):
            nearer = away[other].mean(-1) < away[one].mean(-1) - 0.1
            if one == other or not nearer.any():
                continue
            for child, parent in H36M.edges:
                a, b = pixels[other, :, [parent]], pixels[other, :, [child]]
                a, b = a.swapaxes(0, 1) if a.shape[0] == 1 else a, b.swapaxes(0, 1) if b.shape[0] == 1 else b
                way = b - a
                share = ((pixels[one] - a) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-9)
                off = pixels[one] - a - np.clip(share, 0, 1)[..., None] * way
                reach = _THICK * focal / away[other].mean(-1, keepdims=True)
                out[one] |= (np.linalg.norm(off, axis=-1) < reach) & nearer[:, None]
    return out


def owners(scene: Scene, tracks: tuple[Track, ...], mirror: list[int]) -> np.ndarray:
    """(P, T) the id of the track that follows each person, 0 where none does or it is not detected."""
    out = np.zeros(scene.seen.shape, int)
    best = np.full(scene.seen.shape, _NEAR)
    size = np.ptp(scene.pixels, axis=2).max(-1)
    for track in tracks:
        for row in np.flatnonzero(np.isfinite(track.boxes[:, 0])):
            t = track.first + int(row)
            points = track.keypoints[row]
            both = [
                np.median(np.linalg.norm(points[order, :2] - scene.pixels[:, t], axis=-1), axis=-1)
                for order in (slice(None), mirror)
            ]
            off = np.where(scene.seen[:, t], np.minimum(*both) / size[:, t], np.inf)
            who = int(off.argmin())
            if off[who] < best[who, t]:
                out[who, t], best[who, t] = track.id, off[who]
    return out


def switches(ids: np.ndarray) -> int:
    """How often a person goes on under another id, of (P, T) ids, 0 where there is none."""
    return sum(int((np.diff(mine[mine > 0]) != 0).sum()) for mine in ids)
