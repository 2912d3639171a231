"""Numbers within bounds, for the fields of frozen dataclasses that a recipe fills."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import ge, gt, le, lt
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """Bounds of a number, for use in `Annotated`."""

    at_least: int | float | None = None
    at_most: int | float | None = None
    above: int | float | None = None
    below: int | float | None = None

    def broken(self, value: int | float) -> str | None:
        """What `value` should have been, or None where it lies in range."""
        tests = {
            "at least": (self.at_least, ge),
            "at most": (self.at_most, le),
            "above": (self.above, gt),
            "below": (self.below, lt),
        }
        for words, (bound, holds) in tests.items():
            if bound is not None and not holds(value, bound):
                return f"{words} {bound}"
        return None if abs(value) != inf else "finite"


Positive = Annotated[int, Range(at_least=1)]
Count = Annotated[int, Range(at_least=0)]
Fraction = Annotated[float, Range(at_least=0, at_most=1)]
Rate = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(at_least=0)]
Seed = Annotated[int, Range(at_least=0, at_most=2**53)]
"""What every generator takes, also as a thousand times itself and a few more."""
