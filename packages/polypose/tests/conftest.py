"""What the tests of this package share."""

import pytest
from polypose.model import Model
from small_model import small


@pytest.fixture(scope="session")
def model() -> Model:
    return small()
