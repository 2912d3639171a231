"""Smooth curves over time: minimum-jerk keyframes and the angles of legs through a gait cycle."""

import torch
from jaxtyping import Float
from torch import Tensor

Range = tuple[float | int, float | int]
Number = float | int
Table = dict[str, tuple[float | int, ...]]

WALK: Table = {
    "hip": (30, 29, 25, 20, 14, 8, 3, -2, -6, -9, -10, -7, 1, 11, 20, 27, 32, 34, 33, 31),
    "knee": (4, 12, 17, 17, 13, 9, 6, 5, 7, 13, 23, 38, 52, 60, 60, 53, 39, 22, 8, 2),
}
"""Flexion in degrees at every 5 % of a cycle from heel strike, level walking at a natural cadence, after
the ensemble averages of Winter, The Biomechanics and Motor Control of Human Gait, 2nd ed., 1991,
appendix."""

RUN: Table = {
    "hip": (38, 37, 32, 24, 15, 6, -2, -7, -8, -4, 4, 14, 25, 35, 43, 48, 49, 47, 43, 40),
    "knee": (16, 32, 42, 40, 32, 23, 18, 18, 25, 40, 60, 80, 93, 96, 90, 76, 57, 37, 22, 14),
}
"""The same for running, after Novacheck, The biomechanics of running, Gait and Posture 7, 1998, figure 6."""

_HARMONICS = 6


def periodic(table: tuple[float | int, ...], phase: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """A curve through equally spaced samples of one cycle, at phases in cycles.

    The first six harmonics carry a gait's joint angles (Winter 1991): higher ones, rounding of the table,
    are cut.
    """
    samples = torch.tensor(table, dtype=phase.dtype)
    spectrum = torch.fft.rfft(samples) / len(table)
    curve = spectrum[0].real.expand_as(phase).clone()
    for k in range(1, min(_HARMONICS, len(table) // 2 - 1) + 1):
        turn = 2 * torch.pi * k * phase
        curve += 2 * (spectrum[k].real * turn.cos() - spectrum[k].imag * turn.sin())
    return curve


def minimum_jerk(s: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The course of a reach from 0 to 1 while time s goes from 0 to 1 (Flash and Hogan, J. Neurosci. 5,
    1985)."""
    s = s.clamp(0, 1)
    return s**3 * (10 + s * (6 * s - 15))


def through(
    keys: Float[Tensor, "people keys channels"], position: Float[Tensor, "people frames"], pause: float = 0.15
) -> Float[Tensor, "people frames channels"]:
    """Minimum-jerk movement from key to key; key k is met at position k and held for `pause` on either
    side."""
    index = position.floor().long().clamp(0, keys.shape[1] - 2)
    step = minimum_jerk((position - index - pause) / (1 - 2 * pause))[..., None]
    channels = index[..., None].expand(-1, -1, keys.shape[2])
    start, end = keys.gather(1, channels), keys.gather(1, channels + 1)
    return start + step * (end - start)


def uniform(
    generator: torch.Generator,
    shape: tuple[int, ...],
    low: Number | Tensor = 0,
    high: Number | Tensor = 1,
) -> Tensor:
    """Independent uniform numbers from low to high."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def key_positions(
    generator: torch.Generator, people: int, frames: int, fps: float, rate: Range
) -> tuple[Float[Tensor, "people frames"], int]:
    """At which position of its keys each person's clip stands at each frame, and how many keys that takes.

    rate: fewest and most keys a second; each clip has its own, and starts between two keys.
    """
    speed = uniform(generator, (people, 1), *rate) / fps
    position = uniform(generator, (people, 1)) + speed * torch.arange(frames)
    return position, int(frames * rate[1] / fps) + 3
