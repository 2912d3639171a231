"""Two hands: synthetic scenes and their pictures, InterHand2.6M's annotations, and its protocol."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posedata.hands.augment import augment_hands
    from posedata.hands.build import build_hands
    from posedata.hands.crops import WRISTS, decode, encode, own_wrist
    from posedata.hands.flesh import HandRenderer
    from posedata.hands.interhand import InterHand, read_interhand, write_interhand
    from posedata.hands.protocol import HandErrors, hand_errors
    from posedata.hands.ranges import HandAugmentation
    from posedata.hands.scene import HAND_RIG, KINDS, sample_scenes

__all__ = [
    "HAND_RIG",
    "KINDS",
    "WRISTS",
    "HandAugmentation",
    "HandErrors",
    "HandRenderer",
    "InterHand",
    "augment_hands",
    "build_hands",
    "decode",
    "encode",
    "hand_errors",
    "own_wrist",
    "read_interhand",
    "sample_scenes",
    "write_interhand",
]

_HOMES = {
    "posedata.hands.augment": ("augment_hands",),
    "posedata.hands.build": ("build_hands",),
    "posedata.hands.crops": ("WRISTS", "decode", "encode", "own_wrist"),
    "posedata.hands.flesh": ("HandRenderer",),
    "posedata.hands.interhand": ("InterHand", "read_interhand", "write_interhand"),
    "posedata.hands.protocol": ("HandErrors", "hand_errors"),
    "posedata.hands.ranges": ("HandAugmentation",),
    "posedata.hands.scene": ("HAND_RIG", "KINDS", "sample_scenes"),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
