"""The installed `typer` command in this process, where torch is loaded already; not a test itself."""

import contextlib
import sys
from pathlib import Path
from unittest import mock

import pytest
from posetrain.front import main


def typer_front(*arguments: object) -> None:
    """Run `typer ARGUMENTS` at the repository's root; it must end well."""
    words = ["typer", *map(str, arguments)]
    here, as_typed = contextlib.chdir(Path(__file__).parents[1]), mock.patch.object(sys, "argv", words)
    with here, as_typed, pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (None, 0)
