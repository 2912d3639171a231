"""People before a camera, exactly: their poses, the pixels that it sees, its intrinsics."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.motion import generate_motion

H36M, COCO = get_skeleton("h36m17"), get_skeleton("coco17")
SIZE = (1000, 800)
INTRINSICS = np.array([900.0, 900.0, 499.5, 399.5])


@dataclass(frozen=True)
class People:
    """joints: (N, 17, 3) metres in the camera's frame; pixels: (N, 17, 2), of h36m17."""

    joints: np.ndarray
    pixels: np.ndarray

    @property
    def coco(self) -> np.ndarray:
        """(N, 17, 2) as COCO has them, the face about the neck."""
        place = dict(zip(H36M.joints, self.pixels.swapaxes(0, 1), strict=True))
        found = [place.get(n, place["neck"] + (2.0 * (i % 3 - 1), -3.0)) for i, n in enumerate(COCO.joints)]
        return np.stack(found, 1)


@cache
def people(count: int = 24) -> People:
    """Walking and standing about, five metres away."""
    joints = torch.from_numpy(generate_motion(4, 2, 4, seed=1).joints.astype(np.float32))
    joints = joints[:: max(1, len(joints) // count)][:count]
    joints = joints - joints[:, :1] * torch.tensor([1.0, 1.0, 0.0])
    camera = Camera.look_at(
        torch.tensor([0.5, -5.0, 1.3]), torch.tensor([0.0, 0.0, 1.0]), float(INTRINSICS[0]), SIZE
    )
    seen = camera.world_to_camera(joints)
    return People(seen.numpy(), camera.project(joints).numpy())
