"""Results are data: what the file says of its origin, and tables that cannot be typed by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from posedata import machine
from posedata.machine import command_line
from posedata.results import main, render_tables, write_results

PAGE = """# Title

<!-- results: demo columns="model:Method,lift.mpjpe_mm:MPJPE (mm)" where=split:test sort=lift.mpjpe_mm -->
| stale |
<!-- /results -->

Ours errs by <!-- value: demo key=lift.mpjpe_mm where=model:ours,split:test digits=2 -->99<!-- /value --> mm.

    <!-- results: shown as an example only -->
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rows = [
        {"model": "mean", "split": "test", "lift": {"mpjpe_mm": 201.26, "frames": 10}},
        {"model": "ours", "split": "test", "lift": {"mpjpe_mm": 31.449, "frames": 10}},
        {"model": "ours", "split": "train", "lift": {"mpjpe_mm": 12.0, "frames": None}},
    ]
    write_results(tmp_path / "docs/results/demo.json", rows, data="f00d", seeds=[0, 1], budget="5 min")
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def test_a_table_is_rendered_from_its_file(project: Path) -> None:
    page = project / "README.md"
    assert render_tables(page, check=True)
    assert page.read_text() == PAGE, "check changes nothing"
    assert render_tables(page)
    text = page.read_text()
    assert "| Method | MPJPE (mm) |\n|---|---|\n| ours | 31.4 |\n| mean | 201.3 |\n\n*Measured" in text
    assert "stale" not in text
    assert "-->31.45<!-- /value --> mm." in text
    assert not render_tables(page, check=True)


def test_the_file_tells_where_it_comes_from(project: Path) -> None:
    results = json.loads((project / "docs/results/demo.json").read_text())
    expected = {"command", "commit", "date", "machine", "versions", "data", "seeds", "rows", "budget"}
    assert results.keys() == expected
    assert (results["data"], results["seeds"], results["budget"]) == ("f00d", [0, 1], "5 min")
    assert results["rows"][0] == {
        "model": "mean",
        "split": "test",
        "lift.mpjpe_mm": 201.26,
        "lift.frames": 10,
    }
    assert results["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert " cores" in results["machine"]
    assert "GiB memory" in results["machine"]


def test_one_row_as_a_list_with_its_origin(project: Path) -> None:
    page = project / "docs" / "pages" / "page.md"
    page.parent.mkdir()
    marker = "<!-- results: demo where=model:mean layout=long columns=lift.* caption=no -->"
    page.write_text(f"{marker}\n<!-- /results -->")
    render_tables(page)
    rows = "| lift.mpjpe_mm | 201.3 |\n| lift.frames | 10 |"
    assert page.read_text() == f"{marker}\n|  |  |\n|---|---|\n{rows}\n<!-- /results -->"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nosuch", "docs/results/nosuch.json does not exist"),
        ("demo columns=speed", "has no key speed"),
        ("demo where=split:dev", "no row where split:dev"),
        ("demo column=model", "unknown option column"),
    ],
)
def test_a_wrong_marker_is_one_line_and_exit_code_2(
    project: Path, spec: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = project / "README.md"
    page.write_text(f"<!-- results: {spec} -->\n<!-- /results -->\n")
    assert main([str(page)]) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_check_fails_on_a_stale_page_and_passes_after_rendering(project: Path) -> None:
    stale = command("README.md", "--check", folder=project)
    assert (stale.returncode, stale.stdout) == (
        1,
        "README.md: stale, run python -m posedata.results README.md\n",
    )
    assert command("README.md", folder=project).returncode == 0
    assert command("README.md", "--check", folder=project).returncode == 0


def test_a_command_line_names_no_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        f"{tmp_path}/bin/typer",
        "apps/unihpr",
        "train",
        f"{tmp_path}/runs/a",
        "/elsewhere/data/mocap",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_line() == "typer apps/unihpr train runs/a .../mocap"


def test_every_published_table_is_the_data() -> None:
    root = Path(__file__).parents[1]
    pages = [root / "README.md", *sorted((root / "docs").glob("**/*.md"))]
    assert [page.name for page in pages if render_tables(page, check=True)] == []


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "posedata.results", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_code_that_differs_is_dirty_and_results_are_not(tmp_path: Path) -> None:
    code, figures = (
        tmp_path / "packages/posedata/src/posedata/machine.py",
        tmp_path / "docs/results/demo.json",
    )
    for file, text in ((code, Path(machine.__file__).read_text()), (figures, "{}"), (tmp_path / "a.py", "")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "a")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)

    def told() -> str:
        program = "from machine import commit; print(commit())"
        run = [sys.executable, "-c", program]
        return subprocess.run(run, cwd=code.parent, capture_output=True, text=True, check=True).stdout.strip()

    clean = told()
    assert len(clean) == 12
    figures.write_text("{1}")
    assert told() == clean
    (tmp_path / "a.py").write_text("1")
    assert told() == f"{clean}-dirty"
