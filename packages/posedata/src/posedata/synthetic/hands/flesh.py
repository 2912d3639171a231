"""Skin, nails and sleeves for hands in any pose: capsules along the bones, drawn by the body's renderer.

The two sides of a hand can be told apart: the palm is lighter and pinker than the back, nails lie on the back
of the fingertips, and a sleeve begins behind the wrist.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.synthetic.flesh import capsule_mesh
from posedata.synthetic.hands.hand import radii, segments
from posedata.synthetic.render import Rendered, Renderer, Surface

Array = NDArray[np.float32]

_SIDE_SHIFT = 0.18
"""Every segment is two capsules, of back and palm, moved apart by this share of its radius."""

_FLOOR = 1.0
_SLACK = 0.004
_RADII: Array = radii().numpy()
_TIPS = np.arange(3, 20, 4)
WRIST_DEGREES = ((-70.0, 80.0), (-30.0, 20.0))
"""Flexion (towards the palm), and deviation (towards the thumb): AAOS, Joint Motion, 1965."""
_WRIST_SPREAD, _FOREARM = (25.0, 10.0), 0.25

_THICK: Array = np.concatenate(
    [np.tile(_RADII * (1 - 0.5 * _SIDE_SHIFT), 2), 0.5 * _RADII[_TIPS], np.full(6, 0.009), [0.022, 0.031]]
).astype(np.float32)
_COLOUR = np.repeat([0, 1, 2, 0, 3], [20, 20, 5, 7, 1])
_POINTS, _DIRECTIONS, _FACES = capsule_mesh(np.array([[0, 0, 0], [0, 0, 1]], np.float32), 1.0, 10, 3)
_END = np.rint((_POINTS - _DIRECTIONS)[:, 2]).astype(int)


class Skin(NamedTuple):
    """Colours 0 to 255: the back of the hand, its palm, nails, the sleeve."""

    back: Array
    palm: Array
    nail: Array
    sleeve: Array


def sample_skin(rng: np.random.Generator) -> Skin:
    """A person's hands."""
    light, dark = np.array([244, 208, 180.0]), np.array([92, 58, 40.0])
    back = light + rng.random() * (dark - light)
    pink = np.array([250, 196, 178.0])
    palm = back + rng.uniform(0.3, 0.6) * (pink - back)
    nail = back + rng.uniform(0.4, 0.8) * (np.array([255, 226, 220.0]) - back)
    sleeve = rng.uniform(15, 240, 3)
    return Skin(*(colour.astype(np.float32) for colour in (back, palm, nail, sleeve)))


class Arm(NamedTuple):
    """How a forearm goes on behind a hand: wrist angles, radians, and where the sleeve begins and ends, m."""

    flexion: float = 0.0
    deviation: float = 0.0
    sleeve: tuple[float, float] = (0.035, 0.15)


STRAIGHT = Arm()


def sample_arm(rng: np.random.Generator) -> Arm:
    """A wrist bent within `WRIST_DEGREES`, and a forearm to the elbow, bare for up to 15 cm."""
    bend = [
        float(np.deg2rad(np.clip(spread * rng.standard_normal(), low, high)))
        for spread, (low, high) in zip(_WRIST_SPREAD, WRIST_DEGREES, strict=True)
    ]
    return Arm(bend[0], bend[1], (float(rng.uniform(0.035, 0.15)), _FOREARM))


class HandRenderer:
    """Renders one hand or two at one image size, (width, height) in pixels.

    Args:
        arms: whether wrists are bent and forearms end at the elbow; else sleeves are short and straight.
    """

    def __init__(self, size: tuple[int, int] = (256, 256), arms: bool = False) -> None:
        self._renderer, self._arms = Renderer(size), arms

    def render(
        self,
        joints_world: Float[Tensor, "42 3"],
        valid: Bool[Tensor, " 42"],
        camera: Camera,
        *,
        generator: torch.Generator,
        background: str | None = None,
        kinect: bool = False,
        noise: torch.Generator | None = None,
    ) -> Rendered:
        """The hands whose joints are all valid, before a random background.

        Args: as of `Renderer.render`; what is visible has 42 entries, False for a hand that is not there.

        Raises:
            ValueError: no hand is whole.
        """
        rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
        seen = camera.world_to_camera(joints_world).float().cpu().numpy()
        whole = [bool(valid[side].all()) for side in _SIDES]
        if not any(whole):
            raise ValueError("neither hand has all of its 21 joints: leave such frames out")
        skin = sample_skin(rng)
        meshes = [
            hand_mesh(seen[side], skin, left=i == 1, arm=sample_arm(rng) if self._arms else STRAIGHT)
            for i, side in enumerate(_SIDES)
            if whole[i]
        ]
        there = np.concatenate([np.arange(42)[side] for i, side in enumerate(_SIDES) if whole[i]])
        made = self._renderer.picture(
            _join(meshes),
            camera,
            seen[there],
            np.tile(_HIDDEN_BY, sum(whole)),
            height=_FLOOR,
            rng=rng,
            background=background,
            noise=(noise or generator) if kinect else None,
        )
        visible = np.zeros(42, bool)
        visible[there] = made.visible
        return Rendered(made.rgb, made.depth, made.mask, visible)


def hand_mesh(joints: Float[np.ndarray, "21 3"], skin: Skin, *, left: bool, arm: Arm = STRAIGHT) -> Surface:
    """The surface of one hand, in the frame and unit (metres) of its joints."""
    bones = segments(torch.from_numpy(joints)).numpy()
    out = _outwards(joints, bones, left)
    shift = (_SIDE_SHIFT * _RADII)[:, None, None] * out[:, None]
    tips = bones[_TIPS]
    nails = tips[:, 1:] * 0.9 + tips[:, :1] * 0.1 + (0.72 * _RADII[_TIPS])[:, None, None] * out[_TIPS, None]
    nails = nails + np.array([0, 0.3])[:, None] * (tips[:, :1] - tips[:, 1:])
    knuckles = np.stack([bones[4:16:4, 1], bones[8::4, 1]], 1)
    web = joints[20] + np.array([0.55, 0.95])[:, None, None, None] * (knuckles - joints[20])
    start, end = arm.sleeve
    along = np.array([[0.0, start - 0.005], [start, end]], np.float32)[..., None]
    sleeve = joints[20] + along * forearm(joints, arm, left=left) / np.linalg.norm(joints[11] - joints[20])
    ends = np.concatenate([bones + shift, bones - shift, nails, web.reshape(-1, 2, 3), sleeve])
    colours = np.stack([skin.back, skin.palm, skin.nail, skin.sleeve])[_COLOUR]
    return _capsules(ends.astype(np.float32), _THICK, colours)


def forearm(joints: Float[np.ndarray, "21 3"], arm: Arm, *, left: bool) -> Float[np.ndarray, " 3"]:
    """The way from the wrist towards the elbow, as long as from the wrist to the middle finger's knuckle."""
    forward = joints[11] - joints[20]
    length = np.linalg.norm(forward)
    back = np.cross(forward, joints[7] - joints[19]) * (-1 if left else 1)
    back = length * back / np.linalg.norm(back)
    thumb = np.cross(back, forward) / length * (-1 if left else 1)
    bent = np.cos(arm.flexion) * forward + np.sin(arm.flexion) * back
    return (np.sin(arm.deviation) * thumb - np.cos(arm.deviation) * bent).astype(np.float32)


_SIDES = (slice(0, 21), slice(21, 42))
_HIDDEN_BY: Array = np.append(_RADII.reshape(5, 4)[:, ::-1].reshape(-1), np.float32(0.03)) + np.float32(
    _SLACK
)
"""Flesh about every joint of a hand that does not hide it, metres."""


def _outwards(joints: Array, bones: Array, left: bool) -> Array:
    """For every segment the unit vector out of the back of the finger, (20, 3)."""
    chains = bones.reshape(5, 4, 2, 3)
    along = chains[:, :, 1] - chains[:, :, 0]
    across = chains[1, 0, 1] - chains[4, 0, 1]  # little to index knuckle
    forward = chains[2, 0, 1] - joints[20]
    back = np.cross(forward, across) * (-1 if left else 1)
    # fingers bend about this axis; the thumb's lies across its own two bones, or across the palm's
    axis = np.repeat(np.cross(back, forward)[None], 5, 0)
    axis[0] = back * (-1 if left else 1) * -1
    out = np.cross(along, axis[:, None])
    out[0] = np.where((out[0] @ across > 0)[:, None], out[0], -out[0])
    out[1:] = np.where((out[1:, :1] @ back > 0)[..., None], out[1:], -out[1:])
    out[:, 0] = back
    return (out / (np.linalg.norm(out, axis=-1, keepdims=True) + 1e-9)).reshape(20, 3).astype(np.float32)


def _capsules(ends: Array, thick: Array, colours: Array) -> Surface:
    """Capsules between points (K, 2, 3) of radii (K,) and colours (K, 3), as one surface."""
    along = ends[:, 1] - ends[:, 0]
    along = along / (np.linalg.norm(along, axis=-1, keepdims=True) + 1e-9)
    helper = np.where(np.abs(along[:, :1]) < 0.9, np.eye(3)[0], np.eye(3)[1])
    side = np.cross(along, helper)
    side = side / np.linalg.norm(side, axis=-1, keepdims=True)
    frames = np.stack([side, np.cross(along, side), along], 1).astype(np.float32)
    normals = _DIRECTIONS @ frames
    vertices = ends[:, _END] + thick[:, None, None] * normals
    faces = _FACES + (len(_DIRECTIONS) * np.arange(len(ends), dtype=np.uint32))[:, None, None]
    return Surface(
        np.ascontiguousarray(vertices.reshape(-1, 3), np.float32),
        np.ascontiguousarray(normals.reshape(-1, 3), np.float32),
        np.ascontiguousarray(faces.reshape(-1, 3)),
        np.repeat(colours, len(_FACES), 0),
    )


def _join(meshes: list[Surface]) -> Surface:
    shift = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.triangles + np.uint32(start) for mesh, start in zip(meshes, shift, strict=True)]
    vertices, normals, _, colours = (np.concatenate(part) for part in zip(*meshes, strict=True))
    return Surface(vertices, normals, np.concatenate(faces).astype(np.uint32), colours)
