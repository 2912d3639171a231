"""The schema of a V-VIPE recipe: every value that a run depends on."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from polypose.config import InvariantConfig
from posedata.ranges import Fraction, NonNegative, Positive, Range, Rate, Seed
from posedata.source import PoseSource
from poseenc.camera_ranges import CameraAugmentation
from poseenc.hit_rules import HitRules
from posetrain.stage import LoopConfig
from posetrain.task import About

RECIPES = Path(__file__).parent / "recipes"

METHODS: dict[Literal["vvipe", "prvipe"], str] = {"vvipe": "V-VIPE", "prvipe": "PR-VIPE"}


@dataclass(frozen=True)
class DataConfig(PoseSource):
    """Poses, and the fixed cameras that see them.

    Attributes:
        train_poses: frames to train on, evenly through the training subjects'.
        test_poses: frames to test on, evenly through the test subjects' after near duplicates are removed.
        distinct: near duplicates are test poses nearer than this, in torsos, after Procrustes.
        keypoints: `exact` projections, or with the noise of a `detector`, in training and in the test.
        views: `virtual` cameras, or the data set's own, as `recorded`, in training and in the
            test on the same rig; a moment that one of them lacks is left out.
        detector: of recorded views, the store's column keypoints_NAME where `keypoints` is `detector`.
        seed: decides cameras and noise.
    """

    train_poses: Positive = 20_000
    test_poses: Positive = 1000
    distinct: NonNegative = 0.02
    keypoints: Literal["exact", "detector"] = "exact"
    views: Literal["virtual", "recorded"] = "virtual"
    detector: str = "detector"
    seed: Seed = 0


@dataclass(frozen=True)
class VaeConfig:
    """Stage 1: the autoencoder of 3D poses.

    Attributes:
        steps, batch, lr: the learning rate falls to nothing by a half cosine.
        kl: weight of the divergence from N(0, 1), summed over the embedding and averaged over the batch.
        triplet: weight of the mined triplet.
        margin: of the triplet, in units of the embedding.
        apart: how much farther than the positive the negative pose must be, in torsos.
        align: whether poses are turned to the body frame; else they stay as the world has them.
    """

    steps: Positive = 2000
    batch: Positive = 256
    lr: Rate = 1e-3
    kl: NonNegative = 1e-3
    triplet: NonNegative = 1.0
    margin: NonNegative = 1.0
    apart: NonNegative = 0.1
    align: bool = True


@dataclass(frozen=True)
class MappingConfig:
    """Stage 2: 2D keypoints into the autoencoder's embedding, the decoder frozen.

    Attributes:
        steps, batch, lr: as in stage 1.
        triplet, margin, apart: of the triplet between the 2D encoder's output and the 3D encoder's.
        pretrained: whether stage 1 comes first; else the decoder is learnt here, from 2D alone.
        vae: another run whose stage 1 serves this one.
        contrast: weight of InfoNCE among the views of a pose and the 3D pose (`contrastive`); 0 leaves it
            out.
        views: views of every pose in a batch.
        temperature: of the contrast (`contrastive.euclidean`).
        alike: poses nearer than this, in torsos, are not each other's negatives in the contrast.
    """

    steps: Positive = 2000
    batch: Positive = 256
    lr: Rate = 1e-3
    triplet: NonNegative = 1.0
    margin: NonNegative = 1.0
    apart: NonNegative = 0.1
    pretrained: bool = True
    vae: Path | None = None
    contrast: NonNegative = 0.0
    views: Positive = 1
    temperature: Rate = 0.2
    alike: NonNegative = 0.1


@dataclass(frozen=True)
class MatchingConfig:
    """PR-VIPE's only stage; the defaults of losses are the authors'.

    Attributes:
        dim, dropout: width of the embedding, and the trunk's dropout.
        draws: samples of an embedding that are matched.
        steps: optimizer steps.
        batch: pairs of views of a pose.
        optimizer: `adagrad` at a constant rate as the authors, or `adam` with a half cosine.
        ratio: how many times as probably a positive must match as the negative.
        apart: poses at least this far apart after Procrustes, in torsos, are negatives.
        kl: weight of the divergence from N(0, 1).
        positive: weight of the matching distance of positives.
    """

    dim: Positive = 16
    dropout: Fraction = 0.3
    draws: Positive = 20
    steps: Positive = 2000
    batch: Positive = 256
    lr: Rate = 0.02
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    ratio: Annotated[float, Range(at_least=1)] = 2.0
    apart: NonNegative = 0.1
    kl: NonNegative = 1e-3
    positive: NonNegative = 5e-3


@dataclass(frozen=True)
class Recipe:
    """A whole run: data, cameras, model, stages, evaluation, loop."""

    data: DataConfig = field(default_factory=DataConfig)
    augment: CameraAugmentation = field(default_factory=CameraAugmentation)
    model: InvariantConfig = field(default_factory=InvariantConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    mapping: MappingConfig = field(default_factory=MappingConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    evaluation: HitRules = field(default_factory=HitRules)
    loop: LoopConfig = field(default_factory=LoopConfig)


def network_config(recipe: Recipe) -> InvariantConfig:
    """The networks that a recipe says."""
    if recipe.model.method == "vvipe":
        return recipe.model
    return replace(recipe.model, dim=recipe.matching.dim, dropout=recipe.matching.dropout)


ABOUT = About(
    task="vvipe.task:VVIPE_TASK",
    app="vvipe",
    label="V-VIPE",
    schema=Recipe,
    recipes=RECIPES,
    prefix="vvipe-",
    groups={"vae": ("vae",), "mapping": ("mapping",)},
    unmeasured=("vae",),
    variants=("components",),
    beside=("--peer",),
)
