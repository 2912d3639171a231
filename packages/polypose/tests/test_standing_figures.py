"""Pictures of a board that is made up: who stands on the frontier, what is drawn, what is refused."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib import pyplot
from polypose.standing_figures import against_time, broken_down, draw, frontier, milliseconds


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


def test_one_call_draws_what_there_is(tmp_path: Path) -> None:
    noisy = [lifter("slow", 10, 70, "detector")]
    results = tmp_path / "board.json"
    results.write_text(json.dumps({"rows": [*LIFTERS, *noisy, *WHERE]}))
    written = list(draw(results, tmp_path / "png"))
    names = ["board_elevation.png", "board_frontier.png", "board_joint.png"]
    assert sorted(path.name for path in written) == names
    assert sorted((tmp_path / "png").iterdir()) == sorted(written)
    wide, narrow = (pyplot.imread(tmp_path / "png" / name).shape[1] for name in names[1:])
    assert (wide, narrow) == (round(11.5 * 110), 7 * 110)  # two kinds of keypoints, and one
    assert len(list(draw(results, tmp_path / "svg", "svg"))) == 3
    drawn = ElementTree.parse(tmp_path / "svg" / "board_joint.svg").getroot()
    assert drawn.tag.endswith("svg")


@pytest.mark.parametrize(
    ("rows", "ending", "said"), [([], "png", "has no rows of lifters"), (LIFTERS, "gif", "png, svg")]
)
def test_what_cannot_be_drawn(tmp_path: Path, rows: list[Any], ending: str, said: str) -> None:
    results = tmp_path / "board.json"
    results.write_text(json.dumps({"rows": rows}))
    with pytest.raises(ValueError, match=said):
        list(draw(results, tmp_path / "out", ending))
    assert not (tmp_path / "out").exists()
