"""What UniHPR's metrics come to: errors beside the paper's, and how often the truth lies in its intervals."""

from posedata.records import flat
from posedata.scoring.published import published_table
from posediff.calibration import LEVELS

from polypose.measuring import Metrics


def summary(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Rows (MPJPE in mm of what, ours, the paper's) for the table at the end of a run."""
    found, table = flat(metrics), []
    mean = found["baselines.mean_pose.mpjpe_mm"]
    for name, key, paper in ROWS:
        if (error := found.get(f"{key}.mpjpe_mm")) is not None:
            share = "" if "baselines" in key else f" = {error / mean:.0%}"
            table.append((name, f"{error:.1f}{share}", paper))
    return table


def calibration(metrics: Metrics) -> list[tuple[str, ...]]:
    """Rows (branch, share of truth in each of `LEVELS`) of what draws; none without diffusion."""
    branches = [(name, metrics[key]) for name, key, _ in (*ROWS[:3], RECONSTRUCT) if key in metrics]
    keys = [f"inside_{level:.0%}".rstrip("%") for level in LEVELS]
    return [(name, *(f"{row[key]:.0%}" for key in keys)) for name, row in branches if keys[0] in row]


def _paper(table: str, column: str, **row: object) -> str:
    """A number of UniHPR's own tables."""
    (found,) = [r for r in published_table(f"unihpr/{table}").rows if row.items() <= r.items()]
    return str(found[column])


ROWS = (
    ("3D from 2D", "lift", _paper("ablation", "h36m_gt2d_mpjpe_mm", token=True, with_3dhp=False)),
    ("3D from noisy 2D", "lift_detector", _paper("lifting", "h36m_mpjpe_mm", method="UniHPR")),
    ("3D from image", "image", _paper("image", "h36m_mpjpe_mm", method="UniHPR-w48")),
    (
        "2D to 3D retrieval",
        "retrieval.2d_to_3d",
        _paper("pose-retrieval", "h36m_retrieval_mpjpe_mm", retrieval="2d_to_3d"),
    ),
    (
        "image to 3D retrieval",
        "retrieval.image_to_3d",
        _paper("pose-retrieval", "h36m_retrieval_mpjpe_mm", retrieval="image_to_3d"),
    ),
    ("mean pose", "baselines.mean_pose", ""),
    ("3D of the nearest training 2D", "baselines.nearest_2d", ""),
    ("random retrieval", "baselines.random_retrieval", ""),
)
"""What `summary` shows, and UniHPR's numbers on Human3.6M, mm."""

RECONSTRUCT = ("3D from 3D", "reconstruct", "")

CALIBRATION = ("truth inside the central", *(f"{level:.0%}" for level in LEVELS))
"""Header of `calibration`: what a share should be stands above it."""
