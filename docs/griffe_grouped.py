"""Lets a Google-style docstring document several arguments in one entry: `source, target: (..., N, 3)`.

Griffe knows one name an entry; each name of a group becomes an entry of its own, with the same text.
"""

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^ *(Args|Attributes|Parameters):\s*$")
_GROUP = re.compile(r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+)(?P<rest>: .*)$")


class GroupedArguments(griffe.Extension):
    """Rewrites docstrings before griffe parses them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute once it is complete."""
        if obj.docstring is not None:
            obj.docstring.value = split_groups(obj.docstring.value)


def split_groups(docstring: str) -> str:
    """The docstring with every grouped entry of its argument sections written out."""
    lines, found, depth = docstring.splitlines(), [], -1
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if _SECTION.match(line):
            depth = indent
        elif line.strip() and indent <= depth:
            depth = -1
        group = _GROUP.match(line) if depth >= 0 else None
        if group is None or indent != depth + 4:
            found.append(line)
            continue
        more = _continuation(lines[i + 1 :], indent)
        *first, last = group["names"].split(", ")
        for name in first:
            found += [f"{group['indent']}{name}{group['rest']}", *more]
        found.append(f"{group['indent']}{last}{group['rest']}")
    return "\n".join(found)


def _continuation(lines: list[str], indent: int) -> list[str]:
    more = []
    for line in lines:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        more.append(line)
    return more
