"""What a page for contributors tells them to do, done in a copy of the sources.

A page's block with a title is a file: `python title="packages/..."` is written, `diff title="packages/..."`
changes one that is there. A `bash` block is commands, run at the root of the copy.
"""

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nursery

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
BLOCK = re.compile(r'^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code of a page: its language, the file that it is for, if any, its text."""

    kind: str
    title: str | None
    code: str


def blocks(page: str) -> list[Block]:
    """Of `docs/pages/contributing/PAGE.md`, in order."""
    text = (ROOT / f"docs/pages/contributing/{page}.md").read_text(encoding="utf-8")
    return [Block(m["kind"], m["title"], m["code"]) for m in BLOCK.finditer(text)]


def commands(page: str) -> list[str]:
    """Every command of the page's `bash` blocks, without its comment."""
    lines = "".join(block.code for block in blocks(page) if block.kind == "bash").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line and not line.startswith("#")]


def follow(page: str, root: Path) -> None:
    """Write and change below `root` the files that the page names, in the page's order."""
    for block in blocks(page):
        if block.title is None:
            continue
        file = root / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        code = patched(file.read_text(encoding="utf-8"), block) if block.kind == "diff" else block.code
        file.write_text(code, encoding="utf-8")


def patched(text: str, block: Block) -> str:
    """A file's text after a diff, whose hunks, parted by lines "@@", each have one place in it."""
    for hunk in re.split(r"^@@.*\n", block.code, flags=re.M):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if not line.startswith("+"))
        new = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{block.title} has {text.count(old)} places for:\n{old}"
        text = text.replace(old, new)
    return text


def copied(root: Path, *folders: str) -> Path:
    """Copies of folders and files of the repository below `root`, beside its pyproject.toml."""
    for name in ("pyproject.toml", *folders):
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    return root


def run(command: str, root: Path) -> str:
    """What a command prints at the root of a copy, whose packages and apps come before the repository's."""
    program, *arguments = shlex.split(command)
    script: Path | str = BIN / program
    if program == "python":
        script = arguments.pop(0)
        script = arguments.pop(0) if script == "-m" else root / script
    own = [*root.glob("packages/*/src"), root / "apps"]
    imported = {"PYTEST_ADDOPTS": "-W ignore::pytest.PytestAssertRewriteWarning"}  # plugins, by the nursery
    done = nursery.run(script, *arguments, folder=root, path=own, env=imported)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
