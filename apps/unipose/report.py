"""The report of a run: one HTML file with its numbers, its curves and what it sees."""

from pathlib import Path
from typing import Any

import torch
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames, predict_frames
from pointcloud_weak.losses import TERMS
from pointcloud_weak.students import KINDS
from pointcloud_weak.teacher import predict_clips
from posedata.html import Report
from posedata.writing import write_png
from posetrain.figures import curves
from posetrain.recipe import to_yaml
from posetrain.runs import Run

from unipose import figures
from unipose.evaluate import PSEUDO_LABELS, Metrics, summary
from unipose.model import Models
from unipose.recipe import Recipe

SHOWN = 5
HEADER = ("", "mAP@10cm", "MPJPE mm", "root-relative MPJPE mm")


@torch.no_grad()
def write_report(run: Run, models: Models, clips: Clips, recipe: Recipe, metrics: Metrics) -> Path:
    """Write `report.html`, and its gallery as `gallery.png`, into the run folder; return the path."""
    report = Report(f"UniPose: {run.name}")
    report.section(
        "Results",
        "Held-out people, joints in the camera's frame, no alignment. RGB students know the root's depth.",
    )
    report.table(HEADER, summary(metrics))
    if "pseudo" in metrics:
        _pseudo(report, metrics)
    records = run.curves()
    if records:
        report.section("Training")
        report.figure(curves(records, ("loss", *TERMS, "plane", "depth", "surround"), scale="log"), "losses")
        if any("eval/map" in record for record in records):
            watched = curves(records, ("eval/map", "eval/relative_map"), scale="log")
            report.figure(watched, "mAP@10cm on people kept for validation")
    report.section("Frames", "Left limbs are red, right limbs blue, the truth grey.")
    gallery = _gallery(models, clips)
    write_png(run.path / "gallery.png", gallery, bbox_inches="tight")
    report.figure(gallery, f"{len(clips)} test clips, evenly spread")
    report.section("Recipe")
    report.text(to_yaml(recipe))
    return report.write(run.path / "report.html")


def _pseudo(report: Report, metrics: Metrics) -> None:
    found = metrics["pseudo"]
    report.section(
        "Pseudo ground truth",
        f"{found['kept']:.0%} of the training frames passed the filter; errors on training frames.",
    )
    rows = [
        (label, *(f"{found[key][m]:.1f}" for m in ("map", "mpjpe_mm", "relative_mpjpe_mm")))
        for key, label in PSEUDO_LABELS.items()
        if key in found
    ]
    report.table(HEADER, rows)
    skin = metrics["skin_mm"]
    report.table(("skin depth learnt, mm", *skin), [("", *(f"{depth:.0f}" for depth in skin.values()))])


def _gallery(models: Models, clips: Clips) -> Any:
    truth = clips.truth()
    shown = {"teacher": predict_clips(models.get_teacher(), clips)}
    frames = Frames.of(clips)
    flat = truth.flatten(0, 1)
    for kind in KINDS:
        if f"student_{kind}" in models:
            student = models.get_student(f"student_{kind}")
            joints = predict_frames(student, frames, frames.reference(kind, flat))
            shown[f"{kind} student"] = joints.view_as(truth)
    middle = clips.frames // 2
    rows: list[dict[str, Any]] = []
    for clip in torch.linspace(0, len(clips) - 1, min(SHOWN, len(clips))).round().long().tolist():
        at = (clip, middle)
        row = {
            "rgb": clips.rgb[at],
            "depth": clips.person_depth(slice(clip, clip + 1))[0, middle],
            "keypoints": clips.keypoints[at],
            "points": clips.points[at],
            "truth": truth[at],
        } | {name: joints[at] for name, joints in shown.items()}
        rows.append({name: value.numpy() for name, value in row.items()})
    return figures.gallery(rows, list(shown), clips.skeleton)
