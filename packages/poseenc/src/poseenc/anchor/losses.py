"""What anchor networks are trained with: the joint's error, and that the anchors chosen surround it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .ensemble import Estimate


@dataclass(frozen=True)
class LossRule:
    """How the errors are weighed. Every term is a mean over the coordinates of the valid joints.

    total = joint (plane L_xy + depth L_z) + surround L_anchors

    Attributes:
        plane, depth: weights of the joint's two parts.
        joint, surround: weights of the joint's and the anchors' term.
        tau_plane, tau_depth, tau_surround: where smooth L1 turns from square to line; 0 is plain L1.
        depth_unit: the depth that counts as much as one pixel, in the unit of the targets (metres).
    """

    plane: float = 1.0
    depth: float = 1.0
    joint: float = 1.0
    surround: float = 1.0
    tau_plane: float = 1.0
    tau_depth: float = 3.0
    tau_surround: float = 1.0
    depth_unit: float = 1.0


def a2j_rule(depth_unit: float) -> LossRule:
    """A2J's (section 4.4): half for the plane, tau 3 for depth, joints times 3."""
    return LossRule(plane=0.5, joint=3.0, depth_unit=depth_unit)


def transformer_rule(depth_unit: float) -> LossRule:
    """A2J-Transformer's (section 3.4): sums over a joint's coordinates divided by 3, the plane by half."""
    return LossRule(plane=1 / 3, depth=1 / 3, joint=3.0, depth_unit=depth_unit)


def smooth_l1(error: Float[Tensor, "*any"], tau: float) -> Float[Tensor, "*any"]:
    """x²/(2τ) where |x| < τ, |x| - τ/2 elsewhere; |x| where τ is 0."""
    size = error.abs()
    if tau == 0:
        return size
    return torch.where(size < tau, error.square() / (2 * tau), size - tau / 2)


def surrounding_loss(
    points: Float[Tensor, "*batch J k"],
    target: Float[Tensor, "*batch J d"],
    weight: Float[Tensor, "*#batch #J #d"] | None = None,
    tau: float = 1.0,
) -> Float[Tensor, ""]:
    """Smooth L1 of the weighted mean of the anchors from the joint: anchors are picked on all its sides.

    A2J, equation 5. The first k coordinates of the target count, in whatever unit it has.

    Args:
        weight: of joints (..., J, 1) or of coordinates (..., J, d); None is 1.
    """
    k = points.shape[-1]
    target = target[..., :k]
    if weight is not None:
        weight = weight.expand(*target.shape[:-1], weight.shape[-1])[..., :k]
        target = torch.where(weight > 0, target, 0)  # what has no weight may be NaN
    return _mean(smooth_l1(points - target, tau), weight)


def anchor_losses(
    estimate: Estimate,
    target: Float[Tensor, "*batch J 3"],
    weight: Float[Tensor, "*batch J"] | Float[Tensor, "*batch J 3"] | None = None,
    rule: LossRule | None = None,
) -> dict[str, Tensor]:
    """The whole loss: {"loss", "plane", "depth", "surround"}, scalars, the last three unweighted.

    Args:
        estimate: of a network; more leading axes than the target's (decoder layers) are averaged over.
        target: x, y in px of the crop, then depth.
        weight: of joints (confidence, 0 where invalid), or of single coordinates.
        rule: `LossRule()` if None; a network has its own as ``network.rule``.
    """
    rule = rule or LossRule()
    if weight is not None and weight.ndim < target.ndim:
        weight = weight[..., None]
    scale = target.new_tensor([1.0, 1.0, 1 / rule.depth_unit])
    joints, points, truth = (x * scale[: x.shape[-1]] for x in (*estimate, target))
    layers = (1,) * (joints.ndim - target.ndim)
    truth = truth.view(*layers, *truth.shape).expand_as(joints)
    if weight is not None:
        weight = weight.view(*layers, *weight.shape).expand_as(joints)
        truth = torch.where(weight > 0, truth, 0)  # what has no weight may be NaN
    error = joints - truth
    plane = _mean(smooth_l1(error[..., :2], rule.tau_plane), _slice(weight, 0, 2))
    depth = _mean(smooth_l1(error[..., 2:], rule.tau_depth), _slice(weight, 2, 3))
    surround = surrounding_loss(points, truth, weight, rule.tau_surround)
    total = rule.joint * (rule.plane * plane + rule.depth * depth) + rule.surround * surround
    return {"loss": total, "plane": plane, "depth": depth, "surround": surround}


def _slice(weight: Tensor | None, start: int, end: int) -> Tensor | None:
    return None if weight is None else weight[..., start:end]


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean of everything; 0 where nothing has weight."""
    if weight is None:
        return values.mean()
    weight = weight.to(values).expand_as(values)
    return (weight * values).sum() / weight.sum().clamp(min=torch.finfo(values.dtype).tiny)


class Ruled(nn.Module):
    """A network of anchors with the rule that it is trained by."""

    rule: LossRule

    def loss(
        self,
        estimate: Estimate,
        target: Float[Tensor, "B J 3"],
        weight: Float[Tensor, "B J"] | Float[Tensor, "B J 3"] | None = None,
    ) -> dict[str, Tensor]:
        """`anchor_losses` by the network's own ``rule``; give it what `estimates` returned."""
        return anchor_losses(estimate, target, weight, self.rule)
