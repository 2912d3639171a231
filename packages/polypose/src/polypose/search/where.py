"""Which rows may be found: by the table's columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from polypose.search.segments import Segment

NAMES = ("source", "recording", "person", "action", "camera")
NUMBERS = ("time", "frame")
_RANGE = re.compile(r"\s*(-?[0-9.]*)\s*\.\.\s*(-?[0-9.]*)\s*")


@dataclass(frozen=True)
class Where:
    """A filter: every name must fit one of its patterns, every number lie within one of its ranges."""

    names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ranges: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()

    @classmethod
    def parse(cls, terms: Iterable[str]) -> Where:
        """Of "recording=walk*", "person=1", "time=10..20"; of the same name twice either may fit.

        Raises:
            ValueError: a term is none.
        """
        names: dict[str, tuple[str, ...]] = {}
        ranges: dict[str, tuple[tuple[float, float], ...]] = {}
        for term in terms:
            name, equals, value = term.partition("=")
            name = name.strip()
            if not equals or name not in (*NAMES, *NUMBERS):
                known = ", ".join((*NAMES, *NUMBERS))
                raise ValueError(f"--where {term[:60]}: give NAME=VALUE, with one of: {known}")
            if name in NAMES:
                names[name] = (*names.get(name, ()), value.strip())
            else:
                ranges[name] = (*ranges.get(name, ()), _range(term, value))
        return cls(tuple(names.items()), tuple(ranges.items()))

    def __bool__(self) -> bool:
        return bool(self.names or self.ranges)

    def rows(self, segment: Segment) -> np.ndarray | None:
        """(n,) which rows of a segment fit; None where all do."""
        keep: np.ndarray | None = None
        for name, patterns in self.names:
            if name == "source":
                if not _fits(segment.entry.name, patterns):
                    return np.zeros(len(segment), bool)
                continue
            index, known = segment.words(name)
            fits = np.array([_fits(each, patterns) for each in known], bool)
            keep = _both(keep, fits[index])
        for name, ranges in self.ranges:
            values = segment.numbers(name)
            keep = _both(keep, np.any([(values >= low) & (values <= high) for low, high in ranges], axis=0))
        return keep


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    """A pattern, or the name itself: "take [2]" would else be one letter of a set."""
    wanted = [pattern.lower() for pattern in patterns]
    return name.lower() in wanted or any(fnmatchcase(name.lower(), pattern) for pattern in wanted)


def _both(keep: np.ndarray | None, more: np.ndarray) -> np.ndarray:
    return more if keep is None else keep & more


def _range(term: str, value: str) -> tuple[float, float]:
    found = _RANGE.fullmatch(value)
    first, last = (found[1] or "-inf", found[2] or "inf") if found else (value, value)
    try:
        low, high = float(first), float(last)
    except ValueError:
        low = high = np.nan
    if not low <= high:
        raise ValueError(f"--where {term[:60]}: give a range of numbers, 10..20, 10.. or ..20")
    return low, high
