"""People in recorded RGB-D by a trained teacher: depth in, isolation, points, 3D joints out.

    found = predict(run, open_rgbd("recording"), keypoints="keypoints.json")
    found.save("joints.npz")

2D joints are what tells people apart: from a COCO JSON, or from a detector that looks at each person who
stands in the depth image. Without either, the people found there are taken as they are. The network sees
points alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from pointcloud_weak import DepthUnprojector, isolate_person, ray_loss, subsample
from pointcloud_weak.people import Person, doubt_people, doubt_size, find_people, nearest_body
from posedata.detect import Detector, live_detector
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.readers.rgbd import RgbdFrame, RgbdSequence, people_in
from posedata.skeleton import Skeleton, get_skeleton
from posedata.terminal import print_line
from posetrain.files import write_npz, write_text
from torch import Tensor

from unipose.film import MARGIN
from unipose.model import Teacher
from unipose.recipe import DataConfig
from unipose.square import square
from unipose.task import open_teacher

_COCO = get_skeleton("coco17")
_LIMBS = (
    *_COCO.edges,
    *((_COCO.index(f"left_{part}"), _COCO.index(f"right_{part}")) for part in ("shoulder", "hip")),
)
UNIT = "metres, camera frame, y down"
SAME = 0.5
"""Metres that a person's middle may move from one frame to the next and still be the same one."""


@dataclass(frozen=True)
class Prediction:
    """P people in F frames.

    Attributes:
        joints: (P, J, 3) metres, each frame's camera frame (x right, y down, z forward).
        frame: (P,) number of the frame; person: (P,) who, counted through the recording.
        keypoints: (P, 17, 3) COCO-17 pixels and confidence that were used; zeros where none were.
        box: (P, 4) the square that was looked at, pixels of the depth image.
        points: (P, N, 3) the person's points.
        names: of the F frames.
        skeleton: of the joints.
    """

    joints: Float32[np.ndarray, "P J 3"]
    frame: Int[np.ndarray, " P"]
    person: Int[np.ndarray, " P"]
    keypoints: Float32[np.ndarray, "P 17 3"]
    box: Float32[np.ndarray, "P 4"]
    points: Float32[np.ndarray, "P N 3"]
    names: tuple[str, ...]
    skeleton: Skeleton

    def save(self, path: Path) -> None:
        """As .npz (every array, `skeleton`, `joint_names`, `unit`, and the frames' `names`), or as .json (a
        list of people with named joints).

        Raises:
            ValueError: another ending.
        """
        check_ending(path)
        if path.suffix == ".json":
            write_text(path, json.dumps(self._plain(), indent=1) + "\n")
            return
        arrays = {n: getattr(self, n) for n in ("joints", "frame", "person", "keypoints", "box", "points")}
        about = {"skeleton": self.skeleton.name, "joint_names": self.skeleton.joints, "unit": UNIT}
        write_npz(path, names=np.array(self.names), **{n: np.array(v) for n, v in about.items()}, **arrays)

    def _plain(self) -> dict[str, Any]:
        people = [
            {
                "frame": self.names[self.frame[i]],
                "person": int(self.person[i]),
                "joints": dict(zip(self.skeleton.joints, self.joints[i].round(4).tolist(), strict=True)),
                "box": self.box[i].round(1).tolist(),
            }
            for i in range(len(self.joints))
        ]
        return {"skeleton": self.skeleton.name, "unit": UNIT, "people": people}


def check_ending(path: Path) -> None:
    """Raise ValueError unless `Prediction.save` can write there."""
    if path.suffix not in (".npz", ".json"):
        raise ValueError(f"{path}: write to a file that ends in .npz or .json")


@dataclass(frozen=True)
class _Seen:
    """One person in one frame, isolated."""

    frame: int
    keypoints: Float32[np.ndarray, "17 3"]
    box: Float[Tensor, " 4"]
    points: Float[Tensor, "N 3"]
    camera: Camera


def predict(
    run: str | Path,
    recording: RgbdSequence,
    *,
    keypoints: str | Path | None = None,
    detector: str | None = None,
    device: str = "cpu",
    draws: int = 9,
    seed: int = 0,
    say: Callable[[str], None] = print_line,
) -> Prediction:
    """Everybody's joints in every frame.

    A network that has not made up its mind, e.g. which way somebody faces, says another thing of another
    choice of points. So it is asked `draws` times, and of what it said the pose is taken that lies nearest to
    the lines of sight of the 2D joints, or, without these, nearest to all the others.

    Args:
        run: folder of a run with a teacher.
        recording: from `posedata.readers.rgbd.open_rgbd`.
        keypoints: COCO JSON with 2D joints, images named as the depth files.
        detector: `mediapipe` or `rtmlib`, run on the colour of each person found standing in the depth.
        device: where the network runs.
        draws: how many choices of points are tried.
        seed: of these choices.
        say: told who could not be isolated, what was left out of the depth, and what looks wrong with the
            camera.

    Raises:
        ValueError, FileNotFoundError: no run, no people, or a file that is not what it should be.
    """
    if keypoints is not None and detector is not None:
        raise ValueError("keypoints and a detector exclude each other; give one")
    recipe, teacher = open_teacher(Path(run))
    given = None if keypoints is None else people_in(Path(keypoints), recording.names(), say)
    look = None if detector is None else live_detector(detector)
    generator = torch.Generator().manual_seed(seed)
    seen: list[_Seen] = []
    for text in recording.notes:
        say(text)
    for number, frame in enumerate(recording):
        unproject = DepthUnprojector(frame.camera)
        people = list(_people(frame, number, unproject, given, look))
        if doubt := doubt_people([person for _, person in people if person is not None]):
            say(f"{frame.name}: {doubt}")
        bodies = [_limbs(frame, joints) for joints, _ in people]
        for place, (joints, person) in enumerate(people):
            try:
                found = _isolate(frame, number, joints, person, recipe.data)
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
    who = _tracks(seen)
    said = []
    for _ in range(draws):
        points = torch.stack([subsample(one.points, recipe.data.points, generator) for one in seen])
        said.append(_joints(teacher.to(device), seen, points, who, recipe.data.frames, device))
    skeleton = get_skeleton(recipe.data.skeleton)
    return Prediction(
        _chosen(torch.stack(said), seen, skeleton).numpy().astype(np.float32),
        np.array([one.frame for one in seen]),
        who,
        np.stack([one.keypoints for one in seen]),
        np.stack([one.box.numpy() for one in seen]).astype(np.float32),
        points.numpy().astype(np.float32),
        tuple(recording.names()),
        skeleton,
    )


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
    for person in find_people(torch.from_numpy(frame.depth.astype(np.int32)).float() / 1000, unproject):
        if detector is None:
            yield np.zeros((17, 3), np.float32), person
            continue
        assert frame.rgb is not None
        joints = _look(detector, frame.rgb, person.box)
        if (joints[:, 2] >= 0.3).any():
            yield joints, person


def _look(detector: Detector, rgb: np.ndarray, box: Float[Tensor, " 4"]) -> np.ndarray:
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
    config: DataConfig,
) -> _Seen:
    """The square around a person as training saw it, and the person's points in it."""
    size = config.image_size
    found, sure = torch.from_numpy(joints), torch.from_numpy(joints[:, 2] >= 0.3)
    height, width = frame.depth.shape
    inside = (joints[:, :2] > -0.5).all(1) & (joints[:, :2] < [width - 0.5, height - 0.5]).all(1)
    if sure.any() and 2 * int((inside & sure.numpy()).sum()) <= int(sure.sum()):
        out = int(sure.sum()) - int((inside & sure.numpy()).sum())
        raise ValueError(
            f"{out} of {int(sure.sum())} 2D joints lie outside its {width}x{height} pixels; give them in"
            " pixels of the depth image"
        )
    if sure.any():
        box = bounding_box(found[:, :2], sure, margin=MARGIN, aspect=1.0)
    elif person is not None:
        box = bounding_box(person.box.view(2, 2), margin=MARGIN / 2, aspect=1.0)
    else:
        raise ValueError("no 2D joint is confident")
    depth = torch.from_numpy(square(frame.depth[None], box, size)[0].astype(np.float32)) / 1000
    unproject = DepthUnprojector(frame.camera.crop(box, (size, size)))
    if sure.any():
        pixels = (found[:, :2] + 0.5 - box[:2]) * size / (box[2:] - box[:2]) - 0.5
        mask = isolate_person(depth, unproject, pixels, found[:, 2]).mask
    else:
        assert person is not None
        mask = torch.from_numpy(square(person.mask.numpy()[None], box, size)[0])
    return _Seen(number, joints, box, unproject(depth)[mask], frame.camera)


def _limbs(frame: RgbdFrame, joints: np.ndarray) -> Float[Tensor, "S 2 3"]:
    """A person's limbs at their median depth, metres: near enough to tell neighbours apart."""
    pixels = np.rint(joints[:, :2]).astype(int)
    height, width = frame.depth.shape
    inside = (joints[:, 2] > 0) & (pixels >= 0).all(-1) & (pixels < [width, height]).all(-1)
    seen = frame.depth[pixels[inside, 1], pixels[inside, 0]]
    ends = torch.tensor([edge for edge in _LIMBS if (joints[list(edge), 2] > 0).all()], dtype=torch.long)
    if not (seen > 0).any() or not len(ends):
        return torch.zeros(0, 2, 3)
    metres = float(np.median(seen[seen > 0])) / 1000
    return (frame.camera.rays(torch.from_numpy(joints[:, :2])) * metres)[ends]


def _alone(seen: _Seen, own: Float[Tensor, "S 2 3"], others: list[Float[Tensor, "_s 2 3"]]) -> _Seen:
    """Only the points that are nearer to this person's limbs than to another's."""
    points = seen.points
    if len(own) and others:
        points = points[nearest_body(points, [own, *others]) == 0]
    if not len(points):
        raise ValueError("no point of depth is nearer to their limbs than to somebody else's")
    return replace(seen, points=points)


def _tracks(seen: list[_Seen]) -> Int[np.ndarray, " P"]:
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


@torch.no_grad()
def _joints(
    teacher: Teacher,
    seen: list[_Seen],
    points: Float[Tensor, "P N 3"],
    who: Int[np.ndarray, " P"],
    length: int,
    device: str,
) -> Float[Tensor, "P J 3"]:
    """Each person's joints from a clip that ends with the frame; a clip that is short begins with repeats."""
    frames = np.array([one.frame for one in seen])
    clips = []
    for i in range(len(seen)):
        mine = np.flatnonzero((who == who[i]) & (frames <= frames[i]))
        mine = mine[np.argsort(frames[mine])][-length:]
        clips.append(points[[*[mine[0]] * (length - len(mine)), *mine]])
    batches = torch.stack(clips).split(32)
    return torch.cat([teacher(batch.to(device)).float().cpu() for batch in batches])[:, -1]


def _chosen(said: Float[Tensor, "D P J 3"], seen: list[_Seen], skeleton: Skeleton) -> Float[Tensor, "P J 3"]:
    """Of each person's poses the one that agrees best with their 2D joints, or else with the others."""
    found = middle_pose(said)
    for i, one in enumerate(seen):
        if (one.keypoints[:, 2] >= 0.3).any():
            joints2d = convert_keypoints(torch.from_numpy(one.keypoints)[None], _COCO, skeleton)[0]
            rays = one.camera.rays(joints2d[:, :2]).expand(len(said), -1, -1)
            off = ray_loss(said[:, i], rays, joints2d[:, 2].expand(len(said), -1))
            found[i] = said[off.argmin(), i]
    return found


def middle_pose(said: Float[Tensor, "D P J 3"]) -> Float[Tensor, "P J 3"]:
    """Of several poses of each person the one with the least distance to all the others (the medoid)."""
    apart = (said[:, None] - said[None]).norm(dim=-1).mean(-1).sum(1)  # (D, P)
    return said[apart.argmin(0), torch.arange(said.shape[1])]
