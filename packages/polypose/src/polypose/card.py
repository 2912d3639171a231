"""The cards of the shipped weights: what they are of, what they do, where they fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from posedata.writing import write_text

TEMPLATE = Path(__file__).with_suffix(".md")
BRANCHES = {
    "lift": "3D from exact 2D",
    "lift_detector": "3D from a detector's 2D",
    "image": "3D from the image",
    "reconstruct": "3D from 3D",
}
WHOLE = "encoders of image, 2D keypoints and 3D joints into one unit sphere"
LIFTER = "the encoder of 2D keypoints into the unit sphere, without those of images and 3D joints"


def write_card(weights: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the card of UniHPR's weights.

    Args:
        rows: as `unihpr release` measures them; without images, the weights have no encoder of them.
    """
    parts = WHOLE if any(row["branch"] == "image" for row in rows) else LIFTER
    numbers, ranges = ("\n".join(lines(rows)) for lines in (_numbers, _ranges))
    fill(TEMPLATE, weights, parts=parts, numbers=numbers, ranges=ranges)


def fill(template: Path, weights: Path, **told: object) -> None:
    """Write a template's Markdown beside the weights that it is about, with what is told and their size."""
    text = Template(template.read_text(encoding="utf-8"))
    size = f"{weights.stat().st_size / 2**20:.1f} MiB"
    write_text(weights.with_suffix(".md"), text.substitute(told, size=size))


def _numbers(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| cameras | | views | people | MPJPE | 95 % | PA | N | 50 | 80 | 90 |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if "by" not in row:
            held = " | ".join(f"{row[f'inside_{level}']:.0%}" for level in (50, 80, 90))
            of = f"{row['rig']} | {BRANCHES[row['branch']]} | {row['views']} | {row['people']}"
            between = f"{row['low_mm']:.1f} to {row['high_mm']:.1f}" if row["people"] > 1 else "one person"
            aligned = f"{row['pa_mpjpe_mm']:.1f} | {row['n_mpjpe_mm']:.1f}"
            yield f"| {of} | {row['mpjpe_mm']:.1f} | {between} | {aligned} | {held} |"


def _ranges(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| | | views | MPJPE |"
    yield "|---|---|---|---|"
    for row in rows:
        if "by" in row:
            yield f"| {row['by']} | {row['range']} | {row['views']} | {row['mpjpe_mm']:.1f} |"
