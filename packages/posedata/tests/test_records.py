"""Numbers of many runs: by dotted key, and as mean and deviation over seeds."""

import pytest
from posedata.records import flat, spread, summarise


def test_a_spread_is_a_number_where_all_are_the_same() -> None:
    assert spread([3.0, 3.0]) == 3.0
    assert spread([4.25]) == 4.25
    assert spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert spread([0.1, 0.3], "cosine.2d_3d") == "0.200 ± 0.141"


def test_nested_numbers_by_dotted_key() -> None:
    assert flat({"rows": [{"a": 1, "name": "x"}], "b": {"c": 2.0}}) == {"rows.0.a": 1, "b.c": 2.0}
    assert flat({"rows": [{"a": 1}]}, within="rows.0") == {"a": 1}
    with pytest.raises(ValueError, match=r"test\.teacher was not measured"):
        flat({"clips": {"train": 3}}, within="test.teacher")


def test_records_that_differ_in_their_seed_are_one_row() -> None:
    numbers = (("a", 0, 1.0), ("b", 0, 5.0), ("a", 1, 2.0), ("a", 2, 3.0))
    records = [{"method": m, "seed": s, "x": x} for m, s, x in numbers]
    assert summarise(records, ("method",)) == [{"method": "a", "x": "2.0 ± 1.0"}, {"method": "b", "x": 5.0}]
