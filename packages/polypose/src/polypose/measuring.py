"""What a network is worth on views whose poses are known: errors, and whether its spread can be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from posedata.scoring import breakdown
from posedata.scoring.metrics import Neighbours, best_of, epe_px, mpjpe_mm, pa_mpjpe_mm, pck
from posedata.scoring.people import interval_by_person
from posedata.scoring.retrieval import across, relative_errors
from posedata.sharing import shared_out
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import DETECTED, TRUE, see
from posedata.views.noise import DetectorNoise
from posediff import PoseDecoder
from posediff.calibration import LEVELS, fitted_scale
from posediff.hypotheses import coverage
from torch import Tensor

from polypose.batches import decode, embed
from polypose.config import EvaluationConfig
from polypose.model import Model
from polypose.network import MODALITIES, POSE_SKELETON, Modality, UniHPR, pairs
from polypose.samples import Sample
from polypose.spread import Estimates

POSES: tuple[Modality, ...] = ("2d", "3d")
ANYWHERE = "anywhere"
CROP_PX = 128.0
"""Half the longer side of the papers' 192x256 crop: one unit of normalised keypoints, for `epe_px`."""
HYPOTHESES, MOST = 50, 1000
"""Of each view, and of how many views at most, evenly spaced, intervals are taken."""

Metrics = dict[str, Any]


@torch.no_grad()
def evaluate(
    network: UniHPR,
    exact: Sample,
    detected: Sample,
    config: EvaluationConfig,
    near: Neighbours,
    training: Callable[[torch.Generator], Sample] | None = None,
) -> Metrics:
    """All metrics of test views, nested by name.

    Processes may share the work (`posedata.sharing`): batches of embeddings, then measures.
    Lengths are in millimetres, relative to the pelvis; pixels are of a 192x256 crop.

    Args:
        exact, detected: the views with exact keypoints, and with a detector's.
        near: of a view those that are nearly the same, left out of the gallery in a second retrieval.
        training: draws views that a lookup, the simplest of the baselines, takes its poses from.
    """
    network.eval()
    modalities = MODALITIES if exact.images is not None else POSES
    embeddings = embed(network, exact, config.batch, modalities)
    noisy = embed(network, detected, config.batch, ("2d",))["2d"]
    measured = partial(
        estimation,
        hypotheses=config.hypotheses,
        steps=config.sampler_steps,
        sampler=config.sampler,
        batch=config.batch,
    )
    todo: dict[str, Callable[[], Metrics]] = {
        "lift": partial(measured, network, embeddings["2d"], "2d", exact.joints),
        "lift_detector": partial(measured, network, noisy, "2d", exact.joints),
    }
    if "image" in embeddings:
        todo["image"] = partial(measured, network, embeddings["image"], "image", exact.joints)
    todo["reconstruct"] = partial(measured, network, embeddings["3d"], "3d", exact.joints)
    if "image" in embeddings:
        todo["keypoints"] = partial(keypoint_errors, network, embeddings["image"], exact.keypoints)
    todo["cosine"] = partial(cosines, embeddings)
    todo["retrieval"] = partial(across, embeddings, exact.joints)
    todo["retrieval_without_neighbours"] = partial(across, embeddings, exact.joints, near)
    todo["baselines"] = partial(baselines, network, exact, training)
    return shared_out(todo)


def cosines(embeddings: Mapping[Modality, Float[Tensor, "B dim"]]) -> Metrics:
    """Mean cosine of every pair of modalities."""
    return {name: float((x * y).sum(-1).mean()) for name, (x, y) in pairs(embeddings).items()}


def baselines(
    network: UniHPR, test: Sample, training: Callable[[torch.Generator], Sample] | None = None
) -> Metrics:
    """The mean pose, the 3D of the nearest 2D of training views (where there are any), a random retrieval."""
    count, device = len(test), test.joints.device
    mean = network.mean_pose.to(device).expand(count, -1, -1)
    found = {"mean_pose": relative_errors(mean, test.joints)}
    generator = torch.Generator(device).manual_seed(0)
    if training is not None:
        train = training(generator)
        nearest = torch.cdist(test.keypoints.flatten(1), train.keypoints.flatten(1)).argmin(dim=1)
        found["nearest_2d"] = relative_errors(train.joints[nearest], test.joints)
    shuffled = torch.randperm(count, generator=generator, device=device)
    return found | {"random_retrieval": relative_errors(test.joints[shuffled], test.joints)}


def estimation(
    network: UniHPR,
    embedding: Float[Tensor, "B dim"],
    modality: Modality,
    truth: Float[Tensor, "B J 3"],
    *,
    hypotheses: int,
    steps: int,
    sampler: str,
    batch: int,
) -> Metrics:
    """3D error of one branch: the posterior mean (one evaluation) and sampled hypotheses."""
    metrics = relative_errors(decode(network, embedding, modality, batch), truth)
    if isinstance(network.decoders["3d"], PoseDecoder):
        how: dict[str, Any] = {"hypotheses": hypotheses, "steps": steps, "sampler": sampler, "batch": batch}
        poses = drawn(network, embedding, modality, **how)
        each = mpjpe_mm(poses, truth.expand_as(poses))
        metrics["one_hypothesis_mpjpe_mm"] = float(each[0].mean())
        metrics[f"best_of_{hypotheses}_mpjpe_mm"] = float(best_of(each).mean())
        metrics |= inside(poses, truth)
    return metrics


def drawn(
    network: UniHPR,
    embedding: Float[Tensor, "B dim"],
    modality: Modality,
    *,
    hypotheses: int = HYPOTHESES,
    steps: int = 7,
    sampler: str = "dpmpp_2m_sde",
    batch: int = 512,
    confidence: Float[Tensor, "B J"] | None = None,
) -> Float[Tensor, "S B J 3"]:
    """Hypotheses of many poses, in batches; the same in every call."""
    generator = torch.Generator(embedding.device).manual_seed(0)
    draw = partial(network.sample, "3d", hypotheses=hypotheses, steps=steps, sampler=sampler)
    sure = [None] * len(embedding) if confidence is None else confidence.split(batch)
    parts = [
        draw(part, modality, generator=generator, confidence=known)
        for part, known in zip(embedding.split(batch), sure, strict=False)
    ]
    return torch.cat(parts, dim=1)


def inside(hypotheses: Float[Tensor, "S B J 3"], truth: Float[Tensor, "B J 3"]) -> Metrics:
    """How often the truth's coordinates lie in the hypotheses' central intervals; the root, always 0, is left
    out."""
    shares = coverage(hypotheses[..., 1:, :], truth[..., 1:, :], truth.new_tensor(LEVELS)).tolist()
    return {f"inside_{level:.0%}".rstrip("%"): share for level, share in zip(LEVELS, shares, strict=True)}


def keypoint_errors(
    network: UniHPR, embedding: Float[Tensor, "B dim"], truth: Float[Tensor, "B J 2"]
) -> Metrics:
    """2D error of the image branch: PCK at 5 % of the box's longer side, and end-point error."""
    predicted = network.decode("2d", embedding, "image")
    side = truth.new_full(truth.shape[:1], 2.0)  # the box's longer side, in units of half of it
    return {
        "pck_005": float(pck(predicted, truth, side, 0.05).mean()),
        "epe_px": float(epe_px(predicted * CROP_PX, truth * CROP_PX).mean()),
    }


@torch.no_grad()
def calibrate(
    network: UniHPR, samples: Sequence[tuple[Modality, Sample]], batch: int
) -> dict[Modality, float]:
    """Set the spread of hypotheses of each modality right on people that training did not see: the 3D
    decoder's, or the stretch of the network's own `spread`.

    Args:
        samples: of every modality at least one; views of the same one count alike.

    Returns:
        the factors (`posediff.calibration.fitted_scale`).

    Raises:
        ValueError: the decoder has no spread.
    """
    decoder = network.decoders["3d"]
    if not isinstance(decoder, PoseDecoder):
        raise ValueError("model.decoder is mlp: it has no spread; train with model.decoder=diffusion")
    factors: dict[Modality, float] = {}
    for index, modality in enumerate(MODALITIES):
        parts = []
        for sample in (_some(sample) for kind, sample in samples if kind == modality):
            embedding = embed(network, sample, batch, (modality,))[modality]
            centre = decode(network, embedding, modality, batch)
            sure = sureness(sample, modality)
            poses = drawn(network, embedding, modality, batch=batch, confidence=sure)
            parts.append((poses, centre, sample.joints))
        hypotheses, centre, truth = (torch.cat([part[i] for part in parts], dim=-3) for i in range(3))
        factors[modality] = fitted_scale(hypotheses[..., 1:, :], centre[..., 1:, :], truth[..., 1:, :])
        (decoder.spread if network.spread is None else network.spread.stretch)[index] *= factors[modality]
    return factors


def sureness(sample: Sample, modality: Modality) -> Float[Tensor, "B J"]:
    """Confidence of what a pose is estimated from: the keypoints', and 1 of other modalities."""
    return sample.confidence if modality == "2d" else torch.ones_like(sample.confidence)


@torch.no_grad()
def estimates(network: UniHPR, modality: Modality, samples: Sequence[Sample], batch: int) -> Estimates:
    """What the network makes of views whose poses are known, and how far off that is."""
    parts = []
    for sample in samples:
        embedding = embed(network, sample, batch, (modality,))[modality]
        residual = sample.joints - decode(network, embedding, modality, batch)
        parts.append((embedding, sureness(sample, modality), residual))
    return Estimates(*(torch.cat([part[i] for part in parts]) for i in range(3)))


@torch.no_grad()
def branch_errors(network: UniHPR, modality: Modality, sample: Sample, batch: int) -> Float[Tensor, "2 B"]:
    """MPJPE and PA-MPJPE of every view, mm, relative to the root."""
    embedding = embed(network, sample, batch, (modality,))[modality]
    predicted = decode(network, embedding, modality, batch)
    predicted = predicted - predicted[:, :1]
    return torch.stack([mpjpe_mm(predicted, sample.joints), pa_mpjpe_mm(predicted, sample.joints)])


@torch.no_grad()
def branch_row(
    network: UniHPR, modality: Modality, sample: Sample, people: Int[Tensor, " B"], batch: int
) -> Metrics:
    """One branch on views of several people: errors with their 95 % interval by person, and calibration.

    Args:
        sample: poses relative to the root.
        people: whose view each is.
    """
    errors, aligned = branch_errors(network, modality, sample, batch)
    some = _some(sample)
    embedding = embed(network, some, batch, (modality,))[modality]
    sure, truth = sureness(some, modality), some.joints
    hypotheses = drawn(network, embedding, modality, batch=batch, confidence=sure)
    ninety = truth.new_tensor([0.9])
    joints = [float(coverage(hypotheses[:, :, [j]], truth[:, [j]], ninety)) for j in range(1, truth.shape[1])]
    low, high = interval_by_person(errors, people)
    return {
        "views": len(sample),
        "people": len(people.unique()),
        "mpjpe_mm": float(errors.mean()),
        "low_mm": low,
        "high_mm": high,
        "pa_mpjpe_mm": float(aligned.mean()),
        **inside(hypotheses, truth),
        "joint_inside_90_least": min(joints),
        "joint_inside_90_most": max(joints),
    }


def anywhere_rows(
    model: Model, joints: Float[Tensor, "B J 3"], people: Int[Tensor, " B"], noise: DetectorNoise, seed: int
) -> Iterator[Metrics]:
    """Lifting, exact and by a noise model, before cameras that may stand anywhere (the rig of that name).

    Then, with `by` and `range`, the error from exact 2D over parts of equal size, by roll, elevation and
    field of view.

    Args:
        joints: poses in the world, metres.
        people: whose each is.
    """
    network, batch, generator = model.network, model.settings.batch, torch.Generator().manual_seed(seed)
    cameras = sample_cameras(joints, get_rig(ANYWHERE), generator)
    views = see(joints, cameras, POSE_SKELETON).detected(noise, generator)
    seen = {name: Sample.of(views, model.settings.frame, name) for name in (TRUE, DETECTED)}
    for name, keypoints in (("lift", TRUE), ("lift_detector", DETECTED)):
        yield {
            "rig": ANYWHERE,
            "branch": name,
            **branch_row(network, "2d", seen[keypoints], people, batch),
        }
    errors = branch_errors(network, "2d", seen[TRUE], batch)[0]
    ranges = {
        "roll": breakdown.roll(cameras),
        "elevation": breakdown.elevation(cameras),
        "field of view": breakdown.field_of_view(cameras),
    }
    for by, values in ranges.items():
        for part, count, error in breakdown.by_range(errors, values, "degrees"):
            about = {"rig": ANYWHERE, "branch": "lift", "by": by, "range": part}
            yield {**about, "views": count, "mpjpe_mm": error}


def _some(sample: Sample) -> Sample:
    """At most `MOST` views, evenly spaced."""
    return sample[torch.arange(0, len(sample), -(-len(sample) // MOST))]
