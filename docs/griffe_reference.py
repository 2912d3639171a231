"""How the reference pages read the code, where griffe by itself would read it otherwise.

- A docstring may document several arguments in one entry: `source, target: (..., N, 3)`. Griffe knows one
  name an entry; each name of a group becomes an entry of its own, with the same text.
- What a package re-exports stands where it is defined, not a second time under the package.
- The values of constants are shown only where they are short.
"""

import re
from typing import Any

import griffe

LONGEST_VALUE = 60
_SECTION = re.compile(r"^ *(Args|Attributes|Parameters):\s*$")
_GROUP = re.compile(r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+)(?P<rest>: .*)$")


class ReferencePages(griffe.Extension):
    """Changes what griffe has read before the pages are made of it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute once it is complete."""
        if obj.docstring is not None:
            obj.docstring.value = split_groups(obj.docstring.value)
        if isinstance(obj, griffe.Attribute) and len(str(obj.value)) > LONGEST_VALUE:
            obj.value = None

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called for every package once all of it has been read."""
        drop_reexports(pkg)


def drop_reexports(module: griffe.Module) -> None:
    """Forget the names that a package's `__init__` imports from its public modules."""
    for name, member in list(module.members.items()):
        if isinstance(member, griffe.Alias):
            private = any(part.startswith("_") for part in member.target_path.split("."))
            if module.is_init_module and not private:
                del module.members[name]
        elif isinstance(member, griffe.Module):
            drop_reexports(member)


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
