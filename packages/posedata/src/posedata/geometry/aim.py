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
    turn, focal = turn_to(camera, box)
    return Camera(
        focal.expand(*focal.shape[:-1], 2),
        torch.zeros_like(box[..., :2]),
        turn @ camera.rotation,
        (turn @ camera.translation[..., None])[..., 0],
        size=(2, 2),
    )


def turn_to(
    camera: Camera, box: Float[Tensor, "*batch 4"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 1"]]:
    """The rotation from a camera's frame to that of `aim`, and the focal length there."""
    centre = (box[..., :2] + box[..., 2:]) / 2
    ray = normalize(camera.rays(centre[..., None, :])[..., 0, :], dim=-1)
    x, y, z = ray.unbind(-1)
    level = torch.hypot(x, z)
    right_x, right_z = z / level, -x / level
    down = [y * right_z, level, -y * right_x]  # ray x right
    rows = [right_x, torch.zeros_like(x), right_z, *down, x, y, z]
    half = (box[..., 2:] - box[..., :2]).amax(dim=-1, keepdim=True) / 2
    # On an oblique ray a pixel spans less angle than in the centre: cos for a tangential step.
    focal = camera.focal.mean(dim=-1, keepdim=True) / (half * z[..., None])
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3)), focal


def reproject(
    keypoints: Float[Tensor, "*batch J 2"], camera: Camera, aimed: Camera
) -> Float[Tensor, "*batch J 2"]:
    """Keypoints of `camera`'s image (pixels, distortion and all) in the image of `aimed`, at the same place.

    No depth is needed: the two share their centre. NaN where `camera` has no ray for a keypoint.
    """
    turn = aimed.rotation @ camera.rotation.mT
    rays = camera.rays(keypoints) @ turn.mT
    return rays[..., :2] / rays[..., 2:] * aimed.focal[..., None, :] + aimed.centre[..., None, :]
