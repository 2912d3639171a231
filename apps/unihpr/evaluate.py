"""What a trained UniHPR is worth: estimation, retrieval, alignment, and the trivial baselines beside it."""

from collections.abc import Callable
from functools import partial

import torch
from polypose.batches import decode, embed
from polypose.measuring import Metrics, estimation, keypoint_errors
from polypose.network import MODALITIES, Modality, UniHPR, pairs
from polypose.samples import Sample
from posedata.scoring.metrics import Neighbours
from posedata.scoring.published import published_table
from posedata.scoring.retrieval import across, relative_errors
from posedata.sharing import shared_out
from posediff.calibration import LEVELS

from unihpr.data import Data, TrainingData
from unihpr.recipe import EvaluationConfig

POSES: tuple[Modality, ...] = ("2d", "3d")


@torch.no_grad()
def evaluate(model: UniHPR, data: Data, config: EvaluationConfig) -> Metrics:
    """All metrics of the test views, nested by name; docs/pages/metrics.md says what each is.

    Processes may share the work (`posedata.sharing`): batches of embeddings, then measures.

    Lengths are in millimetres, relative to the pelvis; pixels are of a 192x256 crop.
    """
    model.eval()
    exact, detected = data.test(), data.test(detector=True)
    modalities = MODALITIES if exact.images is not None else POSES
    embeddings = embed(model, exact, config.batch, modalities)
    noisy = embed(model, detected, config.batch, ("2d",))["2d"]
    measured = partial(
        estimation,
        hypotheses=config.hypotheses,
        steps=config.sampler_steps,
        sampler=config.sampler,
        batch=config.batch,
    )
    near = neighbours(data, config.neighbours)
    todo: dict[str, Callable[[], Metrics]] = {
        "lift": partial(measured, model, embeddings["2d"], "2d", exact.joints),
        "lift_detector": partial(measured, model, noisy, "2d", exact.joints),
    }
    if "image" in embeddings:
        todo["image"] = partial(measured, model, embeddings["image"], "image", exact.joints)
    todo["reconstruct"] = partial(measured, model, embeddings["3d"], "3d", exact.joints)
    if "image" in embeddings:
        todo["keypoints"] = partial(keypoint_errors, model, embeddings["image"], exact.keypoints)
    todo["cosine"] = lambda: {
        name: float((x * y).sum(-1).mean()) for name, (x, y) in pairs(embeddings).items()
    }
    todo["retrieval"] = partial(across, embeddings, exact.joints)
    todo["retrieval_without_neighbours"] = partial(across, embeddings, exact.joints, near)
    todo["baselines"] = partial(baselines, model, data, exact)
    return shared_out(todo)


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


def neighbours(data: Data, frames: int) -> Neighbours:
    """Of a test view: the views of its sequence at most `frames` frames away, itself included."""
    track = data.held_out.track
    return Neighbours(track.recording, track.frame, track.recording, track.frame, frames)


def baselines(model: UniHPR, data: Data, test: Sample) -> Metrics:
    """Trivial baselines: the mean pose and (with training data at hand) the 3D of the nearest training 2D, a
    random retrieval."""
    count, device = len(test), test.joints.device
    mean = model.mean_pose.to(device).expand(count, -1, -1)
    found = {"mean_pose": relative_errors(mean, test.joints)}
    generator = torch.Generator(device).manual_seed(0)
    if isinstance(data, TrainingData):
        train = data.draw_views(20_000, generator, lambda rows: rows)
        nearest = torch.cdist(test.keypoints.flatten(1), train.keypoints.flatten(1)).argmin(dim=1)
        found["nearest_2d"] = relative_errors(train.joints[nearest], test.joints)
    shuffled = torch.randperm(count, generator=generator, device=device)
    return found | {"random_retrieval": relative_errors(test.joints[shuffled], test.joints)}


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
