"""A picture with its hands drawn on it."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from posedata.figures import LEFT, RIGHT, plt
from posedata.skeleton import get_skeleton
from posedata.writing import write_png
from poseenc.anchor.hands import open_picture


def draw(picture: Path, pixels: Float[np.ndarray, "42 2"], out: Path, hands: str = "both") -> None:
    """The picture with its hands drawn on it, as a PNG."""
    skeleton = get_skeleton("interhand42")
    shown = np.asarray(open_picture(picture, lambda text: None))
    figure, axis = plt.subplots(figsize=(6, 6 * shown.shape[0] / shown.shape[1]))
    axis.imshow(shown)
    for child, parent in skeleton.edges:
        side = skeleton.joints[child].partition("_")[0]
        if side == skeleton.joints[parent].partition("_")[0] and hands in (side, "both"):
            axis.plot(*pixels[[child, parent]].T, color=LEFT if side == "left" else RIGHT, linewidth=1.5)
    axis.set(xticks=[], yticks=[], xlim=(-0.5, shown.shape[1] - 0.5), ylim=(shown.shape[0] - 0.5, -0.5))
    figure.tight_layout(pad=0)
    write_png(out, figure, dpi=120)
    plt.close(figure)
