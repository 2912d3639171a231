"""Scales fitted to Gaussians whose true widths are known."""

import pytest
import torch
from posediff.calibration import fitted_scale
from posediff.hypotheses import coverage


@pytest.mark.parametrize("narrow", [0.4, 1.0, 2.5])
def test_the_scale_undoes_a_spread_that_is_wrong(narrow: float) -> None:
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(4000, 2, 3, generator=generator)
    truth = centre + 0.05 * torch.randn(4000, 2, 3, generator=generator)
    drawn = centre + narrow * 0.05 * torch.randn(99, 4000, 2, 3, generator=generator)
    scale = fitted_scale(drawn, centre, truth)
    assert scale == pytest.approx(1 / narrow, rel=0.03)
    levels = torch.tensor([0.5, 0.8, 0.9])
    held = coverage(centre + scale * (drawn - centre), truth, levels)
    assert held.tolist() == pytest.approx([0.5, 0.8, 0.9], abs=0.01)


def test_what_no_scale_mends_ends_at_the_limits() -> None:
    truth, centre = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
    assert fitted_scale(torch.full((9, 3, 1, 1), 1e-3), centre, truth) == pytest.approx(8, rel=0.01)
    drawn = torch.linspace(-1, 1, 9)[:, None, None, None].expand(9, 3, 1, 1)
    assert fitted_scale(drawn, centre, centre) == pytest.approx(1 / 8, rel=0.01)
