"""A motion as .csv for a spreadsheet: a row for every person in every frame, and the cameras beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from posedata.writing import replacing

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, View

_CAMERA = {
    "focal": ("fx_px", "fy_px"),
    "centre": ("cx_px", "cy_px"),
    "distortion": ("k1", "k2", "p1", "p2", "k3"),
    "rotation": tuple(f"r{row}{column}" for row in "123" for column in "123"),
    "translation": ("tx_m", "ty_m", "tz_m"),
}


def write_csv(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write `frame, time_s, person, valid`, then NAME_x_m, NAME_y_m, NAME_z_m, NAME_sd_m of every joint.

    Rows go by frame, then by person; `valid` counts the joints that are known, the cells of others are empty.
    NAME.cameras.csv has a row for every view: its film, size, pinhole, distortion and world-to-camera.
    """
    columns = [f"{joint}_{what}_m" for joint in motion.skeleton.joints for what in ("x", "y", "z", "sd")]
    _write(path, ["frame", "time_s", "person", "valid", *columns], _rows(motion))
    if not motion.views:
        return (path,)
    cameras = path.with_name(f"{path.stem}.cameras.csv")
    names = [name for part in _CAMERA.values() for name in part]
    _write(cameras, ["view", "film", "width_px", "height_px", *names], map(_camera, motion.views))
    return path, cameras


def _write(path: Path, header: list[str], rows: Iterator[list[str]]) -> None:
    with replacing(path) as file:
        file.write(f"{','.join(header)}\n".encode())
        for row in rows:
            file.write(f"{','.join(row)}\n".encode())


def _rows(motion: Motion) -> Iterator[list[str]]:
    for frame, time in enumerate(motion.times.tolist()):
        for person in motion.people:
            if person.frames.start <= frame < person.frames.stop:
                row = frame - person.first
                cells = np.concatenate([person.joints[row], person.sd[row, :, None]], axis=1)
                known = int(np.isfinite(person.joints[row]).all(-1).sum())
                numbers = ["" if cell != cell else f"{cell:.6f}" for cell in cells.ravel().tolist()]
                yield [str(frame), f"{time:.6f}", str(person.id), str(known), *numbers]


def _camera(view: View) -> list[str]:
    numbers = [
        f"{value:.9g}"
        for field in _CAMERA
        for value in getattr(view.camera, field).detach().cpu().numpy().ravel().tolist()
    ]
    size = [str(int(edge)) for edge in view.camera.size.tolist()]
    return [quoted(view.name), quoted(view.path.name if view.path else ""), *size, *numbers]


def quoted(text: str) -> str:
    """A cell that is no formula and no second cell, whatever a file is called."""
    text = f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(c in text for c in ',"\n\r') else text
