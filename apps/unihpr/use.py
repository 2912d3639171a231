"""What a trained UniHPR does for a user's own data: embed, retrieve, lift, interpolate."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints, holds_person
from posedata.plausible import check_focal
from posedata.results import write_results
from posedata.scoring.retrieval import in_words, score_retrieval
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import GIVEN, given
from posedata.writing import write_png
from poseenc.index import EmbeddingIndex
from poseenc.interpolate import great_arc
from posetrain import figures
from posetrain.arrays import check_ending, write_embeddings, write_poses
from posetrain.keypoints import TORSO, Say, read_keypoints, tell_invalid
from torch import Tensor

from unihpr.data import SKELETON, store_sample
from unihpr.evaluate import embed
from unihpr.model import MODALITIES, Modality, UniHPR
from unihpr.recipe import Recipe
from unihpr.samples import Frame, Sample
from unihpr.task import open_run

POSE = get_skeleton(SKELETON)
CAMERA = "camera: x right, y down, z forward; relative to the pelvis"


def embed_store(
    run: Path, store: Path, out: Path, modality: str, keypoints: str, say: Say = print_line
) -> dict[str, tuple[int, ...]]:
    """Embed a store's views and write them to an .npz or .csv; returns the shapes written.

    `valid` tells the rows that have all modalities asked for; one that lacks a modality is NaN there.
    """
    check_ending(out)
    wanted = MODALITIES if modality == "all" else (_modality(modality),)
    trained = open_run(run)
    views = PoseStore.open(store)
    if modality == "all" and "image" not in views:
        wanted = tuple(m for m in wanted if m != "image")
    found = _embed(trained.model, trained.recipe, views, wanted, keypoints, say)
    valid = torch.stack([x.isfinite().all(1) for x in found.values()]).all(0)
    return write_embeddings(out, {name: x.numpy() for name, x in found.items()}, valid.numpy())


def retrieve_views(
    run: Path,
    queries: Path,
    gallery: Path,
    source: str,
    target: str,
    k: int,
    json: Path | None,
    say: Say = print_line,
) -> list[tuple[Any, ...]]:
    """Rows (query, gallery rows, cosine of the first, its error in mm) for every query view that holds a
    person; the error is empty where a true pose is not known."""
    from_, to = _modality(source), _modality(target)
    trained = open_run(run)
    asked, kept = PoseStore.open(queries), PoseStore.open(gallery)
    query = _embed(trained.model, trained.recipe, asked, (from_,), say=say)[from_]
    known = _embed(trained.model, trained.recipe, kept, (to,), say=say)[to]
    able, there = (x.isfinite().all(1).nonzero()[:, 0] for x in (query, known))
    if not len(there):
        raise ValueError(f"{gallery}: no view has {to}; give a gallery with some")
    index = EmbeddingIndex(known[there])
    found = index.search(query[able], min(k, len(index)))
    gallery_rows = there[found.row]
    truth, first = (_poses(store, trained.recipe.data.frame) for store in (asked, kept))
    scores = score_retrieval(truth[able], first, gallery_rows, POSE, sorted({1, 5, 10, 20, k}))
    say(in_words(scores))
    apart = (truth[able] - first[gallery_rows[:, 0]]).norm(dim=-1).mean(-1) * 1000
    error = [None if np.isnan(mm) else mm for mm in apart.tolist()]
    nearest, cosine = gallery_rows.tolist(), found.similarity.tolist()
    rows = [
        (row, " ".join(map(str, nearest[i])), f"{cosine[i][0]:.3f}", "" if error[i] is None else error[i])
        for i, row in enumerate(able.tolist())
    ]
    if json:
        records = [
            {"query": row[0], "gallery": nearest[i], "cosine": cosine[i], "mpjpe_mm": error[i]}
            for i, row in enumerate(rows)
        ]
        write_results(json, records, data=kept.fingerprint, overall=scores)
    return rows


@torch.no_grad()
def lift_keypoints(
    run: Path,
    keypoints: Path,
    out: Path,
    size: tuple[int, int],
    focal: float | None,
    skeleton: str,
    hypotheses: int,
    picture: Path | None,
    say: Say = print_line,
) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints` and `valid`; returns the joints' shape.

    A frame without a person (`posedata.keypoints.holds_person`) is not valid, its joints are NaN.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or no keypoints of that skeleton in pixels;
            the size or the focal length cannot be; `out` does not end in .npz or .csv.
    """
    check_ending(out, picture)
    camera = _camera(size, focal, say)
    source = get_skeleton(skeleton)
    points = convert_keypoints(read_keypoints(keypoints, source, size, say), source, POSE)
    valid = holds_person(points, POSE)
    trained = open_run(run)
    sample = Sample.of(given(points[valid], camera), trained.recipe.data.frame, GIVEN)
    tell_invalid(valid, "no pose", say, TORSO)
    shape = (*((hypotheses,) if hypotheses else ()), len(points), len(POSE), 3)
    joints = torch.full(shape, torch.nan)
    if bool(valid.any()):
        joints[..., valid, :, :] = _lifted(trained.model, trained.recipe, sample, hypotheses)
    axes = ("hypothesis", "frame") if hypotheses else ("frame",)
    write_poses(out, joints.numpy(), POSE, CAMERA, valid.numpy(), axes)
    if picture:
        shown = (joints[0] if hypotheses else joints)[valid]
        cells = [[("2D", sample.keypoints[i]), ("3D", shown[i])] for i in range(min(6, len(shown)))]
        if cells:
            write_png(picture, figures.gallery(cells), bbox_inches="tight")
    return shape


def _camera(size: tuple[int, int], focal: float | None, say: Say) -> Camera:
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"--size {width} {height}: give pixels above 0")
    if focal is not None:
        for warning in check_focal(focal, size):
            say(f"warning: {warning}")
    # Without a calibration: 60 degrees across, about what a phone or a webcam sees.
    length = focal or width / (2 * np.tan(np.pi / 6))
    return Camera(
        torch.tensor([length, length], dtype=torch.float32),
        torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float32),
        torch.eye(3),
        torch.zeros(3),
        size=size,
    )


def _lifted(model: UniHPR, recipe: Recipe, sample: Sample, hypotheses: int) -> Tensor:
    """([hypotheses,] N, J, 3) in the camera's frame."""
    embedding = embed(model, sample, recipe.evaluation.batch, ("2d",))["2d"]
    if not hypotheses:
        return model.decode("3d", embedding, "2d") @ sample.rotation
    steps, sampler = recipe.evaluation.sampler_steps, recipe.evaluation.sampler
    generator = torch.Generator().manual_seed(0)
    drawn = model.sample(
        "3d", embedding, "2d", hypotheses=hypotheses, steps=steps, sampler=sampler, generator=generator
    )
    return drawn @ sample.rotation


@torch.no_grad()
def interpolate_rows(run: Path, store: Path, first: int, last: int, out: Path, steps: int) -> Path:
    """Decode along the arc between two rows of a store; returns the picture's path."""
    picture = out.with_suffix(".png")
    check_ending(out, picture)
    trained = open_run(run)
    views = PoseStore.open(store)
    for row in (first, last):
        if not 0 <= row < len(views):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(views) - 1}")
    embedding = _embed(trained.model, trained.recipe, views, ("3d",))["3d"]
    for row in (first, last):
        if not bool(embedding[row].isfinite().all()):
            raise ValueError(f"{store}: row {row} has no whole 3D pose; give another")
    poses = trained.model.decode("3d", great_arc(embedding[first], embedding[last], steps), "3d")
    frame = CAMERA if trained.recipe.data.frame != "aimed" else f"person-centred {CAMERA}"
    write_poses(out, poses.numpy(), POSE, frame, axes=("step",))
    cells = [[(f"{i / (steps - 1):.2f}", pose) for i, pose in enumerate(poses)]]
    write_png(picture, figures.gallery(cells), bbox_inches="tight")
    return picture


@torch.no_grad()
def _embed(
    model: UniHPR,
    recipe: Recipe,
    store: PoseStore,
    modalities: tuple[Modality, ...],
    keypoints: str = "true",
    say: Say = print_line,
) -> dict[Modality, Tensor]:
    """(N, D) by modality; NaN where a row holds nobody."""
    sample: Sample = store_sample(store, recipe.data.frame, keypoints, images="image" in modalities, say=say)
    found: dict[Modality, Tensor] = {}
    for modality in modalities:
        able = sample.holds(modality)
        tell_invalid(able, f"no embedding of {modality}", say, TORSO if modality == "2d" else "")
        some = sample if bool(able.all()) else sample[able]
        part = embed(model, some, recipe.evaluation.batch, (modality,))[modality] if len(some) else None
        found[modality] = torch.full((len(sample), recipe.model.dim), torch.nan)
        if part is not None:
            found[modality][able] = part
    return found


def _poses(store: PoseStore, frame: Frame) -> Tensor:
    """True poses (N, J, 3) as the encoders see them."""
    return store_sample(store, frame, say=lambda text: None).joints


def _modality(name: str) -> Modality:
    for modality in MODALITIES:
        if modality == name:
            return modality
    raise ValueError(f"no modality is called {name}; choose one of: {', '.join(MODALITIES)}")
