"""People in recorded RGB-D: found, isolated, and followed from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from posedata.detect import Detector
from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.geometry.camera import Camera
from posedata.readers.rgbd import RgbdFrame, RgbdSequence, people_in
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line
from posedata.views.squares import SQUARE_MARGIN, square
from torch import Tensor

from .cloud import MILLIMETRE, DepthUnprojector, metric
from .isolate import CONFIDENT, isolate_person
from .people import Person, doubt_people, doubt_size, find_people, nearest_body

_COCO = get_skeleton("coco17")
_LIMBS = (
    *_COCO.edges,
    *((_COCO.index(f"left_{part}"), _COCO.index(f"right_{part}")) for part in ("shoulder", "hip")),
)
SAME = 0.5
"""Metres that a person's middle may move from one frame to the next and still be the same one."""


@dataclass(frozen=True)
class Seen:
    """One person in one frame, isolated."""

    frame: int
    keypoints: Float32[np.ndarray, "17 3"]
    box: Float[Tensor, " 4"]
    points: Float[Tensor, "N 3"]
    camera: Camera


def see_people(
    recording: RgbdSequence,
    size: int,
    *,
    keypoints: Path | None = None,
    detector: Detector | None = None,
    say: Callable[[str], None] = print_line,
) -> list[Seen]:
    """Everybody in every frame of a recording, isolated.

    2D joints are what tells people apart: from a COCO JSON, or from a detector that looks at each person who
    stands in the depth image. Without either, the people found there are taken as they are.

    Args:
        size: side of the squares around people, pixels.
        keypoints: COCO JSON with 2D joints, images named as the depth files.
        detector: run on the colour of each person found standing in the depth.
        say: told who could not be isolated, what was left out of the depth, and what looks wrong with the
            camera.

    Raises:
        ValueError, FileNotFoundError: there is nobody, or a file is not what it should be.
    """
    given = None if keypoints is None else people_in(keypoints, recording.names(), say)
    seen: list[Seen] = []
    for text in recording.notes:
        say(text)
    for number, frame in enumerate(recording):
        unproject = DepthUnprojector(frame.camera)
        people = list(_people(frame, number, unproject, given, detector))
        if doubt := doubt_people([person for _, person in people if person is not None]):
            say(f"{frame.name}: {doubt}")
        bodies = [_limbs(frame, joints) for joints, _ in people]
        for place, (joints, person) in enumerate(people):
            try:
                found = _isolate(frame, number, joints, person, size)
                others = [limbs for i, limbs in enumerate(bodies) if i != place and len(limbs)]
                found = _alone(found, bodies[place], others)
            except ValueError as error:
                say(f"{frame.name}: somebody is left out: {error}")
                continue
            if doubt := doubt_size(found.points):
                say(f"{frame.name}: {doubt}")
            seen.append(found)
    if lost := recording.losses():
        say(f"{recording.name}: {lost}")
    if not seen:
        raise ValueError(
            f"{recording.name}: nobody was found; give 2D joints, or check that depth shows people"
        )
    return seen


def _people(
    frame: RgbdFrame,
    number: int,
    unproject: DepthUnprojector,
    given: tuple[np.ndarray, np.ndarray] | None,
    detector: Detector | None,
) -> Iterator[tuple[np.ndarray, Person | None]]:
    """2D joints of everybody in a frame (zeros: none), and what stands there where that was looked for."""
    if given is not None:
        frames, joints = given
        yield from ((found, None) for found in joints[frames == number])
        return
    if detector is not None and frame.rgb is None:
        raise ValueError(
            f"{frame.name}: has no colour image for a detector to look at; give 2D joints in a file"
        )
    for person in find_people(torch.from_numpy(frame.depth), unproject):
        if detector is None:
            yield np.zeros((17, 3), np.float32), person
            continue
        assert frame.rgb is not None
        joints = look_at(detector, frame.rgb, person.box)
        if (joints[:, 2] >= CONFIDENT).any():
            yield joints, person


def look_at(
    detector: Detector, rgb: UInt8[np.ndarray, "H W 3"], box: Float[Tensor, " 4"]
) -> Float32[np.ndarray, "17 3"]:
    """A detector's joints in the part of an image around a person, in pixels of the image."""
    height, width = rgb.shape[:2]
    low, high = box.view(2, 2).numpy()
    margin = 0.15 * float((high - low).max())
    x0, y0 = np.floor((low - margin).clip(0)).astype(int)
    x1, y1 = np.ceil((high + margin).clip(max=[width, height])).astype(int)
    joints = np.array(detector(rgb[y0:y1, x0:x1]), np.float32)
    joints[:, :2] += (x0, y0)
    return joints


def _isolate(
    frame: RgbdFrame,
    number: int,
    joints: np.ndarray,
    person: Person | None,
    size: int,
) -> Seen:
    """The square around a person as training saw it, and the person's points in it."""
    found, sure = torch.from_numpy(joints), torch.from_numpy(joints[:, 2] >= CONFIDENT)
    height, width = frame.depth.shape
    inside = (joints[:, :2] > -0.5).all(1) & (joints[:, :2] < [width - 0.5, height - 0.5]).all(1)
    if sure.any() and 2 * int((inside & sure.numpy()).sum()) <= int(sure.sum()):
        out = int(sure.sum()) - int((inside & sure.numpy()).sum())
        raise ValueError(
            f"{out} of {int(sure.sum())} 2D joints lie outside its {width}x{height} pixels; give them in"
            " pixels of the depth image"
        )
    if sure.any():
        box = bounding_box(found[:, :2], sure, margin=SQUARE_MARGIN, aspect=1.0)
    elif person is not None:
        box = bounding_box(person.box.view(2, 2), margin=SQUARE_MARGIN / 2, aspect=1.0)
    else:
        raise ValueError("no 2D joint is confident")
    depth = metric(torch.from_numpy(square(frame.depth[None], box, size)[0]))
    unproject = DepthUnprojector(frame.camera.crop(box, (size, size)))
    if sure.any():
        pixels = crop_keypoints(found, box, (size, size))
        mask = isolate_person(depth, unproject, pixels[:, :2], pixels[:, 2]).mask
    else:
        assert person is not None
        mask = torch.from_numpy(square(person.mask.numpy()[None], box, size)[0])
    return Seen(number, joints, box, unproject(depth)[mask], frame.camera)


def _limbs(frame: RgbdFrame, joints: np.ndarray) -> Float[Tensor, "S 2 3"]:
    """A person's limbs at their median depth, metres: near enough to tell neighbours apart."""
    pixels = np.rint(joints[:, :2]).astype(int)
    height, width = frame.depth.shape
    inside = (joints[:, 2] > 0) & (pixels >= 0).all(-1) & (pixels < [width, height]).all(-1)
    seen = frame.depth[pixels[inside, 1], pixels[inside, 0]]
    ends = torch.tensor([edge for edge in _LIMBS if (joints[list(edge), 2] > 0).all()], dtype=torch.long)
    if not (seen > 0).any() or not len(ends):
        return torch.zeros(0, 2, 3)
    metres = float(np.median(seen[seen > 0])) * MILLIMETRE
    return (frame.camera.rays(torch.from_numpy(joints[:, :2])) * metres)[ends]


def _alone(seen: Seen, own: Float[Tensor, "S 2 3"], others: list[Float[Tensor, "_s 2 3"]]) -> Seen:
    """Only the points that are nearer to this person's limbs than to another's."""
    points = seen.points
    if len(own) and others:
        points = points[nearest_body(points, [own, *others]) == 0]
    if not len(points):
        raise ValueError("no point of depth is nearer to their limbs than to somebody else's")
    return replace(seen, points=points)


def follow(seen: list[Seen]) -> Int[np.ndarray, " P"]:
    """Who is who: the nearest of the frame before, or somebody new."""
    who = np.full(len(seen), -1)
    middles = torch.stack([one.points.median(0).values for one in seen])
    frames = np.array([one.frame for one in seen])
    count = 0
    for frame in np.unique(frames):
        before, now = np.flatnonzero(frames == frame - 1), np.flatnonzero(frames == frame)
        apart = torch.cdist(middles[now], middles[before])
        for _ in range(min(apart.shape)):
            nearest = int(apart.argmin())
            row, column = divmod(nearest, apart.shape[1])
            if apart[row, column] > SAME:
                break
            who[now[row]] = who[before[column]]
            apart[row], apart[:, column] = torch.inf, torch.inf
        for i in now[who[now] < 0]:
            who[i], count = count, count + 1
    return who
