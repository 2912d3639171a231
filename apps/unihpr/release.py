"""The weights that polypose ships: trained, calibrated, measured as a user gets them, and told on a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from polypose.batches import decode, embed
from polypose.model import Model, load
from polypose.network import MODALITIES, POSE_SKELETON, Modality, UniHPR
from polypose.samples import Sample
from posedata.geometry.camera import Camera
from posedata.results import write_results
from posedata.scoring import breakdown
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from posedata.scoring.people import interval_by_person
from posedata.terminal import print_line
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import DETECTED, TRUE, see
from posediff import PoseDecoder
from posediff.calibration import LEVELS, fitted_scale
from posediff.hypotheses import coverage
from torch import Tensor

from unihpr.card import write_card
from unihpr.data import TrainingData
from unihpr.task import as_model, open_run

Branch = tuple[str, Modality, Sample]
Row = dict[str, Any]
Say = Callable[[str], None]

ANYWHERE = "anywhere"
HYPOTHESES = 50
"""Of each view, from which intervals are taken."""


def release(run: Path, weights: Path, json: Path, say: Say = print_line) -> list[Row]:
    """Calibrate a finished run on its validation people, write the weights and their card, measure what was
    written on the test people; returns the rows.

    Args:
        weights: the .safetensors to write, in float16; the card goes beside it, as .md.
        json: the results file to write.

    Raises:
        FileNotFoundError, ValueError: the run is not there or not whole, or the split has no validation.
    """
    trained = open_run(run)
    data = trained.data
    assert isinstance(data, TrainingData)
    held_out = data.on("validation", say)
    factors = calibrate(trained.model, branches_of(held_out), trained.recipe.evaluation.batch)
    say("spread on validation people: " + ", ".join(f"{name} x {f:.2f}" for name, f in factors.items()))
    as_model(trained).save(weights, half=True)
    rows = list(measure(load(weights), data))
    write_results(json, rows, data=data.fingerprint, seeds=[trained.recipe.loop.seed], spread=factors)
    write_card(weights.with_suffix(".md"), rows, weights)
    return rows


@torch.no_grad()
def calibrate(model: UniHPR, branches: Sequence[Branch], batch: int) -> dict[Modality, float]:
    """Set the 3D decoder's spread of every modality right on people it has not seen; the factors by modality.

    Args:
        branches: of one modality, all views count alike.
    """
    decoder = model.decoders["3d"]
    if not isinstance(decoder, PoseDecoder):
        raise ValueError("model.decoder is mlp: it has no spread; train with model.decoder=diffusion")
    factors: dict[Modality, float] = {}
    for index, modality in enumerate(MODALITIES):
        samples = [sample for _, kind, sample in branches if kind == modality]
        parts = [hypotheses_of(model, sample, modality, batch) for sample in samples]
        drawn, centre, truth = (torch.cat([part[i] for part in parts], dim=-3) for i in range(3))
        factors[modality] = fitted_scale(drawn, centre, truth)
        decoder.spread[index] *= factors[modality]
    return factors


def branches_of(data: TrainingData) -> list[Branch]:
    """What is measured on rendered views: exact 2D, a detector's, the image, and 3D itself."""
    exact = data.test()
    return [
        ("lift", "2d", exact),
        ("lift_detector", "2d", data.test(detector=True, images=False)),
        ("image", "image", exact),
        ("reconstruct", "3d", exact),
    ]


def hypotheses_of(
    model: UniHPR, sample: Sample, modality: Modality, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(S, N, J-1, 3) drawn, and (N, J-1, 3) their centre and the truth; the root, always 0, left out."""
    embedding = embed(model, sample, batch, (modality,))[modality]
    generator = torch.Generator(embedding.device).manual_seed(0)
    drawn = torch.cat(
        [
            model.sample(
                "3d",
                part,
                modality,
                hypotheses=HYPOTHESES,
                steps=7,
                sampler="dpmpp_2m_sde",
                generator=generator,
            )
            for part in embedding.split(batch)
        ],
        dim=1,
    )
    centre = decode(model, embedding, modality, batch)
    return drawn[..., 1:, :], centre[..., 1:, :], sample.joints[..., 1:, :]


@torch.no_grad()
def measure(model: Model, data: TrainingData) -> Iterator[Row]:
    """Rows of the card: every branch on rendered views, and lifting before cameras that may stand anywhere.

    A row has `rig`, `branch`, `views`, `people`, `mpjpe_mm` with its 95 % interval by person (`low_mm`,
    `high_mm`), `pa_mpjpe_mm`, and `inside_50`, `inside_80`, `inside_90`. Of cameras anywhere further rows
    have `by` and `range`: the error over parts of equal size, by roll, elevation and field of view.
    """
    rows = data.source.store.tensors(["joints", "subject"], "cpu", data.source.rows)
    people = rows["subject"].long()
    for name, modality, sample in branches_of(data):
        yield _row(model, data.config.rig, name, modality, sample, people)
    generator = torch.Generator().manual_seed(data.config.seed)
    cameras = sample_cameras(rows["joints"], get_rig(ANYWHERE), generator)
    views = see(rows["joints"], cameras, POSE_SKELETON).detected(data.virtual.noise, generator)
    for name, keypoints in (("lift", TRUE), ("lift_detector", DETECTED)):
        sample = Sample.of(views, model.settings.frame, keypoints)
        yield _row(model, ANYWHERE, name, "2d", sample, people)
    yield from _parts(cameras, _errors(model, "2d", Sample.of(views, model.settings.frame, TRUE))[0])


def _parts(camera: Camera, errors: Tensor) -> Iterator[Row]:
    ranges = {
        "roll": breakdown.roll(camera),
        "elevation": breakdown.elevation(camera),
        "field of view": breakdown.field_of_view(camera),
    }
    for by, values in ranges.items():
        for name, count, error in breakdown.by_range(errors, values, "degrees"):
            yield {
                "rig": ANYWHERE,
                "branch": "lift",
                "by": by,
                "range": name,
                "views": count,
                "mpjpe_mm": error,
            }


def _errors(model: Model, modality: Modality, sample: Sample) -> tuple[Tensor, Tensor]:
    """MPJPE and PA-MPJPE of every view, mm."""
    batch = model.settings.batch
    embedding = embed(model.network, sample, batch, (modality,))[modality]
    predicted = decode(model.network, embedding, modality, batch)
    predicted = predicted - predicted[:, :1]
    return mpjpe_mm(predicted, sample.joints), pa_mpjpe_mm(predicted, sample.joints)


def _row(model: Model, rig: str, name: str, modality: Modality, sample: Sample, people: Tensor) -> Row:
    errors, aligned = _errors(model, modality, sample)
    drawn, _, truth = hypotheses_of(model.network, sample, modality, model.settings.batch)
    shares = coverage(drawn, truth, truth.new_tensor(LEVELS)).tolist()
    joints = [coverage(drawn[..., [j], :], truth[:, [j]], truth.new_tensor([0.9])).item() for j in range(16)]
    low, high = interval_by_person(errors, people)
    return {
        "rig": rig,
        "branch": name,
        "views": len(sample),
        "people": len(people.unique()),
        "mpjpe_mm": float(errors.mean()),
        "low_mm": low,
        "high_mm": high,
        "pa_mpjpe_mm": float(aligned.mean()),
        **{f"inside_{level:.0%}".rstrip("%"): share for level, share in zip(LEVELS, shares, strict=True)},
        "joint_inside_90_least": min(joints),
        "joint_inside_90_most": max(joints),
    }
