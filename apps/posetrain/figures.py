"""Curves of a training, which every report shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from posedata.figures import plt


def curves(
    records: Sequence[Mapping[str, Any]], keys: Sequence[str], ylabel: str = "", scale: str = "linear"
) -> Any:
    """Logged scalars over the steps of a stage, one panel a stage that has any of them."""
    stages = list(dict.fromkeys(r["stage"] for r in records if any(key in r for key in keys)))
    width = max(1, len(stages))
    figure, axes = plt.subplots(1, width, figsize=(4 * width, 3), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=False):
        for key in keys:
            points = [(r["step"], r[key]) for r in records if r["stage"] == stage and key in r]
            if points:
                axis.plot(*zip(*points, strict=True), label=key)
        axis.set(title=stage, xlabel="step", ylabel=ylabel, yscale=scale)
        axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def watched(records: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    """Names of what training was followed by (`loop.evaluate_every`), of one metric."""
    return sorted({name for r in records for name in r if name.startswith("eval/") and name.endswith(metric)})
