"""From 2D keypoints to 3D poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from posedata.arrays import check_ending, write_poses
from posedata.figures import gallery
from posedata.geometry.camera import Camera
from posedata.keypoint_files import TORSO, Say, read_keypoints, tell_invalid
from posedata.keypoints import convert_keypoints, holds_person
from posedata.plausible import check_focal
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posedata.views.batch import GIVEN, given
from posedata.writing import write_png
from torch import Tensor

from polypose.batches import decode, embed
from polypose.model import Model
from polypose.network import POSE_SKELETON
from polypose.samples import CAMERA, Sample

USUAL = np.pi / 3
"""How wide a view is of which nothing is known: about what a phone or a webcam sees."""


@torch.no_grad()
def lift_file(
    model: Model,
    keypoints: Path,
    out: Path,
    size: tuple[int, int],
    focal: float | None = None,
    skeleton: str = "coco17",
    hypotheses: int = 0,
    picture: Path | None = None,
    say: Say = print_line,
) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints` and `valid`; returns the joints' shape.

    A frame without a person (`posedata.keypoints.holds_person`) is not valid, its joints are NaN.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or no keypoints of that skeleton in pixels;
            the size or the focal length cannot be; `out` does not end in .npz or .csv.
    """
    check_ending(out, picture)
    camera = pinhole(size, focal, say)
    source = get_skeleton(skeleton)
    points = convert_keypoints(read_keypoints(keypoints, source, size, say), source, POSE_SKELETON)
    valid = holds_person(points, POSE_SKELETON)
    sample = Sample.of(given(points[valid], camera), model.settings.frame, GIVEN)
    tell_invalid(valid, "no pose", say, TORSO)
    shape = (*((hypotheses,) if hypotheses else ()), len(points), len(POSE_SKELETON), 3)
    joints = torch.full(shape, torch.nan)
    if bool(valid.any()):
        joints[..., valid, :, :] = lifted(model, sample.to(model.device), hypotheses).cpu()
    axes = ("hypothesis", "frame") if hypotheses else ("frame",)
    write_poses(out, joints.numpy(), POSE_SKELETON, CAMERA, valid.numpy(), axes)
    if picture:
        shown = (joints[0] if hypotheses else joints)[valid]
        cells = [[("2D", sample.keypoints[i]), ("3D", shown[i])] for i in range(min(6, len(shown)))]
        if cells:
            write_png(picture, gallery(cells), bbox_inches="tight")
    return shape


def pinhole(size: tuple[int, int], focal: float | None, say: Say = print_line) -> Camera:
    """A camera that looks at the middle of its image.

    Args:
        size: width and height in pixels.
        focal: length in pixels; by default a view 60 degrees wide.

    Raises:
        ValueError: they cannot be.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"--size {width} {height}: give pixels above 0")
    if focal is not None:
        for warning in check_focal(focal, size):
            say(f"warning: {warning}")
    length = focal or width / (2 * np.tan(USUAL / 2))
    return Camera(
        torch.tensor([length, length], dtype=torch.float32),
        torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float32),
        torch.eye(3),
        torch.zeros(3),
        size=size,
    )


def lifted(model: Model, sample: Sample, hypotheses: int = 0) -> Float[Tensor, "*S N J 3"]:
    """Poses in the camera's frame: the mean ones or, where asked for, hypotheses.

    Args:
        sample: rows that hold a person.
    """
    network, settings = model.network, model.settings
    embedding = embed(network, sample, settings.batch, ("2d",))["2d"]
    if not hypotheses:
        return decode(network, embedding, "2d", settings.batch) @ sample.rotation
    generator = torch.Generator(embedding.device).manual_seed(0)
    drawn = network.sample(
        "3d",
        embedding,
        "2d",
        hypotheses=hypotheses,
        steps=settings.steps,
        sampler=settings.sampler,
        generator=generator,
    )
    return drawn @ sample.rotation
