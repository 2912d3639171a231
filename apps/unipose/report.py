"""The report of a run: one HTML file with its numbers, its curves and what it sees."""

from pathlib import Path

import torch
from pointcloud_weak.clips import Clips
from pointcloud_weak.gallery import clip_gallery
from pointcloud_weak.losses import TERMS
from pointcloud_weak.scores import Metrics, Models
from posedata.figures import curves
from posedata.html import Report
from posedata.writing import write_png
from posetrain.recipe import to_yaml
from posetrain.runs import Run

from unipose.recipe import Recipe

HEADER = ("", "mAP@10cm", "MPJPE mm", "root-relative MPJPE mm")


LABELS = {
    "teacher": "teacher, points (no 3D label)",
    "student_depth": "student, depth (no 3D label)",
    "student_rgb": "student, RGB (no 3D label; true root depth)",
    "teacher_twin": "the teacher's network on 3D labels",
    "student_depth_twin": "the depth student's on 3D labels",
    "student_rgb_twin": "the RGB student's on 3D labels (true root depth)",
    "depth_lookup": "detected 2D, depth looked up",
    "depth_lookup_skin": "detected 2D, depth looked up, skin depth added",
    "torso_depth": "exact 2D, true torso depth",
}
"""Methods in the order of the table."""

PSEUDO_LABELS = {
    "all": "the teacher on every training frame",
    "labels": "pseudo labels: the frames that passed the filter",
    "student_depth": "depth student on these frames",
    "student_rgb": "RGB student on these frames (true root depth)",
}
"""What is measured of training frames, in the order of the table."""


def lines(found: Metrics, labels: dict[str, str]) -> list[tuple[str, ...]]:
    """Rows (method, mAP@10cm, MPJPE, root-relative MPJPE) of what was measured."""
    return [
        (label, *(f"{found[key][m]:.1f}" for m in ("map", "mpjpe_mm", "relative_mpjpe_mm")))
        for key, label in labels.items()
        if key in found
    ]


@torch.no_grad()
def write_report(run: Run, models: Models, clips: Clips, recipe: Recipe, metrics: Metrics) -> Path:
    """Write `report.html`, and its gallery as `gallery.png`, into the run folder; return the path."""
    report = Report(f"UniPose: {run.name}")
    report.section(
        "Results",
        "Held-out people, joints in the camera's frame, no alignment. RGB students know the root's depth.",
    )
    report.table(HEADER, lines(metrics["test"], LABELS))
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
    gallery = clip_gallery(models, clips)
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
    report.table(HEADER, lines(found, PSEUDO_LABELS))
    skin = metrics["skin_mm"]
    report.table(("skin depth learnt, mm", *skin), [("", *(f"{depth:.0f}" for depth in skin.values()))])
