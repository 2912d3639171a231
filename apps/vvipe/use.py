"""What a trained V-VIPE does for a user's own data: embed, retrieve, lift, generate."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.keypoints import LARGEST, frames_told
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.recorded import store_keypoints
from poseenc.euclidean import gallery_on_sphere, queries_for_sphere
from poseenc.index import EmbeddingIndex
from torch import Tensor
from trainer.arrays import check_ending, write_embeddings, write_poses
from trainer.files import write_png
from trainer.keypoints import TORSO, Say, read_array, read_keypoints, tell_invalid
from trainer.results import write_results

from vvipe.data import Normalised
from vvipe.evaluate import embed_views
from vvipe.model import VVIPE
from vvipe.poses import POSE
from vvipe.poses import read_keypoints as as_thirteen
from vvipe.train import Trained, open_run, require_encoder

INDEX = ".index"
MOST = 100.0
"""By which noise around a pose may be multiplied."""
BODY = "body: hips along y, the right one ahead, spine up z, looking along -x; relative to the pelvis"


def embed_source(
    run: Path, source: Path, out: Path, modality: str, keypoints: str, skeleton: str, say: Say = print_line
) -> tuple[int, ...]:
    """Embed a store or a file and write the embeddings, `embedding` and `valid`: an .npz or .csv, or an index
    to retrieve from (`.index`), which has no place for a row without a person.

    Returns: the shape written.
    """
    check_ending(out, more=(INDEX,))
    embedded = embed_any(open_run(run), source, modality, keypoints, skeleton, say)
    valid = embedded.isfinite().all(1)
    if out.suffix == INDEX:
        if not bool(valid.all()):
            rows = frames_told((~valid).nonzero()[:, 0].numpy())
            raise ValueError(f"{source}: {rows} cannot be embedded, and an index has no gaps; write an .npz")
        out.parent.mkdir(parents=True, exist_ok=True)
        EmbeddingIndex(gallery_on_sphere(embedded)).save(out)
    else:
        write_embeddings(out, {"embedding": embedded.numpy()}, valid.numpy())
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
    say: Say = print_line,
) -> list[tuple[Any, ...]]:
    """Rows (query, gallery rows found, error of the first in mm where both are stores).

    Queries and rows of the gallery without a person are left out, and told.

    Args:
        k: how many to find; of a smaller gallery, all.
    """
    trained = open_run(run)
    query = embed_any(trained, queries, source, keypoints, skeleton, say)
    able = query.isfinite().all(1).nonzero()[:, 0]
    if gallery.suffix == INDEX:
        index = EmbeddingIndex.load(gallery)
        there = torch.arange(len(index))
    else:
        known = embed_any(trained, gallery, target, keypoints, skeleton, say)
        there = known.isfinite().all(1).nonzero()[:, 0]
        index = EmbeddingIndex(gallery_on_sphere(known[there]))
    if not len(index):
        raise ValueError(f"{gallery}: has no rows; give a gallery to retrieve from")
    found = there[index.search(queries_for_sphere(query[able]), min(k, len(index))).row]
    error = _errors(trained, queries, gallery, able, found[:, 0])
    rows: list[tuple[Any, ...]] = [
        (query_row, " ".join(map(str, row)), "" if error is None else float(error[i]))
        for i, (query_row, row) in enumerate(zip(able.tolist(), found.tolist(), strict=True))
    ]
    if json:
        records = [
            {"query": rows[i][0], "gallery": row}
            | ({} if error is None else {"pa_mpjpe_mm": float(error[i])})
            for i, row in enumerate(found.tolist())
        ]
        write_results(json, records)
    return rows


@torch.no_grad()
def lift(
    run: Path, keypoints: Path, out: Path, skeleton: str, picture: Path | None, say: Say = print_line
) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints`, metres of the universal skeleton in the body frame, and
    `valid`: a frame without a person (`posedata.keypoints.holds_person`) has NaN joints."""
    check_ending(out, picture)
    views = read_file(keypoints, skeleton, say)
    trained = open_run(run)
    require_encoder(trained)
    model = _vvipe(trained)
    valid = views.valid
    tell_invalid(valid, "no pose", say, TORSO)
    joints = torch.full((len(valid), len(POSE), 3), torch.nan)
    if bool(valid.any()):
        embedded = embed_views(model, views[valid], trained.recipe.evaluation.batch)
        joints[valid] = model.body.get().torso * model.decode(embedded)
    shape = write_poses(out, joints.numpy(), POSE, BODY, valid.numpy())
    if picture and bool(valid.any()):
        from vvipe import figures

        shown = valid.nonzero()[:6, 0].tolist()
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

    picture = out.with_suffix(".png")
    check_ending(out, picture)
    for amount in amounts:
        if not abs(amount) <= MOST:
            raise ValueError(f"--amount {amount:g}: give numbers up to {MOST:g}; the prior is 1 wide")
    trained = open_run(run)
    model = _vvipe(trained)
    torso = model.body.get().torso
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, model.config.dim, generator=generator)
    if store is None:
        poses, axes = torso * model.decode(directions), ["sample"]
        cells = [[(f"sample {i + 1}", figures.upright(pose)) for i, pose in enumerate(poses[:8])]]
    else:
        start = _pose_of(trained, store)
        if not 0 <= row < len(start):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(start) - 1}")
        if not bool(start[row].isfinite().all()):
            raise ValueError(f"{store}: row {row} has no whole pose; give another")
        poses, axes = torso * around(model, start[row], directions, amounts), ["direction", "amount"]
        cells = [
            [("pose", figures.upright(torso * start[row]))]
            + [(f"{a:g} z{i + 1}", figures.upright(p)) for a, p in zip(amounts, line, strict=True)]
            for i, line in enumerate(poses[:4])
        ]
    shape = write_poses(out, poses.numpy(), POSE, BODY, axes=axes)
    write_png(picture, figures.gallery(cells), bbox_inches="tight")
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
    trained: Trained, source: Path, modality: str, keypoints: str, skeleton: str, say: Say = print_line
) -> Float[Tensor, "N dim"]:
    """Embeddings of a store's views or poses, or of the keypoints or joints of an .npy; NaN where a row has
    no person (`Normalised.valid`, a pose that is not whole).

    Args:
        modality: `2d` or `3d`.
        keypoints: the store's column, keypoints_NAME.
        skeleton: of an .npy's keypoints.
        say: told which rows have none, and what the keypoints are taken for.
    """
    if modality not in ("2d", "3d"):
        raise ValueError(f"no modality is called {modality}; choose one of: 2d, 3d")
    batch = trained.recipe.evaluation.batch
    if modality == "3d":
        poses = _pose_of(trained, source)
        model = _vvipe(trained)
        valid = poses.isfinite().all(-1).all(-1)
        parts = [model.embed_pose(part) for part in poses[valid].split(batch)] if bool(valid.any()) else []
    else:
        require_encoder(trained)
        if _is_file(source):
            views = read_file(source, skeleton, say)
        else:
            store = PoseStore.open(source)
            views = Normalised.of(as_thirteen(store_keypoints(store, keypoints, say=say), store.skeleton))
        valid = views.valid
        parts = [embed_views(trained.model, views[valid], batch)] if bool(valid.any()) else []
    tell_invalid(valid, "no embedding", say, TORSO if modality == "2d" else "")
    if not parts:
        raise ValueError(f"{source}: no row holds a person; there is nothing to embed")
    found = torch.cat(parts)
    out = found.new_full((len(valid), found.shape[1]), torch.nan)
    out[valid] = found
    return out


def read_file(path: Path, skeleton: str, say: Say = print_line) -> Normalised:
    """Keypoints of an .npy: (N, K, 2), or (N, K, 3) with confidences; of confidence 0 where not seen.

    Raises:
        FileNotFoundError, ValueError: no such file, or not keypoints of that skeleton.
    """
    source = get_skeleton(skeleton)
    return Normalised.of(as_thirteen(read_keypoints(path, source, say=say), source))


def _pose_of(trained: Trained, source: Path) -> Float[Tensor, "N 17 3"]:
    """Poses as the model embeds them, of a store or of an .npy of (N, 17, 3) joints in any unit and frame;
    NaN where a joint of a store's pose is not valid."""
    if _is_file(source):
        joints = _joints(source)
    else:
        store = PoseStore.open(source)
        joints = torch.from_numpy(np.array(store.column("joints")))
        if "valid" in store:
            joints[~torch.from_numpy(np.array(store.column("valid")))] = torch.nan
        joints = store.skeleton.convert(joints, POSE)
    whole = joints.isfinite().all(-1).all(-1)
    poses = torch.full_like(joints, torch.nan)
    poses[whole] = trained.model.body.get().pose(joints[whole], trained.recipe.vae.align)
    return poses


def _joints(path: Path) -> Float[Tensor, "N 17 3"]:
    values = read_array(path, "joints")
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: holds {values.dtype} values, want numbers")
    if not values.size:
        raise ValueError(f"{path}: has no frame; give one pose at least")
    if values.ndim != 3 or values.shape[1:] != (len(POSE), 3):
        raise ValueError(f"{path}: shape is {values.shape}, want (N, {len(POSE)}, 3) of {POSE.name}")
    wrong = ~(np.abs(values) <= LARGEST).all(-1)
    if wrong.any():
        frame, joint = (int(i) for i in np.argwhere(wrong)[0])
        place = ", ".join(f"{x:.4g}" for x in values[frame, joint])
        raise ValueError(f"{path}: frame {frame}, {POSE.joints[joint]}: is at ({place}); leave the frame out")
    return torch.from_numpy(values.astype(np.float32))


def _errors(trained: Trained, queries: Path, gallery: Path, asked: Tensor, first: Tensor) -> Tensor | None:
    """PA-MPJPE in mm of what was found first for the queries asked, where both are stores of known poses."""
    from posedata.scoring.metrics import pa_mpjpe_mm

    if not (queries.is_dir() and gallery.is_dir()) or not len(first) or bool((first < 0).any()):
        return None
    torso = trained.model.body.get().torso
    return torso * pa_mpjpe_mm(_pose_of(trained, gallery)[first], _pose_of(trained, queries)[asked])


def _vvipe(trained: Trained) -> VVIPE:
    if not isinstance(trained.model, VVIPE):
        raise ValueError(
            f"{trained.run.path}: is a PR-VIPE run, which knows 2D keypoints alone; name a V-VIPE run"
        )
    return trained.model


def _is_file(source: Path) -> bool:
    """Whether it is to be read as an .npy; else it is a store."""
    return source.suffix == ".npy" or source.is_file()
