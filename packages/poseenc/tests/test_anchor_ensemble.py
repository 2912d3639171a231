"""Anchors, their ensemble and the losses, against the papers' numbers, a naive twin and closed forms."""

import pytest
import torch
from poseenc.anchor import (
    INTERHAND_DEPTHS,
    AnchorGrid2D,
    AnchorGrid3D,
    Estimate,
    LossRule,
    a2j_rule,
    anchor_losses,
    ensemble,
    ensemble_naive,
    smooth_l1,
    surrounding_loss,
    transformer_rule,
)


@pytest.mark.parametrize(("side", "cells", "count"), [(176, 11, 1936), (288, 18, 5184)])
def test_a2j_has_one_anchor_in_every_4x4_pixels(side, cells, count):
    grid = AnchorGrid2D((side, side))
    points = grid.points()
    assert (len(grid), grid.cells) == (count, (cells, cells))
    assert len({tuple(p) for p in points.tolist()}) == count
    # the published code counts from the corner of the crop: {2, 6, 10, 14} in a cell of 16
    assert (points[:16].add(0.5) % 16).unique().tolist() == [2, 6, 10, 14]
    assert points.sort(dim=0).values[:: count // (side // 4)][:, 0].diff().unique().tolist() == [4]


def test_anchors_of_an_oblong_crop_and_their_map_agree():
    """A map that holds, at each cell, each anchor's own coordinates comes out as the list of anchors."""
    grid = AnchorGrid2D((64, 32))
    rows, columns = grid.cells
    assert (rows, columns) == (2, 4)
    y, x = torch.meshgrid(torch.arange(rows) * 16.0, torch.arange(columns) * 16.0, indexing="ij")
    within = torch.arange(4) * 4 + 1.5
    channels = []
    for v in within:
        for u in within:
            channels += [x + u, y + v]
    flat = grid.flatten_map(torch.stack(channels)[None], 2)
    assert torch.equal(flat[0], grid.points())
    with pytest.raises(ValueError, match="100x64 px do not divide into cells of 16"):
        AnchorGrid2D((100, 64))


def test_interhand_anchors_are_the_published_768():
    grid = AnchorGrid3D((256, 256))
    points = grid.points()
    assert len(grid) == len(points) == 768
    assert (
        points[:, 0].unique().tolist() == points[:, 1].unique().tolist() == [7.5 + 16 * k for k in range(16)]
    )
    bins = (points[:, 2] / 0.2 + 1) / 2 * 256  # the code's axis: (z / 200 mm + 1) / 2 * 256
    torch.testing.assert_close(bins[:3], torch.tensor([63.5, 127.5, 191.5]))
    assert [round(1000 * d) for d in INTERHAND_DEPTHS] == [-101, -1, 99]
    assert points[3].tolist()[:2] == [23.5, 7.5]  # depths innermost, then columns


@pytest.mark.parametrize("k", [2, 3])
def test_ensemble_is_its_naive_twin(k):
    generator = torch.Generator().manual_seed(k)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    anchors, offsets, logits = draw(11, k), draw(2, 11, 4, 3), 3 * draw(2, 11, 4)
    found, expected = ensemble(anchors, offsets, logits), ensemble_naive(anchors, offsets, logits)
    torch.testing.assert_close(found.joints, expected.joints)
    torch.testing.assert_close(found.points, expected.points)
    assert torch.autograd.gradcheck(
        lambda o, w: tuple(ensemble(anchors, o, w)), (offsets.requires_grad_(), logits.requires_grad_())
    )


def test_ensemble_of_one_chosen_anchor_is_that_anchor_and_its_offset():
    anchors = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    offsets = torch.tensor([[[1.0, 2.0, 0.5]], [[-1.0, -2.0, 0.7]]])[None]
    found = ensemble(anchors, offsets, torch.tensor([[[50.0], [-50.0]]]))
    torch.testing.assert_close(found.joints, torch.tensor([[[11.0, 22.0, 0.5]]]))  # depth by itself
    torch.testing.assert_close(found.points, torch.tensor([[[10.0, 20.0]]]))
    with pytest.raises(ValueError, match="3 coordinates, offsets only 2"):
        ensemble(torch.zeros(5, 3), torch.zeros(1, 5, 2, 2), torch.zeros(1, 5, 2))


def test_coordinates_stay_exact_under_autocast():
    anchors = torch.tensor([[200.25, 100.75], [201.25, 100.75]])
    with torch.autocast("cpu", torch.bfloat16):
        found = ensemble(anchors, torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1))
    assert found.joints.tolist() == [[[200.75, 100.75]]]


def test_smooth_l1_is_the_published_one_and_torchs():
    """x²/(2τ) below τ, |x| - τ/2 above: at 3 with τ 3, 1.5 from either side, the code's constant."""
    error = torch.tensor([0.0, 0.5, -1.0, 2.0, -3.0, 5.0], dtype=torch.float64)
    assert smooth_l1(error, 1.0).tolist() == [0.0, 0.125, 0.5, 1.5, 2.5, 4.5]
    torch.testing.assert_close(smooth_l1(error, 3.0)[-2:], torch.tensor([1.5, 3.5], dtype=torch.float64))
    assert smooth_l1(error, 0.0).tolist() == error.abs().tolist()
    for tau in (0.3, 1.0, 3.0):
        peer = torch.nn.functional.smooth_l1_loss(
            error, torch.zeros(6, dtype=torch.float64), beta=tau, reduction="none"
        )
        torch.testing.assert_close(smooth_l1(error, tau), peer)


def test_surrounding_loss_vanishes_where_weights_balance_about_the_joint():
    """Anchors at 0, 10 and 30: weights that average to the joint cost nothing, all on one side do."""
    anchors = torch.tensor([[0.0, 0.0], [10.0, 0.0], [30.0, 0.0]])
    balanced = torch.tensor([[[1 / 3], [1 / 2], [1 / 6]]]).log()
    points = ensemble(anchors, torch.zeros(1, 3, 1, 2), balanced).points
    assert surrounding_loss(points, torch.tensor([[[10.0, 0.0, 9.0]]])) == pytest.approx(0, abs=1e-10)
    # at (12, 0): |2| - 1/2 in x, nothing in y, mean over the two
    assert surrounding_loss(points, torch.tensor([[[12.0, 0.0, 9.0]]])) == pytest.approx(0.75, abs=1e-5)


def _case():
    estimate = Estimate(
        torch.tensor([[[10.0, 20.0, 0.03], [5.0, 5.0, 0.0]]]), torch.tensor([[[10.5, 20.0], [9.0, 5.0]]])
    )
    return estimate, torch.tensor([[[8.0, 20.0, 0.0], [5.0, 5.5, 0.01]]])


def test_a2j_loss_by_hand():
    """Errors in px (2, 0), (0, 0.5) and in depth 30 mm, 10 mm, counted in 10 mm: 3 and 1."""
    estimate, target = _case()
    found = anchor_losses(estimate, target, rule=a2j_rule(0.01))
    plane = (1.5 + 0 + 0 + 0.125) / 4
    depth = ((3 - 1.5) + 1 / 6) / 2
    surround = (2.0 + 0 + 3.5 + 0.125) / 4
    assert found["plane"] == pytest.approx(plane)
    assert found["depth"] == pytest.approx(depth)
    assert found["surround"] == pytest.approx(surround)
    assert found["loss"] == pytest.approx(3 * (0.5 * plane + depth) + surround)


def test_transformer_loss_is_the_published_sum():
    """3 reg + anchor; each a sum over coordinates over 3 times the valid joints, the layers' mean."""
    generator = torch.Generator().manual_seed(0)
    layers, batch, count = 2, 3, 5
    joints, points, target = (8 * torch.randn(layers, batch, count, 3, generator=generator) for _ in range(3))
    target = target[0]
    valid = torch.rand(batch, count, generator=generator) < 0.6
    found = anchor_losses(Estimate(joints, points), target, valid.float(), transformer_rule(1.0))
    error, away = joints - target, points - target
    reg = anchor = 0.0
    for layer in range(layers):
        for b, j in valid.nonzero().tolist():
            x, y, z = error[layer, b, j].unbind()
            reg += 0.5 * (smooth_l1(x, 1.0) + smooth_l1(y, 1.0)) + smooth_l1(z, 3.0)
            anchor += smooth_l1(away[layer, b, j], 1.0).sum()
    number = 3 * layers * int(valid.sum())
    assert found["loss"] == pytest.approx(float(3 * reg / number + anchor / number), rel=1e-5)


def test_what_has_no_weight_may_be_nan():
    estimate, target = _case()
    lost = target.clone()
    lost[0, 1] = torch.nan
    weight = torch.tensor([[1.0, 0.0]])
    joints = estimate.joints.clone().requires_grad_()
    found = anchor_losses(Estimate(joints, estimate.points), lost, weight)
    known = anchor_losses(estimate, target, weight)
    assert {name: float(value.detach()) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in known.items()}
    )
    found["loss"].backward()
    assert joints.grad[0, 1].tolist() == [0.0] * 3
    alone = surrounding_loss(estimate.points, lost, weight[..., None])
    assert float(alone) == pytest.approx(float(known["surround"]))


def test_joints_without_weight_do_not_count_nor_coordinates():
    estimate, target = _case()
    rule = LossRule(depth_unit=0.01)
    first = anchor_losses(Estimate(estimate.joints[:, :1], estimate.points[:, :1]), target[:, :1], rule=rule)
    masked = anchor_losses(estimate, target, torch.tensor([[1.0, 0.0]]), rule)
    assert {k: float(v) for k, v in masked.items()} == pytest.approx({k: float(v) for k, v in first.items()})
    doubled = anchor_losses(estimate, target, torch.tensor([[2.0, 0.0]]), rule)
    assert doubled["loss"] == pytest.approx(float(masked["loss"]))
    plane_only = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]])
    found = anchor_losses(estimate, target, plane_only, rule)
    assert found["depth"] == 0
    assert found["plane"] == pytest.approx((1.5 + 0.125) / 4)
    nothing = anchor_losses(estimate, target, torch.zeros(1, 2), rule)
    assert nothing["loss"] == 0
