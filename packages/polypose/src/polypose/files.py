"""Files lifted, embedded and retrieved to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from posedata.arrays import check_ending, write_embeddings, write_poses
from posedata.figures import gallery
from posedata.keypoint_files import TORSO, Say, tell_invalid
from posedata.plausible import check_focal
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posedata.writing import write_png

from polypose.cameras import take_camera
from polypose.embedding import retrieve
from polypose.inputs import Like, take_keypoints, take_skeleton
from polypose.lifting import lift_points
from polypose.model import Model
from polypose.network import POSE_SKELETON
from polypose.reading import read_people
from polypose.samples import CAMERA
from polypose.stores import embed_store


def lift_file(
    model: Model,
    keypoints: Path,
    out: Path,
    *,
    size: tuple[int, int] | None = None,
    intrinsics: Any = None,
    focal: float | None = None,
    skeleton: str | None = None,
    hypotheses: int = 0,
    seed: int = 0,
    picture: Path | None = None,
    say: Say = print_line,
) -> tuple[int, ...]:
    """Lift the people of a file and write their poses; returns the joints' shape.

    A frame without a person (`posedata.keypoints.holds_person`) is not valid, its joints are NaN.

    Args:
        focal: length in pixels of a camera that looks at the middle of the image, instead of intrinsics.
        hypotheses: 0 for the mean pose, its sd and place; else so many poses drawn.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or holds no keypoints of that skeleton in
            pixels; the camera cannot be; `out` does not end in .npz or .csv.
    """
    check_ending(out, picture)
    if skeleton is not None:
        get_skeleton(skeleton)
    if size is not None and min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: give pixels above 0")
    if focal is not None:
        intrinsics = centred(focal, size)
    camera = take_camera(intrinsics, size, say=say)
    found = read_people(keypoints, skeleton, say)
    source = take_skeleton(found.values, found.skeleton, str(keypoints))
    say(f"keypoints are read as {source.name}; name another set with --skeleton")
    points = take_keypoints(found.values, source.name, size=size, say=say, where=str(keypoints), notes=True)
    poses = lift_points(model.network, model.settings, points, camera, Like(torch.device("cpu")))
    tell_invalid(poses.valid, "no pose", say, TORSO)
    valid, rows = poses.valid.numpy(), found.rows
    if hypotheses:
        joints = poses.sample(hypotheses, seed).numpy()
        write_poses(out, joints, POSE_SKELETON, CAMERA, valid, ("hypothesis", "frame"), rows=rows)
    else:
        joints = poses.joints.numpy()
        more = {"sd": poses.sd.numpy(), "translation": poses.translation.numpy()}
        write_poses(out, joints, POSE_SKELETON, CAMERA, valid, rows=rows, **more)
    if picture:
        _draw(picture, points.numpy()[valid], (joints[0] if hypotheses else joints)[valid])
    return tuple(joints.shape)


def embed_file(
    model: Model,
    source: Path,
    out: Path,
    *,
    modality: str = "all",
    size: tuple[int, int] | None = None,
    intrinsics: Any = None,
    focal: float | None = None,
    skeleton: str | None = None,
    say: Say = print_line,
) -> dict[str, tuple[int, ...]]:
    """Embed the keypoints of a file or the views of a store; returns the shapes written.

    Raises:
        FileNotFoundError, ValueError: as of `lift_file`, and of `polypose.stores.embed_store`.
    """
    check_ending(out)
    if (source / "meta.json").is_file():
        return embed_store(model, source, out, modality, say=say)
    if modality not in ("all", "2d"):
        raise ValueError(f"--modality {modality}: {source} holds keypoints, which are 2d; leave it out")
    found = read_people(source, skeleton, say)
    camera = centred(focal, size) if focal is not None else intrinsics
    embedded = model.embed(
        keypoints=found.values, intrinsics=camera, size=size, skeleton=found.skeleton, say=say
    )
    tell_invalid(embedded.valid, "no embedding", say, TORSO)
    return write_embeddings(out, embedded.by, embedded.valid)


def retrieve_files(
    queries: Path, gallery: Path, out: Path, source: str, target: str, k: int
) -> tuple[int, ...]:
    """Retrieve among embeddings in files and write `row` and `cosine`, (N, K); returns their shape.

    Places that the gallery cannot fill hold row -1.

    Raises:
        FileNotFoundError, ValueError: a file is not there, or holds no such embeddings.
    """
    check_ending(out)
    found = retrieve(_embedded(queries, source), _embedded(gallery, target), k)
    row, cosine = (np.asarray(values) for values in (found.row, found.similarity))
    write_embeddings(out, {"row": row, "cosine": cosine}, row[:, 0] >= 0)
    return tuple(row.shape)


def _embedded(path: Path, modality: str) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; write one with polypose embed")
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if name != "valid"]
            if modality in names and file[modality].ndim == 2:
                values: np.ndarray = file[modality]
                return values
    except (ValueError, EOFError, BadZipFile, OSError, AttributeError, MemoryError):
        raise ValueError(f"{path}: is not a whole .npz; write one with polypose embed") from None
    raise ValueError(f"{path}: holds {', '.join(names)[:80]}, no {modality}; say which with --from and --to")


def centred(focal: float, size: tuple[int, int] | None) -> tuple[float, float, float, float]:
    """Intrinsics of a camera that looks at the middle of its image."""
    if size is None:
        raise ValueError("--focal: say where the middle of the image is: --size WIDTH HEIGHT")
    check_focal(focal, size)
    return focal, focal, (size[0] - 1) / 2, (size[1] - 1) / 2


def _draw(picture: Path, points: np.ndarray, joints: np.ndarray) -> None:
    """The first people: keypoints within their box, and the pose."""
    cells = []
    for seen, pose in list(zip(points, joints, strict=True))[:6]:
        flat = np.where(seen[:, 2:] > 0, seen[:, :2], np.nan)
        low, high = np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)
        cells.append([("2D", (flat - (low + high) / 2) / (max(high - low) / 2)), ("3D", pose)])
    if cells:
        write_png(picture, gallery(cells), bbox_inches="tight")
