"""What command lines offer by name, where it is reached without torch."""

import difflib
from collections.abc import Iterable

KINDS = ("rgb", "depth", "mask")
"""Of images."""

RIGS = ("mocap", "anywhere", "h36m")
"""Keys of `posedata.views.RIGS`."""

NOISES = ("none", "detector")
"""Keys of `posedata.views.noise.NOISES`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_format(name: str, known: Iterable[str]) -> ValueError:
    """For a format's name that is none of those known."""
    return ValueError(
        f"format {name!r} is not known{did_you_mean(name, known)}; use one of {', '.join(known)}"
    )


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: names of files need not be text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
