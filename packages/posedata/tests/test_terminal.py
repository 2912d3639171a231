"""What names from files do to the terminal: nothing."""

import io
from pathlib import Path

import numpy as np
import pytest
from posedata.cli import app
from posedata.prepare.offers import kept_offers, offers
from posedata.store import PoseStore, write_store
from posedata.store.names import NOISES, RIGS
from posedata.synthetic.people.build import build_synthetic
from posedata.terminal import Terminal, print_line, styled, visible
from posedata.views import RIGS as PLACES
from posedata.views.noise import NOISES as MODELS
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

HOSTILE = "[/bold]\x1b[2J\x9b2J\u202e:smile:\n"
SHOWN = r"[/bold]\x1b[2J\x9b2J\u202e:smile:\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("walk 1 – é 日本 ✓", "walk 1 – é 日本 ✓"),
        ("a\tb\nc\rd\x00\x07\x7f", r"a\tb\nc\rd\x00\x07\x7f"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\u061c\u200e\u202a\u202e\u2066\u2069\u2028", r"\u061c\u200e\u202a\u202e\u2066\u2069\u2028"),
        ("name-\udcff", r"name-\udcff"),
        (r"\x1b[2J", r"\x1b[2J"),
    ],
)
def test_control_characters_are_spelled_out_and_nothing_else_is(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(visible(text)) == shown


def printed(*shown: object, width: int = 100, **options: object) -> str:
    file = io.StringIO()
    console = Terminal(file=file, width=width, **options)
    for item in shown:
        console.print(item)
    return file.getvalue()


def test_strings_tables_and_styled_texts_print_as_they_are() -> None:
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    assert printed(HOSTILE) == SHOWN + "\n"
    assert printed(table).count(SHOWN) == 4
    assert printed(styled((HOSTILE, "bold"), HOSTILE)) == SHOWN + SHOWN + "\n"
    coloured = printed(styled((HOSTILE, "bold"), "x"), force_terminal=True, color_system="standard")
    assert coloured == f"\x1b[1m{SHOWN}\x1b[0mx\n"
    assert printed(Text("a\x1b[2J")) == "a\\x1b[2J\n"


def test_long_lines_are_broken_as_ever() -> None:
    for text in ("word " * 6, Text("word " * 6)):
        assert [line.rstrip() for line in printed(text, width=17).splitlines()] == ["word word word"] * 2


def test_progress_names_what_is_read() -> None:
    file = io.StringIO()
    console = Terminal(file=file, width=100)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(f"reading {HOSTILE}", total=1)
    assert "\x1b" not in file.getvalue()
    assert r"reading [/bold]\x1b[2J" in file.getvalue()


def test_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    assert capsys.readouterr().out == SHOWN + "\n"


def test_inspect_prints_an_action_a_person_and_a_path_as_they_are(tmp_path: Path) -> None:
    made = PoseStore.open(build_synthetic(tmp_path / "made", subjects=1, clips=1, frames=3))
    columns = {name: np.array(made.column(name)) for name in made.columns}
    columns["action"] = np.zeros(3, np.int32)
    meta = {**made.meta, "actions": [HOSTILE], "subjects": [HOSTILE], "source": HOSTILE, "licence": HOSTILE}
    out = tmp_path / "[/bold]\x1b[2J"
    write_store(out, columns, meta)
    result = CliRunner().invoke(app, ["inspect", str(out), "--picture", str(tmp_path / "sheet.png")])
    assert result.exception is None or result.exit_code == 1, result.output
    assert result.output.count(SHOWN) >= 4
    assert "\x1b" not in result.output
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert r"[/bold]\x1b[2J" in result.output.split("rows")[0]


def test_an_error_names_the_file_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "[/bold]\x1b[2J\u202e.npz"
    for command in (["inspect", str(source)], ["prepare", "joints", str(source), str(tmp_path / "out")]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2
        assert r"[/bold]\x1b[2J\u202e.npz: no such" in result.stderr
        assert "\x1b" not in result.output


def test_an_unknown_format_is_named_as_it_is() -> None:
    result = CliRunner().invoke(app, ["prepare", "\x1b[2J"])
    assert result.exit_code == 2
    assert result.stderr.startswith("posedata: format ")
    assert "\x1b" not in result.stderr


def test_names_and_formats_that_help_lists_are_those_there_are() -> None:
    assert tuple(PLACES) == RIGS
    assert tuple(MODELS) == NOISES
    assert kept_offers() == offers(), "run: python -m posedata.prepare.offers"
