"""Stores of synthetic hands, single and interacting, as cameras all around see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from posedata.store.files import building
from posedata.store.writer import refuse_existing, write_store
from posedata.synthetic.hands.scene import HAND_RIG, TILT, sample_scenes
from posedata.synthetic.rendering import render_store
from posedata.views.hands import KINDS, filled, hand_columns
from posedata.views.rigs import Rig, sample_cameras


def build_hands(
    out: str | Path,
    count: int,
    *,
    seed: int = 0,
    interacting: float = 0.5,
    tilt: float = TILT,
    touching: float = 0.0,
    arms: bool = False,
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
        interacting, tilt, touching: as of `posedata.synthetic.hands.sample_scenes`.
        arms: as of `posedata.synthetic.rendering.render_store`.
        rig: the cameras.
        size: side of the square pictures, px.
        background, kinds, workers, progress: as of `posedata.synthetic.rendering.render_store`.
        overwrite: replace ``out`` if it is a store.
    """
    out = Path(out)
    refuse_existing(out, overwrite)
    generator = torch.Generator().manual_seed(seed)
    scenes = sample_scenes(count, generator, interacting, tilt, touching)
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
            **({"touching": touching} if touching else {}),
            "rig": asdict(rig),
        },
    }
    with building(out) as steps:
        views = write_store(steps / "views", columns, meta)
        return render_store(
            views, out, size=(size, size), seed=seed, workers=workers, kinds=kinds, overwrite=overwrite,
            background=background, arms=arms, progress=progress,
        )  # fmt: skip
