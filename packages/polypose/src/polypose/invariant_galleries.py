"""Pictures of what V-VIPE makes of test views: what it retrieves, lifts and generates; lengths by `torso`."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from posedata.figures import gallery
from posedata.scoring.metrics import nearest
from posedata.views.rigs import CHEST_CAMERAS
from poseenc.hits import TestSet
from poseenc.vvipe import VVIPE, around
from torch import Tensor

from polypose.drawing import flat, upright

AMOUNTS = [0.2, 0.3, 0.4, 0.5]


def retrieved(
    test: TestSet, embedded: Tensor, poses: Tensor, torso: float, keys: Int[Tensor, " K"]
) -> object:
    """Queries from a chest camera, each with the three nearest as a steep one sees them."""
    chest, steep = 0, CHEST_CAMERAS
    found = nearest(embedded[keys, chest], embedded[:, steep], 3, distance="euclidean")
    rows = []
    for query, hits in zip(keys.tolist(), found.tolist(), strict=True):
        cells: list[tuple[str, object]] = [
            ("query", flat(test.other.keypoints[query, chest])),
            ("its pose", upright(poses[query])),
        ]
        for hit in hits:
            cells.append(("", flat(test.other.keypoints[hit, steep])))
            far = float(test.distances[query, hit])
            cells.append((f"{far:.2f} torsos, {1000 * torso * far:.0f} mm", upright(poses[hit])))
        rows.append(cells)
    return gallery(rows)


def lifted(model: VVIPE, test: TestSet, embedded: Tensor, torso: float, keys: Int[Tensor, " K"]) -> object:
    """Poses as five cameras see them, and what each view is lifted to."""
    cameras = [0, 2, 4, CHEST_CAMERAS, CHEST_CAMERAS + 3]
    rows = []
    for key in keys.tolist():
        lifted = torso * model.decode(embedded[key, cameras])
        cells = [("truth", upright(torso * test.pose[key]))]
        for camera, pose in zip(cameras, lifted, strict=True):
            error = float((pose - torso * test.pose[key]).norm(dim=-1).mean() * 1000)
            cells.append(("", flat(test.other.keypoints[key, camera])))  # type: ignore[arg-type]
            cells.append((f"{error:.0f} mm", upright(pose)))
        rows.append(cells)
    return gallery(rows)


def generated(model: VVIPE, test: TestSet, torso: float, row: int) -> object:
    """Noise about a pose in two directions, then samples of the prior, decoded."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(7, model.dim, generator=generator)
    start: Float[Tensor, "J 3"] = test.pose[row]
    cells = [
        [("pose", upright(torso * start)), ("0", upright(torso * line0))]
        + [(f"{a:g} z{i + 1}", upright(torso * p)) for a, p in zip(AMOUNTS, line, strict=True)]
        for i, (line, line0) in enumerate(
            zip(
                around(model, start, directions[:2], AMOUNTS),
                around(model, start, directions[:2], [0.0])[:, 0],
                strict=True,
            )
        )
    ]
    prior = torso * model.decode(directions[1:])
    cells.append([("prior", upright(pose)) for pose in prior])
    return gallery(cells)
