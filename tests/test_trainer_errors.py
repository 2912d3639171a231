"""A mistake of the user is one line and exit code 2; a mistake of ours keeps its traceback."""

import pytest
import typer
from posetrain.errors import plain_errors
from typer.testing import CliRunner

app = typer.Typer()


@app.command()
@plain_errors()
def fail(kind: str, times: int = 1) -> None:
    """Fail as told."""
    if kind == "value":
        raise ValueError("joints.npy: field joints\nholds a NaN; clean it")
    if kind == "file":
        open("nosuch.npy")  # noqa: PTH123, SIM115
    if kind == "bug":
        raise KeyError(times)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("value", "error: joints.npy: field joints holds a NaN; clean it\n"),
        ("file", "error: nosuch.npy: no such file or directory; give a path that exists\n"),
    ],
)
def test_one_line_and_exit_code_2(kind: str, line: str) -> None:
    result = CliRunner().invoke(app, [kind, "--times", "3"])
    assert (result.exit_code, result.stderr, result.stdout) == (2, line, "")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(CliRunner().invoke(app, ["bug", "--times", "3"]).exception, KeyError)
    monkeypatch.setenv("POLYPOSE_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(app, ["value"]).exception, ValueError)
