"""Results files: what is written is JSON that everybody reads."""

import json
from pathlib import Path

import pytest
from posedata.readers.files.safe_text import read_json
from posedata.results import write_results


def test_what_is_no_number_is_null_in_json(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [{"method": "ours", "mpjpe_mm": 50.5, "low_mm": nan, "by": {"joint": {"hip": nan, "knee": 1.0}}}]
    write_results(tmp_path / "r.json", rows, data="abc", seeds=[0], stretch=[nan, 2.0])

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"), parse_constant=refuse)
    flat = {"method": "ours", "mpjpe_mm": 50.5, "low_mm": None, "by.joint.hip": None, "by.joint.knee": 1.0}
    assert (found["rows"], found["stretch"]) == ([flat], [None, 2.0])
    assert read_json(tmp_path / "r.json") == found
