"""What a user names to be embedded: a store of views, a file of keypoints or of poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from posedata.keypoint_files import TORSO, Say, read_joints, tell_invalid
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from torch import Tensor

from polypose.cameras import centred
from polypose.inputs import take_keypoints, take_skeleton
from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import POSE_SKELETON, Modality
from polypose.reading import Keypoints, read_people
from polypose.stores import embed_store


def embed_source(
    model: Model | ViewInvariant,
    source: Path,
    modality: str = "all",
    *,
    keypoints: str = TRUE,
    skeleton: str | None = None,
    size: tuple[int, int] | None = None,
    intrinsics: Any = None,
    focal: float | None = None,
    say: Say = print_line,
) -> dict[Modality, Tensor]:
    """(N, D) by modality; NaN where a row holds nobody.

    Args:
        source: a store; or a file of keypoints in pixels, of a view-invariant model also an .npy of poses in
            any unit and frame (`modality` 3d).
        modality: one, or "all" that there is.
        keypoints: the store's column, keypoints_NAME.
        skeleton, size, intrinsics, focal: of a file, as of `polypose.files.lift_file`.

    Raises:
        FileNotFoundError, ValueError: there is nothing of the kind there.
    """
    if (source / "meta.json").is_file():
        return embed_store(model, source, modality, keypoints, say)
    if isinstance(model, ViewInvariant):
        no_camera(intrinsics, focal)
        if modality == "3d":
            found = model.embed_joints(read_joints(source, POSE_SKELETON))
            tell_invalid(found.isfinite().all(1), "no embedding of 3d", say)
            return {"3d": found}
    if modality not in ("all", "2d"):
        raise ValueError(f"--modality {modality}: {source} holds keypoints, which are 2d; leave it out")
    people = read_people(source, skeleton, say)
    if isinstance(model, ViewInvariant):
        vectors = model.embed_points(points_of(model, people, source, size, say))
    else:
        camera = centred(focal, size) if focal is not None else intrinsics
        found_ = model.embed(
            keypoints=people.values, intrinsics=camera, size=size, skeleton=people.skeleton, say=say
        )
        vectors = torch.from_numpy(found_.vectors)
    tell_invalid(vectors.isfinite().all(1), "no embedding of 2d", say, TORSO)
    return {"2d": vectors}


def points_of(
    model: Model | ViewInvariant, people: Keypoints, path: Path, size: tuple[int, int] | None, say: Say
) -> Tensor:
    """What a model is given of the people of a file, once it is said what they are taken for."""
    source = take_skeleton(people.values, people.skeleton, str(path))
    say(f"keypoints are read as {source.name}; name another set with --skeleton")
    return take_keypoints(
        people.values, source.name, size=size, say=say, where=str(path), notes=True, to=model.takes
    )


def no_camera(intrinsics: Any, focal: float | None) -> None:
    """Raise a ValueError where a camera is said to a model that takes none."""
    if intrinsics is not None or focal is not None:
        raise ValueError("--focal, --intrinsics: a view-invariant model takes no camera; leave them out")
