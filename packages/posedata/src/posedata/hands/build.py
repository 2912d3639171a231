"""Stores of synthetic hands, single and interacting, as cameras all around see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata._schema import CAMERA_COLUMNS
from posedata._writer import refuse_existing
from posedata.boxes import bounding_box
from posedata.build import render_store
from posedata.camera import Camera
from posedata.files import building
from posedata.hands.scene import HAND_RIG, KINDS, TILT, sample_scenes
from posedata.store import write_store
from posedata.views import Rig, sample_cameras

BOX_SCALE = 1.25
"""A hand's box is square, and this much larger than the joints': as A2J-Transformer cuts InterHand2.6M."""


def build_hands(
    out: str | Path,
    count: int,
    *,
    seed: int = 0,
    interacting: float = 0.5,
    tilt: float = TILT,
    rig: Rig = HAND_RIG,
    size: int = 256,
    background: str | None = None,
    kinds: tuple[str, ...] = ("rgb",),
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a store of synthetic scenes of hands (skeleton interhand42) with their pictures.

    The same arguments give the same store, whatever ``workers`` is. ``action`` is the kind of scene, one of
    `KINDS`; a hand that is not there has ``valid`` False.

    Args:
        out: the store to make.
        count: scenes; each has hands of a size of its own, and one camera.
        interacting, tilt: as of `posedata.hands.sample_scenes`.
        rig: the cameras.
        size: side of the square pictures, px.
        background, kinds, workers, progress: as of `posedata.build.render_store`.
        overwrite: replace ``out`` if it is a store.
    """
    out = Path(out)
    refuse_existing(out, overwrite)
    generator = torch.Generator().manual_seed(seed)
    scenes = sample_scenes(count, generator, interacting, tilt)
    camera = sample_cameras(filled(scenes.joints, scenes.valid), rig, generator)
    columns = hand_columns(scenes.joints, scenes.valid, camera)
    columns["action"] = scenes.kind.numpy()
    meta = {
        "skeleton": "interhand42",
        "fps": 1,
        "source": "posedata.hands",
        "licence": "Apache-2.0",
        "actions": list(KINDS),
        "synthetic": {
            "count": count,
            "seed": seed,
            "interacting": interacting,
            "tilt": tilt,
            "rig": asdict(rig),
        },
    }
    with building(out) as steps:
        views = write_store(steps / "views", columns, meta)
        return render_store(
            views, out, size=(size, size), seed=seed, workers=workers, kinds=kinds, overwrite=overwrite,
            background=background, progress=progress,
        )  # fmt: skip


def hand_columns(
    joints: Float[Tensor, "N 42 3"], valid: Bool[Tensor, "N 42"], camera: Camera
) -> dict[str, np.ndarray]:
    """A store's columns for hands seen by one camera each: joints, cameras, keypoints and boxes."""
    pixels = camera.project(filled(joints, valid))
    box = bounding_box(pixels, valid, margin=(BOX_SCALE - 1) / 2, aspect=1.0)
    columns = {
        "joints": torch.where(valid[..., None], joints, 0.0).numpy(),
        "valid": valid.numpy(),
        "camera": np.arange(len(joints)),
        "boxes": box.numpy(),
        "keypoints_true": torch.cat([pixels, valid[..., None].to(pixels)], -1).numpy(),
    }
    table = {name: getattr(camera, name.removeprefix("camera_")).numpy() for name in CAMERA_COLUMNS}
    return columns | table


def filled(joints: Float[Tensor, "N 42 3"], valid: Bool[Tensor, "N 42"]) -> Float[Tensor, "N 42 3"]:
    """Joints with each invalid one at the mean of the valid ones of its scene."""
    weight = valid[..., None].to(joints)
    middle = (weight * joints).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return torch.where(valid[..., None], joints, middle)
