"""Draws λ1 over the cube of three cosines: `python docs/make_contrastive_figure.py`."""

from pathlib import Path

import matplotlib as mpl
import torch
from contrastive import leading_eigenvalue_of_three

mpl.use("Agg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).parent / "pages" / "figures" / "leading_eigenvalue.png"
SLICES = (-0.5, 0.0, 0.5, 0.9)


def main() -> None:
    """Four slices c = const; cosines that no three unit vectors have are left white."""
    axis = torch.linspace(-1, 1, 401)
    a, b = axis[None, :], axis[:, None]
    figure, panels = plt.subplots(1, len(SLICES), figsize=(11, 3.2), sharey=True, layout="constrained")
    for panel, c in zip(panels, SLICES, strict=True):
        value = leading_eigenvalue_of_three(a, b, torch.tensor(c))
        possible = 1 - a * a - b * b - c * c + 2 * a * b * c >= 0
        shown = torch.where(possible, value, torch.nan).numpy()
        image = panel.imshow(shown, origin="lower", extent=(-1, 1, -1, 1), vmin=1, vmax=3, cmap="viridis")
        lines = panel.contour(axis, axis, shown, levels=[1.25, 1.5, 2, 2.5], colors="white", linewidths=0.7)
        panel.clabel(lines, fontsize=7)
        panel.set(title=f"c = {c}", xlabel="a", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    panels[0].set_ylabel("b")
    figure.colorbar(image, ax=panels, label="λ₁")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
