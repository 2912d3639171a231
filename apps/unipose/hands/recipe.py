"""The schema of a recipe for hands."""

from dataclasses import dataclass, field
from pathlib import Path

from posedata.hand_source import HandSource
from posedata.ranges import Count, NonNegative, Positive, Rate
from posedata.views.hand_ranges import HandAugmentation
from poseenc.hands_config import HandsConfig
from posetrain.stage import LoopConfig
from posetrain.task import About

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class TrainConfig:
    """Adam. The learning rate warms up, then falls by a half cosine, or to a fifth at every drop.

    Attributes:
        drops: steps at which the rate is divided by five; none: the half cosine.
        weight_decay: added to the gradient (L2), as Adam's authors do; the published code has none on
            InterHand2.6M, its paper 1e-4.
        augmentation: of the training pictures.
    """

    steps: Positive = 1000
    batch: Positive = 16
    lr: Rate = 1e-4
    warmup: Count = 0
    drops: tuple[Positive, ...] = ()
    weight_decay: NonNegative = 0.0
    augmentation: HandAugmentation = field(default_factory=HandAugmentation)


@dataclass(frozen=True)
class Recipe:
    """A whole run."""

    data: HandSource = field(default_factory=HandSource)
    model: HandsConfig = field(default_factory=HandsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


ABOUT = About(
    task="unipose.hands.task:HANDS",
    app="unipose hands",
    label="A2J-Transformer",
    schema=Recipe,
    recipes=RECIPES,
    recipe="hands",
    reports=False,
)
