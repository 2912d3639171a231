"""The depth weights that polypose ships: UniPose's depth student, measured as a user gets it, on a card."""

from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames, predict_frames
from polypose.config import DepthSettings
from polypose.depth import DepthLifter, DepthNetwork
from polypose.loading import load
from posedata.results import write_results
from posedata.scoring.camera_frame import errors
from posedata.scoring.metrics import mpjpe_mm
from posedata.scoring.people import interval_by_person
from posedata.terminal import print_line
from posedata.writing import write_text
from posetrain.task import Say, Table
from torch import Tensor

from unipose.recipe import Recipe
from unipose.task import UNIPOSE, open_run

TEMPLATE = Path(__file__).with_name("card.md")
LEVELS = {50: 0.6745, 80: 1.2816, 90: 1.6449}
"""Per cent, and how many standard deviations of a normal law to either side hold them."""


def release(source: Path, recipe: Recipe, weights: Path, json: Path, say: Say = print_line) -> Table:
    """Write a finished run's depth student, in float16, and its card; returns its errors on the test people.

    Args:
        source: the run.
        recipe: of releases; what counts is that which the run was trained by.
        weights: the .safetensors to write; the card goes beside it, as .md.
        json: the results file to write.

    Raises:
        FileNotFoundError, ValueError: there is no such run, it is of another skeleton, or the split has no
            validation people.
    """
    trained = open_run(source)
    data, recipe = trained.data, trained.recipe
    if recipe.data.skeleton != DepthLifter.skeleton.name:
        skeleton = DepthLifter.skeleton.name
        raise ValueError(f"{source}: data.skeleton is {recipe.data.skeleton}; a release has {skeleton}")
    student = trained.model.get_student("student_depth")
    held_out = Frames.of(clips := UNIPOSE.on(data, "validation", say).test)
    off = predict_frames(student, held_out, held_out.middle) - clips.truth().flatten(0, 1)
    network = DepthNetwork(student.net, off.shape[1])
    network.sd.copy_(off.abs().transpose(0, 1).flatten(1).nanquantile(0.8, dim=1) / LEVELS[80])
    settings = DepthSettings(size=recipe.data.image_size, data=data.fingerprint)
    DepthLifter(network, recipe.student_model, settings).save(weights, half=True)
    row = measure(load(weights), data.test)
    write_results(json, [row], data=data.fingerprint, seeds=[recipe.loop.seed])
    shown = {key: f"{row[key]:.1f}" for key in ("mpjpe_mm", "map", "low_mm", "high_mm", "relative_mpjpe_mm")}
    held = {f"inside_{level}": f"{row[f'inside_{level}']:.0%}" for level in LEVELS}
    size = {
        "size": f"{weights.stat().st_size / 2**20:.1f} MiB",
        "views": row["views"],
        "people": row["people"],
    }
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    write_text(weights.with_suffix(".md"), text.substitute(shown | held | size))
    return Table("Depth student, test subjects", tuple(shown), [tuple(shown.values())])


def measure(model: DepthLifter, clips: Clips) -> dict[str, Any]:
    """A row of results: errors in the camera's frame with their interval by person, and how often the truth
    lies in the stated intervals. People are cut out as a user's are, by their silhouettes."""
    frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
    intrinsics = torch.cat([frames.camera.focal, frames.camera.centre], dim=-1)
    poses = model.lift(frames.person, intrinsics, say=lambda text: None)
    known = truth.isfinite().all(-1).all(-1) & poses.valid
    found, true, sd = poses.placed[known], truth[known], poses.sd[known]
    people = torch.tensor(np.asarray(clips.store.column("subject")))[known]
    low, high = interval_by_person(mpjpe_mm(found, true), people)
    return {
        "method": "student, depth (no 3D label)",
        "views": len(true),
        "people": len(people.unique()),
        **errors(found, true, clips.skeleton),
        "low_mm": low,
        "high_mm": high,
        **{f"inside_{level}": _inside(found - true, reach * sd) for level, reach in LEVELS.items()},
    }


def _inside(off: Float[Tensor, "N J 3"], reach: Float[Tensor, "N J"]) -> float:
    return float((off.abs() <= reach[..., None]).float().mean())
