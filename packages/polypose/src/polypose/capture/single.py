"""One camera: people in a world with a floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.skeleton import Skeleton, get_skeleton
from posedata.terminal import print_line

from polypose.capture.detecting import Seen
from polypose.capture.floor import Floor, find_floor
from polypose.capture.intrinsics import lens_of
from polypose.capture.motion import Motion, Person, View
from polypose.capture.solving import Solved, solve_person
from polypose.capture.stretches import stretches
from polypose.model import Model

LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""World (x right, y ahead, z up) to a camera that looks straight ahead."""
_POOR = 0.3
"""Share of the joints below which it is told how few depth images measured."""


def solve_single(
    model: Model,
    seen: Seen,
    camera: Camera | None = None,
    height: float | None = None,
    smooth: bool = True,
    say: Callable[[str], None] = print_line,
) -> Motion:
    """The people of one film, in metres, z up, the floor at z = 0 where their feet tell.

    A joint's covariance is that of the pelvis' place and its own about the pelvis: the difference to the
    pelvis' covariance is that of the pose.

    Args:
        camera: the lens, for pictures of this size; where it stands does not matter. Told by EXIF or assumed
            where left out.
        height: metres, of everybody, if known.
        smooth: over time, by each frame's own uncertainty.
        say: told what the user must know.

    Raises:
        ValueError: the camera or the height cannot be.
    """
    lens = lens_of(seen.name, seen.size, camera, seen.exif_focal)
    turn = torch.from_numpy(LEVEL)
    level = lens.camera.replace(rotation=turn, translation=torch.zeros(3, dtype=torch.float64))
    skeleton = model.skeleton
    found = []
    for track in seen.tracks:
        points = as_skeleton(track.keypoints, seen.skeleton, skeleton)
        times = seen.times[track.first : track.first + len(points)]
        solved = solve_person(
            model,
            [level],
            points[None],
            times,
            height=height,
            focal_sd=lens.focal_sd,
            smoothed=smooth,
            depth=seen.depth,
        )
        if np.isfinite(solved.joints).any():
            found.append((track.id, track.first, solved))
    notes = [*getattr(seen, "notes", ()), *([lens.note] if lens.note else [])]
    if seen.depth is not None and found:
        notes += _of_depth(seen.name, {number: solved.measured for number, _, solved in found}, height)
    if height is None and any(not solved.measured for _, _, solved in found):
        notes.append("people's sizes assumed: give their height (--height), and distances follow")
    floor = find_floor([s.joints for _, _, s in found], [_times(seen, f, s) for _, f, s in found], skeleton)
    if not floor.sure:
        notes.append(f"{seen.name}: camera assumed level")
    camera_there = moved(level, floor)
    people = []
    while found:  # what is turned is let go
        number, first, solved = found.pop(0)
        people.append(person_of(number, first, solved.turned(floor.rotation, floor.translation), [seen.name]))
    for note in notes:
        say(f"note: {note}")
    view = View(seen.name, camera_there, seen.path, seen.times, rate=seen.rate)
    return Motion(seen.times, tuple(people), (view,), skeleton, tuple(notes))


def _of_depth(name: str, measured: dict[int, float], height: float | None) -> list[str]:
    """What depth images told, of people of whose seen joints such shares were measured."""
    blind = [number for number, share in measured.items() if not share]
    if len(blind) == len(measured):
        return [f"{name}: its depth images are blank where people are, and tell nothing"]
    what = "distances and people's sizes are" if height is None else "distances are"
    notes = [f"{name}: {what} measured by its depth images"]
    notes += [f"{name}: of person {number} its depth images tell nothing" for number in blind]
    poor = [(number, share) for number, share in measured.items() if 0 < share < _POOR]
    return notes + [f"{name}: of person {n} they tell {share:.0%} of the joints alone" for n, share in poor]


def as_skeleton(keypoints: np.ndarray, source: str, skeleton: Skeleton) -> np.ndarray:
    """(T, J, 3) keypoints of the lifter's skeleton, by name, float32."""
    given, out = get_skeleton(source), np.empty((len(keypoints), len(skeleton), 3), np.float32)
    for own, _, _ in stretches(len(keypoints)):
        points = torch.nan_to_num(torch.from_numpy(np.ascontiguousarray(keypoints[own], np.float64)))
        out[own] = convert_keypoints(points, given, skeleton).numpy()
    return out


def person_of(number: int, first: int, solved: Solved, views: Sequence[str]) -> Person:
    """As `Motion` has it."""
    sd = np.sqrt(np.maximum(np.trace(solved.covariance, axis1=-2, axis2=-1), 0) / 3).astype(np.float32)
    keypoints = dict(zip(views, solved.keypoints, strict=True))
    return Person(number, first, solved.joints, sd, solved.covariance, keypoints)


def moved(camera: Camera, floor: Floor) -> Camera:
    """The camera in the world x' = rotation x + translation."""
    turn = camera.rotation.double() @ torch.from_numpy(floor.rotation.T.copy())
    shift = camera.translation.double() - turn @ torch.from_numpy(floor.translation)
    return camera.to(dtype=torch.float64).replace(rotation=turn, translation=shift)


def _times(seen: Seen, first: int, solved: Solved) -> np.ndarray:
    return seen.times[first : first + len(solved.joints)]
