"""What every test of the apps starts from."""

import gc
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps precision and device for the whole process; no test may inherit another's."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def pytest_collection_finish() -> None:
    """Accelerate collects garbage in every stage: not through half a million objects of imported modules."""
    gc.collect()
    gc.freeze()
