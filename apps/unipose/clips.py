"""RGB-D clips in memory: what training may see, and, kept apart from it, the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from pointcloud_weak import DepthUnprojector, isolate_person, subsample
from pointcloud_weak.losses import Evidence, KeypointDepth, keypoint_depth
from posedata.detect import KeypointSource
from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.store.cache import cached, code_key
from posedata.store.digests import check_digests, write_digests
from posedata.store.files import building, put
from posedata.terminal import print_line
from posedata.views.noise import DetectorNoise
from posetrain.texts import read_json
from torch import Tensor

from unipose.film import MARGIN
from unipose.recipe import DataConfig
from unipose.square import square

ARRAYS = ("rows", "keypoints", "points", "depth", "mask", "rgb", "box")
"""Of every frame: its row in the store, 2D joints (J, 3), isolated points (P, 3), depth (S, S) uint16 mm,
mask (S, S) bool, picture (S, S, 3) uint8, and the square they show in pixels of the store's images."""


@dataclass(frozen=True)
class ClipBatch:
    """Clips as the teacher sees them, with what stage A may know of them.

    Attributes:
        points: (B, T, N, 3) camera frame, metres.
        images: (B, T, 3, S, S) uint8.
        seen: 2D detections and depth.
        index: (B,) which clips; all lie on its device.
    """

    points: Tensor
    images: Tensor
    seen: Evidence
    index: Tensor


class Clips:
    """K clips of T frames, in host memory. Nothing in here but `truth` comes from a 3D label.

    Attributes:
        keypoints: (K, T, J, 3) px of the squares, and confidence.
        points: (K, T, P, 3) metres; depth, mask (K, T, S, S); rgb (K, T, S, S, 3).
        surface: depth at the 2D joints.
        camera: (K,) of the squares.
        dropped: how many clips were left out because a frame's person could not be isolated.
    """

    def __init__(
        self, store: PoseStore, arrays: dict[str, np.ndarray], config: DataConfig, dropped: int
    ) -> None:
        self.store, self.config, self.dropped = store, config, dropped
        self.skeleton = get_skeleton(config.skeleton)
        self.rows = arrays["rows"]
        shaped = {
            name: torch.from_numpy(values).unflatten(0, (-1, config.frames))
            for name, values in arrays.items()
        }
        self.keypoints, self.points, self.rgb = shaped["keypoints"], shaped["points"], shaped["rgb"]
        self.depth, self.mask = shaped["depth"], shaped["mask"]
        camera = store.camera(self.rows.reshape(-1, config.frames)[:, 0])
        if "boxes" in store:
            boxes = torch.from_numpy(
                np.array(store.column("boxes")[self.rows.reshape(-1, config.frames)[:, 0]])
            )
            camera = camera.crop(boxes, store.image_size)
        self.camera = camera.crop(shaped["box"][:, 0], (config.image_size, config.image_size))
        self.rays = self.camera.rays(self.keypoints[..., :2].flatten(1, 2)).view(*self.keypoints.shape[:3], 3)
        self.keypoints[..., 2] *= self.rays.isfinite().all(-1)  # a lens may bend no ray to a stray detection
        self.surface = keypoint_depth(self.person_depth(slice(None)), self.keypoints[..., :2])

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, index: Int[Tensor, " B"], generator: torch.Generator | None = None) -> ClipBatch:
        """Some clips on the index's device, with N points a frame: drawn by the generator, else the first N.

        Args:
            generator: on that device too.
        """
        rows, device = index.cpu(), index.device
        points = self.points[rows].to(device)
        if generator is not None:
            drawn = torch.rand(*points.shape[:3], generator=generator, device=device)
            order = drawn.argsort(-1)[..., : self.config.points, None].expand(-1, -1, -1, 3)
            points = points.gather(2, order)
        seen = Evidence(
            rays=self.rays[rows].to(device),
            confidence=self.keypoints[rows][..., 2].to(device),
            depth=KeypointDepth(*(part[rows].to(device) for part in self.surface)),
            points=points[:, :, : self.config.points],
            surface=self.person_depth(rows).to(device),
            camera=self.camera[rows].to(device),
        )
        return ClipBatch(seen.points, self.rgb[rows].to(device).permute(0, 1, 4, 2, 3), seen, index)

    def labelled(self) -> Int[Tensor, " k"]:
        """Which clips have all true joints known in all frames."""
        return self.truth().isfinite().flatten(1).all(1).nonzero().flatten()

    def person_depth(self, index: Tensor | slice) -> Float[Tensor, "B T S S"]:
        """Depth of the person alone, metres, 0 elsewhere."""
        return torch.where(self.mask[index], self.depth[index].float() * 1e-3, 0.0)

    def truth(self) -> Float[Tensor, "K T J 3"]:
        """True joints in the camera's frame, NaN where not known: for evaluation and for the supervised twins
        only."""
        joints = torch.from_numpy(np.array(self.store.column("joints")[self.rows]))
        if "valid" in self.store:
            joints[~torch.from_numpy(np.array(self.store.column("valid")[self.rows]))] = torch.nan
        joints = self.store.camera(self.rows).world_to_camera(joints)
        if self.store.skeleton.name != self.skeleton.name:
            joints = self.store.skeleton.convert(joints, self.skeleton, lossy=True)
        return joints.unflatten(0, (-1, self.config.frames))


def open_clips(
    store: PoseStore,
    clips: Int[np.ndarray, "K T"],
    config: DataConfig,
    part: str,
    seed: int,
    say: Callable[[str], None] = print_line,
) -> Clips:
    """Detect, cut out and isolate the people of a store's clips, or find that in the cache.

    Args:
        store: with depth and RGB images, and cameras.
        clips: rows, clip by clip.
        part: of the split: goes into the name.
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
    chosen = {name: value for name, value in asdict(config).items() if name in _CACHE_KEYS}
    files = [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in config.keypoints if p.is_file()]
    code = code_key("unipose.clips", "unipose.square", packages=("posedata", "pointcloud_weak"))

    def isolate(path: Path) -> None:
        say(f"isolating people in {clips.size} {part} frames: {path}")
        _write(path, *_isolated(store, clips, config, seed))

    key = [store.fingerprint, clips.tolist(), chosen, files, seed, code]
    path = cached(config.cache, f"unipose-{part}-people", key, isolate)
    check_digests(path)
    arrays = {name: np.load(path / f"{name}.npy") for name in ARRAYS}
    dropped = read_json(path / "meta.json", f"delete {path}, and it is made anew")["dropped"]
    return Clips(store, arrays, config, dropped)


def keypoint_source(config: DataConfig) -> KeypointSource:
    """The recipe's choice of 2D joints."""
    noise = DetectorNoise(**asdict(config.noise))
    return KeypointSource(config.detector, config.skeleton, noise, config.keypoints)


_CACHE_KEYS = ("skeleton", "image_size", "detector", "noise", "stored_points", "frames")


def windows(
    store: PoseStore, rows: Int[np.ndarray, " n"], frames: int, count: int, stride: int = 1
) -> Int[np.ndarray, "K T"]:
    """Clips of a store of RGB-D: every `stride`-th of neighbouring rows of one sequence and camera that are
    evenly apart in time; no row is in two clips; at most `count`, spread evenly.

    Raises:
        ValueError: there is none.
    """
    place = np.stack([np.asarray(store.column(name)[rows]) for name in ("sequence", "camera")])
    frame = np.asarray(store.column("frame")[rows])
    span = stride * (frames - 1) + 1
    found, taken = [], np.zeros(len(rows), bool)
    for start in range(len(rows) - span + 1):
        here = slice(start, start + span)
        if taken[here][::stride].any():
            continue
        steps = np.diff(frame[here])
        if (place[:, here] == place[:, start : start + 1]).all() and (steps == steps[:1]).all():
            found.append(rows[here][::stride])
            taken[here][::stride] = True
    if not found:
        raise ValueError(
            f"{store.path}: no {span} frames follow each other; set data.frames or data.stride lower"
        )
    picked = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return np.stack(found)[picked]


def _isolated(
    store: PoseStore, clips: np.ndarray, config: DataConfig, seed: int
) -> tuple[dict[str, np.ndarray], int]:
    frames = clips.shape[1]
    keypoints = keypoint_source(config).detect(store, clips.reshape(-1), seed).unflatten(0, (-1, frames))
    generator = torch.Generator().manual_seed(seed)
    kept: list[dict[str, np.ndarray]] = []
    for rows, points2d in zip(clips, keypoints, strict=True):
        frame = _clip(store, rows, points2d, config, generator)
        if frame is not None:
            kept.append(frame)
    if not kept:
        raise ValueError(f"{store.path}: nobody could be isolated in any clip; check depth and 2D keypoints")
    return {name: np.concatenate([clip[name] for clip in kept]) for name in ARRAYS}, len(clips) - len(kept)


def _clip(
    store: PoseStore, rows: np.ndarray, keypoints: Tensor, config: DataConfig, generator: torch.Generator
) -> dict[str, np.ndarray] | None:
    """The arrays of one clip, or None where the person of a frame cannot be told from the rest."""
    size = config.image_size
    box = _box(store, keypoints, size)
    if box is None:
        return None
    depth, rgb = (square(store.images(rows, kind), box, size) for kind in ("depth", "rgb"))
    camera = store.camera(rows[:1])
    if "boxes" in store:
        camera = camera.crop(torch.from_numpy(np.array(store.column("boxes")[rows[:1]])), store.image_size)
    unproject = DepthUnprojector(camera.crop(box, (size, size))[0])
    pixels = crop_keypoints(keypoints, box.expand(len(rows), 4), (size, size))
    masks, points = [], []
    for image, joints in zip(depth, pixels, strict=True):
        values = torch.from_numpy(image)
        try:
            mask = isolate_person(values, unproject, joints[:, :2], joints[:, 2]).mask
        except ValueError:
            return None
        masks.append(mask.numpy())
        points.append(subsample(unproject(values)[mask], config.stored_points, generator).numpy())
    return {
        "rows": rows,
        "keypoints": pixels.numpy(),
        "points": np.stack(points),
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
    return bounding_box(keypoints[..., :2].flatten(0, 1), sure, margin=MARGIN, aspect=1.0)


def _write(path: Path, arrays: dict[str, np.ndarray], dropped: int) -> None:
    with building(path) as folder:
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)
        (folder / "meta.json").write_text(json.dumps({"dropped": dropped}) + "\n")
        write_digests(folder)
        put(folder, path)
