"""Recordings of people as pillars before a wall, whose depth has a closed form."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CAMERA = {"width": 320, "height": 240, "fx": 300, "fy": 300, "cx": 159.5, "cy": 119.5, "fps": 10}
LENS = 1.2


def pillars(places: list[tuple[float, float]]) -> np.ndarray:
    """Depth, mm, of people of 1.7 m as pillars at (x, z) on a floor before a wall."""
    v, u = np.mgrid[:240, :320]
    a, b = (u - 159.5) / 300, (v - 119.5) / 300
    depth = np.where(b > 0, np.minimum(LENS / np.maximum(b, 1e-6), 5), 5.0)
    for x, z in places:
        p, q, r = a * a + 1, a * x + z, x * x + z * z - 0.04
        root = q * q - p * r
        t = (q - np.sqrt(np.maximum(root, 0))) / p
        hit = (root > 0) & (b * t > LENS - 1.7) & (b * t < LENS) & (t < depth)
        depth = np.where(hit, t, depth)
    return np.rint(depth * 1000).astype(np.uint16)


def recording(folder: Path, frames: list[list[tuple[float, float]]]) -> Path:
    for number, places in enumerate(frames):
        (folder / "depth").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pillars(places)).save(folder / "depth" / f"{number:03d}.png")
    (folder / "intrinsics.json").write_text(json.dumps(CAMERA))
    return folder


def coco(path: Path, people: list[tuple[str, float, float]]) -> Path:
    """Joints down the middle of pillars: (image, x, z)."""
    images = sorted({name for name, _, _ in people})
    marks = []
    for name, x, z in people:
        heights = np.linspace(1.6, 0.3, 17)
        u, v = 300 * x / z + 159.5, 300 * (LENS - heights) / z + 119.5
        keypoints = np.stack([np.full(17, u), v, np.full(17, 2)], -1).ravel().tolist()
        marks.append({"image_id": images.index(name), "keypoints": keypoints})
    told = {
        "images": [{"id": i, "file_name": f"{n}.jpg"} for i, n in enumerate(images)],
        "annotations": marks,
    }
    path.write_text(json.dumps(told))
    return path
