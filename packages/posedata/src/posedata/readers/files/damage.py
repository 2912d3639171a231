"""What is wrong with a file's bytes, in our own words: no library's text reaches a user."""

from __future__ import annotations

CUT_SHORT = "it is damaged, or was cut short"


class DamagedError(ValueError):
    """Raised within a reader of bytes, which puts the file's name before it and a cure behind it.

    `cure` is for what another copy would not mend.
    """

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.cure = cure


def reason(error: BaseException, otherwise: str = CUT_SHORT) -> str:
    """What is wrong: the words of a `DamagedError`; of anything that a library raised, `otherwise`."""
    return str(error)[:200] if isinstance(error, DamagedError) else otherwise


def cure(error: BaseException, otherwise: str) -> str:
    """What to do: as a `DamagedError` says, or `otherwise`."""
    return (isinstance(error, DamagedError) and error.cure) or otherwise
