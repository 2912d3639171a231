"""Body-shape augmentation: the same pose, on somebody else's skeleton."""

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.skeleton import Skeleton


def scale_bones(
    joints: Float[Tensor, "*batch J 3"], skeleton: Skeleton, factors: Float[Tensor, "*batch J"]
) -> Float[Tensor, "*batch J 3"]:
    """Bones of other lengths in the same directions; the root stays where it is.

    Args:
        joints: any unit, any frame.
        factors: of the bone that ends in each joint; the root's is not used.

    Raises:
        ValueError: another number of joints or factors than the skeleton has.
    """
    for name, count in (("joints", joints.shape[-2]), ("factors", factors.shape[-1])):
        if count != len(skeleton):
            raise ValueError(f"{name} are {count}, skeleton {skeleton.name} has {len(skeleton)}")
    out = list(joints.unbind(dim=-2))
    before = joints.unbind(dim=-2)
    for child in skeleton.root_first[1:]:
        parent = skeleton.parents[child]
        bone = before[child] - before[parent]
        out[child] = out[parent] + bone * factors[..., child, None]
    return torch.stack(out, dim=-2)


def random_shapes(
    joints: Float[Tensor, "B J 3"],
    skeleton: Skeleton,
    generator: torch.Generator,
    *,
    stature: float,
    bones: float,
    frames: int = 1,
) -> Float[Tensor, "B J 3"]:
    """Each pose on a skeleton drawn for it, left and right alike.

    A data set with two dozen people shows two dozen skeletons, and a network learns those by heart.

    Args:
        stature: the whole body's factor is drawn evenly from 1 ± stature.
        bones: each bone's own factor, on top of that, from 1 ± bones.
        frames: so many neighbours in the batch are one person's clip.

    Raises:
        ValueError: a share outside [0, 1), which would turn bones about.
    """
    for name, share in (("stature", stature), ("bones", bones)):
        if not 0 <= share < 1:
            raise ValueError(f"{name} is {share:g}; give a share from 0 to below 1, e.g. 0.1 for ten percent")
    count, n = joints.shape[:2]
    drawn = 2 * torch.rand(count // frames, n + 1, generator=generator, device=generator.device) - 1
    drawn = drawn.to(joints).repeat_interleave(frames, 0)
    own = drawn[:, :n]
    mirror = torch.tensor(skeleton.mirror, device=joints.device)
    own = torch.where(mirror < torch.arange(n, device=joints.device), own[:, mirror], own)
    return scale_bones(joints, skeleton, (1 + bones * own) * (1 + stature * drawn[:, n:]))


def turn_bones(
    joints: Float[Tensor, "B J 3"],
    skeleton: Skeleton,
    generator: torch.Generator,
    *,
    most: float,
    frames: int = 1,
) -> Float[Tensor, "B J 3"]:
    """Each bone of the limbs in a direction drawn about its own, its length kept.

    The angle is drawn evenly from 0 to most degrees, about an axis across the bone, so that poses come about
    which nobody took: bone angles as PoseAug changes them (Gong et al., CVPR 2021, section 3.2), drawn where
    the authors learn them. Bones that end in the middle (spine, neck) keep their directions.

    Args:
        frames: so many neighbours in the batch are one person's clip, whose bones turn alike.

    Raises:
        ValueError: an angle outside [0, 180].
    """
    if not 0 <= most <= 180:
        raise ValueError(f"most is {most:g}; give an angle from 0 to 180 degrees, e.g. 37")
    count, n = joints.shape[:2]
    shape = (count // frames, n, 4)
    drawn = torch.rand(shape, generator=generator, device=generator.device).to(joints)
    angle, away = torch.deg2rad(most * drawn[..., :1]), 2 * drawn[..., 1:] - 1
    angle, away = (x.repeat_interleave(frames, 0) for x in (angle, away))
    out, before = list(joints.unbind(-2)), joints.unbind(-2)
    for child in skeleton.root_first[1:]:
        parent = skeleton.parents[child]
        bone = before[child] - before[parent]
        if skeleton.mirror[child] != child:
            length = bone.norm(dim=-1, keepdim=True)
            along = bone / length.clamp(min=1e-9)
            across = torch.nn.functional.normalize(torch.linalg.cross(along, away[:, child]), dim=-1)
            bone = length * (angle[:, child].cos() * along + angle[:, child].sin() * across)
        out[child] = out[parent] + bone
    return torch.stack(out, dim=-2)
