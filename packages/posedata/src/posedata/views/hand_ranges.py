"""How far pictures of hands vary; apart from what draws them, so that a recipe is read without torch."""

import math
from dataclasses import dataclass

TILT = math.radians(60)
"""Cameras see hands whose fingers point up to this far from upright."""


@dataclass(frozen=True)
class HandAugmentation:
    """Ranges; the defaults are A2J-Transformer's for InterHand2.6M (from its published code).

    Attributes:
        shift: of the box, as a share of its side; normal, clipped at its full.
        scale: about 1; normal with this spread, clipped at its full.
        rotation: radians; normal with this spread, clipped at twice, for ``rotated`` of the pictures.
        flip: share mirrored, hands swapped.
        colour: every channel times a uniform number within this of 1.
        blur: largest standard deviation of a Gaussian blur, px; drawn for each direction, so that some
            pictures are smeared as by motion.
        noise: largest standard deviation of noise in every pixel and channel, white being 1.
    """

    shift: float = 0.15
    scale: float = 0.25
    rotation: float = math.radians(45)
    rotated: float = 0.6
    flip: float = 0.5
    colour: float = 0.2
    blur: float = 0.0
    noise: float = 0.0
