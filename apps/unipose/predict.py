"""People in recorded RGB-D by a trained teacher: depth in, isolation, points, 3D joints out.

found = predict(run, open_rgbd("recording"), keypoints="keypoints.json")
found.save(Path("joints.npz"))
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pointcloud_weak.predict import Prediction, predict_people
from pointcloud_weak.recorded import see_people
from posedata.detect import live_detector
from posedata.readers.rgbd import RgbdSequence
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posediff.hypotheses import minimum_bayes_risk

from unipose.task import open_teacher


def predict(
    run: str | Path,
    recording: RgbdSequence,
    *,
    keypoints: str | Path | None = None,
    detector: str | None = None,
    device: str = "cpu",
    draws: int = 9,
    seed: int = 0,
    say: Callable[[str], None] = print_line,
) -> Prediction:
    """Everybody's joints in every frame, by a run's teacher (`see_people`, `predict_people`).

    Args:
        run: folder of a run with a teacher.
        recording: from `posedata.readers.rgbd.open_rgbd`.
        keypoints: COCO JSON with 2D joints, images named as the depth files.
        detector: `mediapipe` or `rtmlib`, run on the colour of each person found standing in the depth.

    Raises:
        ValueError, FileNotFoundError: no run, no people, or a file that is not what it should be.
    """
    if keypoints is not None and detector is not None:
        raise ValueError("keypoints and a detector exclude each other; give one")
    recipe, teacher = open_teacher(Path(run))
    config = recipe.data
    given = None if keypoints is None else Path(keypoints)
    look = None if detector is None else live_detector(detector)
    seen = see_people(recording, config.image_size, keypoints=given, detector=look, say=say)
    return predict_people(
        teacher,
        seen,
        tuple(recording.names()),
        get_skeleton(config.skeleton),
        minimum_bayes_risk,
        frames=config.frames,
        points=config.points,
        draws=draws,
        device=device,
        seed=seed,
    )
