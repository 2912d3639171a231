"""A motion as .trc, OpenSim's marker text, a file for each person: y up, metres, gaps empty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from posedata.writing import replacing

from polypose.capture.write.labels import labels_of
from polypose.capture.write.people import each_person, y_up

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person


def write_trc(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write every person in a file of its own; frames count from 1 on the motion's clock."""
    written = []
    for person, file in each_person(motion, path):
        _write(motion, person, file)
        written.append(file)
    return tuple(written)


def _write(motion: Motion, person: Person, path: Path) -> None:
    labels, rate = labels_of(motion.skeleton), f"{motion.rate:.6g}"
    count, first = len(person), person.first + 1
    keys = {
        "DataRate": rate,
        "CameraRate": rate,
        "NumFrames": count,
        "NumMarkers": len(labels),
        "Units": "m",
        "OrigDataRate": rate,
        "OrigDataStartFrame": first,
        "OrigNumFrames": count,
    }
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name.encode('ascii', 'replace').decode()}",
        "\t".join(keys),
        "\t".join(map(str, keys.values())),
        "Frame#\tTime\t" + "\t\t\t".join(labels),
        "\t\t" + "\t".join(f"{axis}{n}" for n in range(1, len(labels) + 1) for axis in "XYZ"),
    ]
    with replacing(path) as file:
        file.write("".join(f"{line}\n" for line in (*lines, "")).encode())
        times = motion.times[person.frames].tolist()
        for number, (time, joints) in enumerate(zip(times, y_up(person.joints), strict=True), start=first):
            joints = np.where(np.isfinite(joints).all(-1, keepdims=True), joints, np.nan)
            cells = ["" if cell != cell else f"{cell:.6f}" for cell in joints.ravel().tolist()]
            file.write(f"{number}\t{time:.6f}\t{chr(9).join(cells)}\n".encode())
