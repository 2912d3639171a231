"""A V-VIPE small enough for tests: its recipe as overrides; a store of several cameras."""

from pathlib import Path

import numpy as np
import torch
from posedata.store import PoseStore, write_store
from posedata.views import get_rig, sample_cameras
from posetrain.recipe import load_recipe
from vvipe.recipe import RECIPES, Recipe

H36M_CAMERAS = ("54138969", "55011271", "58860488")

TINY = (
    "data.train_poses=200",
    "data.test_poses=30",
    "data.synthetic={subjects: 3, test_subjects: 1, clips: 2, frames: 40}",
    "model.hidden=32",
    "model.dim=8",
    "vae={steps: 8, batch: 32}",
    "mapping={steps: 6, batch: 16}",
    "matching={steps: 4, batch: 16, dim: 4, draws: 3}",
    "evaluation.hits=[1, 10]",
    "loop.checkpoint_every=2",
    "loop.log_every=1",
    "loop.trackers=[]",
    "loop.precision=no",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The quickstart recipe, made tiny."""
    return load_recipe("quickstart", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)


def overrides(cache: Path, *more: str) -> list[str]:
    """The same as options of a command."""
    return [part for item in (*TINY, f"data.cache={cache}", *more) for part in ("--set", item)]


def camera_store(path: Path, frames: int = 5, names: tuple[str, ...] = H36M_CAMERAS) -> PoseStore:
    """As Human3.6M's store: two subjects, all frames seen by three cameras but one view of the last."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(2 * frames, 17, 3, generator=generator) * 0.4
    camera = sample_cameras(joints[:3], get_rig("mocap"), generator)
    pose, view = (x.reshape(-1) for x in np.meshgrid(np.arange(2 * frames), np.arange(3), indexing="ij"))
    order = np.random.default_rng(0).permutation(len(pose) - 1)
    pose, view = pose[order], view[order]
    pixels = camera[torch.from_numpy(view)].project(joints[torch.from_numpy(pose)])
    columns = {
        "joints": joints.numpy()[pose],
        "keypoints_true": torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1).numpy(),
        "camera": view.astype(np.int32),
        "subject": (pose // frames).astype(np.int32),
        "sequence": np.zeros(len(pose), dtype=np.int32),
        "frame": (pose % frames).astype(np.int32),
        "camera_focal": camera.focal.numpy(),
        "camera_centre": camera.centre.numpy(),
        "camera_rotation": camera.rotation.numpy(),
        "camera_translation": camera.translation.numpy(),
        "camera_distortion": np.zeros((3, 5), dtype=np.float32),
        "camera_size": np.full((3, 2), 1000, dtype=np.int32),
    }
    meta = {"skeleton": "h36m17", "fps": 50.0, "source": "made", "licence": "none", "format": "h36m"}
    meta |= {"subjects": ["S9", "S11"], "sequences": ["Walking"], "actions": [], "cameras": list(names)}
    write_store(path, columns, meta)
    return PoseStore.open(path)
