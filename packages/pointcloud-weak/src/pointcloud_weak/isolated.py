"""A store's clips with their people cut out and isolated, kept in a cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from posedata.detect import KeypointSource
from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.store.cache import cached, code_key
from posedata.store.digests import check_digests, write_digests
from posedata.store.files import building, put
from posedata.terminal import print_line
from posedata.views.squares import SQUARE_MARGIN, square
from torch import Tensor

from .clips import ARRAYS, Clips, image_camera
from .cloud import DepthUnprojector
from .isolate import isolate_person
from .ops import subsample


def open_clips(
    store: PoseStore,
    clips: Int[np.ndarray, "K T"],
    source: KeypointSource,
    cache: Path,
    name: str,
    *,
    image_size: int,
    points: int,
    stored_points: int,
    seed: int = 0,
    say: Callable[[str], None] = print_line,
) -> Clips:
    """Detect, cut out and isolate the people of a store's clips, or find that in the cache.

    Args:
        store: with depth and RGB images, and cameras.
        clips: rows, clip by clip.
        source: of the 2D joints.
        cache, name: the folder that keeps them, and how the name in it begins.
        image_size: side of the squares around people, pixels.
        points: N, of a frame that a network is given; drawn from `stored_points`.
        seed: of the detector's noise and of the choice of points.

    Raises:
        ValueError, FileNotFoundError: no clip can be used, or the detector cannot be had.
    """
    if "boxes" in store:
        boxes = np.asarray(store.column("boxes"))[clips]
        if not np.allclose(boxes, boxes[:, :1], atol=0.01):
            raise ValueError(
                f"{store.path}: crops move within a clip; prepare it with whole images (posedata --size full)"
            )
    code = code_key(__name__, packages=("posedata", "pointcloud_weak"))
    key = [store.fingerprint, clips.tolist(), source.key, image_size, stored_points, seed, code]

    def isolate(path: Path) -> None:
        say(f"isolating people in {clips.size} frames: {path}")
        keypoints = source.detect(store, clips.reshape(-1), seed).unflatten(0, clips.shape)
        generator = torch.Generator().manual_seed(seed)
        found = [
            _clip(store, rows, points2d, image_size, stored_points, generator)
            for rows, points2d in zip(clips, keypoints, strict=True)
        ]
        kept = [clip for clip in found if clip is not None]
        if not kept:
            raise ValueError(
                f"{store.path}: nobody could be isolated in any clip; check depth and 2D keypoints"
            )
        arrays = {array: np.concatenate([clip[array] for clip in kept]) for array in ARRAYS}
        write_clips(path, arrays, len(found) - len(kept))

    path = cached(cache, name, key, isolate)
    check_digests(path)
    arrays = {array: np.load(path / f"{array}.npy") for array in ARRAYS}
    dropped = json.loads((path / "meta.json").read_text(encoding="utf-8"))["dropped"]
    return Clips(store, arrays, clips.shape[1], points, get_skeleton(source.skeleton), dropped)


def write_clips(path: Path, arrays: dict[str, np.ndarray], dropped: int) -> None:
    """Put isolated people, `ARRAYS`, and how many clips were left out into a folder, whole."""
    with building(path) as folder:
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)
        (folder / "meta.json").write_text(json.dumps({"dropped": dropped}) + "\n")
        write_digests(folder)
        put(folder, path)


def _clip(
    store: PoseStore, rows: np.ndarray, keypoints: Tensor, size: int, points: int, generator: torch.Generator
) -> dict[str, np.ndarray] | None:
    """The arrays of one clip, or None where the person of a frame cannot be told from the rest."""
    box = _box(store, keypoints, size)
    if box is None:
        return None
    depth, rgb = (square(store.images(rows, kind), box, size) for kind in ("depth", "rgb"))
    camera = image_camera(store, rows[:1])
    unproject = DepthUnprojector(camera.crop(box, (size, size))[0])
    pixels = crop_keypoints(keypoints, box.expand(len(rows), 4), (size, size))
    masks, clouds = [], []
    for image, joints in zip(depth, pixels, strict=True):
        values = torch.from_numpy(image)
        try:
            mask = isolate_person(values, unproject, joints[:, :2], joints[:, 2]).mask
        except ValueError:
            return None
        masks.append(mask.numpy())
        clouds.append(subsample(unproject(values)[mask], points, generator).numpy())
    return {
        "rows": rows,
        "keypoints": pixels.numpy(),
        "points": np.stack(clouds),
        "depth": depth,
        "mask": np.stack(masks),
        "rgb": rgb,
        "box": np.repeat(box[None].numpy(), len(rows), 0),
    }


def _box(store: PoseStore, keypoints: Tensor, size: int) -> Tensor | None:
    """The square around a clip's 2D joints; the whole image where it is that square already."""
    if store.image_size == (size, size):
        return torch.tensor([-0.5, -0.5, size - 0.5, size - 0.5])
    sure = keypoints[..., 2].flatten() >= 0.3
    if not sure.any():
        return None
    return bounding_box(keypoints[..., :2].flatten(0, 1), sure, margin=SQUARE_MARGIN, aspect=1.0)
