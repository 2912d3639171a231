"""The schema of a UniHPR recipe: every value that a run depends on."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from polypose.config import EvaluationConfig, ModelConfig
from polypose.senses.config import SpaceConfig
from posedata.ranges import Count, Fraction, NonNegative, Positive, Rate, Seed
from posedata.source import PoseSource
from posedata.views.bodies import Bodies
from posetrain.stage import LoopConfig
from posetrain.task import About

RECIPES = Path(__file__).parent / "recipes"
PAIRED = ("2d", "3d")
"""The senses that views without pictures have: pairs of views teach them the pose alone."""


@dataclass(frozen=True)
class DataConfig(PoseSource):
    """Poses, the virtual cameras that see them, and the images rendered of them.

    Attributes:
        views: `recorded` takes cameras, keypoints and images as the data have them; `virtual` places cameras
            around the poses and renders what they see; `both` trains on a share of each. What is recorded is
            tested as it was recorded.
        recorded: of `both`, the share of views in a batch that are recorded.
        keypoints: the store's column keypoints_NAME that stands for a detector's on recorded views; where it
            is empty, the noise model.
        rig: named range of virtual cameras (`posedata.views.RIGS`): of pictures, and of the test.
        more_rigs: further ones; views without an image are drawn from all of them in equal shares.
        images, test_images: how many views are rendered for training and for the test; of recorded ones all
            are trained on, and so many tested.
        image_size: width and height in pixels of rendered images.
        pictures: which kinds of them are rendered and read; depth as a Kinect would measure it.
        frame: poses and keypoints in the person-centred camera (`posedata.geometry.aim`), or joints in the
            camera's own and keypoints normalised by the box, as in the papers.
        noise: share of training keypoints that get detector noise; their confidence is an input.
        workers: rendering processes.
        order: of training views with an image: `random` from all, or as a `stream` of the store's shards
            (`posedata.views.order`), for pictures that are larger than memory or lie elsewhere.
        apart: pictures are of every other training person, and poses before virtual cameras of the rest.
        mapped: read training poses from disk as they are drawn, instead of keeping them on the device.
        augment: what training changes in the poses that it draws, and the test does not; SimpleBaseline does
            without (`baseline.augment`).
    """

    views: Literal["virtual", "recorded", "both"] = "virtual"
    recorded: Fraction = 0.5
    keypoints: str = ""
    rig: str = "mocap"
    more_rigs: tuple[str, ...] = ()
    images: Positive = 4000
    test_images: Positive = 1000
    image_size: tuple[Positive, Positive] = (96, 128)
    pictures: tuple[Literal["rgb", "depth", "mask"], ...] = ("rgb",)
    frame: Literal["aimed", "crop"] = "aimed"
    noise: Fraction = 0.3
    seed: Seed = 0
    workers: Positive = 2
    order: Literal["random", "stream"] = "random"
    apart: bool = False
    mapped: bool = False
    augment: Bodies = field(default_factory=Bodies)


def check_temperature(temperature: tuple[float, float, float]) -> None:
    """Raise ValueError unless τ0 lies between its least and its greatest value."""
    initial, low, high = temperature
    if not 0 < low <= initial <= high:
        raise ValueError(f"temperature {initial} must lie in 0 < {low} <= τ0 <= {high}")


@dataclass(frozen=True)
class StageConfig:
    """One of the three steps. The learning rate warms up, then falls by a half cosine (`constant`: stays).

    Attributes:
        steps: optimizer steps; 0 leaves the step out.
        batch: views with an image (in step 1: views).
        poses: in step 3, further views without an image; in step 1, further ones that are only lifted.
        temperature: τ0, its least and its greatest value.
        triplet: α, the weight of L_triplet; 0 leaves it out.
        beside: what α weighs beside L_pair: L_triplet with its `negatives`, or GRAM's or Symile's loss.
        contrast: the weight of the contrastive losses (in step 3: L_cl).
        decode: in step 1, the weight of the losses of the 3D decoder, which the papers train in step 3 alone.
    """

    steps: Count = 1000
    batch: Positive = 180
    poses: Count = 0
    lr: Rate = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Count = 0
    weight_decay: NonNegative = 0.0
    temperature: tuple[float, float, float] = (0.2, 0.1, 1e4)
    triplet: NonNegative = 1.0
    beside: Literal["triplet", "gram", "symile"] = "triplet"
    negatives: Literal["all", "sampled", "paper_sampled"] = "sampled"
    contrast: NonNegative = 1.0
    decode: NonNegative = 0.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)


@dataclass(frozen=True)
class SensesConfig:
    """One step for any number of senses in one space (`polypose.senses`), instead of the papers' three.

    Attributes:
        space: which senses; of `depth` and `cloud`, `data.pictures` must have depth and mask.
        steps, batch, poses, lr, schedule, warmup, weight_decay: as of the other steps; 0 steps train UniHPR.
        points: of a cloud.
        temperature: τ0, its least and its greatest value.
        terms: weights of `contrastive.multimodal_info_nce` between all senses.
        left_out: weight of the alignment of what is kept of a view, fused, with what is left out of it.
        decode: weight of the decoders' losses, of both halves.
        likelihood: weight of the concentrations' likelihood.
        pairs: with `space.invariant`, further poses without images, each before two virtual cameras.
        invariance: weight of finding the one view by the other among them, by the pose's part alone.
    """

    space: SpaceConfig = field(default_factory=SpaceConfig)
    steps: Count = 0
    batch: Positive = 48
    poses: Count = 144
    points: Positive = 512
    lr: Rate = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: Count = 20
    weight_decay: NonNegative = 0.0
    temperature: tuple[float, float, float] = (0.1, 0.03, 1e4)
    terms: dict[str, NonNegative] = field(default_factory=lambda: {"pairwise": 0.1})
    left_out: NonNegative = 0.5
    decode: NonNegative = 2.0
    likelihood: NonNegative = 0.5
    pairs: Count = 48
    invariance: NonNegative = 0.5

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if self.space.invariant and not self.pairs:
            raise ValueError(
                "senses.pairs: 0, but space.invariant is taught by pairs of views; set it above 0"
            )
        if self.space.invariant and not {*PAIRED} & {*self.space.modalities}:
            raise ValueError(f"senses.space: has none of {', '.join(PAIRED)}, which invariant needs; add one")
        if not (self.space.labels or self.poses):
            raise ValueError("senses.poses: 0, but without space.labels 3D is learnt of them; set it above 0")


@dataclass(frozen=True)
class BaselineConfig:
    """SimpleBaseline, for comparison (`typer apps/unihpr baseline`).

    Attributes:
        augment: whether it trains with `data.augment`, too; its authors had no such thing.
    """

    steps: Positive = 3000
    batch: Positive = 512
    hidden: Positive = 1024
    lr: Rate = 1e-3
    augment: bool = False


@dataclass(frozen=True)
class Recipe:
    """A whole run: data, model, the papers' three steps or one of all senses, evaluation, loop.

    Attributes:
        encodes: which encoders the weights keep that `typer apps/unihpr release` writes.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    align_poses: StageConfig = field(default_factory=StageConfig)
    align_image: StageConfig = field(default_factory=StageConfig)
    finetune: StageConfig = field(default_factory=StageConfig)
    senses: SensesConfig = field(default_factory=SensesConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    encodes: tuple[Literal["image", "2d", "3d"], ...] = ("image", "2d", "3d")

    def __post_init__(self) -> None:
        if "2d" not in self.encodes:
            raise ValueError("encodes: lacks 2d, without which no weights lift; add it")
        for name in ("align_poses", "align_image"):
            step = getattr(self, name)
            if step.contrast != 1 or (step.poses and not step.decode):
                raise ValueError(f"{name}: contrast and poses are step 3's (finetune); leave them out here")
        for name in ("align_image", "finetune"):
            if getattr(self, name).decode:
                raise ValueError(f"{name}: decode is step 1's (align_poses); leave it out here")


ABOUT = About(
    task="unihpr.task:UNIHPR",
    app="unihpr",
    label="UniHPR",
    schema=Recipe,
    recipes=RECIPES,
    groups={name: (name,) for name in ("align_poses", "align_image", "finetune")},
    unmeasured=("align_poses", "align_image"),
    variants=("components", "losses"),
    beside=("--baseline",),
)

SENSES = replace(ABOUT, task="unihpr.senses:SENSES", label="Senses", variants=(), beside=())

BASELINE = About(
    task="unihpr.baseline:SIMPLE_BASELINE",
    app="unihpr",
    label="SimpleBaseline",
    schema=Recipe,
    recipes=RECIPES,
    suffix="-simplebaseline",
    reports=False,
)
