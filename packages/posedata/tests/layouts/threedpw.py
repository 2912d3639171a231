"""3DPW: sequences of one or two people in a room, with a carried camera; pickles, and pictures."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from formats_photo import tdpw_sequence, write_tdpw
from PIL import Image
from posedata.geometry.camera import Camera
from posedata.readers.tdpw import COCO18
from posedata.skeleton import get_skeleton
from posedata.views.noise import DetectorNoise

from layouts.filming import Studio
from layouts.people import Person, Truth, as_skeleton, cast, detect, seed_of, y_up

RATE = 30.0
SEQUENCES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "train": ("courtyard_arguing_00", "outdoors_slalom_00"),
    "validation": ("courtyard_basketball_01",),
    "test": ("downtown_arguing_00", "downtown_walking_00"),
})  # fmt: skip
_ROLES = {"arguing": "gesture", "slalom": "turn", "basketball": "reach", "walking": "walk"}
_DOWN_TO_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Takes a world with y up to the same with z up."""
_UNKNOWN = 3
"""The frame, from the end, whose camera pose is not valid."""


def write_3dpw(
    folder: Path,
    *,
    sequences: Mapping[str, tuple[str, ...]] = SEQUENCES,
    frames: int = 12,
    pace: float = 1.0,
    size: tuple[int, int] = (270, 480),
    noise: DetectorNoise | None = None,
    block: int = 2,
    images: bool = True,
    painted: bool = True,
    seed: int = 0,
) -> Truth:
    """Write sequenceFiles/PART/NAME.pkl and imageFiles/NAME/image_%05d.jpg.

    Args:
        folder: made; the source of `posedata prepare 3dpw`.
        sequences: by part; in those called arguing there are two people, as in the real ones.
        frames: of each sequence, at 30 a second; in the third from the end the camera's pose is not valid.
        pace: how many times as fast as in life people move.
        size: width and height of the pictures; the real ones have 1080 x 1920.
        noise: the detector's; `DetectorNoise()` if None.
        block: how many pixels a side of the pictures one ray fills.
        images: whether to film.
        painted: whether forearms are green on the left and magenta on the right.

    The truth's sequences are those of the store, "NAME person 0", and its camera is the NAME.
    """
    truth = Truth(folder)
    named = [
        f"{name} person {i}" for names in sequences.values() for name in names for i in range(_people(name))
    ]
    people = cast(named, frames, rate=RATE / pace, seed=seed, painted=painted)
    for part, names in sequences.items():
        for name in names:
            cameras = _carried(name, frames, size, seed)
            those = {person: people[person] for person in named if person.startswith(f"{name} ")}
            joints = {person: _clip(one, name, i) for i, (person, one) in enumerate(those.items())}
            for person, clip in joints.items():
                key = (person, name)
                truth.joints[person] = clip
                truth.pixels[key] = cameras.project(torch.from_numpy(clip)).numpy()
                number = seed_of(seed, person)
                truth.detected[key] = detect(truth.pixels[key], noise or DetectorNoise(), number)
            write_tdpw(folder, part, name, _fields(name, joints, cameras, truth))
            if images:
                _film(
                    folder,
                    name,
                    those,
                    joints,
                    cameras,
                    truth,
                    Studio(cameras[0], seed=seed_of(name), block=block),
                )
    return truth


def _people(name: str) -> int:
    return 2 if "arguing" in name else 1


def _clip(person: Person, name: str, number: int) -> np.ndarray:
    """(T, 17, 3) of what the sequence is called after; two people stand apart from each other."""
    role = next((role for word, role in _ROLES.items() if word in name), "free")
    clip = person.clips[role][0].copy()
    clip[..., 0] += (2 * number - 1) * 0.7 * (_people(name) - 1)
    return clip


def _carried(name: str, frames: int, size: tuple[int, int], seed: int) -> Camera:
    """The camera of each frame: somebody walks along with it and does not hold it quite level."""
    rng = np.random.default_rng([seed, seed_of(name)])
    azimuth = -np.pi / 2 + rng.uniform(-0.4, 0.4) + 0.01 * np.arange(frames)
    away, height = rng.uniform(4.5, 5.5), rng.uniform(1.3, 1.7)
    place = np.stack([away * np.cos(azimuth), away * np.sin(azimuth), np.full(frames, height)], -1)
    target = torch.tensor([0.0, 0.0, 0.95])
    roll = torch.from_numpy(0.03 * np.sin(np.arange(frames) / 5)).float()
    return Camera.look_at(torch.from_numpy(place).float(), target, 1961.0 * size[1] / 1920, size, roll)


def _fields(name: str, joints: dict[str, np.ndarray], cameras: Camera, truth: Truth) -> dict[str, object]:
    """The fields of a sequence's pickle; those that the reader does not read are made up."""
    frames, people = len(cameras), list(joints.values())
    views = np.tile(np.eye(4), (frames, 1, 1))
    views[:, :3, :3] = cameras.rotation.numpy() @ _DOWN_TO_UP
    views[:, :3, 3] = cameras.translation.numpy()
    lens = np.eye(3)
    lens[[0, 1], [0, 1]], lens[:2, 2] = cameras.focal[0].numpy(), cameras.centre[0].numpy()
    valid = np.ones(frames, bool)
    if frames >= _UNKNOWN:
        valid[-_UNKNOWN] = False
    made_up = tdpw_sequence(np.random.default_rng(0), frames, len(people))
    return made_up | {
        "sequence": name,
        "jointPositions": [
            y_up(as_skeleton(clip, "smpl24")).reshape(frames, 72).astype(float) for clip in people
        ],
        "cam_poses": views,
        "cam_intrinsics": lens,
        "campose_valid": [valid.copy() for _ in people],
        "poses2d": [_coco18(truth.detected[person, name]) for person in joints],
    }


def _coco18(detected: np.ndarray) -> np.ndarray:
    """(T, 3, 18) of (T, 17, 3); what Human3.6M's joints lack was not found."""
    known = get_skeleton("h36m17").joints
    out = np.zeros((len(detected), 3, 18))
    for place, joint in enumerate(COCO18):
        if joint in known:
            out[:, :, place] = detected[:, known.index(joint)]
    return out


def _film(
    folder: Path, name: str, people: dict[str, Person], joints: dict[str, np.ndarray], cameras: Camera,
    truth: Truth, studio: Studio,
) -> None:  # fmt: skip
    place = folder / "imageFiles" / name
    place.mkdir(parents=True, exist_ok=True)
    visible = []
    for frame in range(len(cameras)):
        those = [(people[person].flesh, joints[person][frame]) for person in people]
        shot = studio.shoot(those, cameras[frame])
        Image.fromarray(shot.picture).save(place / f"image_{frame:05d}.jpg", quality=92)
        visible.append(shot.visible)
    for number, person in enumerate(people):
        truth.visible[person, name] = np.stack(visible)[:, number]
