"""What a trained UniHPR is worth: estimation, retrieval, alignment, and the trivial baselines beside it."""

from functools import partial

import torch
from polypose import measuring
from polypose.batches import decode, embed
from polypose.config import EvaluationConfig
from polypose.measuring import Metrics
from polypose.network import MODALITIES, Modality, UniHPR
from polypose.samples import Sample
from posedata.scoring.metrics import Neighbours
from posedata.scoring.published import published_table
from posedata.scoring.retrieval import across, relative_errors
from posediff.calibration import LEVELS

from unihpr.data import Data, TrainingData

TRAINING = 20_000
"""Views of which the nearest by its 2D is a baseline."""


def evaluate(model: UniHPR, data: Data, config: EvaluationConfig) -> Metrics:
    """All metrics of the test views (`polypose.measuring.evaluate`; docs/pages/metrics.md)."""
    track, training = data.held_out.track, None
    near = Neighbours(track.recording, track.frame, track.recording, track.frame, config.neighbours)
    if isinstance(data, TrainingData):
        training = partial(data.draw_views, TRAINING, share=lambda rows: rows)
    return measuring.evaluate(model, data.test(), data.test(detector=True), config, near, training)


@torch.no_grad()
def watch(model: UniHPR, held_out: Sample, config: EvaluationConfig, step: str) -> dict[str, float]:
    """A step of training in few numbers: MPJPE, mm, of the 3D poses retrieved from what is embedded by then,
    and in step 3, which teaches the decoders, of those lifted from exact 2D and from images."""
    modalities: tuple[Modality, ...] = ("2d", "3d") if step == "align_poses" else MODALITIES
    embeddings = embed(model, held_out, config.batch, modalities)
    found = {name: row for name, row in across(embeddings, held_out.joints).items() if "to_3d" in name}
    if step == "finetune":
        branches: dict[str, Modality] = {"lift": "2d", "image": "image"}
        for name, branch in branches.items():
            lifted = decode(model, embeddings[branch], branch, config.batch)
            found[name] = relative_errors(lifted, held_out.joints)
    return {f"{name}.mpjpe_mm": row["mpjpe_mm"] for name, row in found.items()}


def summary(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Rows (MPJPE in mm of what, ours, the paper's) for the table at the end of a run."""
    mean = metrics["baselines"]["mean_pose"]["mpjpe_mm"]
    table = []
    for name, key, paper in ROWS:
        value: Metrics | None = metrics
        for part in key.split("."):
            value = value.get(part) if value else None
        if value is None:
            continue
        ours = f"{value['mpjpe_mm']:.1f}"
        table.append(
            (name, ours if "baselines" in key else f"{ours} = {value['mpjpe_mm'] / mean:.0%}", paper)
        )
    return table


def calibration(metrics: Metrics) -> list[tuple[str, ...]]:
    """Rows (branch, share of truth in each of `LEVELS`) of what draws; none without diffusion."""
    branches = [(name, metrics[key]) for name, key, _ in (*ROWS[:3], RECONSTRUCT) if key in metrics]
    keys = [f"inside_{level:.0%}".rstrip("%") for level in LEVELS]
    return [(name, *(f"{row[key]:.0%}" for key in keys)) for name, row in branches if keys[0] in row]


def _paper(table: str, column: str, **row: object) -> str:
    """A number of UniHPR's own tables."""
    (found,) = [r for r in published_table(f"unihpr/{table}").rows if row.items() <= r.items()]
    return str(found[column])


ROWS = (
    ("3D from 2D", "lift", _paper("ablation", "h36m_gt2d_mpjpe_mm", token=True, with_3dhp=False)),
    ("3D from noisy 2D", "lift_detector", _paper("lifting", "h36m_mpjpe_mm", method="UniHPR")),
    ("3D from image", "image", _paper("image", "h36m_mpjpe_mm", method="UniHPR-w48")),
    (
        "2D to 3D retrieval",
        "retrieval.2d_to_3d",
        _paper("pose-retrieval", "h36m_retrieval_mpjpe_mm", retrieval="2d_to_3d"),
    ),
    (
        "image to 3D retrieval",
        "retrieval.image_to_3d",
        _paper("pose-retrieval", "h36m_retrieval_mpjpe_mm", retrieval="image_to_3d"),
    ),
    ("mean pose", "baselines.mean_pose", ""),
    ("3D of the nearest training 2D", "baselines.nearest_2d", ""),
    ("random retrieval", "baselines.random_retrieval", ""),
)
"""What `summary` shows, and UniHPR's numbers on Human3.6M, mm."""

RECONSTRUCT = ("3D from 3D", "reconstruct", "")

CALIBRATION = ("truth inside the central", *(f"{level:.0%}" for level in LEVELS))
"""Header of `calibration`: what a share should be stands above it."""
