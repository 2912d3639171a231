"""What training draws for a batch, and which of it falls to the rows at hand.

Several processes that each hold a part of a batch draw for all of it, by generators in the same state, and
keep their own rows: a run on two processes is the run on one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from posediff.sampler import randn_like

SHARE = 8
"""Neighbours in a batch that have a noise level in common, where the batch divides."""


class Whole(NamedTuple):
    """A batch of ``size`` rows, of which ``rows`` are at hand."""

    size: int
    rows: tuple[int, ...]

    def runs(self, share: int) -> int:
        """How many rows at hand, run by run, lie in one of the batch's runs of `share`."""
        return _runs(self.rows, share)


@functools.lru_cache(maxsize=16)
def _runs(rows: tuple[int, ...], share: int) -> int:
    for run in range(math.gcd(len(rows), share), 1, -1):
        if len(rows) % run == 0 and all(
            len({row // share for row in rows[start : start + run]}) == 1
            for start in range(0, len(rows), run)
        ):
            return run
    return 1


class Noise(NamedTuple):
    """Levels (B / run,), one for every ``run`` rows in turn, and standard normal noise (B, D)."""

    levels: Tensor
    noise: Tensor
    run: int


def draw_noise(
    clean: Tensor,
    levels: Callable[[int, torch.Generator | None], Tensor],
    generator: torch.Generator | None,
    whole: Whole | None,
) -> Noise:
    """For the rows of clean (B, D), of `whole` if they are a part; levels: draws as many as are asked for."""
    size = len(clean) if whole is None else whole.size
    share = math.gcd(size, SHARE)
    sigma = levels(size // share, generator).to(clean)
    noise = randn_like(clean.new_empty(size, clean.shape[1]), generator)
    if whole is None:
        return Noise(sigma, noise, share)
    rows = torch.tensor(whole.rows, device=clean.device)
    run = whole.runs(share)
    return Noise(sigma[rows // share][::run], noise[rows], run)


def draw_hidden(
    batch: int, chance: float, like: Tensor, generator: torch.Generator | None, whole: Whole | None
) -> Tensor:
    """(batch,) bool, on the device of `like`: each row true with this chance."""
    device = generator.device if generator is not None else like.device
    size = batch if whole is None else whole.size
    drawn = torch.rand(size, generator=generator, device=device) < chance
    return (drawn if whole is None else drawn[list(whole.rows)]).to(like.device)
