"""The `typer` command as a subprocess: a folder stands for its app, all else is stock Typer."""

import subprocess
import sys
from pathlib import Path

import nursery
import pytest
from posetrain.front import rewrite

TYPER = Path(sys.executable).with_name("typer")
STOCK = "import sys; sys.argv[0] = 'typer'; from typer.cli import main; main()"
APP = """
import typer

app = typer.Typer()


@app.command()
def train(recipe: str = "quickstart") -> None:
    "Train it."
    print("training", recipe)


@app.command()
def evaluate() -> None:
    "Measure it."
    print("evaluating")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "apps" / "demo").mkdir(parents=True)
    (tmp_path / "apps" / "demo" / "cli.py").write_text(APP)
    (tmp_path / "apps" / "empty").mkdir()
    (tmp_path / "demo_package").mkdir()
    (tmp_path / "demo_package" / "__init__.py").write_text(APP)
    return tmp_path


def typer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return nursery.run(TYPER, *arguments, folder=folder)


def test_the_installed_command_is_the_front() -> None:
    assert "posetrain.front" in TYPER.read_text(), (
        "stock typer's script won; reinstall the root distribution last"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("apps/demo", "train", "--recipe", "paper"),
        ("apps/demo/", "train", "--recipe", "paper"),
        ("apps/demo", "run", "train", "--recipe", "paper"),
        ("--app", "app", "apps/demo", "train", "--recipe", "paper"),
        ("apps/demo/cli.py", "run", "train", "--recipe", "paper"),
    ],
)
def test_every_spelling_trains(folder: Path, arguments: tuple[str, ...]) -> None:
    result = typer(folder, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, "training paper\n", "")


def test_help_of_a_folder_is_the_help_of_its_app(folder: Path) -> None:
    result = typer(folder, "apps/demo", "--help")
    assert result.returncode == 0
    assert "Train it." in result.stdout
    assert "Measure it." in result.stdout


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("apps/demo/cli.py", "utils", "docs"), ("nosuch.py",)]
)
def test_the_rest_is_stock_typer(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "stock.py").write_text(STOCK)
    stock = nursery.run(folder / "stock.py", *arguments, folder=folder)
    ours = typer(folder, *arguments)
    assert ours.returncode == stock.returncode
    assert ours.stdout == stock.stdout


def test_utils_docs_of_a_folder(folder: Path) -> None:
    result = typer(folder, "apps/demo", "utils", "docs")
    assert result.returncode == 0
    assert "* `train`: Train it." in result.stdout


def test_a_folder_without_an_app_is_one_line_and_exit_code_2(folder: Path) -> None:
    result = typer(folder, "apps/empty", "train")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: apps/empty/cli.py: no such file")
    assert result.stderr.count("\n") == 1


def test_a_package_stays_a_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert rewrite(["demo_package", "run", "train"]) == ["demo_package", "run", "train"]
    assert rewrite(["some.module", "run"]) == ["some.module", "run"]
    assert rewrite([]) == []


def test_an_error_of_the_app_keeps_its_exit_code(folder: Path) -> None:
    result = typer(folder, "apps/demo", "nosuch")
    assert result.returncode == 2
    assert "No such command" in result.stderr
