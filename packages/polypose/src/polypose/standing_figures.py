"""A board drawn: error by joint, by the camera's elevation and distance, and against time a pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from posedata.readers.files.safe_text import read_json
from posedata.writing import replacing

mpl.use("Agg")
from matplotlib import pyplot as plt

Rows = Sequence[Mapping[str, Any]]
KINDS = ("joint", "elevation", "distance")
FORMATS = ("png", "svg")


def draw(results: Path, folder: Path, ending: str = "png") -> Iterator[Path]:
    """Write ``board_joint``, ``board_elevation``, ``board_distance`` and ``board_frontier``.

    A panel for each budget and kind of keypoints.

    Raises:
        ValueError: another format, or a file without a board's rows.
    """
    if ending not in FORMATS:
        raise ValueError(f"--format {ending}: choose of {', '.join(FORMATS)}")
    rows = read_json(results).get("rows", [])
    if not any(r.get("part") == "rows" for r in rows):
        raise ValueError(f"{results}: has no rows of lifters; give what board --json wrote")
    where = [r for r in rows if r.get("part") == "breakdown"]
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        shown = [r for r in where if r["by"] == kind]
        if shown:
            yield _write(broken_down(shown), folder / f"board_{kind}.{ending}")
    lifters = [r for r in rows if r.get("part") == "rows"]
    yield _write(against_time(lifters), folder / f"board_frontier.{ending}")


def broken_down(rows: Rows) -> Any:
    """Error of each lifter over the ranges of one kind, in the order in which they stand."""
    figure, panels = _panels(rows)
    for panel, own in panels:
        ranges = list(dict.fromkeys(r["range"] for r in own))
        for method in dict.fromkeys(r["method"] for r in own):
            found = {r["range"]: r["mpjpe_mm"] for r in own if r["method"] == method}
            panel.plot(ranges, [found.get(x) for x in ranges], "o-", markersize=3, linewidth=1, label=method)
        panel.tick_params(axis="x", rotation=90 if len(ranges) > 6 else 15, labelsize=7)
    panels[0][0].set_ylabel("MPJPE, mm")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def against_time(rows: Rows) -> Any:
    """Error against milliseconds a pose; the line joins those of which no other is both faster and better."""
    figure, panels = _panels(rows)
    for panel, own in panels:
        for r in own:
            at = (milliseconds(r), r["mpjpe_mm"])
            panel.plot(*at, "o", markersize=4)
            panel.annotate(r["method"], at, fontsize=6, xytext=(3, 3), textcoords="offset points")
        best = frontier(own)
        panel.plot(
            [milliseconds(r) for r in best], [r["mpjpe_mm"] for r in best], color="grey", linewidth=0.8
        )
        panel.margins(x=0.3)
        panel.set(xscale="log", xlabel="ms a pose, in batches, one thread")
    panels[0][0].set_ylabel("MPJPE, mm")
    return figure


def frontier(rows: Rows) -> list[Mapping[str, Any]]:
    """The rows of which no other is both faster and better, the fastest first."""
    best: list[Mapping[str, Any]] = []
    for r in sorted(rows, key=lambda r: (milliseconds(r), r["mpjpe_mm"])):
        if not best or r["mpjpe_mm"] < best[-1]["mpjpe_mm"]:
            best.append(r)
    return best


def milliseconds(row: Mapping[str, Any]) -> float:
    """Of processor time a pose."""
    return 1000 / float(row["poses_per_second"])


def _panels(rows: Rows) -> tuple[Any, list[tuple[Any, Rows]]]:
    """A figure, and its panels with the rows of each."""
    groups = list(dict.fromkeys((r["budget"], r["keypoints"]) for r in rows))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(2.5 + 4.5 * len(groups), 4), squeeze=False, layout="constrained"
    )
    found: list[tuple[Any, Rows]] = []
    for panel, (budget, kind) in zip(axes[0], groups, strict=True):
        panel.set_title(f"{kind} keypoints, equal {budget}", fontsize=9)
        found.append((panel, [r for r in rows if (r["budget"], r["keypoints"]) == (budget, kind)]))
    return figure, found


def _write(figure: Any, path: Path) -> Path:
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=110)
    plt.close(figure)
    return path
