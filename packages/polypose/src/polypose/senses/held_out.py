"""Views that a space of several senses is measured on, and how it embeds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from posedata.geometry.align import root_relative
from posedata.geometry.canonical import to_body_frame
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from posedata.scoring.people import interval_by_person
from posedata.views.batch import Views
from poseenc import Embedded, VonMisesFisher
from torch import Tensor

from polypose.network import POSE_SKELETON
from polypose.samples import Sample
from polypose.senses.network import Senses, shown

Row = dict[str, Any]


@dataclass(frozen=True)
class HeldOut:
    """Views to measure on.

    Attributes:
        views: with all that the senses take.
        people: (N,) whose they are.
        detector: whose keypoints stand for a detector's; retrieval goes by the exact ones.
    """

    views: Views
    people: Int[Tensor, " N"]
    detector: str

    @property
    def joints(self) -> Float[Tensor, "N J 3"]:
        """The true poses in the person-centred camera, metres about the pelvis."""
        return Sample.of(replace(self.views, image=None)).joints

    @property
    def body(self) -> Float[Tensor, "N J 3"]:
        """The same in the body's own frame, whoever sees it (`posedata.geometry.canonical`)."""
        return to_body_frame(self.joints, POSE_SKELETON)


@torch.no_grad()
def embedded(network: Senses, views: Views, batch: int) -> Embedded:
    """Every sense of many views, in batches."""
    rows = torch.arange(len(views), device=views.box.device).split(batch)
    return Embedded.cat([network(views[some]) for some in rows])


def by_detector(network: Senses, exact: Embedded, test: HeldOut, batch: int) -> Embedded:
    """The same with a detector's keypoints."""
    if "2d" not in network.modalities:
        return exact
    found = one_sense(network, shown(test.views, test.detector), "2d", batch)
    present = exact.present["2d"] & (found.concentration > 0)
    return exact._replace(beliefs=exact.beliefs | {"2d": found}, present=exact.present | {"2d": present})


@torch.no_grad()
def one_sense(network: Senses, views: Views, name: str, batch: int) -> VonMisesFisher:
    """One sense of many views, in batches."""
    space, parts = network.space, []
    for rows in torch.arange(len(views), device=views.box.device).split(batch):
        some = views[rows]
        parts.append(space.embed(name, some, space.modalities[name].present(some)))
    return VonMisesFisher(*map(torch.cat, zip(*parts, strict=True)))


def error_of(
    predicted: Float[Tensor, "N J 3"],
    truth: Float[Tensor, "N J 3"],
    people: Int[Tensor, " N"],
    aligned: bool = False,
) -> Row:
    """MPJPE with its 95 % interval by person, about the pelvis, mm."""
    each = mpjpe_mm(root_relative(predicted), truth)
    low, high = interval_by_person(each.cpu(), people)
    row: Row = {"mpjpe_mm": float(each.mean()), "low_mm": low, "high_mm": high}
    if aligned:
        row["pa_mpjpe_mm"] = float(pa_mpjpe_mm(root_relative(predicted), truth).mean())
    return row
