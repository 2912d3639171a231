"""Two hands: synthetic scenes, their flesh, and stores of their pictures."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.synthetic.hands.build import build_hands
    from posedata.synthetic.hands.flesh import HandRenderer
    from posedata.synthetic.hands.scene import HAND_RIG, sample_scenes

__all__ = [
    "HAND_RIG",
    "HandRenderer",
    "build_hands",
    "sample_scenes",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
