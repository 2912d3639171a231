"""Where a command is told to write what cannot be written, it says so before any work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import unihpr.cli
import unipose.cli
import vvipe.cli
from posedata.cli import app as posedata_app
from typer.testing import CliRunner

APPS = {
    "unihpr": unihpr.cli.app,
    "vvipe": vvipe.cli.app,
    "unipose": unipose.cli.app,
    "posedata": posedata_app,
}
BEFORE = {  # arguments of which a command must know that they are right first
    "unihpr lift": ["run", "k.npy", "o.npz"],
    "vvipe lift": ["run", "k.npy", "o.npz"],
    "unipose predict": ["run", "source"],
    "posedata inspect": ["store"],
}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below one, by the words that call it."""
    for word, under in getattr(command, "commands", {}).items():
        yield from commands(under, f"{name} {word}")
    if not hasattr(command, "commands"):
        yield name, command


WRITING = [
    (name, option)
    for program, app in APPS.items()
    for name, command in commands(typer.main.get_command(app), program)
    for parameter in command.params
    for option in parameter.opts
    if option in ("--json", "--picture", "--out")
]


def told(name: str, *words: object) -> str:
    program, *rest = name.split()
    result = CliRunner().invoke(APPS[program], [*rest, *map(str, words)])
    assert result.exit_code == 2, result.output
    prefix = "posedata: " if program == "posedata" else "error: "
    (line,) = (text for text in result.output.splitlines() if text.startswith(prefix))
    assert "Errno" not in result.output
    return line


def test_there_are_options_to_try() -> None:
    assert {("unihpr train", "--json"), ("unipose predict", "--picture"), ("posedata inspect", "--json")} <= {
        *WRITING
    }
    assert len(WRITING) > 20


@pytest.mark.parametrize(("name", "option"), WRITING)
def test_a_folder_is_no_file_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("there.png")
    folder.mkdir()
    assert f"{folder}: is a folder; name a file in it" in told(name, *BEFORE.get(name, []), option, folder)
    Path("file").touch()
    under = Path("file/there.png")
    said = told(name, *BEFORE.get(name, []), option, under)
    assert f"{under}: {tmp_path / 'file'} is a file; name a folder" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there.png"]


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("unihpr lift", ["run", "k.npy"]),
        ("unihpr embed", ["run", "store"]),
        ("unihpr interpolate", ["run", "store", "0", "1"]),
        ("vvipe lift", ["run", "k.npy"]),
        ("vvipe embed", ["run", "store"]),
        ("vvipe generate", ["run"]),
        ("unipose predict", ["run", "source"]),
        ("unipose hands predict", ["run", "picture"]),
    ],
)
def test_nor_is_it_where_poses_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, before: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.npz").mkdir()
    assert "there.npz: is a folder; name a file in it" in told(name, *before, "there.npz")


def test_a_report_makes_its_folder(tmp_path: Path) -> None:
    from posedata.synthetic.people.build import build_synthetic

    store = build_synthetic(tmp_path / "store", subjects=1, clips=1, frames=4)
    done = CliRunner().invoke(posedata_app, ["inspect", str(store), "--json", str(tmp_path / "new/r.json")])
    assert done.exit_code in (0, 1), done.output
    assert '"rows": 4' in (tmp_path / "new/r.json").read_text()
