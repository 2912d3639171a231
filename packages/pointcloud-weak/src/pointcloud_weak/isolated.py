"""A store's clips with their people cut out and isolated: a store of views again, kept in a cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from posedata.detect import KeypointSource
from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, StoreWriter
from posedata.store.cache import cached, code_key
from posedata.store.schema import CAMERA_COLUMNS, NAME_LISTS, REQUIRED_META
from posedata.terminal import print_line
from posedata.views.batch import DETECTED, Views
from posedata.views.recorded import RecordedViews
from posedata.views.squares import SQUARE_MARGIN, square
from torch import Tensor

from .clips import Clips
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
    rgb: bool = True,
    seed: int = 0,
    say: Callable[[str], None] = print_line,
) -> Clips:
    """Detect, cut out and isolate the people of a store's clips, or find that in the cache.

    Args:
        store: with depth images, RGB where `rgb` wants them, and cameras.
        clips: rows, clip by clip.
        source: of the 2D joints.
        cache, name: the folder that keeps them, and how the name in it begins.
        image_size: side of the squares around people, pixels.
        points: N, of a frame that a network is given; drawn from `stored_points`.
        rgb: whether the clips have pictures too.
        seed: of the detector's noise and of the choice of points.

    Raises:
        ValueError, FileNotFoundError: the store lacks such images, no clip can be used, or the detector
            cannot be had.
    """
    lacking = [kind for kind in ("depth", *(["rgb"] if rgb else [])) if kind not in store.image_kinds]
    if lacking:
        cure = "; of depth alone set data.rgb=false" if lacking == ["rgb"] else "; prepare it with depth"
        raise ValueError(f"{store.path}: has no {lacking[0]} images{cure}")
    if "boxes" in store:
        boxes = np.asarray(store.column("boxes"))[clips]
        if not np.allclose(boxes, boxes[:, :1], atol=0.01):
            raise ValueError(
                f"{store.path}: crops move within a clip; prepare it with whole images (posedata --size full)"
            )
    code = code_key(__name__, packages=("posedata", "pointcloud_weak"))
    key = [store.fingerprint, clips.tolist(), source.key, image_size, stored_points, rgb, seed, code]

    def isolate(path: Path) -> None:
        say(f"isolating people in {clips.size} frames: {path}")
        keypoints = source.detect(store, clips.reshape(-1), seed).unflatten(0, clips.shape)
        generator = torch.Generator().manual_seed(seed)
        with StoreWriter(path, _meta(store, source.skeleton)) as writer:
            kept = []
            for rows, seen in zip(clips, keypoints, strict=True):
                person = _isolated(store, rows, seen, image_size, stored_points, generator)
                if person is not None:
                    images = {"depth": person.depth, "mask": person.mask.astype(np.uint8)}
                    if rgb:
                        images["rgb"] = square(store.images(rows, "rgb"), person.box, image_size)
                    writer.add_images(**images)
                    writer.append_columns({"points": person.points})
                    kept.append((rows, seen, person.box))
            if not kept:
                raise ValueError(
                    f"{store.path}: nobody could be isolated in any clip; check depth and 2D keypoints"
                )
            writer.meta["dropped"] = len(clips) - len(kept)
            writer.add_columns(_columns(store, source.skeleton, *zip(*kept, strict=True)))

    people = PoseStore.open(cached(cache, name, key, isolate))
    return Clips(people, views_of(people), clips.shape[1], points, store.path)


def views_of(people: PoseStore) -> Views:
    """All of a store of isolated people."""
    recorded = RecordedViews(people, people.skeleton, detectors=(DETECTED,), say=lambda text: None)
    return recorded.views(images=(*people.image_kinds, "points"))


def image_camera(store: PoseStore, rows: Int[np.ndarray, " n"]) -> Camera:
    """The cameras of a store's images: of their crops, where it has such."""
    camera = store.camera(rows)
    if "boxes" not in store:
        return camera
    return camera.crop(torch.from_numpy(np.array(store.column("boxes")[rows])), store.image_size)


class _Person(NamedTuple):
    """One clip: pictures (T, S, S, ...), points (T, P, 3), and the square (4,) in the store's images."""

    depth: np.ndarray
    mask: np.ndarray
    points: np.ndarray
    box: Tensor


def _isolated(
    store: PoseStore, rows: np.ndarray, keypoints: Tensor, size: int, points: int, generator: torch.Generator
) -> _Person | None:
    """One clip's person, or None where the person of a frame cannot be told from the rest."""
    box = _box(store, keypoints, size)
    if box is None:
        return None
    depth = square(store.images(rows, "depth"), box, size)
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
    return _Person(depth, np.stack(masks), np.stack(clouds), box)


def _meta(store: PoseStore, skeleton: str) -> dict[str, object]:
    kept = [*REQUIRED_META, *NAME_LISTS.values()]
    return {key: store.meta[key] for key in kept if key in store.meta} | {"skeleton": skeleton, "dropped": 0}


def _columns(
    store: PoseStore,
    skeleton: str,
    clips: tuple[np.ndarray, ...],
    keypoints: tuple[Tensor, ...],
    boxes: tuple[Tensor, ...],
) -> dict[str, np.ndarray]:
    """All but points and pictures. Cameras are one a clip, of the image that its square is cut from."""
    rows, frames = np.concatenate(clips), len(clips[0])
    joints = torch.from_numpy(store.joints(rows))
    if store.skeleton.name != skeleton:
        joints = store.skeleton.convert(joints, get_skeleton(skeleton), lossy=True)
    seen = torch.cat(keypoints)
    camera = image_camera(store, rows[::frames])
    copied = [name for name in (*NAME_LISTS, "frame") if name in store]
    return {
        "joints": joints.numpy(),
        "valid": joints.isfinite().all(-1).numpy(),
        f"keypoints_{DETECTED}": torch.where(seen[..., 2:] > 0, seen, 0).numpy(),
        "boxes": torch.stack(boxes).repeat_interleave(frames, 0).numpy(),
        "camera": np.repeat(np.arange(len(clips)), frames),
        "image": np.arange(len(rows)),
        **{name: np.asarray(store.column(name)[rows]) for name in copied},
        **{name: getattr(camera, name.removeprefix("camera_")).numpy() for name in CAMERA_COLUMNS},
    }


def _box(store: PoseStore, keypoints: Tensor, size: int) -> Tensor | None:
    """The square around a clip's 2D joints; the whole image where it is that square already."""
    if store.image_size == (size, size):
        return torch.tensor([-0.5, -0.5, size - 0.5, size - 0.5])
    sure = keypoints[..., 2].flatten() >= 0.3
    if not sure.any():
        return None
    return bounding_box(keypoints[..., :2].flatten(0, 1), sure, margin=SQUARE_MARGIN, aspect=1.0)
