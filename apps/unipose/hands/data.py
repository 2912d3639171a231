"""From a recipe's data section to batches of pictures and targets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from posedata.geometry.camera import Camera
from posedata.readers.files.interhand import read_interhand, write_interhand
from posedata.source import check_poses
from posedata.splits import Part
from posedata.store import PoseStore
from posedata.store.cache import cached, code_key
from posedata.synthetic.hands import build_hands
from posedata.terminal import print_line
from posedata.views.hand_augment import augment_hands
from posedata.views.hand_ranges import HandAugmentation
from posedata.views.hands import KINDS, encode
from torch import Tensor

from unipose.hands.recipe import DataConfig


@dataclass
class Hands:
    """A store of cut pictures on a device; the pictures themselves stay where they lie.

    Attributes:
        camera: of the crops.
        joints: (N, 42, 3) in the camera's frame, metres; valid (N, 42).
        targets, trained: as of `posedata.views.hands.encode`.
        interacting: (N,) scenes of two hands.
    """

    store: PoseStore
    camera: Camera
    joints: Float[Tensor, "N 42 3"]
    valid: Bool[Tensor, "N 42"]
    targets: Float[Tensor, "N 42 3"]
    trained: Bool[Tensor, "N 42"]
    interacting: Bool[Tensor, " N"]

    @classmethod
    def open(cls, store: PoseStore, device: torch.device | str = "cpu") -> Hands:
        """Read everything but the pictures."""
        columns = store.tensors(["joints", "valid", "boxes", "action"])
        whole = store.camera()
        camera = whole.crop(columns["boxes"], store.image_size)
        joints = whole.world_to_camera(columns["joints"])
        targets, trained = encode(joints, columns["valid"], camera)
        interacting = columns["action"] == KINDS.index("interacting")
        moved = (t.to(device) for t in (joints, columns["valid"], targets, trained, interacting))
        return cls(store, camera.to(device), *moved)

    def __len__(self) -> int:
        return len(self.joints)

    def images(self, rows: Int[Tensor, " B"]) -> Float[Tensor, "B 3 S S"]:
        """Pictures of these rows, 0 to 1, on the device of the targets."""
        pixels: UInt8[np.ndarray, "B S S 3"] = self.store.images(rows.cpu().numpy())
        return torch.from_numpy(pixels).to(self.targets.device).permute(0, 3, 1, 2).float() / 255

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        share: Callable[[Tensor], Tensor],
        augmentation: HandAugmentation,
        draws: AbstractContextManager[object] | None = None,
    ) -> dict[str, Tensor]:
        """A training batch: images, targets, and which joints of them are valid.

        Every process draws the rows of the whole batch, and how their pictures are changed, and keeps its
        share.

        Args:
            draws: in which the augmentation's generator draws for the whole batch (`WholeBatch.draws`).
        """
        rows = torch.randint(len(self), (count,), generator=generator, device=generator.device)
        seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
        rows, chance = share(rows), torch.Generator(generator.device).manual_seed(int(seeds[0]))
        images = self.images(rows)
        with draws or nullcontext():
            images, targets, valid = augment_hands(
                images, self.targets[rows], self.trained[rows], chance, augmentation
            )
        return {"images": images, "targets": targets, "valid": valid}


def prepare(config: DataConfig, say: Callable[[str], None] = print_line) -> tuple[PoseStore, PoseStore]:
    """The stores to train on and to test on, made or found in the cache.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    make = _rendered if config.format == "synthetic" else _cut
    return make(config, "train", say), make(config, "test", say)


def prepare_part(config: DataConfig, part: Part, say: Callable[[str], None] = print_line) -> PoseStore:
    """Pictures to measure on: the test's, or as many (of InterHand2.6M all) of its validation part.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    return (_rendered if config.format == "synthetic" else _cut)(config, part, say)


def fingerprint(*stores: PoseStore) -> str:
    """Of everything that training and test see."""
    return hashlib.sha256("".join(store.fingerprint for store in stores).encode()).hexdigest()[:16]


def _rendered(config: DataConfig, part: str, say: Callable[[str], None]) -> PoseStore:
    count = config.images if part == "train" else config.test_images
    seed = 2 * config.seed + {"train": 0, "test": 1, "validation": 1_000_000}[part]
    chosen = [count, seed, config.size, config.interacting, config.tilt, config.background]

    def render(path: Path) -> None:
        say(f"rendering {count} {part} pictures of hands, {config.size}x{config.size}: {path}")
        build_hands(
            path, count, seed=seed, interacting=config.interacting, tilt=config.tilt, size=config.size,
            background=None if config.background == "any" else config.background, workers=config.workers,
        )  # fmt: skip

    key = [*chosen, code_key("posedata.synthetic.hands.build")]
    return PoseStore.open(cached(config.cache, f"hands-{part}", key, render))


def _cut(config: DataConfig, part: str, say: Callable[[str], None]) -> PoseStore:
    if config.path is None:
        raise ValueError("data.path is not set; give InterHand2.6M's folder: --set data.path=...")
    name = "val" if part == "validation" else part
    file = config.path / "annotations" / name / f"InterHand2.6M_{name}_data.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; data.path must be InterHand2.6M's folder")
    beside = sorted(file.parent.glob(f"InterHand2.6M_{name}_*.json"))  # cameras and 3D joints too
    state = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in beside]

    def cut(path: Path) -> None:
        say(f"cutting the pictures of {file}: {path}")
        write_interhand(read_interhand(file), images, path, size=config.size)

    images = config.path / "images" / name
    key = [state, config.size, code_key("posedata.readers.files.interhand")]
    store = PoseStore.open(cached(config.cache, f"interhand-{part}", key, cut))
    check_poses(store, file, config.accept_faults, say)
    return store
