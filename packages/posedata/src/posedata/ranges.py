"""Bounds of a number, written with its type: `Annotated[float, Range(above=0)]`."""

import dataclasses
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, for use in `Annotated`."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def broken(self, value: float) -> str | None:
        """What `value` should have been, or None where it lies in range."""
        tests = {
            "at least": (self.at_least, lambda bound: value >= bound),
            "at most": (self.at_most, lambda bound: value <= bound),
            "above": (self.above, lambda bound: value > bound),
            "below": (self.below, lambda bound: value < bound),
        }
        for words, (bound, holds) in tests.items():
            if bound is not None and not holds(bound):
                return f"{words} {bound}"
        return None


Positive = Annotated[int, Range(at_least=1)]
Count = Annotated[int, Range(at_least=0)]
Fraction = Annotated[float, Range(at_least=0, at_most=1)]
Rate = Annotated[float, Range(above=0)]
Seed = Annotated[int, Range(at_least=0, at_most=2**53)]
"""What every generator here takes, also as a thousand times itself and a few more."""
NonNegative = Annotated[float, Range(at_least=0)]
