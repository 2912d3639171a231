"""Pictures of a board that is made up: who stands on the frontier, what is drawn, what is refused."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib import pyplot
from typer.testing import CliRunner
from unihpr.board_figures import against_time, broken_down, frontier, milliseconds
from unihpr.cli import app


def lifter(name: str, speed: float, error: float, kind: str = "exact") -> dict[str, Any]:
    told = {"part": "rows", "budget": "views", "keypoints": kind, "lifter": name, "method": name}
    return {**told, "poses_per_second": speed, "mpjpe_mm": error}


LIFTERS = [
    lifter("slow", 10, 30),
    lifter("quick", 1000, 50),
    lifter("beaten", 100, 60),
    lifter("middle", 100, 40),
]
WHERE = [
    {**lifter(name, 1, error + 10 * i), "part": "breakdown", "by": by, "range": where}
    for name, error in (("slow", 30.0), ("quick", 50.0))
    for by, ranges in (("joint", ("head", "knee")), ("elevation", ("0 to 10 degrees", "10 to 20 degrees")))
    for i, where in enumerate(ranges)
]


def test_the_frontier() -> None:
    assert [r["lifter"] for r in frontier(LIFTERS)] == ["quick", "middle", "slow"]
    assert milliseconds(LIFTERS[0]) == pytest.approx(100)
    (panel,) = against_time(LIFTERS).axes
    line = panel.lines[-1]
    assert line.get_xdata() == pytest.approx([1, 10, 100])
    assert line.get_ydata() == pytest.approx([50, 40, 30])


def test_error_over_ranges() -> None:
    (panel,) = broken_down([r for r in WHERE if r["by"] == "joint"]).axes
    assert [line.get_label() for line in panel.lines] == ["slow", "quick"]
    assert list(panel.lines[1].get_ydata()) == [50, 60]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["head", "knee"]


def test_one_command_draws_what_there_is(tmp_path: Path) -> None:
    noisy = [lifter("slow", 10, 70, "detector")]
    results = tmp_path / "board.json"
    results.write_text(json.dumps({"rows": [*LIFTERS, *noisy, *WHERE]}))
    found = CliRunner().invoke(app, ["board-figures", str(results), str(tmp_path / "png")])
    assert found.exit_code == 0, found.output
    names = ["board_elevation.png", "board_frontier.png", "board_joint.png"]
    assert sorted(path.name for path in (tmp_path / "png").iterdir()) == names
    wide, narrow = (pyplot.imread(tmp_path / "png" / name).shape[1] for name in names[1:])
    assert (wide, narrow) == (round(11.5 * 110), 7 * 110)  # two kinds of keypoints, and one
    CliRunner().invoke(app, ["board-figures", str(results), str(tmp_path / "svg"), "--format", "svg"])
    drawn = ElementTree.parse(tmp_path / "svg" / "board_joint.svg").getroot()
    assert drawn.tag.endswith("svg")


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [([], (), "has no rows of lifters"), (LIFTERS, ("--format", "gif"), "png, svg")],
)
def test_what_cannot_be_drawn(tmp_path: Path, rows: list[Any], options: tuple[str, ...], said: str) -> None:
    results = tmp_path / "board.json"
    results.write_text(json.dumps({"rows": rows}))
    found = CliRunner().invoke(app, ["board-figures", str(results), str(tmp_path / "out"), *options])
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())
    assert not (tmp_path / "out").exists()
