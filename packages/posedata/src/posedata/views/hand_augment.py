"""Training pictures of hands moved, turned, resized, mirrored, recoloured and blurred; targets with them."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.skeleton import get_skeleton
from posedata.views.hand_ranges import HandAugmentation

_MOST = 2.0


def augment_hands(
    images: Float[Tensor, "B 3 S S"],
    targets: Float[Tensor, "B 42 3"],
    valid: Bool[Tensor, "B 42"],
    generator: torch.Generator,
    ranges: HandAugmentation | None = None,
) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 42 3"], Bool[Tensor, "B 42"]]:
    """Pictures, targets and validity after a random change; joints moved out of the crop are not valid.

    Args:
        images: square crops, 0 to 1.
        targets: as of `posedata.views.hands.encode`: px of the crop, depth from the wrist, which
            stays as it is.
        valid: of the targets.
        generator: on the device of the images.
        ranges: the published ones if None.
    """
    ranges = ranges or HandAugmentation()
    count, side = len(images), images.shape[-1]
    matrix, moved, mirrored = _draw(count, ranges, generator)
    mirror = torch.stack([torch.where(mirrored, -1.0, 1.0), torch.ones_like(moved[:, 0])], -1)
    linear = matrix * mirror[:, None]  # x is mirrored before the rest
    middle = (side - 1) / 2
    swapped = list(get_skeleton("interhand42").mirror)
    flip = mirrored[:, None]
    targets = torch.where(flip[..., None], targets[:, swapped], targets)
    valid = torch.where(flip, valid[:, swapped], valid)
    pixels = (targets[..., :2] - middle) @ linear.mT + middle + (moved * side)[:, None]
    inside = ((pixels >= -0.5) & (pixels < side - 0.5)).all(-1)
    pictures = _recolour(_resample(images, linear, moved), ranges.colour, generator)
    return (
        _noised(_blurred(pictures, ranges.blur, generator), ranges.noise, generator),
        torch.cat([pixels, targets[..., 2:]], -1),
        valid & inside,
    )


def _draw(count: int, ranges: HandAugmentation, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation and scale (B, 2, 2), shift as a share of the side (B, 2), and which are mirrored first."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator, device=generator.device).clamp(-_MOST, _MOST)

    def chance(share: float) -> Tensor:
        return torch.rand(count, generator=generator, device=generator.device) < share

    angle = torch.where(chance(ranges.rotated), ranges.rotation * normal(), 0.0)
    scale = 1 + ranges.scale * normal().clamp(-1, 1)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return matrix, ranges.shift * normal(2).clamp(-1, 1), chance(ranges.flip)


def _resample(images: Tensor, linear: Tensor, moved: Tensor) -> Tensor:
    """Pictures whose pixel p shows what was at linear⁻¹ (p - shift), about the centre; black outside."""
    inverse = torch.linalg.inv(linear)
    theta = torch.cat([inverse, -(inverse @ (2 * moved)[..., None])], -1)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)


def _recolour(images: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(len(images), 3, 1, 1, generator=generator, device=generator.device)
    return (images * (1 + spread * (2 * drawn - 1))).clamp(0, 1)


def _blurred(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """By a Gaussian of its own for each picture and direction; edges go on beyond the picture."""
    if not most:
        return images
    count, channels = images.shape[:2]
    spread = most * torch.rand(2, count, 1, generator=generator, device=generator.device)
    reach = max(1, math.ceil(2.5 * most))
    steps = torch.arange(-reach, reach + 1, device=images.device)
    weight = torch.exp(-0.5 * (steps / spread.clamp(min=1e-3)) ** 2)
    weight = (weight / weight.sum(-1, keepdim=True)).repeat_interleave(channels, dim=1)[:, :, None]
    flat = torch.nn.functional.pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)[None]
    for one in (weight[0][:, :, None], weight[1][..., None]):  # along rows, along columns
        flat = torch.nn.functional.conv2d(flat, one, groups=len(one))
    return flat[0].unflatten(0, (count, channels))


def _noised(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    if not most:
        return images
    device = generator.device
    spread = most * torch.rand(len(images), 1, 1, 1, generator=generator, device=device)
    noise = torch.randn(images.shape, generator=generator, device=device)
    return (images + spread * noise).clamp(0, 1)
