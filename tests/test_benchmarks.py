"""The runner of benchmarks, and every row that is a GPU's, at sizes that take no time."""

import json
from pathlib import Path

import nursery

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_every_row_of_a_gpu_is_written_by_one_command(tmp_path: Path) -> None:
    done = nursery.run(BENCHMARKS / "run.py", "--tiny", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())
    found = {(row["part"], row["name"]): row for row in results["rows"]}
    assert {part for part, _ in found} == {"contrastive", "samplers", "anchor", "step"}
    losses = ["pair, M = 2", "pair, M = 3", "sampled, M = 3", "all, M = 3"]
    assert [name for part, name in found if part == "contrastive"] == losses
    for row in results["rows"]:
        assert "note" not in row
        assert abs(row["per_s"] * row["ms"] - 1000 * row["batch"]) < 1e-3
    for bits in ("float32", "bf16"):
        plain, both = (found["step", f"L_pair{more}, {bits}"] for more in ("", " + L_triplet"))
        assert plain["times_plain"] == 1.0
        assert both["times_plain"] == both["ms"] / plain["ms"]


def test_a_benchmark_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = nursery.run(BENCHMARKS / "run.py", "speed", "--folder", tmp_path)
    assert done.returncode == 2
    assert "no benchmark is called speed; there are anchor, " in done.stderr
