"""Virtual cameras around people: where they may stand, and one for each pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from posedata.geometry.camera import Camera

_NEAREST = 0.5


@dataclass(frozen=True)
class Rig:
    """Where cameras may stand around a person, as ranges that are sampled uniformly.

    Attributes:
        azimuth: radians about the world's z axis, counted from x; offsets from a station if there are any.
        elevation: radians above the horizon through the person's middle.
        roll: radians about the optical axis.
        distance: metres from the person's middle; enlarged where the person would not fit.
        focal: pixels, for a frame of `size`.
        target_jitter: metres, half-width of a uniform offset of the point looked at, per axis.
        stations: azimuths of fixed cameras; view k stands at station k modulo their number.
        size: width and height of the frame in pixels.
        body_margin: metres of flesh around the joints that must be in the frame too.
    """

    azimuth: tuple[float, float] = (-math.pi, math.pi)
    elevation: tuple[float, float] = (0.0, 0.0)
    roll: tuple[float, float] = (0.0, 0.0)
    distance: tuple[float, float] = (3.0, 6.0)
    focal: tuple[float, float] = (1000.0, 1000.0)
    target_jitter: float = 0.0
    stations: tuple[float, ...] = ()
    size: tuple[int, int] = (1000, 1000)
    body_margin: float = 0.15


RIGS: dict[str, Rig] = {
    "mocap": Rig(
        elevation=(math.radians(-7), math.radians(23)),
        roll=(math.radians(-3), math.radians(3)),
        distance=(3.0, 6.5),
        focal=(1000.0, 1300.0),
        target_jitter=0.15,
    ),
    "anywhere": Rig(
        elevation=(math.radians(-20), math.radians(60)),
        roll=(math.radians(-30), math.radians(30)),
        distance=(1.5, 8.0),
        focal=(420.0, 1866.0),
        target_jitter=0.3,
    ),
    "h36m": Rig(
        azimuth=(math.radians(-12), math.radians(12)),
        elevation=(math.radians(2), math.radians(12)),
        roll=(math.radians(-1), math.radians(1)),
        distance=(4.5, 6.0),
        focal=(1143.0, 1150.0),
        target_jitter=0.2,
        stations=tuple(math.radians(a) for a in (45, 135, 225, 315)),
    ),
}
"""Rigs by name: "mocap" (all azimuths, from below the waist to above the head), "anywhere" (what phones and
rooms do: rolled by up to 30 degrees, looking up by 20 to down by 60, fields of view of 30 to 100 degrees) and
"h36m" (four cameras at chest height in the corners of a room, with the focal lengths of Human3.6M)."""

CHEST = replace(RIGS["h36m"], stations=tuple(math.radians(18 + 72 * i) for i in range(5)))
STEEP = replace(
    RIGS["h36m"],
    stations=tuple(math.radians(60 * i) for i in range(6)),
    elevation=(math.radians(25), math.radians(45)),
)
CHEST_CAMERAS = len(CHEST.stations)
"""Eleven cameras after MPI-INF-3DHP as V-VIPE uses it (section 4.3): five at chest height around the person,
six looking down."""


def get_rig(name: str) -> Rig:
    """A rig by name; ValueError lists the names there are."""
    if name not in RIGS:
        raise ValueError(f"rig {name!r} is not known; use one of {', '.join(RIGS)}")
    return RIGS[name]


def sample_cameras(
    joints: Float[Tensor, "B J 3"],
    rig: Rig,
    generator: torch.Generator,
    *,
    station: Int[Tensor, " B"] | None = None,
) -> Camera:
    """One camera per pose, with the whole person in its frame.

    The camera looks at the middle of the pose (plus jitter). Seen along its axes a joint at offset
    (x, y, z) from there is within the frame at distance D if f |x| <= (D + z) w/2, so the least distance
    that shows everybody has a closed form; it replaces a sampled one that is less.

    Args:
        joints: world metres, finite.
        rig: the ranges.
        generator: on any device; the cameras are on that of the joints.
        station: index of the station per pose; drawn if left out (and if the rig has stations).

    Returns: a `Camera` with batch shape (B,).
    """
    count = len(joints)

    def uniform(span: tuple[float, float], *shape: int) -> Tensor:
        drawn = torch.rand(count, *shape, generator=generator, device=generator.device)
        return (span[0] + (span[1] - span[0]) * drawn).to(joints)

    azimuth, elevation, roll = uniform(rig.azimuth), uniform(rig.elevation), uniform(rig.roll)
    distance, focal = uniform(rig.distance), uniform(rig.focal)
    jitter = uniform((-rig.target_jitter, rig.target_jitter), 3)
    if rig.stations:
        if station is None:
            many = len(rig.stations)
            station = torch.randint(many, (count,), generator=generator, device=generator.device)
        azimuth = azimuth + joints.new_tensor(rig.stations)[station.to(joints.device)]
    target = (joints.amax(dim=1) + joints.amin(dim=1)) / 2 + jitter
    flat = torch.cos(elevation)
    away = torch.stack([flat * torch.cos(azimuth), flat * torch.sin(azimuth), torch.sin(elevation)], dim=-1)
    size = torch.tensor(rig.size, device=joints.device)
    focals = focal[:, None].expand(-1, 2)
    near = Camera.look_at(target + away, target, focals, size, roll)
    offset = near.world_to_camera(joints) - joints.new_tensor([0.0, 0.0, 1.0])
    half = size.to(joints.dtype) / 2
    room = (offset[..., :2].abs() + rig.body_margin) * (focals / half)[:, None, :]
    least = torch.maximum(room.amax(dim=-1), offset.new_tensor(_NEAREST)) + rig.body_margin - offset[..., 2]
    distance = torch.maximum(distance, least.amax(dim=1))
    return Camera.look_at(target + away * distance[:, None], target, focals, size, roll)


def station_cameras(
    joints: Float[Tensor, "N J 3"], rigs: Sequence[Rig], generator: torch.Generator
) -> list[Camera]:
    """For every station of the rigs, where its camera stands to each pose: `Camera` of batch (N,).

    The person walks about: azimuth, elevation and distance vary within the rig's ranges about each station.
    """
    return [
        sample_cameras(joints, rig, generator, station=torch.full((len(joints),), station))
        for rig in rigs
        for station in range(len(rig.stations))
    ]
