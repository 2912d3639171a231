"""What lifters are worth on the same views, and which of two is ahead beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import mean
from time import process_time
from typing import Any

import torch
from jaxtyping import Float, Int
from posedata.geometry.camera import Camera
from posedata.scoring.breakdown import tables
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm, per_joint_mm
from posedata.scoring.people import interval_by_person
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import DETECTED, TRUE, Views, see
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import CHEST, STEEP
from posediff.calibration import fitted_scale
from posediff.scores import scores_mm
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from polypose.config import Frame
from polypose.network import POSE_SKELETON
from polypose.peer import Peer
from polypose.peers import PEERS
from polypose.refining import refined
from polypose.samples import Sample

Metrics = dict[str, Any]
UNSEEN = {"anywhere": get_rig("anywhere"), "steep": STEEP, "chest": CHEST}
"""Cameras that nothing is trained on: phones', those that look down, and five at chest height."""
COSTS = ("parameters", "mflops", "poses_per_second", "training_seconds")


def unseen_views(joints: Float[Tensor, "N T J 3"], frame: Frame, noisy: bool, seed: int) -> dict[str, Sample]:
    """Clips in the world before `UNSEEN` cameras, one each, with exact keypoints or a detector's."""
    found = {}
    for name, rig in UNSEEN.items():
        generator = torch.Generator().manual_seed(seed)
        cameras = sample_cameras(joints[:, joints.shape[1] // 2], rig, generator)
        found[name] = seen_clips(joints, cameras, frame, noisy, generator)
    return found


def seen_clips(
    joints: Float[Tensor, "N T J 3"], cameras: Camera, frame: Frame, noisy: bool, generator: torch.Generator
) -> Sample:
    """Clips before cameras that stand still, one for each: N T rows, those of a clip side by side."""
    count, frames = joints.shape[:2]
    each = torch.arange(count).repeat_interleave(frames)
    seen = see(joints.flatten(0, 1), cameras[each], POSE_SKELETON)
    if noisy:
        seen = seen.detected(DetectorNoise(), generator)
    return Sample.of(seen, frame, DETECTED if noisy else TRUE)


@torch.no_grad()
def lift(lifter: Peer, sample: Sample, batch: int = 500) -> Float[Tensor, "B J 3"]:
    """The pose of each view, or of each clip's middle one, in batches."""
    rows = max(1, batch // lifter.frames) * lifter.frames
    return torch.cat([lifter(sample[start : start + rows]) for start in range(0, len(sample), rows)])


def errors(lifter: Peer, sample: Sample, batch: int = 500) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """MPJPE and PA-MPJPE of every view, mm, relative to the root."""
    lifted, truth = lift(lifter, sample, batch), lifter.truth(sample)
    return mpjpe_mm(lifted, truth), pa_mpjpe_mm(lifted, truth)


def breakdown(lifter: Peer, sample: Sample, views: Views, actions: Sequence[str] = ()) -> list[Metrics]:
    """Where a lifter errs: rows of `by` (joint, action, elevation, distance), `range`, `views`, `mpjpe_mm`.

    Args:
        views: those of the sample, or of its clips' middles, with their cameras and joints in the world.
        actions: of each view, where they are known.
    """
    apart = per_joint_mm(lift(lifter, sample), lifter.truth(sample)).cpu()
    return [
        {"by": title.rpartition(" ")[2], "range": name, "views": count, "mpjpe_mm": error}
        for title, (found,) in tables([apart], POSE_SKELETON.joints, views, actions).items()
        for name, count, error in found
    ]


def measured(
    lifter: Peer,
    places: Mapping[str, Sample],
    kept: Sample,
    hypotheses: int,
    drawn: int,
    refine: bool = False,
) -> Metrics:
    """A lifter by the place of the cameras, its hypotheses at the first of them, and its cost.

    Args:
        kept: views of people held out for validation, to which the spread of hypotheses is fitted.
        hypotheses, drawn: so many of each of so many views, evenly spaced.
        refine: them by their keypoints, all views being in the person-centred camera.

    Returns:
        by place `mpjpe_mm` and `pa_mpjpe_mm`, `errors_mm` of every view; of lifters that draw `hypotheses`
        and, stretched about the pose as validation people ask for, `calibrated`, and where wanted `refined`
        (`polypose.refining`); `parameters`, `mflops` of a pose, `poses_per_second` of processor time, in
        batches.
    """
    found: Metrics = {"errors_mm": {}}
    for name, sample in places.items():
        error, aligned = errors(lifter, sample)
        found[name] = {"mpjpe_mm": float(error.mean()), "pa_mpjpe_mm": float(aligned.mean())}
        found["errors_mm"][name] = [round(value, 2) for value in error.tolist()]
    sample = next(iter(places.values()))
    if lifter.frames == 1:
        found |= spread(lifter, _some(sample, drawn), _some(kept, drawn), hypotheses, refine)
    return found | cost(lifter, sample)


@torch.no_grad()
def spread(lifter: Peer, sample: Sample, kept: Sample, hypotheses: int, refine: bool = False) -> Metrics:
    """What `measured` says of hypotheses; nothing of a lifter that does not draw."""
    hypotheses = min(hypotheses, lifter.most or hypotheses)

    def draw(views: Sample) -> Tensor | None:
        return lifter.draw(views, hypotheses, torch.Generator(views.joints.device).manual_seed(0))

    drawn, others = draw(sample), draw(kept)
    if drawn is None or others is None:
        return {}
    moves = slice(1, None)  # the root does not
    by = fitted_scale(others[..., moves, :], lifter(kept)[..., moves, :], kept.joints[..., moves, :])
    centre = lifter(sample)
    mean = {"mean_mpjpe_mm": float(mpjpe_mm(centre, sample.joints).mean())}
    found = {
        "hypotheses": mean | scores_mm(drawn, sample.joints),
        "calibrated": {"stretch": by} | scores_mm(centre + by * (drawn - centre), sample.joints),
    }
    if refine:
        found["refined"] = mean | {"hypotheses": hypotheses} | refined(drawn, sample, others, kept)
    return found


def _some(sample: Sample, count: int) -> Sample:
    """So many views at most, evenly spaced."""
    return sample[torch.linspace(0, len(sample) - 1, min(count, len(sample))).long()]


@torch.no_grad()
def cost(lifter: Peer, sample: Sample) -> Metrics:
    """Parameters, operations of one pose, and poses a second of processor time in a batch."""
    batch = sample[: 256 // lifter.frames * lifter.frames]
    with FlopCounterMode(display=False) as counter:
        lifter(sample[: lifter.frames])
    began = process_time()
    lifter(batch)
    seconds = process_time() - began
    return {
        "parameters": sum(p.numel() for p in lifter.parameters()),
        "mflops": counter.get_total_flops() / 1e6,
        "poses_per_second": len(batch) / lifter.frames / seconds,
    }


def step_seconds(
    lifter: Peer,
    draw: Callable[[int, torch.Generator], Sample],
    lr: float,
    generator: torch.Generator,
    steps: int = 3,
) -> float:
    """Processor time of a training step by AdamW, its views drawn, after one that is not counted."""
    optimizer = torch.optim.AdamW(lifter.parameters(), lr, weight_decay=0)
    began = 0.0
    for step in range(steps + 1):
        began = process_time() if step == 1 else began
        optimizer.zero_grad()
        lifter.loss(draw(step, generator), generator).backward()
        optimizer.step()
        lifter.after_step()
    return (process_time() - began) / steps


def row(name: str, seeds: Sequence[Metrics], whose: Int[Tensor, " N"]) -> Metrics:
    """A lifter's row: what it is, what it was given; means over its seeds, and the intervals by person."""
    entry, given = PEERS[name], {key: seeds[0][key] for key in ("steps", "batch", "lr")}
    found: Metrics = {"lifter": name, "method": entry.label, "source": entry.source, **given}
    found["views"] = found["steps"] * found["batch"]
    for place in ("test", *UNSEEN):
        prefix = "" if place == "test" else f"{place}_"
        for key in ("mpjpe_mm", "pa_mpjpe_mm"):
            found[prefix + key] = mean(m[place][key] for m in seeds)
        low, high = interval_by_person(view_errors(seeds, place), whose)
        found |= {f"{prefix}low_mm": low, f"{prefix}high_mm": high}
    if len(seeds) > 1:
        found["seeds_sd_mm"] = float(torch.tensor([m["test"]["mpjpe_mm"] for m in seeds]).std())
    return found | {key: mean(m[key] for m in seeds) for key in COSTS}


def hypotheses(name: str, seeds: Sequence[Metrics]) -> Iterator[Metrics]:
    """A lifter's rows of what it draws, `spread` as drawn and calibrated, none where it does not: means over
    its seeds."""
    entry = PEERS[name]
    about = {"lifter": name, "method": entry.label, "evaluations": entry.evaluations}
    for part, told in (("hypotheses", "as drawn"), ("calibrated", "calibrated")):
        if part in seeds[0]:
            scores = {key: mean(m[part][key] for m in seeds) for key in seeds[0][part]}
            yield {**about, "spread": told, **scores}


def refinement(name: str, seeds: Sequence[Metrics]) -> Iterator[Metrics]:
    """A lifter's row of what its hypotheses come to by their keypoints, none where it does not draw: means
    over its seeds; `noise` of those that have one."""
    found = [m["refined"] for m in seeds if "refined" in m]
    if found:
        told: Metrics = {"lifter": name, "method": PEERS[name].label}
        for key in found[0]:
            values = [m[key] for m in found if m[key] is not None]
            told[key] = mean(values) if values else None
        yield told


def parts(name: str, seeds: Sequence[Metrics]) -> Iterator[Metrics]:
    """A lifter's rows of where it errs (`breakdown`), means over its seeds."""
    told = {(each["by"], each["range"]): each for each in seeds[0].get("breakdown", ())}
    for place, first in told.items():
        same = [each for m in seeds for each in m["breakdown"] if (each["by"], each["range"]) == place]
        yield {
            "lifter": name,
            "method": PEERS[name].label,
            **first,
            "mpjpe_mm": mean(e["mpjpe_mm"] for e in same),
        }


def elsewhere(name: str, seeds: Sequence[Metrics], whose: Int[Tensor, " N"]) -> Metrics:
    """A lifter's row on another store: means over its seeds of each view's `errors_mm`."""
    each = torch.tensor([m["errors_mm"] for m in seeds]).mean(0)
    low, high = interval_by_person(each, whose)
    found: Metrics = {"lifter": name, "method": PEERS[name].label, "views": len(each)}
    found |= {"people": len(whose.unique()), "mpjpe_mm": float(each.mean()), "low_mm": low, "high_mm": high}
    return found | {"pa_mpjpe_mm": mean(m["pa_mpjpe_mm"] for m in seeds)}


def pairwise(found: Mapping[str, Sequence[Metrics]], whose: Int[Tensor, " N"]) -> Iterator[Metrics]:
    """For every two lifters by how much the first errs more on the same views, and whether that is chance."""
    for one, other in combinations(found, 2):
        away = view_errors(found[one], "test") - view_errors(found[other], "test")
        low, high = interval_by_person(away, whose)
        yield {
            "one": one,
            "other": other,
            "difference_mm": float(away.mean()),
            "low_mm": low,
            "high_mm": high,
            "beyond_chance": low > 0 or high < 0,
        }


def view_errors(seeds: Sequence[Metrics], place: str) -> Float[Tensor, " N"]:
    """Of every test view, mean over seeds."""
    return torch.tensor([m["errors_mm"][place] for m in seeds]).mean(0)
