"""What the pages and the packages' READMEs show is run: Python blocks, `posedata` commands, options, keys."""

import fnmatch
import importlib
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs/pages").glob("**/*.md")), ROOT / "README.md"]
READMES = sorted((ROOT / "packages").glob("*/README.md"))
APPS = {
    "posedata": "posedata.cli",
    "polypose": "polypose.cli",
    "unihpr": "unihpr.cli",
    "typer apps/unihpr": "unihpr.cli",
}
BLOCK = re.compile(
    r"^(?P<skip><!-- not run: .+ -->\n)?```(?P<kind>python|sh)\n(?P<code>.*?)^```$", re.M | re.S
)


def blocks(page: Path) -> list[tuple[str, str, bool]]:
    """(kind, code, whether it is run) of every Python and shell block."""
    return [(m["kind"], m["code"], not m["skip"]) for m in BLOCK.finditer(page.read_text())]


def commands(code: str) -> list[tuple[str, list[str]]]:
    """(module of the app, arguments) of every line that calls one of ours."""
    lines = code.replace("\\\n", " ").splitlines()
    return [
        (module, shlex.split(line.removeprefix(f"{name} "), comments=True))
        for line in lines
        for name, module in APPS.items()
        if line.startswith(f"{name} ")
    ]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES + READMES if blocks(p)], ids=relative)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__page__"}
    for kind, code, run in blocks(page):
        if run and kind == "python":
            exec(compile(code, relative(page), "exec"), names)
        for module, arguments in commands(code) if run and kind == "sh" else []:
            if module == "posedata.cli":
                done = CliRunner().invoke(importlib.import_module(module).app, arguments)
                assert done.exit_code == 0, f"{arguments}: {done.output}"


@pytest.mark.parametrize("page", [p for p in PAGES + READMES if blocks(p)], ids=relative)
def test_commands_and_options_exist(page: Path) -> None:
    for kind, code, _ in blocks(page):
        for module, (command, *arguments) in commands(code) if kind == "sh" else []:
            group = typer.main.get_command(importlib.import_module(module).app)
            known = group.commands[command]  # type: ignore[attr-defined]
            while hasattr(known, "commands"):  # a group, whose command comes next
                command, *arguments = arguments
                known = known.commands[command]
            known.make_context(command, list(arguments))


def test_recipes_and_keys_that_pages_name_exist() -> None:
    from posetrain.recipe import load_recipe
    from unihpr.recipe import RECIPES, Recipe

    shell = "".join(code for page in PAGES for kind, code, _ in blocks(page) if kind == "sh")
    for module, arguments in commands(shell):
        given = list(pairwise(arguments))
        recipe = dict(given).get("--recipe", "quickstart")
        if module == "unihpr.cli" and not recipe.endswith(".yaml"):
            load_recipe(recipe, Recipe, [value for flag, value in given if flag == "--set"], RECIPES)


def test_recipe_page_names_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    filled = importlib.import_module("hooks").on_page_markdown((ROOT / "docs/pages/recipes.md").read_text())
    for key in ("data.synthetic.subjects", "model.dim", "finetune.temperature", "loop.seed"):
        assert f"| `{key}`" in filled
    assert "[0.2, 0.1, 10000.0]" in filled


def test_grouped_arguments_are_documented_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    split = importlib.import_module("griffe_reference").split_groups
    text = (
        "Turn, move: both.\n\nArgs:\n    a, b: (N, 3)\n        metres.\n    c: one, two: three.\n\nx, y: not."
    )
    wanted = (
        "Turn, move: both.\n\nArgs:\n    a: (N, 3)\n        metres.\n    b: (N, 3)\n        metres.\n"
        "    c: one, two: three.\n\nx, y: not."
    )
    assert split(text) == wanted


@pytest.mark.parametrize(
    "name", ["unihpr_quickstart", "unihpr_mocap", "unihpr_ablation", "senses_quickstart"]
)
def test_every_measured_key_is_documented(name: str) -> None:
    results = ROOT / f"docs/results/{name}.json"
    if not results.is_file():
        pytest.skip(f"{results.name} has not been measured yet")
    text = (ROOT / "docs/pages/metrics.md").read_text()
    documented = set(re.findall(r"`([\w.*]+)`", text))
    # A documented key stands for its siblings: other pairs of modalities, branches and numbers of hypotheses.
    pair, branch = "*_to_*", ("lift", "lift_detector", "image", "reconstruct")
    patterns = {re.sub(r"\b\w+_to_\w+\b", pair, key) for key in documented if "." in key} | documented
    patterns |= {key.replace("lift", other, 1) for key in documented for other in branch}
    patterns |= {re.sub(r"best_of_\d+", "best_of_*", key) for key in patterns}
    content = json.loads(results.read_text())
    unknown = {k for row in content["rows"] for k in row if not any(fnmatch.fnmatch(k, p) for p in patterns)}
    assert not unknown
    assert not content.keys() - documented
