"""Motion of many synthetic people: clips of every action, free of limbs that run through one another."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from posedata.skeleton import get_skeleton
from posedata.synthetic.people.actions import ACTIONS
from posedata.synthetic.people.arms import ARM_DOFS, SAFE
from posedata.synthetic.people.body import Body, sample_bodies
from posedata.synthetic.people.collision import ARM_PAIRS, LEG_PAIRS, penetration
from posedata.synthetic.people.course import Course

TOLERANCE = 0.02
"""How deep, in metres, capsules may sink into each other: flesh gives."""

_ANKLES = [get_skeleton("h36m17").index(f"{side}_ankle") for side in ("left", "right")]
_REPAIRS = 5
_DRAWS = 12


@dataclass(frozen=True)
class Motion:
    """Frames of many clips, one after another; N = subjects * clips * frames, clips whole and in order.

    joints (N, 17, 3) float32 metres, world z up, floor at z = 0, h36m17 order; subject, sequence, action,
    frame (N,) int32, indices into the name tuples (frame counts within its clip); angles (N, 25) float32
    radians in the order of `posedata.synthetic.people.body.DOF`; bodies: the people, by subject.
    """

    joints: NDArray[np.float32]
    subject: NDArray[np.int32]
    sequence: NDArray[np.int32]
    action: NDArray[np.int32]
    frame: NDArray[np.int32]
    angles: NDArray[np.float32]
    subject_names: tuple[str, ...]
    sequence_names: tuple[str, ...]
    action_names: tuple[str, ...]
    fps: float
    bodies: Body


def generate_motion(
    subjects: int, clips_per_subject: int, frames: int, *, fps: float = 30.0, seed: int = 0
) -> Motion:
    """Clips of synthetic people, the same for the same arguments to the bit.

    Every subject does the actions of `ACTIONS` in turn, in an order of its own. A clip whose arms touch
    something is repaired, one that cannot be is drawn afresh.

    Raises ValueError if a count is less than 1, `frames` less than 2 or fps not positive.
    """
    if min(subjects, clips_per_subject) < 1 or frames < 2 or fps <= 0:
        raise ValueError(
            f"generate_motion: subjects={subjects}, clips_per_subject={clips_per_subject} must be at least 1,"
            f" frames={frames} at least 2 and fps={fps} above 0"
        )
    generator = torch.Generator().manual_seed(seed)
    bodies = sample_bodies(subjects, generator)
    names = tuple(ACTIONS)
    order = torch.stack([torch.randperm(len(names), generator=generator) for _ in range(subjects)])
    action = order[:, torch.arange(clips_per_subject) % len(names)].flatten()
    subject = torch.arange(subjects).repeat_interleave(clips_per_subject)
    joints = torch.empty(len(action), frames, 17, 3)
    angles: Tensor | None = None
    for index, name in enumerate(names):
        clips = (action == index).nonzero()[:, 0]
        if len(clips):
            course, found = _clips(name, bodies[subject[clips]], frames, fps, generator)
            angles = (
                course.angles.new_empty(len(action), *course.angles.shape[1:]) if angles is None else angles
            )
            joints[clips], angles[clips] = found, course.angles
    assert angles is not None
    joints = _placed(joints, generator)
    clip_names = tuple(
        f"S{s:03d}_{names[a]}_{i % clips_per_subject:03d}"
        for i, (s, a) in enumerate(zip(subject.tolist(), action.tolist(), strict=True))
    )

    def each(values: Tensor) -> NDArray[np.int32]:
        return values.repeat_interleave(frames).to(torch.int32).numpy()

    return Motion(
        joints=joints.flatten(0, 1).numpy(),
        subject=each(subject),
        sequence=each(torch.arange(len(action))),
        action=each(action),
        frame=np.tile(np.arange(frames, dtype=np.int32), len(action)),
        angles=angles.flatten(0, 1).numpy(),
        subject_names=tuple(f"S{s:03d}" for s in range(subjects)),
        sequence_names=clip_names,
        action_names=names,
        fps=float(fps),
        bodies=bodies,
    )


def _clips(
    name: str, body: Body, frames: int, fps: float, generator: torch.Generator
) -> tuple[Course, Float[Tensor, "clips frames 17 3"]]:
    """One clip of an action for each body, repaired, and drawn again where that is not enough."""
    course = ACTIONS[name](body, frames, fps, generator)
    joints = repair_arms(body, course, fps)
    for _ in range(_DRAWS):
        bad = _faulty(body, joints).nonzero()[:, 0]
        if not len(bad):
            return course, joints
        again = ACTIONS[name](body[bad], frames, fps, generator)
        joints[bad] = repair_arms(body[bad], again, fps)
        course.angles[bad], course.rotation[bad], course.position[bad] = (
            again.angles,
            again.rotation,
            again.position,
        )
    raise RuntimeError(f"{name}: {_DRAWS} draws of a clip of {frames} frames all run a limb through another")


def _faulty(body: Body, joints: Float[Tensor, "clips frames 17 3"]) -> Tensor:
    """Clips (B,) in which a limb runs through another, or a leg that met its limits drives a foot into the
    floor."""
    inside = (penetration(joints, ARM_PAIRS + LEG_PAIRS) > TOLERANCE).flatten(1).any(-1)
    return inside | (joints[..., _ANKLES, 2] < body.length("ankle")[:, None, None] - TOLERANCE).flatten(
        1
    ).any(-1)


def repair_arms(body: Body, course: Course, fps: float) -> Float[Tensor, "clips frames 17 3"]:
    """Joints of the course, whose arms are first moved out of what they touch, smoothly, in place.

    Around each moment at which an arm sinks in, it is blended towards a pose that touches nothing, a little
    more at every pass.
    """
    joints = course.joints(body)
    free = torch.cat([course.angles[..., ARM_DOFS[side]] for side in ("left", "right")], -1)
    safe = torch.tensor(SAFE * 2)
    weight = torch.zeros(*free.shape[:2], 2)
    for step in range(_REPAIRS):
        depth = penetration(joints, ARM_PAIRS)
        half = (len(ARM_PAIRS) - 1) // 2
        hands = depth[..., -1:]
        deep = torch.cat([depth[..., :half], hands, depth[..., half:-1], hands], -1).unflatten(
            -1, (2, half + 1)
        )
        hit = deep.amax(-1) > TOLERANCE / 2
        clips = hit.flatten(1).any(-1).nonzero()[:, 0]
        if not len(clips):
            break
        more = _spread(hit[clips].float(), fps)
        weight[clips] = (weight[clips] + more * (0.35 if step < _REPAIRS - 2 else 1.0)).clamp(max=1.0)
        blend = weight[clips].repeat_interleave(4, -1)
        arms = free[clips] + blend * (safe - free[clips])
        angles = course.angles[clips]
        angles[..., ARM_DOFS["left"]], angles[..., ARM_DOFS["right"]] = arms[..., :4], arms[..., 4:]
        course.angles[clips] = angles
        part = Course(angles, course.rotation[clips], course.position[clips])
        joints[clips] = part.joints(body[clips])
    return joints


def _spread(hit: Float[Tensor, "clips frames arms"], fps: float) -> Float[Tensor, "clips frames arms"]:
    """1 where hit, falling smoothly to 0 within a third of a second on either side."""
    reach = max(1, round(0.17 * fps))
    x = torch.nn.functional.pad(hit.transpose(1, 2), (2 * reach,) * 2)
    x = torch.nn.functional.max_pool1d(x, 2 * reach + 1, stride=1)
    kernel = torch.hann_window(2 * reach + 3, periodic=False)[1:-1]
    smooth = torch.nn.functional.conv1d(x.flatten(0, 1)[:, None], (kernel / kernel.sum())[None, None])
    return smooth.clamp(0, 1).reshape(x.shape[0], x.shape[1], -1).transpose(1, 2)


def _placed(
    joints: Float[Tensor, "clips frames 17 3"], generator: torch.Generator
) -> Float[Tensor, "clips frames 17 3"]:
    """Clips turned to a random heading and moved to a random place of a room of 4 by 4 metres."""
    clips = len(joints)
    heading = 2 * torch.pi * torch.rand(clips, generator=generator)
    c, s = heading.cos(), heading.sin()
    turn = torch.stack([c, -s, s, c], -1).reshape(clips, 1, 1, 2, 2)
    across = (turn @ (joints[..., :2] - joints[:, :1, :1, :2])[..., None])[..., 0]
    place = 4 * torch.rand(clips, 1, 1, 2, generator=generator) - 2
    return torch.cat([across + place, joints[..., 2:]], -1)
