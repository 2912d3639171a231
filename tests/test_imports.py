"""What starting costs: helps, faults in arguments and imports load no heavy library that they do not use."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from posetrain.errors import plain_errors
from posetrain.options import print_table

ROOT = Path(__file__).parents[1]
LAZY = (
    "posedata",
    "posedata.prepare",
    "posedata.readers",
    "posedata.scoring",
    "posedata.store",
    "posedata.synthetic",
    "posedata.synthetic.hands",
    "posedata.views",
    "poseenc",
    "pointcloud_weak",
    "pointcloud_weak.losses",
    "polypose",
)
HEAVY = "torch numpy open3d timm pytorch3d matplotlib sklearn scipy accelerate safetensors h5py PIL jaxtyping"
PROBE = f"""
import contextlib, importlib, io, json, sys
from typer.testing import CliRunner

heavy = lambda: sorted(set({HEAVY!r}.split()) & set(sys.modules))
told = {{}}

def command(module, *arguments):
    app = importlib.import_module(module).app
    result = CliRunner().invoke(app, list(arguments))
    told[" ".join([module, *arguments])] = [result.exit_code, result.output, heavy()]

def front(*arguments):
    from posetrain.front import main
    sys.argv = ["typer", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    told[" ".join(["typer", *arguments])] = [code, out.getvalue(), heavy()]

def load(*names):
    before = set(sys.modules)
    for name in names:
        module, _, attribute = name.partition(":")
        found = importlib.import_module(module)
        if attribute:
            getattr(found, attribute)
    new = {{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)
    told[" ".join(names)] = [0, " ".join(sorted(new)), heavy()]

for line in json.loads(sys.argv[1]):
    {{"command": command, "front": front, "load": load}}[line[0]](*line[1:])
print(json.dumps(told))
"""


def probe(*lines: tuple[str, ...]) -> dict[str, tuple[int, str, list[str]]]:
    """In a new process: each command's exit code, what it said, and the heavy libraries loaded by then."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_helps_and_faults_in_arguments_load_nothing_heavy() -> None:
    apps = ("polypose.cli", "posedata.cli", "unihpr.cli", "vvipe.cli", "unipose.cli")
    told = probe(
        ("load", "posedata", "poseenc", "pointcloud_weak", "polypose"),
        *(("command", app, "--help") for app in apps),
        ("command", "posedata.cli", "prepare", "--help"),
        ("command", "posedata.cli", "prepare", "h36m", "--help"),
        ("command", "unihpr.cli", "train", "--help"),
        ("command", "vvipe.cli", "lift", "--help"),
        ("command", "unipose.cli", "hands", "train", "--help"),
        ("front", "apps/unihpr", "train", "--help"),
        ("command", "posedata.cli", "prepare", "h36n", "a", "b"),
        ("command", "posedata.cli", "synth", "a", "--rig", "crane", "--views", "1"),
        ("command", "posedata.cli", "inspect"),
        ("command", "unihpr.cli", "train", "--recipe", "nosuch"),
        ("command", "unihpr.cli", "train", "--set", "loop.sed=1"),
        ("command", "unihpr.cli", "evaluate", "a", "--protocol", "h36m-p1", "--part", "validation"),
        ("command", "unihpr.cli", "lift", "--nosuch"),
        ("command", "polypose.cli", "lift", "--help"),
        ("command", "polypose.cli", "export", "onnx", "--help"),
        ("command", "polypose.cli", "lift", "--nosuch"),
        ("command", "vvipe.cli", "train", "--recipe", "nosuch"),
        ("command", "vvipe.cli", "ablate", "--set", "vae.stepz=1"),
        ("command", "vvipe.cli", "embed"),
        ("command", "unipose.cli", "train", "--set", "losses.rai=1"),
        ("command", "unipose.cli", "hands", "train", "--set", "train.augmentation.shif=1"),
        ("command", "unipose.cli", "evaluate"),
    )
    assert {name: heavy for name, (_, _, heavy) in told.items() if heavy} == {}
    for name, (code, said, _) in told.items():
        if "--help" in name:
            assert code == 0, (name, said)
            assert "Options" in said
        elif not name.startswith("posedata poseenc"):
            assert code == 2, (name, said)
    assert "h36m_npz" in told["posedata.cli prepare --help"][1]
    assert "--fps" in told["posedata.cli prepare h36m --help"][1]
    assert "did you mean 'h36m'" in told["posedata.cli prepare h36n a b"][1]
    assert "did you mean losses.ray?" in told["unipose.cli train --set losses.rai=1"][1]
    assert "quickstart" in told["unihpr.cli train --recipe nosuch"][1]


def test_packages_load_what_they_use() -> None:
    told = probe(
        ("load", "torch", "numpy"),
        ("load", "contrastive", "posediff"),
        ("load", "posedata:Camera", "posedata:align", "posedata.scoring.metrics", "posedata.views"),
        (
            "load",
            "poseenc:PoseEncoder2D",
            "poseenc:image_encoder",
            "poseenc.anchor",
            "poseenc:EmbeddingIndex",
        ),
        ("load", "pointcloud_weak:weak_loss"),
    )
    _, losses, geometry, encoders, weak = (said.split() for _, said, _ in told.values())
    assert set(losses) == {"contrastive", "posediff"}
    assert set(geometry) <= {"posedata", "jaxtyping", "wadler_lindig", "numpy"}
    assert {"torchvision", "timm", "open3d", "pytorch3d", "PIL"}.isdisjoint(encoders + weak)


@pytest.mark.parametrize("name", LAZY)
def test_what_a_package_offers_is_what_it_declares(name: str) -> None:
    """Both lists agree, the type checker's and `__all__`, and each name is imported when asked for."""
    package = import_module(name)
    tree = ast.parse(Path(str(package.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        (f"{name}.{node.module}" if node.level else node.module): tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert sorted(package.__all__) == sorted(sum(declared.values(), ()))
    assert set(package.__all__) <= set(dir(package))
    for module, names in declared.items():
        for item in names:
            assert getattr(package, item) is getattr(import_module(module), item)
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        package.nosuch  # noqa: B018


def test_align_is_the_function() -> None:
    import posedata.geometry.align as module
    from posedata import align

    assert align is module.align


def test_a_table_of_results_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[/bold]\x1b[2J\u202e"
    print_table(name, ("", name), [(name, 1.0), ("walk", 2.26)])
    said = capsys.readouterr().out
    assert said.count(r"[/bold]\x1b[2J\u202e") == 3
    assert "\x1b" not in said
    assert "2.3" in said


def test_an_error_shows_a_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), plain_errors():
        raise FileNotFoundError("runs/[/bold]\x1b[2J\udcff: no such\nrun")
    assert capsys.readouterr().err == "error: runs/[/bold]\\x1b[2J\\udcff: no such run\n"


def test_all_that_prints_goes_through_the_terminal() -> None:
    """No other console, no `print` or `echo`, called or handed on, of text that may come out of a file."""
    found = []
    for file in sorted([*ROOT.glob("apps/**/*.py"), *ROOT.glob("packages/*/src/**/*.py")]):
        tree = ast.parse(file.read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        safe = {call.func for call in calls if "visible(" in ast.unparse(call)}
        for node in ast.walk(tree):
            word = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
            if word in ("print", "typer.echo", "Console") and node not in safe and file.name != "terminal.py":
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {word}")
    assert found == [], "print by posedata.terminal: print_line, visible, or a Terminal"
