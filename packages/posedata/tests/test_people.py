"""Intervals by person against closed forms."""

import math

import pytest
import torch
from posedata.scoring.people import interval_by_person


def test_interval_of_two_people_is_that_of_a_coin() -> None:
    """Two people of equal weight: means are 0, 1/2 and 1 with chances 1/4, 1/2, 1/4."""
    values, people = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([7, 7, 3, 3])
    assert interval_by_person(values, people) == (0.0, 1.0)
    assert interval_by_person(values, people, level=0.4) == (0.5, 0.5)


def test_interval_follows_people_and_not_views() -> None:
    """A thousand views of each of 20 people vary as 20 numbers do: 1.96 sd / sqrt(20) to either side."""
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(20, generator=generator)
    values = (means[:, None] + 0.01 * torch.randn(20, 1000, generator=generator)).flatten()
    low, high = interval_by_person(values, torch.arange(20).repeat_interleave(1000))
    half = 1.96 * float(means.std(correction=0)) / math.sqrt(20)
    assert low == pytest.approx(float(means.mean()) - half, abs=0.1 * half)
    assert high == pytest.approx(float(means.mean()) + half, abs=0.1 * half)


def test_interval_weighs_people_by_their_views() -> None:
    values = torch.tensor([0.0, 1.0, 1.0, 1.0])
    low, high = interval_by_person(values, torch.tensor([0, 1, 1, 1]), level=0.4)
    assert (low, high) == (0.75, 0.75)


def test_one_person_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interval_by_person(torch.ones(5), torch.zeros(5, dtype=torch.long)))
