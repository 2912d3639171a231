"""The report of a run: one HTML file with its curves, its space, and what it retrieves and lifts."""

from pathlib import Path

import numpy as np
import torch
from polypose.batches import decode, embed
from polypose.drawing import shared_space
from polypose.galleries import interpolated, lifting, retrieved
from polypose.measuring import Metrics
from polypose.network import MODALITIES, Modality, UniHPR, pairs
from polypose.pose_protocols import branch_scores
from polypose.samples import Sample
from polypose.summary import CALIBRATION, calibration, summary
from posedata.figures import curves, watched
from posedata.geometry.align import root_relative
from posedata.html import Report
from posedata.scoring.breakdown import tables
from posedata.scoring.metrics import per_joint_mm
from posedata.scoring.protocols import published_rows
from posedata.writing import write_png
from posetrain.recipe import to_yaml
from posetrain.runs import Run
from sklearn.manifold import TSNE
from torch import Tensor

from unihpr.data import POSE, Data
from unihpr.recipe import Recipe

RANKS = (0.1, 0.4, 0.5, 0.6, 1.0)
"""Of the views by their error from images, the shares that the first gallery shows."""
BRANCHES: tuple[Modality, ...] = ("2d", "image")
CLOUD = 400
Embeddings = dict[Modality, Tensor]


@torch.no_grad()
def write_report(run: Run, model: UniHPR, data: Data, recipe: Recipe, metrics: Metrics) -> Path:
    """Write `report.html`, and its first gallery as `gallery.png`, into the run folder; return the path."""
    model.eval()
    test = data.test()
    embeddings = embed(model, test, recipe.evaluation.batch)
    lifted = {name: decode(model, embeddings[name], name, recipe.evaluation.batch) for name in BRANCHES}
    joint_errors = {name: per_joint_mm(root_relative(poses), test.joints) for name, poses in lifted.items()}
    report = Report(f"UniHPR: {run.name}")
    report.section(
        "What it makes of people it has not seen", "Good, typical and worst, by the error from images."
    )
    picks = _ranked(joint_errors["image"].mean(-1))
    made = lifting(test, lifted, picks)
    write_png(run.path / "gallery.png", made, bbox_inches="tight")
    report.figure(made, "image, keypoints, truth, from 2D, from image; left limbs red, right limbs blue")
    report.section("Results", "Held-out subjects; mm relative to the pelvis.")
    report.table(("MPJPE, mm", "this run, % of mean pose"), [row[:2] for row in summary(metrics)])
    if shares := calibration(metrics):
        report.section("Calibration", "How often the truth's coordinates lie in the hypotheses' intervals.")
        report.table(CALIBRATION, shares)
    _breakdown(report, data, joint_errors)
    report.fold(
        "The papers' numbers, on other data", "Theirs are on Human3.6M, ours on the data of this run."
    )
    header = ("method", "input", "MPJPE, mm", "PA-MPJPE, mm", "source")
    report.table(header, published_rows(branch_scores(metrics), ("h36m-p1", "h36m-p2")))
    _curves(report, run)
    _space(report, data, test, embeddings)
    report.section("Retrieval", "The three nearest test views to an image and to a 3D pose.")
    report.figure(retrieved(test, embeddings, picks, "image", "3d"), "3D poses nearest to an image")
    report.figure(retrieved(test, embeddings, picks, "3d", "image"), "images nearest to a 3D pose")
    report.section("Interpolation", "Along the great arc between the embeddings of two 3D poses, decoded.")
    report.figure(interpolated(model, test, embeddings["3d"]), "from the first pose to the last")
    report.section("Recipe")
    report.text(to_yaml(recipe))
    return report.write(run.path / "report.html")


def _curves(report: Report, run: Run) -> None:
    records = run.curves()
    if not records:
        return
    report.section("Training")
    report.figure(curves(records, ("loss", "pair", "triplet"), "loss"), "losses")
    names = [f"cosine/{name}" for name in pairs({m: torch.empty(0) for m in MODALITIES})]
    report.figure(curves(records, names, "cosine similarity"), "cosine similarity of paired embeddings")
    if errors := watched(records, "mpjpe_mm"):
        report.figure(curves(records, errors, "mm"), "on people kept for validation")


def _space(report: Report, data: Data, test: Sample, embeddings: Embeddings) -> None:
    rows = torch.linspace(0, len(test) - 1, min(CLOUD, len(test))).round().long()
    stacked = torch.cat([embeddings[m][rows] for m in MODALITIES]).cpu().numpy()
    action = np.asarray(data.source.column("action"))[rows.numpy()]
    report.section("The shared space", "t-SNE of the three embeddings of the same test views.")
    points = plane(stacked).reshape(len(MODALITIES), -1, 2)
    report.figure(shared_space(points, MODALITIES, action), "t-SNE")


def plane(vectors: np.ndarray) -> np.ndarray:
    """Vectors (M, D) laid out in the plane by t-SNE."""
    found: np.ndarray = TSNE(
        perplexity=min(30, (len(vectors) - 1) // 3), init="pca", random_state=0
    ).fit_transform(vectors)
    return found


def _ranked(errors: Tensor) -> list[int]:
    """Places of a good, some typical and the worst view."""
    order = errors.argsort().tolist()
    return [order[round(share * (len(order) - 1))] for share in RANKS]


def _breakdown(report: Report, data: Data, errors: dict[Modality, Tensor]) -> None:
    """Errors by joint, action, and by how high and how far the camera stood."""
    report.section("Where the error lies", "MPJPE, mm, from exact 2D and from images.")
    views, actions = data.held_out.views(), data.source.names("action")
    for title, (exact, image) in tables(list(errors.values()), POSE.joints, views, actions).items():
        beside = {name: error for name, _, error in exact}
        lines = [(name, count, f"{beside[name]:.1f}", f"{error:.1f}") for name, count, error in image]
        report.table((title, "views", "from 2D", "from images"), lines)
