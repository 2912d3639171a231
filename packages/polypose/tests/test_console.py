"""Options that several commands take: said once, handed over as one object, their faults told in a line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from polypose.console import console, taking
from typer.testing import CliRunner


@dataclass(frozen=True, kw_only=True)
class Shared:
    model: Annotated[str, typer.Option("--model", "-m")]
    size: Annotated[tuple[int, int] | None, typer.Option(help="width and height")] = None

    def __post_init__(self) -> None:
        if self.size == (0, 0):
            raise ValueError("--size 0 0: give a size above 0")


app = typer.Typer()


@app.command()
@taking(Shared)
def first(shared: Shared, out: Annotated[Path, typer.Argument()], k: int = 3) -> None:
    """The first."""
    console.print(f"first {shared} {out} {k}")


@app.command()
@taking(Shared)
def second(shared: Shared) -> None:
    """The second."""
    raise ValueError(f"{shared.model}: is no model")


def test_a_command_has_its_own_options_and_those_it_shares() -> None:
    done = CliRunner().invoke(app, ["first", "x.npz", "-m", "run", "--size", "4", "5"])
    assert done.output == "first Shared(model='run', size=(4, 5)) x.npz 3\n"
    done = CliRunner().invoke(app, ["first", "x.npz", "--model", "run", "--k", "7"])
    assert done.output == "first Shared(model='run', size=None) x.npz 7\n"
    assert "The first." in CliRunner().invoke(app, ["--help"]).output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["second", "-m", "run"], "polypose: run: is no model"),
        (["first", "x", "-m", "run", "--size", "0", "0"], "polypose: --size 0 0: give a size above 0"),
    ],
)
def test_faults_of_both_are_one_line(words: list[str], told: str) -> None:
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stderr) == (2, told + "\n")
    missing = CliRunner().invoke(app, ["second"])
    assert missing.exit_code == 2
    assert "--model" in missing.stderr
