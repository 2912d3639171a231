"""InterHand2.6M (Moon et al., ECCV 2020) as a format: `annotations/SPLIT/InterHand2.6M_SPLIT_data.json` and
the camera and joint files beside it, pictures below `images/SPLIT`. Read by `files.interhand`.

Pictures of a sequence by one camera are a clip; those without a valid joint are left out. The world is the
capture's own, metres; actions are the kinds of hand: right, left, interacting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.readers._clips import stride_for
from posedata.readers.files.damage import DamagedError, reason
from posedata.readers.files.kinect import batches
from posedata.readers.files.pictures import SIZE_HELP, crop_size
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Unit, inside, option, register
from posedata.readers.listing import files_below, matching, nothing_found

if TYPE_CHECKING:
    from posedata.readers.files.interhand import InterHand

RATE = 5.0
_STEMS = tuple(f"{part}interhand2.6m_" for part in ("", "train_", "val_", "test_"))
_ROWS = 2048
_FIELDS = ("joints", "valid", "boxes", "keypoints_true", "camera", "frame", "kind", "group")
_FAULTS = (KeyError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError)


@register
@dataclass(frozen=True)
class InterHandFormat(Format):
    """Every split of a folder, or the one whose data.json is given."""

    name = "interhand"
    title = "InterHand2.6M: annotations and images, 42 joints of two hands"
    terms = "InterHand2.6M: CC BY-NC 4.0"

    size: str = option("256x256", SIZE_HELP)
    images: Path | None = option(
        None, "The folder that the names in data.json start from, if not images/SPLIT."
    )

    def plan(self, source: Path, context: Context) -> Plan:
        """Reads a split whole, and leaves each unit's rows in the scratch folder."""
        if self.fps is not None:
            stride_for(source, RATE, self.fps)
        crop_size(self.size)
        units: list[Unit] = []
        for file in _files(source, context):
            units += self._split(file, len(units), context)
        if not units:
            raise ValueError(f"{source}: no picture has a valid joint; check the joint_3d file")
        return Plan(units, "InterHand2.6M", RATE, "interhand42")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a sequence, kind of hand and camera."""
        from posedata.readers.files.interhand import cut

        size = crop_size(self.size)
        with np.load(context.scratch / unit.detail["rows"], allow_pickle=False) as file:
            rows = {name: file[name] for name in _FIELDS}
        for group in range(len(unit.detail["groups"])):
            mine = np.flatnonzero(rows["group"] == group)
            subject, sequence, kind, name = unit.detail["groups"][group]
            columns = {key: rows[key][mine] for key in ("valid", "boxes", "keypoints_true", "frame")}
            images = None
            if size is not None:
                pictures = [unit.files[3:][unit.detail["pictures"][row]] for row in mine.tolist()]
                shapes = [tuple(float(edge) for edge in box) for box in columns["boxes"]]
                images = batches(
                    {"rgb": cut(picture, box, size[0])} for picture, box in zip(pictures, shapes, strict=True)
                )
            camera = _camera(name, rows["camera"][mine[0]])
            yield Clip(rows["joints"][mine], subject, sequence, kind, columns, (camera,), images)

    def _split(self, file: Path, before: int, context: Context) -> list[Unit]:
        from posedata.readers.files.interhand import read_interhand

        try:
            split = read_interhand(file)
            table = _table(split)
        except (*_FAULTS, ValueError) as error:
            text = str(error)
            if isinstance(error, ValueError) and text.startswith(str(file.parent)):
                raise
            why = reason(error, "an entry of it, of its camera or its joint_3d file is not as it should be")
            raise ValueError(f"{file}: {why}; get the three files again") from None
        size = crop_size(self.size)
        if size is not None and size[0] != size[1]:
            raise ValueError(f"size {self.size!r}: hands are cut square; give e.g. 256x256")
        folder = self.images or _images(file)
        beside = [
            file.with_name(file.name.replace("_data.json", end)) for end in ("_camera.json", "_joint_3d.json")
        ]
        units: list[Unit] = []
        for start in range(0, len(table["order"]), _ROWS):
            chosen = table["order"][start : start + _ROWS]
            pictures = [inside(folder, split.files[row]) for row in chosen] if size is not None else []
            if missing := [picture for picture in pictures if not picture.is_file()]:
                context.note(f"{missing[0]}: {len(missing)} pictures are missing; their rows are left out")
                chosen = np.array([row for row, p in zip(chosen, pictures, strict=True) if p.is_file()], int)
                pictures = [picture for picture in pictures if picture.is_file()]
            if not len(chosen):
                continue
            keys = [table["keys"][row] for row in chosen]
            groups = list(dict.fromkeys(keys))
            place = f"rows-{before + len(units):06d}.npz"
            arrays = {name: table[name][chosen] for name in _FIELDS if name != "group"}
            np.savez(context.scratch / place, **arrays, group=np.array([groups.index(key) for key in keys]))
            listed = list(dict.fromkeys(pictures))
            numbers = {picture: number for number, picture in enumerate(listed)}
            detail = {
                "rows": place,
                "groups": [key[:4] for key in groups],
                "pictures": [numbers[picture] for picture in pictures],
            }
            units.append(Unit(f"{file.name} {start}", (file, *beside, *listed), detail))
        return units


def _table(split: InterHand) -> dict[str, Any]:
    """Arrays of all pictures by the columns' names, the rows' keys, and which rows to take in which order."""
    from posedata.views.hands import KINDS, hand_columns

    columns = hand_columns(split.joints, split.valid, split.camera)
    fields = ("focal", "centre", "rotation", "translation", "size")
    flat = [getattr(split.camera, name).reshape(len(split), -1).numpy() for name in fields]
    table: dict[str, Any] = {name: columns[name] for name in ("joints", "valid", "keypoints_true")}
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        centre, half = _middle(split.boxes.numpy())
        table["boxes"] = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    table["camera"] = np.concatenate(flat, axis=1).astype(np.float64)
    table["frame"], table["kind"] = split.frame.numpy(), split.kind.numpy()
    for name in ("joints", "boxes", "camera", "keypoints_true"):
        if not (np.isfinite(table[name]).all() and np.abs(table[name]).max(initial=0) < 1e7):
            raise DamagedError(f"{name} holds numbers that none of these is")
    table["keypoints_true"] = np.where(table["valid"][..., None], table["keypoints_true"], 0)
    named = [found[0] if (found := re.findall(r"cam\d+", file)) else "unknown" for file in split.files]
    names = (split.subject, split.sequence, split.kind.tolist(), named, table["camera"])
    table["keys"] = [
        (f"subject {subject}", str(sequence), KINDS[kind], name, camera.tobytes())
        for subject, sequence, kind, name, camera in zip(*names, strict=True)
    ]
    kept = np.flatnonzero(split.valid.any(1).numpy())
    order = sorted(kept.tolist(), key=lambda row: (table["keys"][row], int(table["frame"][row]), row))
    table["order"] = np.array(order, dtype=int)
    return table


def _middle(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half side of the squares `BOX_SCALE` times the boxes."""
    from posedata.views.hands import BOX_SCALE

    extent = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    side = extent.max(axis=1, keepdims=True) * BOX_SCALE / 2
    return (boxes[:, :2] + boxes[:, 2:]) / 2, np.repeat(side, 2, axis=1)


def _camera(name: str, flat: np.ndarray) -> ClipCamera:
    size = (int(flat[16]), int(flat[17]))
    return ClipCamera(name, flat[:2], flat[2:4], flat[4:13].reshape(3, 3), flat[13:16], size)


def _files(source: Path, context: Context) -> list[Path]:
    if source.is_file():
        return [source]
    files = matching(files_below(source), "*_data.json")
    found = [file for file in files if file.name.lower().startswith(_STEMS)]
    if not found:
        raise nothing_found(source, "has no InterHand2.6M_*_data.json", "unpack the annotations there")
    for file in (file for file in files if file not in found):
        context.note(f"{file}: is not named as InterHand2.6M's; left out, give it by itself")
    return found


def _images(file: Path) -> Path:
    """images/SPLIT beside annotations/SPLIT, or the file's own folder."""
    usual = file.parent.parent.parent / "images" / file.parent.name
    return usual if usual.is_dir() else file.parent
