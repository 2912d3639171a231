"""Scores: metrics, the papers' protocols, and what papers report."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.scoring.protocol import HitProtocol, PoseProtocol, Protocol, Scores, Selection

__all__ = [
    "HitProtocol",
    "PoseProtocol",
    "Protocol",
    "Scores",
    "Selection",
]

_HOMES = {
    "posedata.scoring.protocol": ("HitProtocol", "PoseProtocol", "Protocol", "Scores", "Selection"),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOMES)
