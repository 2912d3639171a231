"""Damaged files of every format: a few of the cases that `tests/fuzz_formats.py` runs by the thousand."""

import random
from pathlib import Path

import pytest
from formats_fuzz import damage, hostile, judge, read_all
from formats_sets import SETS, DataSet
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What hostile files try to make; one for all, since making those files takes a second."""
    return tmp_path_factory.mktemp("fuzz") / "canary"


@pytest.fixture(scope="module", params=SETS)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, DataSet, Path]:
    top = tmp_path_factory.mktemp(request.param)
    (top / "in").mkdir()
    (top / "scratch").mkdir()
    return request.param, SETS[request.param](top / "in"), top


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_damage_ends_in_a_named_error_or_a_right_answer(
    case: tuple[str, DataSet, Path], canary: Path, seed: int
) -> None:
    name, data, top = case
    rng = random.Random(seed)
    file = rng.choice(data.files)
    whole = file.read_bytes()
    try:
        file.write_bytes(damage(whole, rng, canary)[1])
        assert judge(name, data, top / "scratch") in ("right", "named")
        assert not canary.exists()
    finally:
        file.write_bytes(whole)


def test_every_hostile_file_in_place_of_one_of_each_kind(
    case: tuple[str, DataSet, Path], canary: Path
) -> None:
    name, data, top = case
    assert read_all(name, data, top / "scratch") > 0
    for file in {file.suffix: file for file in data.files}.values():
        whole = file.read_bytes()
        for content in hostile(canary):
            file.write_bytes(content)
            judge(name, data, top / "scratch")
        file.write_bytes(whole)
    assert not canary.exists()
