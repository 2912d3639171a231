"""The report of a run: one HTML file with its hits, its space, and what it retrieves, lifts and generates."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from polypose import drawing
from polypose import invariant_galleries as galleries
from polypose.drawing import by_key_pose, one_point
from posedata.figures import curves, gallery, watched
from posedata.html import Report
from posedata.views.rigs import CHEST_CAMERAS
from poseenc.hits import Metrics, TestSet, nearest_2d
from poseenc.vvipe import VVIPE, embed_views
from posetrain.recipe import to_yaml
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from vvipe.trained import VVIPERun, as_model

KEYS = 10
CLOUD = 800


@torch.no_grad()
def write_report(trained: VVIPERun, metrics: Metrics) -> Path:
    """Write report.html into the run folder; leaves the model on the CPU."""
    as_model(trained).require("2d")
    model, data = trained.model.cpu().eval(), trained.data  # pictures are drawn on the CPU
    test, torso = data.test.to("cpu"), data.body.torso
    embedded = embed_views(model, test.other, trained.recipe.evaluation.batch)
    poses = torso * test.pose
    report = Report(f"V-VIPE, {trained.run.name}")
    _hits(report, trained, metrics)
    keys = key_poses(test, KEYS)
    report.section(
        "One pose, eleven cameras, one point",
        "Embeddings of test views in the plane of their greatest variance. Round: from chest height; "
        "triangles: from above, where no training camera stood; stars: the 3D pose itself.",
    )
    _points(report, model, test, embedded, keys[:6])
    report.section(
        "The space by key pose", "t-SNE of views by all cameras; colours: the nearest of ten key poses."
    )
    _space(report, test, embedded, poses, keys)
    report.section("Retrieval across cameras", "A query from a chest camera, a gallery from a steep one.")
    report.figure(galleries.retrieved(test, embedded, poses, torso, keys[:6]), "query and the three nearest")
    if isinstance(model, VVIPE):
        report.section("Lifting", "One pose as five cameras see it, and what each view is lifted to.")
        report.figure(galleries.lifted(model, test, embedded, torso, keys[:4]), "lifted poses, body frame")
        report.section(
            "Generation", "μ + α z in two directions for one pose, then samples of the prior, decoded."
        )
        report.figure(galleries.generated(model, test, torso, int(keys[1])), "generated poses")
    report.section("Training")
    records = trained.run.curves()
    report.figure(curves(records, ["loss", "mse", "triplet"], "loss"), "losses")
    if hits := watched(records, "hit1"):
        report.figure(curves(records, hits, "percent"), "on people kept for validation")
    if errors := watched(records, "mpjpe_mm"):
        report.figure(curves(records, errors, "mm"), "on people kept for validation")
    report.section("Recipe")
    report.text(to_yaml(trained.recipe))
    return report.write(trained.run.path / "report.html")


def key_poses(test: TestSet, count: int) -> Int[Tensor, " K"]:
    """Typical poses that differ: those nearest to the centres of k-means."""
    flat = test.pose.flatten(1).numpy()
    means = KMeans(min(count, len(flat)), n_init=4, random_state=0).fit(flat)
    return torch.from_numpy(means.transform(flat).argmin(0))


def _hits(report: Report, trained: VVIPERun, metrics: Metrics) -> None:
    bare = nearest_2d(trained.data.test, trained.recipe.evaluation)
    ks = list(bare["all"])
    report.section(
        "Hit@k, percent",
        f"{len(trained.data.test)} held-out poses, keypoints {trained.recipe.data.keypoints}; a hit is "
        f"within {trained.recipe.evaluation.threshold} torsos after Procrustes.",
    )
    rows = [
        [name, rig.replace("_", " "), *(f"{found[rig][k]:.1f}" for k in ks)]
        for name, found in (("this run", metrics), ("2D keypoints", bare))
        for rig in ("same_rig", "all", "unseen")
    ]
    report.table(["", "cameras", *ks], rows)
    if "mpjpe_mm" in metrics["same_rig"]:
        lines = [
            [rig.replace("_", " "), f"{metrics[rig]['mpjpe_mm']:.1f}", f"{metrics[rig]['pa_mpjpe_mm']:.1f}"]
            for rig in ("same_rig", "all")
        ]
        report.table(["3D error, mm", "MPJPE, body frame", "PA-MPJPE"], lines)


def _points(report: Report, model: object, test: TestSet, embedded: Tensor, keys: Tensor) -> None:
    plane = PCA(2).fit(embedded[:CLOUD].flatten(0, 1).numpy())
    cloud = plane.transform(embedded[:CLOUD, 0].numpy())
    views = np.stack([plane.transform(embedded[i].numpy()) for i in keys.tolist()])
    stars = None
    if isinstance(model, VVIPE):
        stars = plane.transform(model.embed_pose(test.pose[keys]).numpy())
    report.figure(one_point(cloud, views, stars, CHEST_CAMERAS), "six poses, each from eleven cameras")
    first = int(keys[1])
    row = [
        ("chest" if c < CHEST_CAMERAS else "steep", drawing.flat(test.other.keypoints[first, c]))
        for c in range(test.other.keypoints.shape[1])
    ]
    report.figure(gallery([row]), "pose 2 as the eleven cameras see it")


def _space(report: Report, test: TestSet, embedded: Tensor, poses: Tensor, keys: Tensor) -> None:
    rows = torch.linspace(0, len(test) - 1, min(CLOUD, len(test))).round().long()
    camera = torch.arange(len(rows)) % embedded.shape[1]
    stacked = embedded[rows, camera].numpy()
    perplexity = min(30, (len(stacked) - 1) // 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(stacked)
    nearest_key = test.distances[rows][:, keys].argmin(1).numpy()
    report.figure(by_key_pose(plane, nearest_key, list(poses[keys])), "t-SNE by key pose")
