"""A motion as .c3d, what marker systems record: z up, millimetres, residual -1 for a gap (by ezc3d)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from posedata.errors import no_room
from posedata.writing import replacing

from polypose.capture.write.labels import labels_of
from polypose.capture.write.people import check_somebody, steady

if TYPE_CHECKING:
    from polypose.capture.motion import Motion

_MOST_FRAMES = 65535
"""What the header's 16 bits count."""


def write_c3d(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write everybody in one file; of several people the labels are person1:RKnee, person2:RKnee.

    C3D has a rate and no times (`people.steady`). It counts 65,535 frames: later ones are in NAME.part2.c3d.

    Raises:
        ValueError, OSError: nobody, no place to write to.
        ModuleNotFoundError: ezc3d is not installed.
    """
    check_somebody(motion, path)
    motion, rate = steady(motion)
    several = len(motion.people) > 1
    labels = [
        f"person{person.id}:{name}" if several else name
        for person in motion.people
        for name in labels_of(motion.skeleton)
    ]
    places = np.full((len(motion), len(motion.people), len(motion.skeleton), 3), np.nan)
    for number, person in enumerate(motion.people):
        places[person.frames, number] = person.joints
    points = 1000 * places.reshape(len(motion), len(labels), 3)
    written = []
    for part, start in enumerate(range(0, len(motion), _MOST_FRAMES), start=1):
        file = path if part == 1 else path.with_name(f"{path.stem}.part{part}{path.suffix}")
        _write(file, labels, points[start : start + _MOST_FRAMES], rate)
        written.append(file)
    return tuple(written)


def _write(path: Path, labels: list[str], places: np.ndarray, rate: float) -> None:
    """places: (T, M, 3) millimetres, NaN for gaps."""
    try:
        from ezc3d import c3d
    except ImportError:
        raise ModuleNotFoundError(f"{path}: C3D needs ezc3d; pip install 'polypose[video]'") from None

    known = np.isfinite(places).all(-1).T
    points = np.ones((4, len(labels), len(places)))
    points[:3] = np.where(known, places.transpose(2, 1, 0), 0)
    file = c3d()
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["RATE"]["value"] = [rate]
    file["parameters"]["POINT"]["LABELS"]["value"] = labels
    file["parameters"]["POINT"]["DESCRIPTIONS"]["value"] = [""] * len(labels)
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(known, 0.0, -1.0)[None]
    with replacing(path) as whole:
        made = Path(f"{os.fsdecode(whole.name)}.c3d")  # the library adds this ending to any other
        try:
            file.write(str(made))
            if made.stat().st_size < points.size * 4:  # it does not say that the disk is full
                raise no_room(path)
            with made.open("rb") as source:
                shutil.copyfileobj(source, whole)
        finally:
            made.unlink(missing_ok=True)
