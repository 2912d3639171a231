"""Files lifted, embedded and retrieved to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from posedata.arrays import check_ending, write_embeddings, write_poses
from posedata.figures import gallery
from posedata.keypoint_files import TORSO, Say, tell_invalid
from posedata.keypoints import frames_told
from posedata.readers.files.safe_npz import load_npz_arrays
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from posedata.writing import keep_input, write_png
from poseenc.seen import Normalised
from torch import Tensor

from polypose import drawing
from polypose.cameras import centred, take_camera
from polypose.comparing import COSINE, RULES, Compared
from polypose.inputs import Like
from polypose.invariant import ViewInvariant
from polypose.lifting import lift_points
from polypose.model import Model
from polypose.network import POSE_SKELETON
from polypose.reading import read_people
from polypose.retrieval import INDEX
from polypose.samples import CAMERA
from polypose.searching import retrieve
from polypose.sources import embed_source, no_camera, points_of

_COMPARED = "compared"
"""The entry of an .npz of embeddings that names their rule, where that is not the cosine."""


def lift_file(
    model: Model | ViewInvariant,
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
        size: width and height of the images; a view-invariant model needs none, it checks keypoints by it.
        intrinsics, focal: of the camera, focal the length in pixels of one that looks at the middle of the
            image; a view-invariant model takes none.
        hypotheses: 0 for the mean pose, its sd and place; else so many poses drawn.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or holds no keypoints of that skeleton in
            pixels; the camera cannot be; `out` does not end in .npz or .csv, or is what is read.
    """
    check_ending(out, picture)
    _keep(out, keypoints)
    if skeleton is not None:
        get_skeleton(skeleton)
    if size is not None and min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: give pixels above 0")
    if isinstance(model, ViewInvariant):
        no_camera(intrinsics, focal)
        if hypotheses:
            raise ValueError("a view-invariant model draws no poses of keypoints; lift them: polypose lift")
    else:
        camera = take_camera(centred(focal, size) if focal is not None else intrinsics, size, say=say)
    people = read_people(keypoints, skeleton, say)
    points = points_of(model, people, keypoints, size, say)
    valid: Tensor
    more: dict[str, Any] = {}
    frame, axes = CAMERA, ["frame"]
    if isinstance(model, ViewInvariant):
        found = model.lift_points(points, Like(torch.device("cpu")))
        joints, valid, frame = found.joints, found.valid, found.frame
    else:
        poses = lift_points(model.network, model.settings, points, camera, Like(torch.device("cpu")))
        joints, valid = poses.joints, poses.valid
        if hypotheses:
            joints, axes = poses.sample(hypotheses, seed), ["hypothesis", "frame"]
        else:
            more = {"sd": poses.sd.numpy(), "translation": poses.translation.numpy()}
    tell_invalid(valid, "no pose", say, TORSO)
    write_poses(out, joints.numpy(), POSE_SKELETON, frame, valid.numpy(), axes, rows=people.rows, **more)
    if picture and bool(valid.any()):
        shown = valid.nonzero()[:6, 0]
        first = (joints[0] if hypotheses else joints)[shown]
        draw = _body_cells if isinstance(model, ViewInvariant) else _cells
        write_png(picture, gallery(draw(points[shown], first)), bbox_inches="tight")
    return tuple(joints.shape)


def embed_file(
    model: Model | ViewInvariant,
    source: Path,
    out: Path,
    *,
    modality: str = "all",
    keypoints: str = TRUE,
    size: tuple[int, int] | None = None,
    intrinsics: Any = None,
    focal: float | None = None,
    skeleton: str | None = None,
    name: str | None = None,
    say: Say = print_line,
) -> dict[str, tuple[int, ...]]:
    """Embed a store or a file and write the embeddings by modality; returns the shapes written.

    `valid` tells the rows that have all modalities asked for; one that lacks a modality is NaN there.

    Args:
        out: an .npz or .csv; of a view-invariant model also an index (.index) of one modality, to retrieve
            from.
        name: what the only modality is called in the file.

    Raises:
        FileNotFoundError, ValueError: as of `polypose.sources.embed_source`; an index has no place for a row
            without a person; `out` is what is read.
    """
    invariant = isinstance(model, ViewInvariant)
    check_ending(out, more=(INDEX,) if invariant else ())
    _keep(out, source)
    found = embed_source(
        model,
        source,
        modality,
        keypoints=keypoints,
        skeleton=skeleton,
        size=size,
        intrinsics=intrinsics,
        focal=focal,
        say=say,
    )
    by: dict[str, np.ndarray] = {name or known: x.numpy() for known, x in found.items()}
    valid = np.isfinite(np.concatenate(list(by.values()), axis=1)).all(1)
    if out.suffix != INDEX:
        more = {_COMPARED: model.compared.name} if invariant else {}
        return write_embeddings(out, by, valid, more)
    if len(by) > 1:
        raise ValueError(f"{out}: an index is of one modality; say which: --modality {' or '.join(by)}")
    if not valid.all():
        rows = frames_told(np.flatnonzero(~valid))
        raise ValueError(f"{source}: {rows} cannot be embedded, and an index has no gaps; write an .npz")
    ((called, vectors),) = by.items()
    index = model.index(vectors)
    out.parent.mkdir(parents=True, exist_ok=True)
    index.save(out, index.about)
    return {called: vectors.shape}


def retrieve_files(
    queries: Path, gallery: Path, out: Path, source: str, target: str, k: int
) -> tuple[int, ...]:
    """Retrieve among embeddings in files and write `row` and `cosine`, (N, K); returns their shape.

    Embeddings of a view-invariant model, which say so, are compared by `distance` instead. Places that the
    gallery cannot fill hold row -1.

    Raises:
        FileNotFoundError, ValueError: a file is not there, holds no such embeddings, or theirs are of models
            that compare otherwise, or `out` is one of them.
    """
    check_ending(out)
    _keep(out, queries, gallery)
    (asked, rule), (kept, other) = embedded_in(queries, source), embedded_in(gallery, target)
    if rule != other:
        raise ValueError(
            f"{gallery}: is compared by {other.name}, {queries} by {rule.name}; embed both with one model"
        )
    if asked.shape[1] != kept.shape[1]:
        told = f"are {asked.shape[1]} wide, those of {gallery} {kept.shape[1]}"
        raise ValueError(f"{queries}: embeddings {told}; embed both with one model")
    found = retrieve(asked, kept, k, rule)
    row, near = np.asarray(found.row), rule.told(torch.as_tensor(found.similarity)).numpy()
    write_embeddings(out, {"row": row, rule.name: near}, row[:, 0] >= 0)
    return tuple(row.shape)


def embedded_in(path: Path, modality: str) -> tuple[np.ndarray, Compared]:
    """Embeddings (N, D) by name in a file, and how they are compared.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds none of this name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; write one with polypose embed")
    try:
        arrays = load_npz_arrays(path)
    except ValueError:
        raise ValueError(f"{path}: is not a whole .npz; write one with polypose embed") from None
    names = [name for name in arrays if name not in ("valid", _COMPARED)]
    if modality not in names:
        held = ", ".join(names)[:80] or "nothing"
        raise ValueError(f"{path}: holds {held}, no {modality}; say which with --from and --to")
    values, rule = arrays[modality], RULES.get(str(arrays[_COMPARED])) if _COMPARED in arrays else COSINE
    if rule is None or values.dtype.kind != "f" or values.ndim != 2 or not values.shape[1]:
        told = f"{values.dtype} {values.shape}" if rule else f"compared by {str(arrays[_COMPARED])[:20]!r}"
        raise ValueError(f"{path}: {modality} is {told}, no embeddings; write one with polypose embed")
    return values, rule


def _keep(out: Path, *sources: Path) -> None:
    """Refuse to write over a file that is read; of folders nothing with such an ending is."""
    keep_input(out, *(source for source in sources if source.is_file()))


def _cells(points: Tensor, joints: Tensor) -> list[list[tuple[str, Any]]]:
    """People before a camera: keypoints within their box, and the pose."""
    rows: list[list[tuple[str, Any]]] = []
    for seen, pose in zip(points.numpy(), joints.numpy(), strict=True):
        flat = np.where(seen[:, 2:] > 0, seen[:, :2], np.nan)
        low, high = np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)
        rows.append([("2D", (flat - (low + high) / 2) / (max(high - low) / 2)), ("3D", pose)])
    return rows


def _body_cells(points: Tensor, joints: Tensor) -> list[list[tuple[str, Any]]]:
    """The same of people freed of the camera."""
    return [
        [("2D", drawing.flat(seen)), ("3D", drawing.upright(pose))]
        for seen, pose in zip(Normalised.of(points).keypoints, joints, strict=True)
    ]
