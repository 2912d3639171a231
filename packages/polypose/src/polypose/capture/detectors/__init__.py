"""2D detectors of people behind one interface: pictures in, everybody's keypoints out."""

from __future__ import annotations

import hashlib
import os

from polypose.capture.detectors.detector import Detector

LIVE = ("blazepose", "rtmlib")


def make_detector(name: str, network: str = "full") -> Detector:
    """A detector that looks at pictures.

    Args:
        network: of blazepose: lite, full or heavy.

    Raises:
        ValueError, FileNotFoundError: its package or its networks are not here.
    """
    if name == "rtmlib":
        from polypose.capture.detectors.rtmlib import RtmPose

        return RtmPose()
    from polypose.capture.detectors.blazepose import BlazePose
    from polypose.capture.fetch import DETECTOR, cached, landmarks

    wanted = landmarks(network)
    return BlazePose(cached(DETECTOR), cached(wanted), threads=_threads())


def identity(name: str, network: str = "full") -> str:
    """What decides what a detector finds, in a word: its name and its networks."""
    if name == "rtmlib":
        return name
    from polypose.capture.fetch import DETECTOR, NETWORKS, landmarks

    both = NETWORKS[DETECTOR] + NETWORKS[landmarks(network)]
    return f"{name} {network} {hashlib.sha256(both.encode()).hexdigest()[:16]}"


def _threads() -> int:
    """Threads of a network: one processor is left to the film; no more than OMP_NUM_THREADS says."""
    most = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(most) if most.isdecimal() and int(most) else 4, 4, max(1, (os.cpu_count() or 2) - 1))
