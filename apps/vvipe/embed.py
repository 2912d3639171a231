"""Embeddings of what a user hands in: a store's views or poses, or a file of keypoints or joints."""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from posedata.keypoint_files import TORSO, Say, read_joints, read_keypoints, tell_invalid
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.recorded import store_keypoints
from poseenc.canonical import POSE
from poseenc.canonical import read_keypoints as as_thirteen
from poseenc.index import EmbeddingIndex
from poseenc.seen import Normalised
from poseenc.vvipe import VVIPE, Model, embed_views
from posetrain.lifecycle import Trained
from torch import Tensor

from vvipe.data import Data
from vvipe.recipe import Recipe

VVIPERun = Trained[Recipe, Model, Data]


def has_encoder(trained: VVIPERun) -> bool:
    """Whether a run embeds keypoints, and not only 3D poses, as after stage 1."""
    return trained.stages != {"vae"}


def require_encoder(trained: VVIPERun) -> None:
    """Raise a ValueError that says what to do where a run does not embed keypoints yet."""
    if not has_encoder(trained):
        raise ValueError(
            f"{trained.run.path}: has only the autoencoder; go on with train --stage mapping --resume"
        )


def require_vvipe(trained: VVIPERun) -> VVIPE:
    """The model of a run that knows 3D poses too; a ValueError where it does not."""
    if not isinstance(trained.model, VVIPE):
        raise ValueError(
            f"{trained.run.path}: is a PR-VIPE run, which knows 2D keypoints alone; name a V-VIPE run"
        )
    return trained.model


@torch.no_grad()
def embed_any(
    trained: VVIPERun, source: Path, modality: str, keypoints: str, skeleton: str, say: Say = print_line
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
        poses = poses_of(trained, source)
        model = require_vvipe(trained)
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


def made_by(trained: VVIPERun) -> dict[str, str]:
    """What an index says of the run that made it: its name, a digest of its weights, its skeleton."""
    digest = hashlib.sha256()
    for name, value in sorted(trained.model.state_dict().items()):
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return {"run": trained.run.name, "weights": digest.hexdigest(), "skeleton": POSE.name}


def require_own(trained: VVIPERun, index: EmbeddingIndex, path: Path, say: Say = print_line) -> None:
    """Raise a ValueError where another run made an index; say so where the index does not tell."""
    if not index.about:
        say(f"warning: {path}: does not say which run made it; embed again, with {trained.run.path}")
        return
    here = made_by(trained)
    if any(index.about.get(key) != here[key] for key in ("weights", "skeleton")):
        told = [
            f"run {about.get('run')} (weights {about.get('weights', '')[:12]}, {about.get('skeleton')})"
            for about in (index.about, here)
        ]
        raise ValueError(
            f"{path}: was made by {told[0]}, and is asked by {told[1]}; embed the gallery with"
            f" {trained.run.path}, or name the run that made it"
        )


def read_file(
    path: Path, skeleton: str, say: Say = print_line, size: tuple[int, int] | None = None
) -> Normalised:
    """Keypoints of an .npy: (N, K, 2), or (N, K, 3) with confidences; of confidence 0 where not seen.

    Raises:
        FileNotFoundError, ValueError: no such file, or not keypoints of that skeleton.
    """
    source = get_skeleton(skeleton)
    return Normalised.of(as_thirteen(read_keypoints(path, source, size, say), source))


def poses_of(trained: VVIPERun, source: Path) -> Float[Tensor, "N 17 3"]:
    """Poses as the model embeds them, of a store or of an .npy of (N, 17, 3) joints in any unit and frame;
    NaN where a joint of a store's pose is not valid."""
    if _is_file(source):
        joints = read_joints(source, POSE)
    else:
        store = PoseStore.open(source)
        joints = store.skeleton.convert(torch.from_numpy(store.joints()), POSE)
    whole = joints.isfinite().all(-1).all(-1)
    poses = torch.full_like(joints, torch.nan)
    poses[whole] = trained.model.body.get().pose(joints[whole], trained.recipe.vae.align)
    return poses


def _is_file(source: Path) -> bool:
    """Whether it is to be read as an .npy; else it is a store."""
    return source.suffix == ".npy" or source.is_file()
