"""Joints of the people in recorded RGB-D, by a teacher that sees their points alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from posedata.keypoints import convert_keypoints
from posedata.skeleton import Skeleton, get_skeleton
from posedata.writing import write_npz, write_text
from torch import Tensor

from .isolate import CONFIDENT
from .losses import ray_loss
from .ops import subsample
from .recorded import Seen, follow
from .teacher import Teacher

COCO = get_skeleton("coco17")
UNIT = "metres, camera frame, y down"
Middle = Callable[[Float[Tensor, "D P J 3"]], Float[Tensor, "P J 3"]]
"""Of several poses of each person, one."""


@dataclass(frozen=True)
class Prediction:
    """P people in F frames.

    Attributes:
        joints: (P, J, 3) metres, each frame's camera frame (x right, y down, z forward).
        frame: (P,) number of the frame; person: (P,) who, counted through the recording.
        keypoints: (P, 17, 3) COCO-17 pixels and confidence that were used; zeros where none were.
        box: (P, 4) the square that was looked at, pixels of the depth image.
        points: (P, N, 3) the person's points.
        names: of the F frames.
        skeleton: of the joints.
    """

    joints: Float32[np.ndarray, "P J 3"]
    frame: Int[np.ndarray, " P"]
    person: Int[np.ndarray, " P"]
    keypoints: Float32[np.ndarray, "P 17 3"]
    box: Float32[np.ndarray, "P 4"]
    points: Float32[np.ndarray, "P N 3"]
    names: tuple[str, ...]
    skeleton: Skeleton

    def save(self, path: Path) -> None:
        """Write .npz (every array, `skeleton`, `joint_names`, `unit`, the frames' `names`), or .json (a list
        of people with named joints).

        Raises:
            ValueError: another ending.
        """
        check_ending(path)
        about = {"skeleton": self.skeleton.name, "unit": UNIT}
        if path.suffix == ".json":
            write_text(path, json.dumps({**about, "people": self._people()}, indent=1) + "\n")
            return
        arrays = {n: getattr(self, n) for n in ("joints", "frame", "person", "keypoints", "box", "points")}
        texts = {**about, "joint_names": self.skeleton.joints, "names": self.names}
        write_npz(path, **{name: np.array(value) for name, value in texts.items()}, **arrays)

    def _people(self) -> list[dict[str, Any]]:
        return [
            {
                "frame": self.names[self.frame[i]],
                "person": int(self.person[i]),
                "joints": dict(zip(self.skeleton.joints, self.joints[i].round(4).tolist(), strict=True)),
                "box": self.box[i].round(1).tolist(),
            }
            for i in range(len(self.joints))
        ]


def check_ending(path: Path) -> None:
    """Raise ValueError unless `Prediction.save` can write there."""
    if path.suffix not in (".npz", ".json"):
        raise ValueError(f"{path}: write to a file that ends in .npz or .json")


def predict_people(
    teacher: Teacher,
    seen: list[Seen],
    names: tuple[str, ...],
    skeleton: Skeleton,
    middle: Middle,
    *,
    frames: int,
    points: int,
    draws: int = 9,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Prediction:
    """Everybody's joints in every frame.

    A network that has not made up its mind, e.g. which way somebody faces, says another thing of another
    choice of points. So it is asked `draws` times, and of what it said, as it is and with left and right
    exchanged, the pose is taken that lies nearest to the lines of sight of the 2D joints; without these, the
    `middle` one.

    Args:
        teacher: of clips of `frames` frames, with `points` points each.
        seen: from `see_people`.
        names: of the recording's frames.
        skeleton: of the teacher's joints.
        middle: which of the draws is taken, e.g. `posediff.hypotheses.minimum_bayes_risk`.
        draws: how many choices of points are tried.
        device: where the network runs.
        seed: of these choices.
    """
    who, generator = follow(seen), torch.Generator().manual_seed(seed)
    said = []
    for _ in range(draws):
        drawn = torch.stack([subsample(one.points, points, generator) for one in seen])
        said.append(_joints(teacher.to(device), seen, drawn, who, frames, device))
    return Prediction(
        _chosen(torch.stack(said), seen, skeleton, middle).numpy().astype(np.float32),
        np.array([one.frame for one in seen]),
        who,
        np.stack([one.keypoints for one in seen]),
        np.stack([one.box.numpy() for one in seen]).astype(np.float32),
        drawn.numpy().astype(np.float32),
        names,
        skeleton,
    )


@torch.no_grad()
def _joints(
    teacher: Teacher,
    seen: list[Seen],
    points: Float[Tensor, "P N 3"],
    who: Int[np.ndarray, " P"],
    length: int,
    device: torch.device | str,
) -> Float[Tensor, "P J 3"]:
    """Each person's joints from a clip that ends with the frame; a clip that is short begins with repeats."""
    frames = np.array([one.frame for one in seen])
    clips = []
    for i in range(len(seen)):
        mine = np.flatnonzero((who == who[i]) & (frames <= frames[i]))
        mine = mine[np.argsort(frames[mine])][-length:]
        clips.append(points[[*[mine[0]] * (length - len(mine)), *mine]])
    batches = torch.stack(clips).split(32)
    return torch.cat([teacher(batch.to(device)).float().cpu() for batch in batches])[:, -1]


def _chosen(
    said: Float[Tensor, "D P J 3"], seen: list[Seen], skeleton: Skeleton, middle: Middle
) -> Float[Tensor, "P J 3"]:
    """Of each person's poses the one that agrees best with their 2D joints, or else with the others."""
    found = middle(said)
    for i, one in enumerate(seen):
        if (one.keypoints[:, 2] >= CONFIDENT).any():
            joints2d = convert_keypoints(torch.from_numpy(one.keypoints)[None], COCO, skeleton)[0]
            both = torch.cat([said[:, i], said[:, i, list(skeleton.mirror)]])
            rays = one.camera.rays(joints2d[:, :2]).expand(len(both), -1, -1)
            off = ray_loss(both, rays, joints2d[:, 2].expand(len(both), -1))
            found[i] = both[off.argmin()]
    return found
