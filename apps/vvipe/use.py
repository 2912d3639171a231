"""What a trained V-VIPE does for a user's own data: embed, retrieve, lift, generate."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from poseenc.euclidean import gallery_on_sphere, queries_for_sphere
from poseenc.index import EmbeddingIndex
from torch import Tensor
from trainer.files import write_npz, write_png
from trainer.results import write_results

from vvipe.data import Views
from vvipe.evaluate import embed_views
from vvipe.model import VVIPE
from vvipe.poses import POSE, normalise, read_keypoints
from vvipe.train import Trained, need_eyes, open_run

INDEX = ".index"


def embed_source(
    run: Path, source: Path, out: Path, modality: str, keypoints: str, skeleton: str
) -> tuple[int, ...]:
    """Embed a store or a file and write the embeddings: an .npz, or an index to retrieve from (`.index`).

    Returns: the shape written.
    """
    embedded = embed_any(open_run(run), source, modality, keypoints, skeleton)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == INDEX:
        EmbeddingIndex(gallery_on_sphere(embedded)).save(out)
    else:
        _save(out, {"embedding": embedded})
    return tuple(embedded.shape)


def retrieve(
    run: Path,
    queries: Path,
    gallery: Path,
    source: str,
    target: str,
    k: int,
    keypoints: str,
    skeleton: str,
    json: Path | None,
) -> list[tuple[Any, ...]]:
    """Rows (query, gallery rows found, error of the first in mm where both are stores).

    Args:
        k: how many to find; of a smaller gallery, all.
    """
    trained = open_run(run)
    query = embed_any(trained, queries, source, keypoints, skeleton)
    if gallery.suffix == INDEX:
        index = EmbeddingIndex.load(gallery)
    else:
        index = EmbeddingIndex(gallery_on_sphere(embed_any(trained, gallery, target, keypoints, skeleton)))
    if not len(index):
        raise ValueError(f"{gallery}: has no rows; give a gallery to retrieve from")
    found = index.search(queries_for_sphere(query), min(k, len(index))).row
    error = _errors(trained, queries, gallery, found[:, 0])
    rows = [
        (i, " ".join(map(str, row)), "" if error is None else float(error[i]))
        for i, row in enumerate(found.tolist())
    ]
    if json:
        records = [
            {"query": i, "gallery": row} | ({} if error is None else {"pa_mpjpe_mm": float(error[i])})
            for i, row in enumerate(found.tolist())
        ]
        write_results(json, records)
    return rows


@torch.no_grad()
def lift(run: Path, keypoints: Path, out: Path, skeleton: str, picture: Path | None) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints`: metres of the universal skeleton, in the body frame."""
    trained = open_run(run)
    need_eyes(trained)
    model = _vvipe(trained)
    views = read_file(keypoints, skeleton)
    embedded = embed_views(model, views, trained.recipe.evaluation.batch)
    joints = model.body.get().torso * model.decode(embedded)
    shape = _save(out, {"joints": joints})["joints"]
    if picture:
        from vvipe import figures

        shown = range(min(6, len(joints)))
        rows = [[("2D", figures.flat(views.keypoints[i])), ("3D", figures.upright(joints[i]))] for i in shown]
        write_png(picture, figures.gallery(rows), bbox_inches="tight")
    return shape


@torch.no_grad()
def generate(
    run: Path, out: Path, store: Path | None, row: int, amounts: list[float], count: int, seed: int
) -> tuple[int, ...]:
    """Poses around a pose of a store, or of the prior where no store is given; also a picture beside them.

    Around a pose: `count` directions z, each by the amounts α of μ + α z (section 4.6): (count, A, 17, 3).
    Of the prior: (count, 17, 3). Metres, in the body frame.
    """
    from vvipe import figures

    trained = open_run(run)
    model = _vvipe(trained)
    torso = model.body.get().torso
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, model.config.dim, generator=generator)
    if store is None:
        poses = torso * model.decode(directions)
        cells = [[(f"sample {i + 1}", figures.upright(pose)) for i, pose in enumerate(poses[:8])]]
    else:
        start = _pose_of(trained, store)
        if not 0 <= row < len(start):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(start) - 1}")
        poses = torso * around(model, start[row], directions, amounts)
        cells = [
            [("pose", figures.upright(torso * start[row]))]
            + [(f"{a:g} z{i + 1}", figures.upright(p)) for a, p in zip(amounts, line, strict=True)]
            for i, line in enumerate(poses[:4])
        ]
    shape = _save(out, {"joints": poses})["joints"]
    write_png(out.with_suffix(".png"), figures.gallery(cells), bbox_inches="tight")
    return shape


def around(
    model: VVIPE, pose: Float[Tensor, "J 3"], directions: Float[Tensor, "Z dim"], amounts: list[float]
) -> Float[Tensor, "Z A J 3"]:
    """Decoded μ + α z for every direction z and amount α."""
    mean = model.embed_pose(pose[None])
    noisy = mean + directions[:, None] * directions.new_tensor(amounts)[:, None]
    return model.decode(noisy.flatten(0, 1)).unflatten(0, noisy.shape[:2])


@torch.no_grad()
def embed_any(
    trained: Trained, source: Path, modality: str, keypoints: str, skeleton: str
) -> Float[Tensor, "N dim"]:
    """Embeddings of a store's views or poses, or of the keypoints or joints of an .npy.

    Args:
        modality: `2d` or `3d`.
        keypoints: the store's column, keypoints_NAME.
        skeleton: of an .npy's keypoints.
    """
    if modality not in ("2d", "3d"):
        raise ValueError(f"no modality is called {modality}; choose one of: 2d, 3d")
    batch = trained.recipe.evaluation.batch
    if modality == "3d":
        poses = _pose_of(trained, source)
        model = _vvipe(trained)
        return torch.cat([model.embed_pose(part) for part in poses.split(batch)])
    need_eyes(trained)
    if _is_file(source):
        return embed_views(trained.model, read_file(source, skeleton), batch)
    store = PoseStore.open(source)
    name = f"keypoints_{keypoints}"
    if name not in store:
        raise ValueError(f"{source}: has no column {name}; make views with 'posedata views', or name others")
    points = read_keypoints(torch.from_numpy(np.array(store.column(name))), store.skeleton)
    return embed_views(trained.model, _as_views(points), batch)


def read_file(path: Path, skeleton: str) -> Views:
    """Keypoints of an .npy: (N, K, 2), or (N, K, 3) with confidences; of confidence 0 where not seen.

    Raises:
        FileNotFoundError, ValueError: no such file, or not keypoints of that skeleton.
    """
    values, source = _read(path), get_skeleton(skeleton)
    if values.ndim != 3 or values.shape[1] != len(source) or values.shape[2] not in (2, 3):
        raise ValueError(
            f"{path}: shape is {values.shape}, want (N, {len(source)}, 2 or 3) for {skeleton}; "
            "name its skeleton with --skeleton"
        )
    return _as_views(read_keypoints(torch.from_numpy(values), source))


def _as_views(points: Float[Tensor, "N 13 C"]) -> Views:
    sure = points[..., 2] if points.shape[-1] == 3 else torch.ones_like(points[..., 0])
    return Views(normalise(points[..., :2]), sure)


def _pose_of(trained: Trained, source: Path) -> Float[Tensor, "N 17 3"]:
    """Poses as the model embeds them, of a store or of an .npy of (N, 17, 3) joints in any unit and frame."""
    if _is_file(source):
        values = _read(source)
        if values.shape[1:] != (len(POSE), 3):
            raise ValueError(f"{source}: shape is {values.shape}, want (N, {len(POSE)}, 3) of {POSE.name}")
        joints = torch.from_numpy(values)
    else:
        store = PoseStore.open(source)
        joints = torch.from_numpy(np.array(store.column("joints")))
        joints = store.skeleton.convert(joints, POSE)
    return trained.model.body.get().pose(joints, trained.recipe.vae.align)


def _errors(trained: Trained, queries: Path, gallery: Path, first: Tensor) -> Tensor | None:
    """PA-MPJPE in mm of what was found first, where both are stores of known poses."""
    from posedata.metrics import pa_mpjpe_mm

    if not (queries.is_dir() and gallery.is_dir()) or not len(first) or bool((first < 0).any()):
        return None
    torso = trained.model.body.get().torso
    return torso * pa_mpjpe_mm(_pose_of(trained, gallery)[first], _pose_of(trained, queries))


def _vvipe(trained: Trained) -> VVIPE:
    if not isinstance(trained.model, VVIPE):
        raise ValueError(
            f"{trained.run.path}: is a PR-VIPE run, which knows 2D keypoints alone; name a V-VIPE run"
        )
    return trained.model


def _is_file(source: Path) -> bool:
    """Whether it is to be read as an .npy; else it is a store."""
    return source.suffix == ".npy" or source.is_file()


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give an .npy")
    try:
        with path.open("rb") as file:
            values = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile):
        raise ValueError(f"{path}: not a whole .npy of numbers; write one with numpy.save") from None
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{path}: is an .npz of {', '.join(values)}; save one of them as .npy")
    if not values.size:
        raise ValueError(f"{path}: is empty; give one pose at least")
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(f"{path}: holds NaN, infinity or no numbers; give missing joints confidence 0")
    return values.astype(np.float32)


def _save(out: Path, arrays: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    write_npz(out, **{name: x.numpy() for name, x in arrays.items()})
    return {name: tuple(x.shape) for name, x in arrays.items()}
