"""Pictures of what a network makes of views: what it lifts and retrieves, and arcs in its space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posedata.figures import gallery
from poseenc.interpolate import great_arc
from torch import Tensor

from polypose.network import Modality, UniHPR
from polypose.samples import Sample


def lifting(test: Sample, lifted: Mapping[Modality, Tensor], picks: list[int]) -> Any:
    """Of some views the picture, keypoints, true pose, and what was lifted from 2D and from the image."""
    flat, imaged = lifted["2d"][picks], lifted["image"][picks]
    return gallery(
        [
            [
                ("image", _picture(test, i)),
                ("keypoints", test.keypoints[i].cpu()),
                ("truth", test.joints[i].cpu()),
                (f"from 2D, {_error(flat[n], test.joints[i]):.0f} mm", flat[n].cpu()),
                (f"from image, {_error(imaged[n], test.joints[i]):.0f} mm", imaged[n].cpu()),
            ]
            for n, i in enumerate(picks)
        ]
    )


def retrieved(
    test: Sample, embeddings: Mapping[Modality, Tensor], picks: list[int], source: Modality, target: Modality
) -> Any:
    """Of some views the three nearest of another modality, each with the error of its pose."""
    found = (embeddings[source][picks] @ embeddings[target].mT).topk(3).indices.tolist()
    rows = []
    for i, nearest in zip(picks, found, strict=True):
        hits = [
            (f"{n + 1}: {_error(test.joints[k], test.joints[i]):.0f} mm", _show(test, k, target))
            for n, k in enumerate(nearest)
        ]
        rows.append([("query", _show(test, i, source)), *hits])
    return gallery(rows)


def interpolated(model: UniHPR, test: Sample, embedding: Tensor) -> Any:
    """Poses decoded along the great arc from the first view's embedding to the middle one's."""
    first, last = 0, len(test) // 2
    arc = great_arc(embedding[first], embedding[last], steps=7)
    poses = model.decode("3d", arc, "3d").cpu()
    return gallery([[(f"{i / 6:.2f}", pose) for i, pose in enumerate(poses)]])


def _show(test: Sample, row: int, modality: str) -> object:
    return _picture(test, row) if modality == "image" else test.joints[row].cpu()


def _picture(test: Sample, row: int) -> object:
    assert test.images is not None
    return test.images[row].permute(1, 2, 0).cpu()


def _error(predicted: Tensor, truth: Tensor) -> float:
    return float((predicted - truth).norm(dim=-1).mean() * 1000)
