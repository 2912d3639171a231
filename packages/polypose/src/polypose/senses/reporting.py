"""The report of a training of several senses: pictures, each a file too, tables, curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.figures import curves, watched
from posedata.html import Report
from posedata.views.batch import TRUE
from posedata.writing import replacing
from poseenc import Embedded

from polypose.senses.held_out import HeldOut, Row, by_detector, embedded
from polypose.senses.invariance import azimuth
from polypose.senses.measuring import lines, subset
from polypose.senses.network import Senses, estimating, shown
from polypose.senses.pictures import across, called, estimates, in_the_plane

Plane = Callable[[Float[np.ndarray, "M D"]], Float[np.ndarray, "M 2"]]
VIEWS = 300
"""Of the space's picture, evenly spaced."""
LOSSES = ("contrast", "left_out", "likelihood", "3d", "2d", "body", "invariance")
RANKS = {"Typical": 0.5, "Doubtful": 0.9}
"""Of the views by their error from all senses, those that are shown."""
DRAWN = 100
"""Hypotheses of each estimate."""


def write_report(
    folder: Path,
    network: Senses,
    test: HeldOut,
    tables: Mapping[str, list[Row]],
    records: Sequence[Mapping[str, Any]],
    recipe: str,
    **how: Any,
) -> Path:
    """Write `report.html` and its pictures (`add_pictures`) into the folder; return its path.

    Args:
        tables: of `polypose.senses.measuring.evaluate`.
        records: what was logged of the training.
        recipe: of the training, as text.
        how: `batch`, `plane` and what is further said to `add_pictures`.
    """
    report = Report(f"Senses: {folder.name}")
    add_pictures(report, folder, network, test, **how)
    add_tables(report, tables)
    report.section("Training")
    report.figure(curves(records, LOSSES, "loss"), "losses")
    if errors := watched(records, "mpjpe_mm"):
        report.figure(curves(records, errors, "mm"), "on people kept for validation")
    report.section("Recipe")
    report.text(recipe)
    return report.write(folder / "report.html")


@torch.no_grad()
def add_pictures(
    report: Report,
    folder: Path,
    network: Senses,
    test: HeldOut,
    *,
    batch: int,
    plane: Plane,
    **drawing: Any,
) -> None:
    """The space in the plane, one query across all senses, estimates with their uncertainty.

    Args:
        folder: where `space.png`, `query.jpg`, `fused.png` and `doubtful.png` are written.
        plane: lays out vectors in the plane.
        drawing: `steps` and `sampler` of hypotheses.
    """
    exact = embedded(network, shown(test.views, TRUE), batch)
    seen = by_detector(network, exact, test, batch)
    whole = torch.stack([*exact.present.values()]).all(0).nonzero()[:, 0]
    if not len(whole):
        return

    def add(name: str, figure: Any, caption: str) -> None:
        with replacing(folder / name) as file:
            figure.savefig(file, format=name.rpartition(".")[2], dpi=110, bbox_inches="tight")
        report.figure(figure, caption)

    report.section("The space", "Embeddings of the same test views by each of their senses.")
    rows = whole[torch.linspace(0, len(whole) - 1, min(VIEWS, len(whole))).round().long()]
    stacked = torch.cat([belief.mean[rows] for belief in exact.beliefs.values()]).cpu().numpy()
    points = torch.from_numpy(plane(stacked)).unflatten(0, (-1, len(rows)))
    figure = in_the_plane(points, [*exact.beliefs], azimuth(test.views[rows]).cpu())
    add("space.png", figure, "t-SNE, by sense and by where the person faces")

    picks = picked(network, seen, test)
    typical, *_ = picks.values()
    report.section(
        "One view across all senses",
        "The view that was asked with on the diagonal; in its row the nearest by that sense among the test"
        " views as every other sense sees them, with the error of their pose.",
    )
    add("query.jpg", across(exact, test, typical), "asked with, on the diagonal; left red, right blue")

    report.section(
        "Estimates and how sure they are",
        "3D from one sense, from another, and from all fused. Ellipses are one standard deviation of"
        f" {DRAWN} hypotheses about each joint; the truth is grey beneath. Keypoints are a detector's.",
    )
    views = shown(test.views, test.detector)
    for (title, row), name in zip(picks.items(), ("fused.png", "doubtful.png"), strict=True):
        lifted = lifted_by(network, seen, row, **drawing)
        figure = estimates(test.joints[row], lifted, views[torch.tensor([row])])
        add(name, figure, f"{title}, by the error from all senses; left red, right blue")


def picked(network: Senses, found: Embedded, test: HeldOut) -> dict[str, int]:
    """Views by their place in the order of errors from all senses but the pose, `RANKS`."""
    there, parts = subset(found, estimating(network.modalities)[-1])
    lifted = network.decode("3d", network.fuse(parts.agreeing()))
    order = (lifted - lifted[:, :1] - test.joints[there]).norm(dim=-1).mean(-1).argsort()
    rows = there.nonzero()[:, 0][order].tolist()
    return {name: rows[round(share * (len(rows) - 1))] for name, share in RANKS.items()}


@torch.no_grad()
def lifted_by(
    network: Senses, found: Embedded, row: int, **drawing: Any
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """One view's estimate and hypotheses about the pelvis by image, by depth (or the first senses that there
    are), and by all fused."""
    subsets = estimating(network.modalities)
    single = [(name,) for name in ("image", "depth") if name in network.modalities]
    chosen = dict.fromkeys([*(single or subsets[:2]), subsets[-1]])
    one, lifted = found.at(torch.tensor([row])), {}
    for senses in chosen:
        _, parts = subset(one, senses)
        fused = network.fuse(parts.agreeing())
        pose = network.decode("3d", fused)[0]
        generator = torch.Generator(pose.device).manual_seed(0)
        drawn = network.sample(fused, generator, hypotheses=DRAWN, **drawing)[:, 0]
        title = "all fused" if senses == subsets[-1] and len(senses) > 1 else f"from {called(senses[0])}"
        lifted[title] = (pose - pose[:1], drawn - drawn[:, :1])
    return lifted


def add_tables(report: Report, tables: Mapping[str, list[Row]]) -> None:
    """All that `polypose.senses.measuring.lines` shows."""
    for title, header, rows in lines(tables):
        report.fold(title[0].upper() + title[1:])
        report.table(header, [[_told(value) for value in row] for row in rows])


def _told(value: Any) -> Any:
    return f"{value:.1f}" if isinstance(value, float) else value
