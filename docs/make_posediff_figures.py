"""Draws the figures of the posediff page from docs/results/samplers.json."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
FIGURES = HERE / "pages" / "figures"
REFERENCE = 1000
PANELS = {"one_mm": "one hypothesis", "best_20_mm": "best of 20", "diversity_mm": "diversity"}
NAMES = {
    "dpmpp_2m_sde": "SDE-DPM-Solver++ 2M",
    "dpmpp_2m": "ODE, DPM-Solver++ 2M",
    "heun": "ODE, Heun",
    "euler": "ODE, Euler",
    "euler_maruyama": "Euler-Maruyama",
    "predictor_corrector": "predictor-corrector",
    "mode_seeking": "mode_seeking",
}
"""Reverse diffusion is left out: on sub-VP it is Euler-Maruyama, point for point."""


def main() -> None:
    """Samplers against their evaluations; the collapse of `mode_seeking`."""
    rows = json.loads((HERE / "results" / "samplers.json").read_text())["rows"]
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(1, len(PANELS), figsize=(11, 3.6), layout="constrained")
    for panel, (key, title) in zip(panels, PANELS.items(), strict=True):
        _against_evaluations(panel, _part(rows, "poses"), key)
        panel.set(title=title, xlabel="network evaluations", xscale="log", xticks=(5, 10, 20, 50))
        panel.get_xaxis().set_major_formatter(mpl.ticker.ScalarFormatter())
        panel.minorticks_off()
    panels[0].set_ylabel("mm")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(FIGURES / "samplers.png", dpi=110)

    figure, panel = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    for name in ("euler_maruyama", "euler", "mode_seeking"):
        found = [row for row in _part(rows, "collapse") if row["sampler"] == name]
        panel.plot([r["steps"] for r in found], [r["std"] for r in found], "o-", label=NAMES[name])
    panel.axhline(5.0, color="grey", linewidth=0.8, linestyle="--", label="the data")
    panel.set(xscale="log", xlabel="steps", ylabel="std of the samples", ylim=(0, 5.5))
    panel.legend(fontsize=8)
    figure.savefig(FIGURES / "mode_seeking.png", dpi=110)


def _against_evaluations(panel: Axes, rows: list[Mapping[str, Any]], key: str) -> None:
    reference = next(row[key] for row in rows if row["steps"] == REFERENCE)
    panel.axhspan(0.99 * reference, 1.01 * reference, color="grey", alpha=0.3, label="1000 steps ± 1 %")
    shown = [row for row in rows if row["steps"] != REFERENCE and row["sampler"] in NAMES]
    for name, label in NAMES.items():
        found = sorted((row["evaluations"], row[key]) for row in shown if row["sampler"] == name)
        panel.plot(*zip(*found, strict=True), "o-", markersize=3, linewidth=1, label=label)
    spread = max(0.15, 3 * abs(next(r[key] for r in shown if r["sampler"] == "euler") / reference - 1))
    panel.set_ylim((1 - spread) * reference, (1 + spread) * reference)


def _part(rows: Iterable[Mapping[str, Any]], part: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["part"] == part]


if __name__ == "__main__":
    main()
