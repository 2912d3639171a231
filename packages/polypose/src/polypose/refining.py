"""Hypotheses of views seen again: what refinement by known intrinsics is worth and costs."""

from __future__ import annotations

from time import process_time
from typing import Any

import torch
from jaxtyping import Float
from posedata.scoring.metrics import mpjpe_mm
from posediff.hypotheses import select, select_per_joint
from posediff.refine import fitted_sd, keypoint_log_likelihood, weighted
from torch import Tensor

from polypose.lifting import place_along
from polypose.samples import Sample


def distances(hypotheses: Float[Tensor, "S B J 3"], sample: Sample) -> Float[Tensor, "S B J"]:
    """How far each joint is seen from its keypoint, along x and y where z is 1 (radians, nearly).

    Every hypothesis stands where the keypoints, by confidence, say that it does: D3DP's authors take the
    root's true place instead. The sample is in the person-centred camera, whose focal length its token tells.
    """
    slant = (1 + sample.token[:, :2].square().sum(-1)).sqrt()
    rays = sample.keypoints * (sample.token[:, 2] / (2 * slant))[:, None, None]
    at = place_along(
        hypotheses, rays.expand(*hypotheses.shape[:-1], 2), sample.confidence.expand(hypotheses.shape[:-1])
    )
    stands = hypotheses + at[..., None, :]
    seen = stands[..., :2] / stands[..., 2:].clamp(min=1e-3)
    return torch.linalg.vector_norm(seen - rays, dim=-1)


@torch.no_grad()
def refined(
    drawn: Float[Tensor, "S B J 3"], sample: Sample, others: Float[Tensor, "S N J 3"], kept: Sample
) -> dict[str, Any]:
    """What hypotheses of a sample come to as one pose.

    Args:
        others, kept: likewise, of people held out for validation; samples are in the person-centred camera.

    Returns:
        MPJPE of `draws`, the mean of what is drawn, of `chosen`, the hypothesis of least distance to its
            keypoints, of `joints_chosen`, each joint's (D3DP's JPMA), of `weighted` (`posediff.refine`);
            `noise`, fitted on `kept`, in radians, None where the plain mean was best there; `refine_ms` of
            processor time a pose, for the last.
    """
    noise = fitted_sd(others, distances(others, kept), kept.joints, kept.confidence)
    began = process_time()
    apart = distances(drawn, sample)
    pose = weighted(drawn, keypoint_log_likelihood(apart, noise, sample.confidence))
    seconds = process_time() - began
    found = {
        "draws": drawn.mean(0),
        "chosen": select(drawn, (apart * sample.confidence[None]).mean(-1)),
        "joints_chosen": select_per_joint(drawn, apart),
        "weighted": pose,
    }
    errors = {f"{name}_mpjpe_mm": float(mpjpe_mm(pose, sample.joints).mean()) for name, pose in found.items()}
    told = {"noise": noise if noise < float("inf") else None, "refine_ms": 1000 * seconds / len(sample)}
    return errors | told
