"""The person-centred camera: what every encoder and decoder here calls its frame.

A crop of a person seen off the image's centre is sheared by perspective: the same pose, moved sideways,
gives other keypoints and another camera-frame pose. Turning the camera about its own centre until it points
at the person removes that, and loses nothing: the images of a camera that only turns are related by a
homography, known where the intrinsics are. (CLIFF, Li et al. 2022, tells the network where the crop was
instead; its token is still needed for how far away the person stands.)
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from posedata.geometry.camera import Camera


def aim(camera: Camera, box: Float[Tensor, "*batch 4"]) -> Camera:
    """The camera at the same place, turned to the box's centre, whose unit of length is the box.

    In its image the box's centre is (0, 0), and half of the box's longer side is 1 (to first order in the
    box's angular size). It has no distortion. Its x axis is horizontal in the given camera's image, so
    that it does not roll.

    Args:
        camera: batch shape (*batch).
        box: x0, y0, x1, y1 in pixels of that camera's image; its centre where that has a ray (`Camera.rays`).
    """
    centre = (box[..., :2] + box[..., 2:]) / 2
    ray = normalize(camera.rays(centre[..., None, :])[..., 0, :], dim=-1)
    down = torch.zeros_like(ray)
    down[..., 1] = 1
    right = normalize(torch.linalg.cross(down, ray), dim=-1)
    turn = torch.stack([right, torch.linalg.cross(ray, right), ray], dim=-2)
    half = (box[..., 2:] - box[..., :2]).amax(dim=-1, keepdim=True) / 2
    # On an oblique ray a pixel spans less angle than in the centre: cos for a tangential step.
    slant = ray[..., 2:]
    focal = (camera.focal.mean(dim=-1, keepdim=True) / (half * slant)).expand(*half.shape[:-1], 2)
    return Camera(
        focal,
        torch.zeros_like(centre),
        turn @ camera.rotation,
        (turn @ camera.translation[..., None])[..., 0],
        size=(2, 2),
    )


def reproject(
    keypoints: Float[Tensor, "*batch J 2"], camera: Camera, aimed: Camera
) -> Float[Tensor, "*batch J 2"]:
    """Keypoints of `camera`'s image (pixels, distortion and all) in the image of `aimed`, at the same place.

    No depth is needed: the two share their centre. NaN where `camera` has no ray for a keypoint.
    """
    turn = aimed.rotation @ camera.rotation.mT
    rays = camera.rays(keypoints) @ turn.mT
    return rays[..., :2] / rays[..., 2:] * aimed.focal[..., None, :] + aimed.centre[..., None, :]
