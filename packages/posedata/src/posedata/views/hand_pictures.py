"""Cut pictures of hands on a device: what a network is given of them, and what it should say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.store import PoseStore
from posedata.views.hand_augment import augment_hands
from posedata.views.hand_ranges import HandAugmentation
from posedata.views.hands import KINDS, encode


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
