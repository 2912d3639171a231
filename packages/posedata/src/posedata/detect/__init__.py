"""2D joints of a store's rows: true ones with a detector's noise, a file's, or a detector's that runs now."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.detect.live import Detector, live_detector
    from posedata.detect.sources import KeypointSource, noisy_keypoints

__all__ = ["Detector", "KeypointSource", "live_detector", "noisy_keypoints"]

_HOMES = {
    "posedata.detect.live": ("Detector", "live_detector"),
    "posedata.detect.sources": ("KeypointSource", "noisy_keypoints"),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOMES)
