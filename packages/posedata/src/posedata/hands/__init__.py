"""Two hands: synthetic scenes and their pictures, InterHand2.6M's annotations, and its protocol."""

from posedata.hands.augment import HandAugmentation, augment_hands
from posedata.hands.build import build_hands
from posedata.hands.crops import WRISTS, decode, encode, own_wrist
from posedata.hands.flesh import HandRenderer
from posedata.hands.interhand import InterHand, read_interhand, write_interhand
from posedata.hands.protocol import HandErrors, hand_errors
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
