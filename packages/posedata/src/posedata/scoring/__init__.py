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

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
