"""What a camera and a depth camera see of poses, for `bench_search_quality.py`: people rendered, embedded."""

import numpy as np
import polypose
import torch
from polypose.search.embedding import Embedder, View
from polypose.search.rows import Rows
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic.flesh import Flesh
from posedata.synthetic.render import Renderer
from posedata.views.batch import BOX_ASPECT, BOX_MARGIN
from torch import Tensor

H36M = get_skeleton("h36m17")
DEPTH = 240
"""Side of the depth images about a person, pixels: as many as a Kinect has of somebody three metres off."""


def images(joints: Tensor, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """(N, H, W, 3) crops of people, each dressed anew, in a room of its own."""
    boxes = bounding_box(camera.project(joints), margin=BOX_MARGIN, aspect=BOX_ASPECT)
    renderer, out = Renderer(size), []
    for number, (pose, box) in enumerate(zip(joints, boxes, strict=True)):
        chance = torch.Generator().manual_seed(number)
        cut = camera[number].crop(box, size)
        out.append(renderer.render(pose, Flesh.sample(chance), cut, generator=chance).rgb)
    return np.stack(out)


def by_image(embedder: Embedder, joints: Tensor, camera: Camera) -> Tensor:
    """Places of rendered pictures, as the camera sees them."""
    model = embedder.camera
    return torch.from_numpy(model.embed(image=images(joints, camera, model.settings.image_size)).vectors)


def lifted(joints: Tensor, camera: Camera) -> Tensor:
    """(N, 17, 3) poses in the camera's frame, as UniPose's student sees them in depth, the person cut out."""
    boxes = bounding_box(camera.project(joints), margin=BOX_MARGIN, aspect=1.0)
    student, renderer, out = polypose.load("depth"), Renderer((DEPTH, DEPTH)), []
    for number, (pose, box) in enumerate(zip(joints, boxes, strict=True)):
        chance = torch.Generator().manual_seed(number)
        cut = camera[number].crop(box, (DEPTH, DEPTH))
        made = renderer.render(pose, Flesh.sample(chance), cut, generator=chance, kinect=True)
        seen = (*cut.focal.tolist(), *cut.centre.tolist())
        poses = student.lift(made.depth[None], seen, made.mask[None] > 0, say=lambda text: None)
        placed = torch.from_numpy(np.asarray(poses.placed, np.float32))
        out.append(student.skeleton.convert(placed, H36M, lossy=True)[0])
    return torch.stack(out)


def by_pose(embedder: Embedder, local: Tensor, view: View) -> Tensor:
    """Places of poses in their cameras' frames; (0, ...) where somebody was not seen."""
    frame = np.arange(len(local))
    found = embedder.embed(Rows(frame / 30, frame, joints=local, local=local))[view]
    return torch.from_numpy(np.nan_to_num(found))
