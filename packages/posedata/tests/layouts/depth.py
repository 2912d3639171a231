"""Depth data sets in their owners' own layouts: synthetic people before each one's camera, rendered as depth.

    write_itop(folder)            # HDF5: labels and depth maps of training and test people
    write_ntu(folder)             # .skeleton files and masked, mirrored depth PNGs
    write_panoptic(folder)        # bodies, calibrations, and a Kinect's depthdata.dat

People stand 3 m away and face the camera. Each returns the source that `posedata prepare` takes.
"""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import formats_rgbd as formats
import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.geometry.canonical import facing_x
from posedata.prepare import prepare
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.synthetic import Flesh, Renderer, generate_motion

from layouts.people import as_skeleton

H36M = get_skeleton("h36m17")


class Filmed(NamedTuple):
    """One person: joints (T, 17, 3) in the camera's frame, metres, and depth (T, H, W), mm, of person and
    room, and of the person alone."""

    joints: np.ndarray
    depth: np.ndarray
    person: np.ndarray


def people(count: int, frames: int, seed: int) -> np.ndarray:
    """(people, T, 17, 3) metres, z up, feet about z = 0; they face along x."""
    motion = generate_motion(subjects=count, clips_per_subject=1, frames=frames, fps=15.0, seed=seed)
    joints = torch.from_numpy(motion.joints).float().view(count, frames, 17, 3)
    joints = facing_x(joints, H36M)
    joints[..., :2] -= joints[:, :, :1, :2].mean(1, keepdim=True)
    return joints.numpy()


def film(joints: np.ndarray, camera: Camera, seed: int) -> Filmed:
    """Somebody (T, 17, 3) before an unbatched camera, in a room."""
    generator = torch.Generator().manual_seed(seed)
    flesh, renderer = Flesh.sample(generator), Renderer(tuple(camera.size.tolist()))
    places = torch.from_numpy(joints)
    seen = [renderer.render(pose, flesh, camera, generator=generator, background="room") for pose in places]
    depth = np.stack([frame.depth for frame in seen])
    alone = np.where(np.stack([frame.mask for frame in seen]) > 0, depth, 0)
    return Filmed(camera.world_to_camera(places).numpy(), depth, alone)


def before(
    focal: float, centre: tuple[float, float], size: tuple[int, int], radial: tuple[float, ...] = ()
) -> Camera:
    """A camera 3 m ahead of the origin along x, at a chest's height, that looks back."""
    eye = torch.tensor([3.0, 0.0, 1.1])
    camera = Camera.look_at(eye, torch.tensor([0.0, 0.0, 1.0]), focal, size)
    k1, k2, k3 = radial or (0.0, 0.0, 0.0)
    lens = {"centre": torch.tensor(centre), "distortion": torch.tensor([k1, k2, 0.0, 0.0, k3])}
    return Camera(
        camera.focal, lens["centre"], camera.rotation, camera.translation, lens["distortion"], size=size
    )


def write_itop(folder: Path, *, frames: int = 3, seed: int = 0) -> Path:
    """One person to train on (04) and one to test on (00), the side view; all frames valid."""
    camera = before(1 / 0.0035, (160.0, 120.0), (320, 240))
    for part, person, clip in zip(("train", "test"), (4, 0), people(2, frames, seed), strict=True):
        found = film(clip, camera, seed + person)
        joints = as_skeleton(found.joints, "itop15") * [1, -1, 1]
        pixels = joints[..., :2] / (0.0035 * joints[..., 2:]) * [1, -1] + [160, 120]
        arrays = {
            "id": np.array([f"{person:02d}_{i:05d}".encode() for i in range(frames)]),
            "is_valid": np.ones(frames, np.uint8),
            "visible_joints": np.ones((frames, 15), np.int16),
            "image_coordinates": np.rint(pixels).astype(np.int16),
            "real_world_coordinates": joints.astype(np.float16),
            "segmentation": np.where(found.person > 0, 1, -1).astype(np.int8),
            "depth": (found.depth / 1000).astype(np.float16),
        }
        formats.write_itop(folder, part=part, frames=arrays)
    return folder


def write_ntu(folder: Path, *, frames: int = 3, seed: int = 0) -> Path:
    """Performers 1, of the cross-subject protocol's training, and 3, of its test; depth masked, mirrored."""
    centre = (511 - formats.NTU_CENTRE[0], formats.NTU_CENTRE[1])
    camera = before(formats.NTU_FOCAL, centre, (512, 424), formats.NTU_RADIAL)
    for performer, clip in zip((1, 3), people(2, frames, seed), strict=True):
        name, found = f"S001C001P{performer:03d}R001A001", film(clip, camera, seed + performer)
        joints = as_skeleton(found.joints, "ntu25") * [-1, -1, 1]
        formats.write_skeleton(
            folder / "nturgb+d_skeletons" / f"{name}.skeleton",
            {f"720575940379311{performer:02d}": (0, joints)},
            frames,
        )
        for number, depth in enumerate(found.person):
            file = folder / "nturgb+d_depth_masked" / name / f"MDepth-{number + 1:08d}.png"
            formats.write_depth_png(file, depth[:, ::-1])
    return folder


def write_panoptic(folder: Path, *, frames: int = 6, seed: int = 0) -> Path:
    """Two sequences of one person each, before one Kinect.

    Where the Kinect is follows from four matrices; it is taken from a store of the same calibration.
    """
    for sequence, clip in zip(("171204_pose1", "171204_pose2"), people(2, frames, seed), strict=True):
        formats.write_panoptic(folder, sequence=sequence, frames=frames, kinects=1)
        clip = clip @ np.array(
            [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32
        )  # now they face along -y, to the Kinect
        points = as_skeleton(clip, "panoptic19")
        dome = 100 * np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)
        for number, joints in enumerate(dome):
            file = folder / sequence / "hdPose3d_stage1_coco19" / f"body3DScene_{100 + number:08d}.json"
            scene = json.loads(file.read_text())
            scored = np.concatenate([joints, np.full((19, 1), 0.7)], -1)
            scene["bodies"] = [{"id": 0, "joints19": scored.ravel().tolist()}]
            file.write_text(json.dumps(scene))
        with tempfile.TemporaryDirectory() as scratch:
            store = PoseStore.open(
                prepare("panoptic", folder / sequence, Path(scratch) / "store", size="full")
            )
            camera = store.camera(np.arange(1))[0]
        taken = film(np.delete(clip, 2, 0), camera, seed)
        raw = taken.depth[:, :, ::-1].astype("<u2").tobytes()
        (folder / sequence / "kinect_shared_depth/KINECTNODE1/depthdata.dat").write_bytes(raw)
    return folder
