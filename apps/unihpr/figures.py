"""The report's own picture; what it shares with others is in `posedata.figures`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from posedata.figures import plt


def shared_space(points: Float[np.ndarray, "M N 2"], names: Sequence[str], action: np.ndarray) -> Any:
    """The embedding in the plane: one panel coloured by modality, one by action."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5))
    for xy, name in zip(points, names, strict=True):
        left.scatter(*xy.T, s=4, alpha=0.6, label=name)
    left.legend(markerscale=3)
    right.scatter(*points.reshape(-1, 2).T, s=4, c=np.tile(action, len(points)), cmap="tab20")
    left.set_title("by modality")
    right.set_title("by action")
    for axis in (left, right):
        axis.set(xticks=[], yticks=[])
    return figure
