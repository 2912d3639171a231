"""The report of a run: one HTML file with its numbers, its curves and what it sees."""

from pathlib import Path
from typing import Any

import torch
from pointcloud_weak.losses import TERMS
from trainer.files import write_png
from trainer.html import Report
from trainer.recipe import to_yaml

from unipose import figures
from unipose.evaluate import PSEUDO_LABELS, Metrics, predict_clips, predict_frames, summary
from unipose.model import KINDS
from unipose.pictures import Frames
from unipose.train import Trained

SHOWN = 5
HEADER = ("", "mAP@10cm", "MPJPE mm", "root-relative MPJPE mm")


@torch.no_grad()
def write_report(trained: Trained, metrics: Metrics) -> Path:
    """Write `report.html`, and its gallery as `gallery.png`, into the run folder; return the path."""
    run, clips = trained.run, trained.data.test
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
        report.figure(figures.curves(records, ("loss", *TERMS, "plane", "depth", "surround")), "losses")
        if any("eval/map" in record for record in records):
            watched = figures.curves(records, ("eval/map", "eval/relative_map"))
            report.figure(watched, "mAP@10cm on people kept for validation")
    report.section("Frames", "Left limbs are red, right limbs blue, the truth grey.")
    gallery = _gallery(trained)
    write_png(run.path / "gallery.png", gallery, bbox_inches="tight")
    report.figure(gallery, f"{len(clips)} test clips, evenly spread")
    report.section("Recipe")
    report.text(to_yaml(trained.recipe))
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


def _gallery(trained: Trained) -> Any:
    clips, models = trained.data.test, trained.models
    assert models.teacher is not None
    truth = clips.truth()
    shown = {"teacher": predict_clips(models.teacher, clips)}
    frames = Frames.of(clips)
    flat = truth.flatten(0, 1)
    for kind in KINDS if models.students else ():
        assert models.students is not None
        joints = predict_frames(models.students[kind], frames, frames.reference(kind, flat))
        shown[f"{kind} student"] = joints.view_as(truth)
    middle = clips.config.frames // 2
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
