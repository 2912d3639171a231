"""Stores of synthetic people: poses, with a rig also views, with an image size also pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posedata.store.files import building
from posedata.store.names import KINDS
from posedata.store.schema import check_fps
from posedata.store.writer import refuse_existing, write_store
from posedata.synthetic.people.motion import generate_motion
from posedata.synthetic.rendering import Progress, render_store
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import Rig
from posedata.views.writing import add_views

_RATES = (0.1, 10_000)


def build_synthetic(
    out: str | Path,
    *,
    subjects: int = 12,
    clips: int = 9,
    frames: int = 60,
    fps: int | float = 30,
    seed: int = 0,
    rig: Rig | None = None,
    per_frame: int = 1,
    noise: DetectorNoise | None = None,
    images: tuple[int, int] | None = None,
    kinds: tuple[str, ...] = KINDS,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a store of synthetic people: poses, with a rig also views, with an image size also pictures.

    The same arguments give the same store to the bit, whatever `workers` is.

    Args:
        out: the store to make.
        subjects, clips, frames, fps: how many people, clips of each, frames of a clip, frames a second.
        seed: decides everything.
        rig, per_frame, noise: virtual cameras as in `posedata.views.add_views`; none without a rig.
        images: (width, height) in pixels; needs a rig.
        kinds, workers, progress: as in `render_store`.
        overwrite: replace `out` if it is a store.
    """
    if images is not None and rig is None:
        raise ValueError("images need cameras: give a rig too")
    check_fps(fps, "fps")
    if not _RATES[0] <= fps <= _RATES[1]:
        raise ValueError(f"fps is {fps:g}; give {_RATES[0]:g} to {_RATES[1]:g} frames per second")
    out = Path(out)
    refuse_existing(out, overwrite)
    columns, meta = _motion(subjects, clips, frames, float(fps), seed)
    if rig is None:
        return write_store(out, columns, meta, overwrite=overwrite)
    with building(out) as steps:
        poses = write_store(steps / "poses", columns, meta)
        if images is None:
            return add_views(poses, out, rig, per_frame, noise, seed, overwrite=overwrite)
        views = add_views(poses, steps / "views", rig, per_frame, noise, seed)
        return render_store(
            views,
            out,
            size=images,
            seed=seed,
            workers=workers,
            kinds=kinds,
            overwrite=overwrite,
            progress=progress,
        )


def _motion(
    subjects: int, clips: int, frames: int, fps: float, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    motion = generate_motion(subjects, clips, frames, fps=fps, seed=seed)
    columns = {name: getattr(motion, name) for name in ("joints", "subject", "sequence", "action", "frame")}
    meta = {
        "skeleton": "h36m17",
        "fps": motion.fps,
        "source": "posedata.synthetic",
        "licence": "Apache-2.0",
        "subjects": list(motion.subject_names),
        "sequences": list(motion.sequence_names),
        "actions": list(motion.action_names),
        "synthetic": {"subjects": subjects, "clips": clips, "frames": frames, "seed": seed},
    }
    return columns, meta
