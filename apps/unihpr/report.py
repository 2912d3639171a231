"""The report of a run: one HTML file with its curves, its space, and what it retrieves and lifts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from poseenc.interpolate import great_arc
from posetrain import figures
from posetrain.files import write_png
from posetrain.html import Report
from posetrain.recipe import to_yaml
from posetrain.runs import Run
from sklearn.manifold import TSNE
from torch import Tensor

from unihpr.data import Data
from unihpr.evaluate import CALIBRATION, Metrics, calibration, embed, summary
from unihpr.figures import shared_space
from unihpr.model import MODALITIES, Modality, UniHPR, pairs
from unihpr.protocol import branch_scores, published_rows
from unihpr.recipe import Recipe
from unihpr.samples import Sample

SHOWN = 5
CLOUD = 400
Embeddings = dict[Modality, Tensor]


@torch.no_grad()
def write_report(run: Run, model: UniHPR, data: Data, recipe: Recipe, metrics: Metrics) -> Path:
    """Write `report.html`, and its first gallery as `gallery.png`, into the run folder; return the path."""
    model.eval()
    test = data.test()
    embeddings = embed(model, test, recipe.evaluation.batch)
    report = Report(f"UniHPR: {run.name}")
    report.section("Results", "Held-out subjects; mm relative to the pelvis. Paper: UniHPR on Human3.6M.")
    report.table(("MPJPE, mm", "this run, % of mean pose", "paper"), summary(metrics))
    if shares := calibration(metrics):
        report.section("Calibration", "How often the truth's coordinates lie in the hypotheses' intervals.")
        report.table(CALIBRATION, shares)
    report.section("Beside the papers", "Their numbers are on Human3.6M, ours on the data of this run.")
    header = ("method", "input", "MPJPE, mm", "PA-MPJPE, mm", "source")
    report.table(header, published_rows(branch_scores(metrics), ("h36m-p1", "h36m-p2")))
    _curves(report, run)
    _space(report, data, test, embeddings)
    picks = torch.linspace(0, len(test) - 1, SHOWN).round().long().tolist()
    report.section("Lifting and image to 3D", "Left limbs are red, right limbs blue.")
    lifting = _lifting(model, test, embeddings, picks)
    write_png(run.path / "gallery.png", lifting, bbox_inches="tight")
    report.figure(lifting, "image, keypoints, truth, from 2D, from image")
    report.section("Retrieval", "The three nearest test views to an image and to a 3D pose.")
    report.figure(_retrieved(test, embeddings, picks, "image", "3d"), "3D poses nearest to an image")
    report.figure(_retrieved(test, embeddings, picks, "3d", "image"), "images nearest to a 3D pose")
    report.section("Interpolation", "Along the great arc between the embeddings of two 3D poses, decoded.")
    report.figure(_interpolated(model, test, embeddings["3d"]), "from the first pose to the last")
    report.section("Recipe")
    report.text(to_yaml(recipe))
    return report.write(run.path / "report.html")


def _curves(report: Report, run: Run) -> None:
    records = run.curves()
    if not records:
        return
    report.section("Training")
    report.figure(figures.curves(records, ("loss", "pair", "triplet"), "loss"), "losses")
    names = [f"cosine/{name}" for name in pairs({m: torch.empty(0) for m in MODALITIES})]
    report.figure(
        figures.curves(records, names, "cosine similarity"), "cosine similarity of paired embeddings"
    )
    if errors := figures.watched(records, "mpjpe_mm"):
        report.figure(figures.curves(records, errors, "mm"), "on people kept for validation")


def _space(report: Report, data: Data, test: Sample, embeddings: Embeddings) -> None:
    rows = torch.linspace(0, len(test) - 1, min(CLOUD, len(test))).round().long()
    stacked = torch.cat([embeddings[m][rows] for m in MODALITIES]).cpu().numpy()
    perplexity = min(30, (len(stacked) - 1) // 3)
    flat = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(stacked)
    action = np.asarray(data.source.column("action"))[rows.numpy()]
    report.section("The shared space", "t-SNE of the three embeddings of the same test views.")
    points = flat.reshape(len(MODALITIES), -1, 2)
    report.figure(shared_space(points, MODALITIES, action), "t-SNE")


def _lifting(model: UniHPR, test: Sample, embeddings: Embeddings, picks: list[int]) -> Any:
    lifted = model.decode("3d", embeddings["2d"][picks], "2d")
    imaged = model.decode("3d", embeddings["image"][picks], "image")
    return figures.gallery(
        [
            [
                ("image", _picture(test, i)),
                ("keypoints", test.keypoints[i].cpu()),
                ("truth", test.joints[i].cpu()),
                (f"from 2D, {_error(lifted[n], test.joints[i]):.0f} mm", lifted[n].cpu()),
                (f"from image, {_error(imaged[n], test.joints[i]):.0f} mm", imaged[n].cpu()),
            ]
            for n, i in enumerate(picks)
        ]
    )


def _retrieved(
    test: Sample, embeddings: Embeddings, picks: list[int], source: Modality, target: Modality
) -> object:
    found = (embeddings[source][picks] @ embeddings[target].mT).topk(3).indices.tolist()
    rows = []
    for i, nearest in zip(picks, found, strict=True):
        hits = [
            (f"{n + 1}: {_error(test.joints[k], test.joints[i]):.0f} mm", _show(test, k, target))
            for n, k in enumerate(nearest)
        ]
        rows.append([("query", _show(test, i, source)), *hits])
    return figures.gallery(rows)


def _interpolated(model: UniHPR, test: Sample, embedding: Tensor) -> object:
    first, last = 0, len(test) // 2
    arc = great_arc(embedding[first], embedding[last], steps=7)
    poses = model.decode("3d", arc, "3d").cpu()
    return figures.gallery([[(f"{i / 6:.2f}", pose) for i, pose in enumerate(poses)]])


def _show(test: Sample, row: int, modality: str) -> object:
    return _picture(test, row) if modality == "image" else test.joints[row].cpu()


def _picture(test: Sample, row: int) -> object:
    assert test.images is not None
    return test.images[row].permute(1, 2, 0).cpu()


def _error(predicted: Tensor, truth: Tensor) -> float:
    return float((predicted - truth).norm(dim=-1).mean() * 1000)
