"""What a stranger looks for in a repository: licences, types, files about it, hooks that match CI."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_a_distribution_has_its_licence_and_says_who_and_what_it_is(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    text = (folder / "LICENSE").read_text()
    assert text == (ROOT / "LICENSE").read_text()
    assert all(f"\n   {number}. " in text for number in range(1, 10))  # whole: sections 1 to 9
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["authors"]
    assert project["keywords"]
    assert "Typing :: Typed" in project["classifiers"]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_every_module_that_a_wheel_has_is_typed(folder: Path) -> None:
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    modules = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert modules
    for module in modules:  # hatch takes every file in these folders
        assert (folder / module / "__init__.py").is_file()
        assert (folder / module / "py.typed").is_file()


def test_packages_are_one_version_and_the_citation_and_the_changelog_know_it() -> None:
    versions = {tomllib.loads((p / "pyproject.toml").read_text())["project"]["version"] for p in PROJECTS}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert versions == {citation["version"]}
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert released[0][0] == citation["version"]
    assert [day for _, day in released] == sorted((day for _, day in released), reverse=True)


def test_the_citation_names_the_papers_and_invents_no_identifier() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= citation.keys()
    titles = [reference["title"].partition(":")[0] for reference in citation["references"]]
    assert titles == ["UniHPR", "UniHPE", "V-VIPE", "UniPose", "A2J-Transformer"]
    assert all(reference["authors"] for reference in citation["references"])
    assert "doi" not in (ROOT / "CITATION.cff").read_text().lower()


def test_hooks_check_what_ci_checks() -> None:
    """Every session of `.ci/run` that runs no tests is a hook, under the same name, and nothing else is."""
    ci = (ROOT / ".ci" / "run").read_text()
    sessions = [name for line in re.findall(r"nox -s ([\w \-]+)", ci) for name in line.split()]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["entry"] for hook in hooks} == {f"nox -s {s}" for s in sessions if "tests" not in s}
    noxfile = (ROOT / "noxfile.py").read_text()
    assert all(re.search(rf"^def {name}\(", noxfile, re.M) for name in [*sessions, "minimal"])


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"])
def test_what_these_files_point_to_is_there(name: str) -> None:
    text = (ROOT / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert all((ROOT / link).exists() for link in links)
    paths = [
        p
        for p in re.findall(r"`([\w./]+/[\w./]+\.\w+)`", text)
        if not p.startswith(("runs/", "build/")) and "NAME" not in p
    ]
    missing = [
        p for p in paths if not any((place / p).exists() for place in (ROOT, ROOT / "packages/posedata/src"))
    ]
    assert not missing
