"""How hits are counted; apart from what counts them, so that a recipe is read without torch."""

from dataclasses import dataclass

from posedata.ranges import NonNegative, Positive


@dataclass(frozen=True)
class HitRules:
    """How hits are counted.

    Attributes:
        hits: k of Hit@k.
        threshold: the greatest distance of a hit, in torsos, after Procrustes.
        batch: poses embedded at a time.
    """

    hits: tuple[Positive, ...] = (1, 10, 20)
    threshold: NonNegative = 0.1
    batch: Positive = 4096

    def __post_init__(self) -> None:
        if not self.hits:
            raise ValueError("hits: none; give one k or more, for instance [1, 10]")
