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
from posedata.scoring.retrieval import across, relative_errors

from unihpr.data import Data, TrainingData

TRAINING = 20_000
"""Views of which the nearest by its 2D is a baseline."""


def evaluate(model: UniHPR, data: Data, config: EvaluationConfig) -> Metrics:
    """All metrics of the test views (`polypose.measuring.evaluate`; docs/pages/metrics.md)."""
    track, training = data.held_out.track, None
    near = Neighbours(track.recording, track.frame, track.recording, track.frame, config.neighbours)
    if isinstance(data, TrainingData):
        training = partial(data.draw_views, TRAINING, share=lambda rows: rows)
    detected = data.test(detector=True, images=False)
    return measuring.evaluate(model, data.test(), detected, config, near, training)


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
