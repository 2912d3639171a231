"""A model on the views of pose stores: embedded, decoded along an arc."""

from __future__ import annotations

from pathlib import Path

import torch
from posedata.arrays import check_ending, write_poses
from posedata.figures import gallery as pictures
from posedata.keypoint_files import TORSO, Say, tell_invalid
from posedata.keypoints import convert_keypoints
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from posedata.views.recorded import RecordedViews, store_keypoints
from posedata.writing import write_png
from poseenc.interpolate import great_arc
from torch import Tensor

from polypose.config import Frame
from polypose.embedding import embedded
from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import POSE_SKELETON, Modality, modality_of
from polypose.samples import CAMERA, Sample


def store_sample(
    store: PoseStore, frame: Frame, keypoints: str = TRUE, images: bool = False, say: Say = print_line
) -> Sample:
    """Every view of a store, with its own keypoints (`keypoints_NAME`), as Human3.6M's joints.

    Joints are NaN where they are not valid, and of a store without 3D.

    Raises:
        ValueError: the store has no cameras, no such keypoints, or (where asked) no images.
    """
    views = RecordedViews(store, POSE_SKELETON, detectors=[keypoints], say=say)
    return Sample.of(views.views(images=["rgb"] if images else []), frame, keypoints)


def embed_views(
    model: Model | ViewInvariant,
    store: PoseStore,
    modalities: tuple[Modality, ...],
    keypoints: str = TRUE,
    say: Say = print_line,
) -> dict[Modality, Tensor]:
    """(N, D) by modality; NaN where a row holds nobody."""
    found: dict[Modality, Tensor] = {}
    if isinstance(model, ViewInvariant):
        for modality in modalities:
            model.require(modality)
            if modality == "3d":
                found[modality] = model.embed_joints(store_joints(store))
            else:
                points = store_keypoints(store, keypoints, say=say)
                found[modality] = model.embed_points(convert_keypoints(points, store.skeleton, model.takes))
    else:
        sample = store_sample(store, model.settings.frame, keypoints, images="image" in modalities, say=say)
        for modality in modalities:
            found[modality] = embedded(model.network, sample, modality, model.settings.batch).cpu()
    for modality, vectors in found.items():
        why = TORSO if modality == "2d" else ""
        tell_invalid(vectors.isfinite().all(1), f"no embedding of {modality}", say, why)
    return found


def embed_store(
    model: Model | ViewInvariant, store: Path, modality: str, keypoints: str = TRUE, say: Say = print_line
) -> dict[Modality, Tensor]:
    """(N, D) by modality of a store's views; NaN where a row holds nobody.

    Args:
        modality: one, or "all" that the store has.
    """
    wanted = model.modalities if modality == "all" else (modality_of(modality),)
    views = PoseStore.open(store)
    if modality == "all" and "image" not in views:
        wanted = tuple(m for m in wanted if m != "image")
    return embed_views(model, views, wanted, keypoints, say)


@torch.no_grad()
def interpolate_rows(model: Model, store: Path, first: int, last: int, out: Path, steps: int) -> Path:
    """Decode along the arc between two rows of a store; returns the picture's path."""
    picture = out.with_suffix(".png")
    check_ending(out, picture)
    views = PoseStore.open(store)
    for row in (first, last):
        if not 0 <= row < len(views):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(views) - 1}")
    embedding = embed_views(model, views, ("3d",))["3d"]
    for row in (first, last):
        if not bool(embedding[row].isfinite().all()):
            raise ValueError(f"{store}: row {row} has no whole 3D pose; give another")
    arc = great_arc(embedding[first], embedding[last], steps).to(model.device)
    poses = model.network.decode("3d", arc, "3d").cpu()
    frame = CAMERA if model.settings.frame != "aimed" else f"person-centred {CAMERA}"
    write_poses(out, poses.numpy(), POSE_SKELETON, frame, axes=("step",))
    cells = [[(f"{i / (steps - 1):.2f}", pose) for i, pose in enumerate(poses)]]
    write_png(picture, pictures(cells), bbox_inches="tight")
    return picture


def store_poses(model: Model | ViewInvariant, store: PoseStore) -> Tensor:
    """True poses (N, 17, 3), metres, as the model knows them; NaN where not known."""
    if isinstance(model, ViewInvariant):
        return model.torso * model.poses(store_joints(store))
    return store_sample(store, model.settings.frame, say=lambda text: None).joints


def store_joints(store: PoseStore) -> Tensor:
    """(N, 17, 3) of a store as it has them; NaN where not valid."""
    return store.skeleton.convert(torch.from_numpy(store.joints()), POSE_SKELETON)
