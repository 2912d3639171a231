"""The schema of a UniPose recipe: every value that a run depends on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pointcloud_weak.config import PseudoConfig, TeacherConfig
from pointcloud_weak.losses import WeakWeights
from polypose.config import AnchorConfig
from posedata.ranges import Count, Fraction, NonNegative, Positive, Range, Rate, Seed
from posedata.source import PoseSource
from posetrain.stage import LoopConfig
from posetrain.task import About

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class NoiseConfig:
    """The 2D detector of `detector: noise`: true keypoints with `posedata.views.noise.DetectorNoise`."""

    jitter: NonNegative = 0.01
    outlier: Fraction = 0.01
    outlier_scale: NonNegative = 0.1
    inversion: Fraction = 0.01
    flip: Fraction = 0.005
    miss: Fraction = 0.01


@dataclass(frozen=True)
class DataConfig(PoseSource):
    """RGB-D clips, and the 2D detections that go with them.

    Attributes:
        format: `synthetic`, `store` or a reader's name: poses, which are then dressed and filmed; or `rgbd`,
            a store that has depth images already.
        skeleton: of the networks.
        clips, test_clips: how many are filmed (of an `rgbd` store: at most so many are taken).
        frames: T, frames of a clip.
        stride: frames of the recording from one of the clip to the next (of an `rgbd` store: its rows).
        image_size: side in pixels of the square that is filmed around a person.
        rgb: whether pictures are used: points attend to them, and an RGB student learns. Recordings of depth
            alone (ITOP, NTU) want false.
        detector: `noise`; `coco`: keypoints of COCO JSON files, for `rgbd`; `store`: the store's
            `keypoints_detector`; `mediapipe` or `rtmlib`: live.
        keypoints: the COCO JSON files, one image per row of the store between them.
        points: N, points of a frame that the network is given.
        stored_points: of a frame, from which N are drawn afresh in every step.
        facing: cameras stand within so many degrees of where the person faces; 180: all around.
        kinect: depth as a Kinect would measure it.
        workers: rendering processes.
    """

    skeleton: str = "itop15"
    clips: Positive = 1000
    test_clips: Positive = 200
    frames: Positive = 3
    stride: Positive = 3
    image_size: Positive = 96
    rgb: bool = True
    detector: Literal["noise", "coco", "store", "mediapipe", "rtmlib"] = "noise"
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    keypoints: tuple[Path, ...] = ()
    points: Positive = 512
    stored_points: Positive = 1024
    facing: Annotated[float, Range(at_least=0, at_most=180)] = 60.0
    kinect: bool = True
    seed: Seed = 0
    workers: Positive = 2


@dataclass(frozen=True)
class StageConfig:
    """One training. The learning rate warms up, then falls by a half cosine.

    Attributes:
        steps: optimizer steps; 0 leaves it out.
        batch: clips (teacher) or frames (students).
        turn: degrees to either side by which clouds or pictures are turned.
        mirror: whether half of them are mirrored.
    """

    steps: Count = 500
    batch: Positive = 32
    lr: Rate = 1e-3
    weight_decay: NonNegative = 1e-4
    warmup: Count = 20
    turn: NonNegative = 30.0
    mirror: bool = True


@dataclass(frozen=True)
class Recipe:
    """A whole run: data, stage A, stage B, their twins trained on 3D labels, loop.

    Attributes:
        twins: whether the same networks are trained with 3D labels too, as upper bounds.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: TeacherConfig = field(default_factory=TeacherConfig)
    student_model: AnchorConfig = field(default_factory=AnchorConfig)
    losses: WeakWeights = field(default_factory=WeakWeights)
    teacher: StageConfig = field(default_factory=StageConfig)
    pseudo: PseudoConfig = field(default_factory=PseudoConfig)
    student: StageConfig = field(default_factory=lambda: StageConfig(turn=15.0))
    twins: bool = True
    loop: LoopConfig = field(default_factory=LoopConfig)


ABOUT = About(
    task="unipose.task:UNIPOSE",
    app="unipose",
    label="UniPose",
    schema=Recipe,
    recipes=RECIPES,
    prefix="unipose-",
    groups={
        "teacher": ("teacher", "teacher_twin"),
        "student": ("student_rgb", "student_depth", "student_rgb_twin", "student_depth_twin"),
    },
    variants=("losses",),
)
