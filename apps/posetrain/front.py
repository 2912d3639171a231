"""The `typer` command of this workspace: stock Typer, where a folder may stand for the app inside it.

    typer apps/unihpr train        ->  typer apps/unihpr/cli.py run train

Everything that does not name a folder reaches stock Typer untouched.
"""

import sys
from pathlib import Path

_OPTIONS_WITH_VALUE = ("--app", "--func")
_STOCK_COMMANDS = ("run", "utils")


def main() -> None:
    """Entry point of the `typer` console script. Exit code 2 where a folder holds no `cli.py`."""
    from typer.cli import main as stock

    try:
        sys.argv[1:] = rewrite(sys.argv[1:])
    except FileNotFoundError as error:
        from posedata.terminal import visible

        print(visible(f"error: {error}"), file=sys.stderr)
        sys.exit(2)
    stock()


def rewrite(arguments: list[str]) -> list[str]:
    """Let a folder stand for its `cli.py` and leave out `run`; return other arguments as they are.

    A folder that is a package without `cli.py`, spelled as a module name, stays a module for stock Typer.

    Raises:
        FileNotFoundError: the folder holds no `cli.py`.
    """
    at = _first_positional(arguments)
    if at is None or not Path(arguments[at]).is_dir():
        return arguments
    folder = Path(arguments[at])
    if not (folder / "cli.py").is_file():
        if arguments[at].isidentifier() and (folder / "__init__.py").is_file():
            return arguments
        raise FileNotFoundError(f"{folder}/cli.py: no such file; name a folder that holds an app, or a file")
    rest = arguments[at + 1 :]
    run = [] if rest and rest[0] in _STOCK_COMMANDS else ["run"]
    return [*arguments[:at], str(folder / "cli.py"), *run, *rest]


def _first_positional(arguments: list[str]) -> int | None:
    skip = False
    for i, argument in enumerate(arguments):
        if skip:
            skip = False
        elif argument in _OPTIONS_WITH_VALUE:
            skip = True
        elif not argument.startswith("-"):
            return i
    return None
