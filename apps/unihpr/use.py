"""What a trained UniHPR does for a user's own data: embed, retrieve, lift, interpolate."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from posedata.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from poseenc.index import EmbeddingIndex
from torch import Tensor
from trainer.files import write_npz, write_png
from trainer.results import write_results

from unihpr import figures
from unihpr.data import store_sample
from unihpr.evaluate import embed
from unihpr.interpolate import great_arc
from unihpr.model import MODALITIES, Modality, UniHPR
from unihpr.recipe import Recipe
from unihpr.samples import Sample, from_keypoints
from unihpr.train import open_run


def embed_store(
    run: Path, store: Path, out: Path, modality: str, keypoints: str
) -> dict[str, tuple[int, ...]]:
    """Embed a store's views and write them to an .npz; returns the shapes written."""
    trained = open_run(run, with_data=False)
    wanted = MODALITIES if modality == "all" else (_modality(modality),)
    views = PoseStore.open(store)
    if modality == "all" and "image" not in views:
        wanted = tuple(m for m in wanted if m != "image")
    found = _embed(trained.model, trained.recipe, views, wanted, keypoints)
    return _save(out, {name: x.numpy() for name, x in found.items()})


def retrieve_views(
    run: Path, queries: Path, gallery: Path, source: str, target: str, k: int, json: Path | None
) -> list[tuple[Any, ...]]:
    """Rows (query, gallery rows, cosine of the first, its error in mm) for every query view."""
    trained = open_run(run, with_data=False)
    asked, kept = PoseStore.open(queries), PoseStore.open(gallery)
    from_, to = _modality(source), _modality(target)
    query = _embed(trained.model, trained.recipe, asked, (from_,))[from_]
    index = EmbeddingIndex(_embed(trained.model, trained.recipe, kept, (to,))[to])
    found = index.search(query, min(k, len(index)))
    truth = store_sample(asked, trained.recipe.data.frame).joints
    first = store_sample(kept, trained.recipe.data.frame).joints[found.row[:, 0]]
    error = (truth - first).norm(dim=-1).mean(-1) * 1000
    nearest, cosine = found.row.tolist(), found.similarity.tolist()
    rows = [
        (i, " ".join(map(str, nearest[i])), f"{cosine[i][0]:.3f}", float(error[i])) for i in range(len(query))
    ]
    if json:
        records = [
            {"query": i, "gallery": nearest[i], "cosine": cosine[i], "mpjpe_mm": row[3]}
            for i, row in enumerate(rows)
        ]
        write_results(json, records, data=kept.fingerprint)
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
) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints`; returns its shape.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or not (N, J, 2 or 3) of that skeleton.
    """
    trained = open_run(run, with_data=False)
    points = _read_keypoints(keypoints, skeleton)
    width, height = size
    # Without a calibration: 60 degrees across, about what a phone or a webcam sees.
    if width < 1 or height < 1 or (focal is not None and focal <= 0):
        raise ValueError(f"--size {width} {height}, --focal {focal}: give pixels above 0")
    length = focal or width / (2 * np.tan(np.pi / 6))
    camera = Camera(
        torch.tensor([length, length], dtype=torch.float32),
        torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float32),
        torch.eye(3),
        torch.zeros(3),
        size=size,
    )
    sample = from_keypoints(points, camera, frame=trained.recipe.data.frame)
    embedding = embed(trained.model, sample, trained.recipe.evaluation.batch, ("2d",))["2d"]
    if hypotheses:
        steps, sampler = trained.recipe.evaluation.sampler_steps, trained.recipe.evaluation.sampler
        generator = torch.Generator().manual_seed(0)
        joints = trained.model.sample(
            "3d", embedding, "2d", hypotheses=hypotheses, steps=steps, sampler=sampler, generator=generator
        )
    else:
        joints = trained.model.decode("3d", embedding, "2d")
    joints = joints @ sample.rotation
    shapes = _save(out, {"joints": joints.numpy()})
    if picture:
        shown = joints[0] if hypotheses else joints
        cells = [[("2D", sample.keypoints[i]), ("3D", shown[i])] for i in range(min(6, len(shown)))]
        write_png(picture, figures.gallery(cells), bbox_inches="tight")
    return shapes["joints"]


@torch.no_grad()
def interpolate_rows(run: Path, store: Path, first: int, last: int, out: Path, steps: int) -> Path:
    """Decode along the arc between two rows of a store; returns the picture's path."""
    trained = open_run(run, with_data=False)
    views = PoseStore.open(store)
    for row in (first, last):
        if not 0 <= row < len(views):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(views) - 1}")
    embedding = _embed(trained.model, trained.recipe, views, ("3d",))["3d"]
    poses = trained.model.decode("3d", great_arc(embedding[first], embedding[last], steps), "3d")
    _save(out, {"joints": poses.numpy()})
    picture = out.with_suffix(".png")
    cells = [[(f"{i / (steps - 1):.2f}", pose) for i, pose in enumerate(poses)]]
    write_png(picture, figures.gallery(cells), bbox_inches="tight")
    return picture


@torch.no_grad()
def _embed(
    model: UniHPR, recipe: Recipe, store: PoseStore, modalities: tuple[Modality, ...], keypoints: str = "true"
) -> dict[Modality, Tensor]:
    sample: Sample = store_sample(store, recipe.data.frame, keypoints, images="image" in modalities)
    return embed(model, sample, recipe.evaluation.batch, modalities)


def _modality(name: str) -> Modality:
    for modality in MODALITIES:
        if modality == name:
            return modality
    raise ValueError(f"no modality is called {name}; choose one of: {', '.join(MODALITIES)}")


def _read_keypoints(path: Path, skeleton: str) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give an .npy of keypoints")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: is no .npy array ({str(error)[:80]}); save one with numpy.save") from None
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{path}: is an .npz; save its keypoints alone, as .npy")
    source, target = get_skeleton(skeleton), get_skeleton("h36m17")
    if values.ndim != 3 or values.shape[1] != len(source) or values.shape[2] not in (2, 3):
        raise ValueError(
            f"{path}: shape is {values.shape}, want (N, {len(source)}, 2 or 3) for {skeleton}; "
            "name its skeleton with --skeleton"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: holds NaN or infinity; give missing joints confidence 0")
    points = torch.from_numpy(values.astype(np.float32))
    return points if skeleton == "h36m17" else source.convert(points, target, lossy=True)


def _save(out: Path, arrays: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    write_npz(out, **arrays)
    return {name: array.shape for name, array in arrays.items()}
