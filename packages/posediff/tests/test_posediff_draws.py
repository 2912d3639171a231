"""What a batch draws, by hand; and that the parts of a batch draw what the whole does."""

from __future__ import annotations

import pytest
import torch
from posediff.draws import Whole, draw_hidden, draw_noise
from torch import Tensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(n: int, generator: torch.Generator | None) -> Tensor:
    """Levels to tell apart, from the generator that noise is drawn from."""
    return 1 + torch.rand(n, generator=generator)


@pytest.mark.parametrize(("rows", "run"), [(16, 8), (12, 4), (7, 1), (2, 2)])
def test_neighbours_have_a_level_between_them_and_noise_of_their_own(rows: int, run: int) -> None:
    clean = torch.zeros(rows, 5, dtype=torch.float64)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    found = draw_noise(clean, levels, seeded(), None)
    assert torch.equal(torch.get_rng_state(), state)
    generator = seeded()
    expected = levels(rows // run, generator).double()
    assert found.run == run
    assert found.levels.dtype == torch.float64
    assert torch.equal(found.levels, expected)
    assert torch.equal(found.noise, torch.randn(rows, 5, generator=generator, dtype=torch.float64))


PARTS = [
    ((0, 1, 2, 3, 4, 5, 6, 7), 8),
    ((16, 17, 18, 19, 0, 1, 2, 3), 4),
    ((8, 9, 22, 23, 1, 2), 2),
    ((7, 8, 3, 4), 1),  # of two runs of the batch
    ((3, 12, 12), 1),
    ((0, 1, 2, 8, 9, 10), 1),
    ((0, 1, 2, 8, 9, 10, 16, 17, 18, 5, 6, 7), 3),
    ((0, 1, 2, 3, 4, 5), 2),
    ((5,), 1),
]


@pytest.mark.parametrize(("rows", "run"), PARTS)
def test_a_part_has_the_levels_and_noise_of_its_rows_in_the_whole(rows: tuple[int, ...], run: int) -> None:
    whole = draw_noise(torch.zeros(24, 5), levels, seeded(), None)
    assert whole.run == 8
    part = draw_noise(torch.zeros(len(rows), 5), levels, seeded(), Whole(24, rows))
    assert part.run == run
    each = whole.levels.repeat_interleave(8)
    assert torch.equal(part.levels.repeat_interleave(run), each[list(rows)])
    assert torch.equal(part.noise, whole.noise[list(rows)])


def test_hidden_rows_come_at_their_chance_and_alike_in_parts() -> None:
    like = torch.zeros(())
    torch.manual_seed(4)
    state = torch.get_rng_state()
    hidden = draw_hidden(10_000, 0.3, like, seeded(), None)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(hidden, torch.rand(10_000, generator=seeded()) < 0.3)
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.015)
    rows = (7, 9_999, 0, 12)
    part = draw_hidden(4, 0.3, like, seeded(), Whole(10_000, rows))
    assert torch.equal(part, hidden[list(rows)])
    assert not draw_hidden(100, 0.0, like, None, None).any()
    assert draw_hidden(100, 1.0, like, None, None).all()
    drawn = torch.rand(16, generator=seeded())
    edge = draw_hidden(16, drawn[3].item(), like, seeded(), None)
    assert torch.equal(edge, drawn < drawn[3])


def test_without_a_generator_draws_are_torchs_own() -> None:
    torch.manual_seed(3)
    found = draw_noise(torch.zeros(16, 5), levels, None, None)
    hidden = draw_hidden(16, 0.5, torch.zeros(()), None, None)
    torch.manual_seed(3)
    assert torch.equal(found.levels, levels(2, None))
    assert torch.equal(found.noise, torch.randn(16, 5))
    assert torch.equal(hidden, torch.rand(16) < 0.5)
