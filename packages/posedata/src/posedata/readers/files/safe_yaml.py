"""YAML that a user or a stranger hands in, within limits that hold before memory is used."""

from __future__ import annotations

import reprlib
from typing import Any

import yaml

DEPTH = 32
"""How deep lists and sections may go."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxlevel = 3


class TextError(ValueError):
    """What is wrong with a text, without its place."""


def shown(value: object) -> str:
    """A value as it is written, cut short where it is long."""
    return _short.repr(value)


def load_yaml(text: str) -> Any:
    """A YAML text that says itself what it holds.

    Raises:
        TextError: it is no YAML, repeats a key, refers to another part of itself, or is nested too deeply.
    """
    try:
        return yaml.load(text, _Plain)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = error.problem if isinstance(error, _RefusedError) else _DAMAGED
        raise TextError(f"not valid YAML{at}: {why}") from None
    except yaml.YAMLError:
        raise TextError("not valid YAML: it holds a character that no text does; save it in UTF-8") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, the 40th of a month
        raise TextError("not valid YAML: a value is no number and no date; put it in quotes") from None


_DAMAGED = "see there, and before, for a tag (!), a tab, or a quote, bracket or colon too many or too few"


class _RefusedError(yaml.MarkedYAMLError):
    """Of a text that is YAML, and is not taken; says why in our words."""


class _Plain(yaml.SafeLoader):
    """safe_load that refuses aliases, which let few bytes stand for gigabytes; deep nests; and a key written
    twice, which YAML would silently let win."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise _RefusedError(problem="an alias (*) is not taken; write it out", problem_mark=mark)
        if self.depth > DEPTH:
            raise _RefusedError(problem=f"nested more than {DEPTH} deep", problem_mark=mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            try:
                again = name in seen
            except TypeError:
                raise _RefusedError(
                    problem="a key must be a word or a number", problem_mark=key.start_mark
                ) from None
            if again:
                raise _RefusedError(problem=f"key {str(name)[:80]} stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
