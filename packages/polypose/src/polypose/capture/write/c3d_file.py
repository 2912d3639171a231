"""One C3D file, by ezc3d.

Run as a program it takes what to write as an .npz from its standard input: of every point that it wrote the
library keeps 50 bytes until the process ends.
"""

from __future__ import annotations

import sys

import numpy as np


def write_file(path: str, labels: list[str], places: np.ndarray, rate: float) -> None:
    """Write points in millimetres, of which NaN are gaps.

    Args:
        path: must end in .c3d, which the library adds to any other.
        places: (T, M, 3) of M labels.
        rate: frames a second.
    """
    from ezc3d import c3d

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
    file.write(path)


if __name__ == "__main__":
    import io

    with np.load(io.BytesIO(sys.stdin.buffer.read())) as told:
        write_file(sys.argv[1], told["labels"].tolist(), told["places"], float(told["rate"]))
