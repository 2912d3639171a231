"""How much each weak loss counts; apart from the losses, so that a recipe is read without torch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class WeakWeights:
    """Weights of the terms; 0 switches a term off, and it is not computed. The values are this project's.

    Attributes:
        lift: at the start of training.
        lift_end: at its end, as a share of `lift`; in between the weight falls linearly.
        behind: of `behind_loss`, which goes with point support.
    """

    ray: float = 1.0
    lift: float = 1.0
    lift_end: float = 0.3
    symmetry: float = 0.5
    bone_variance: float = 0.5
    acceleration: float = 0.1
    support: float = 0.5
    behind: float = 0.5
    bone_range: float = 0.1

    def at(self, progress: float) -> "WeakWeights":
        """The weights when `progress` (0 to 1) of the training is done."""
        return replace(self, lift=self.lift * (1 + progress * (self.lift_end - 1)))
