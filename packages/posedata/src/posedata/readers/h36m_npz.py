"""Human3.6M as VideoPose3D's npz files carry it: `data_3d_h36m.npz` and `data_2d_h36m_NAME.npz`.

The first holds subject -> action -> (T, 32, 3) world metres, z up, at 50 Hz; the second subject -> action ->
one (T, 17, 2) per camera, pixels, in the order that its `metadata` tells: Human3.6M's, or COCO's, which is
converted by name (approximately: the thorax is the middle of the shoulders, the neck the nose). Both are
pickles, read through `_safe_pickle`. They can only be read whole, so `plan` unpacks them into one array a
file. Cameras come from Human3.6M's `metadata.xml`, or as JSON
(`_h36m_cameras`). S11 Directions is lacking in the published files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers._clips import stride_for
from posedata.readers._videopose3d import (
    as_h36m,
    checked,
    detector_of,
    layout_of,
    save,
    sequences_of,
    tell_unseen,
    views_of,
)
from posedata.readers.files.h36m_cameras import read_cameras
from posedata.readers.files.safe_npz import load_plain_npz
from posedata.readers.format import Clip, Context, Format, Plan, Total, Unit, option, register
from posedata.readers.h36m import JOINTS_17_OF_32, RATE, TERMS, TEST, TRAIN
from posedata.readers.merge import Dataset, collect


@register
@dataclass(frozen=True)
class H36mNpz(Format):
    """Without cameras a row is a pose; with them it is a pose seen by one of them.

    Keypoints become `keypoints_NAME`, NAME from the file's ("gt" becomes "true"). Their confidence is 1,
    and 0 where nothing was seen: at NaN, (0, 0) or (-1, -1), and for what would be made of such.
    """

    name = "h36m_npz"
    title = "Human3.6M as VideoPose3D's npz, with its 2D detections"
    terms = TERMS
    version = 3
    reference_fps = RATE
    totals = (
        Total("training frames", 1_559_752, "Human3.6M, S1 S5 S6 S7 S8 by four cameras", TRAIN, views=4),
        Total("test frames", 550_644, "Human3.6M, S9 S11 by four cameras", TEST, views=4, at_least=543_344),
    )

    cameras: Path | None = option(None, "Human3.6M's metadata.xml, or cameras as JSON.")
    keypoints: Path | None = option(None, "A data_2d_h36m_*.npz file; needs cameras.")

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit an action of a subject."""
        path = source / "data_3d_h36m.npz" if source.is_dir() else source
        if self.keypoints is not None and self.cameras is None:
            raise ValueError(
                f"{self.keypoints}: keypoints need the cameras that saw them; give a cameras file too"
            )
        stride = stride_for(path, RATE, self.fps)
        known = {} if self.cameras is None else read_cameras(Path(self.cameras))
        files = tuple(Path(file) for file in (path, self.cameras, self.keypoints) if file is not None)
        units: list[Unit] = []
        for (subject, action), array in sequences_of(load_plain_npz(path), path, "positions_3d"):
            if self.cameras is not None and not known.get(subject):
                raise ValueError(f"{self.cameras}: has no cameras for {subject!r}; add them")
            place = context.scratch / f"pose-{len(units):05d}.npy"
            save(place, _seventeen(array, f"{path}: {subject} {action}"))
            detail = {
                "subject": subject,
                "action": action,
                "poses": place.name,
                "cameras": known.get(subject),
            }
            units.append(Unit(f"{subject} {action}", files, detail))
        if self.keypoints is not None:
            self._unpack_keypoints(Path(self.keypoints), units, context)
        return Plan(units, "Human3.6M (VideoPose3D npz)", RATE / stride)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a camera."""
        stride, detail = stride_for(unit.files[0], RATE, self.fps), unit.detail
        joints = np.load(context.scratch / detail["poses"], allow_pickle=False)
        subject, action = detail["subject"], detail["action"].split()[0] if detail["action"].split() else "?"
        if not detail["cameras"]:
            yield Clip(joints[::stride], subject, unit.name, action)
            return
        for number, camera in enumerate(detail["cameras"]):
            columns = {}
            if self.keypoints is not None:
                seen = np.load(context.scratch / f"{detail['poses']}-{number}.npy", allow_pickle=False)
                columns["keypoints_" + detector_of(Path(self.keypoints))] = seen[: len(joints) : stride]
            yield Clip(joints[::stride], subject, unit.name, action, columns, (camera,))

    def _unpack_keypoints(self, path: Path, units: list[Unit], context: Context) -> None:
        wanted = {(unit.detail["subject"], unit.detail["action"]): unit.detail for unit in units}
        entries, scratch = load_plain_npz(path), context.scratch
        layout = layout_of(entries.get("metadata"), path, context)
        strangers: list[str] = []
        unseen = 0
        for key, arrays in sequences_of(entries, path, "positions_2d"):
            if key not in wanted:
                strangers.append(" ".join(key))
            else:
                detail = wanted.pop(key)
                where = f"{path}: {' '.join(key)}"
                views = views_of(arrays, len(detail["cameras"]), where)
                poses = len(np.load(scratch / detail["poses"], mmap_mode="r", allow_pickle=False))
                for number, view in enumerate(views):
                    if len(view) < poses:
                        raise ValueError(
                            f"{where}: shape is {view.shape}, wanted ({poses} or more, 17, 2); give the"
                            " matching file"
                        )
                    points, lost = as_h36m(view, layout, f"{where} view {number}")
                    unseen += lost
                    save(scratch / f"{detail['poses']}-{number}.npy", points)
        tell_unseen(path, unseen, context)
        if strangers:
            context.note(
                f"{path}: {len(strangers)} sequences of positions_2d (first {strangers[0]}) have no"
                " positions_3d; left out, give the matching files"
            )
        for subject, action in wanted:
            raise ValueError(f"{path}: {subject} {action}: has no views; give the matching file")


def read_h36m_npz(source: str | Path, **options: Any) -> Dataset:
    """Read such files into memory; options are the fields of `H36mNpz`."""
    return collect(H36mNpz(**options), source)


def _seventeen(array: Any, where: str) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{where}: is {held}, wanted an array of floats (T, 32, 3); save metres as floats")
    if array.ndim != 3 or array.shape[1:] not in ((32, 3), (17, 3)):
        raise ValueError(f"{where}: shape is {array.shape}, wanted (T, 32, 3) or (T, 17, 3)")
    chosen = array[:, list(JOINTS_17_OF_32)] if array.shape[1] == 32 else array
    return checked(chosen, where)
