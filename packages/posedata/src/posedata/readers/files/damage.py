"""What is wrong with a file's bytes, in our own words: no library's text reaches a user."""

from __future__ import annotations

CUT_SHORT = "it is damaged, or was cut short"


class DamagedError(ValueError):
    """Raised within a reader of bytes, which puts the file's name before it and a cure behind it."""


def reason(error: BaseException, otherwise: str = CUT_SHORT) -> str:
    """What is wrong: the words of a `DamagedError`; of anything that a library raised, `otherwise`."""
    return str(error)[:200] if isinstance(error, DamagedError) else otherwise
