"""MS COCO keypoints (Lin et al., ECCV 2014): `annotations/person_keypoints_{train,val}2017.json`.

COCO has no 3D and no cameras. Its store has joints that are NaN and `valid` nowhere; what there is stands in
`keypoints_annotated` (x, y in pixels, 1 where annotated, else 0, 0, 0), `visible_true` (annotated as visible)
and `boxes`, and in the images. Trainers that need 3D refuse it; those of 2D and images take it.

A row is an annotated person: crowds and people without a keypoint are left out, as by COCO's own evaluation.
`frame` is the image's id. A photograph has no rate: fps is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from posedata.boxes import bounding_box
from posedata.prepare.format import Clip, Context, Format, Plan, Total, Unit, inside, option, register
from posedata.readers._kinect import read_colour
from posedata.readers._pictures import SIZE_HELP, crop_size, crops
from posedata.readers._safe_text import read_json
from posedata.skeleton import get_skeleton

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip
"""As the file's categories list them, which is checked."""
_ROWS = 2048
_LARGEST = 1e6


@register
@dataclass(frozen=True)
class Coco(Format):
    """Annotated people as rows, some thousand of them a unit."""

    name = "coco"
    title = "MS COCO person keypoints: annotations/person_keypoints_*.json, 2D only"
    terms = "COCO: annotations CC BY 4.0; photographs by their own Flickr licences"
    totals = (
        Total("annotated people, train2017", 149_813, "Xiao et al., ECCV 2018", sequences=("train2017",)),
        Total("annotated people, val2017", 6_352, "Xiao et al., ECCV 2018", sequences=("val2017",)),
    )

    size: str = option("none", SIZE_HELP)
    images: Path | None = option(None, "The folder of the images, where it does not lie beside annotations.")

    def plan(self, source: Path, context: Context) -> Plan:
        """Reads the annotations whole, and leaves each unit's rows as an array in the scratch folder."""
        if self.fps is not None:
            raise ValueError("fps: photographs have no rate; leave it out")
        crop_size(self.size)
        units: list[Unit] = []
        for file in _files(source):
            part = file.stem.removeprefix("person_keypoints_")
            rows, names = _rows(read_json(file), file)
            folder = self._folder(file, part) if self.size != "none" else None
            for start in range(0, len(rows), _ROWS):
                chunk = rows[start : start + _ROWS]
                place = context.scratch / f"{part}-{start:07d}.npy"
                np.save(place, chunk, allow_pickle=False)
                pictures: list[Path] = []
                files: dict[int, int] = {}
                for image in dict.fromkeys(chunk[:, 0].astype(int).tolist() if folder else ()):
                    picture = inside(folder, names[image]) if folder else Path()
                    if picture.is_file():
                        pictures.append(picture)
                        files[image] = len(pictures)
                    else:
                        context.note(f"{picture}: is missing, its people have no image; unpack {part}.zip")
                detail = {"rows": place.name, "part": part, "files": files}
                units.append(Unit(f"{part} {start}", (file, *pictures), detail))
        return Plan(units, "MS COCO keypoints", 1.0, "coco17")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip: the unit's people."""
        rows = np.load(context.scratch / unit.detail["rows"], allow_pickle=False)
        keypoints = rows[:, 5:].reshape(-1, len(JOINTS), 3)
        known = keypoints[..., 2] > 0
        annotated = np.where(known[..., None], keypoints, 0).astype(np.float32)
        annotated[..., 2] = known
        size, files = crop_size(self.size), unit.detail["files"]
        columns = {
            "frame": rows[:, 0].astype(np.int32),
            "valid": np.zeros(known.shape, bool),
            "visible_true": keypoints[..., 2] == 2,
            "keypoints_annotated": annotated,
            "boxes": _boxes(rows[:, 1:5], size),
        }
        images = None
        if size is not None:
            shown = np.array([int(image) in files for image in rows[:, 0]])
            columns["image"] = np.where(shown, np.cumsum(shown) - 1, -1)
            if shown.any():
                seen = [unit.files[files[int(image)]] for image in rows[shown, 0]]
                images = crops(_opened(seen), columns["boxes"][shown], size)
        joints = np.full((*known.shape, 3), np.nan, np.float32)
        part = unit.detail["part"]
        yield Clip(joints, part, part, columns=columns, images=images)

    def _folder(self, file: Path, part: str) -> Path:
        places = [
            file.parent.parent / part,
            file.parent.parent / "images" / part,
            file.parent / part,
            file.parent,
        ]
        folder = self.images or next((place for place in places if any(place.glob("*.jpg"))), places[0])
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder of images; unpack {part}.zip, or give --images"
            )
        return Path(folder)


def _files(source: Path) -> list[Path]:
    found = [source] if source.is_file() else sorted(source.glob("**/person_keypoints_*.json"))
    if not found:
        raise FileNotFoundError(f"{source}: has no annotations/person_keypoints_*.json; unpack them there")
    return found


def _rows(data: Mapping[str, Any], file: Path) -> tuple[np.ndarray, dict[int, str]]:
    """(N, 5 + 51): image id, box x y w h, keypoints; sorted by image and annotation. And images' names."""
    lists = {key: data.get(key) for key in ("images", "annotations", "categories")}
    for key, entries in lists.items():
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{file}: {key} is no list of objects; get the file anew")
    for category in lists["categories"] or ():
        if category.get("name") == "person" and category.get("keypoints", list(JOINTS)) != list(JOINTS):
            raise ValueError(f"{file}: categories list other keypoints than COCO's 17; give COCO's own file")
    names: dict[int, str] = {}
    for entry in lists["images"] or ():
        if not isinstance(entry.get("file_name"), str) or type(entry.get("id")) is not int:
            raise ValueError(f"{file}: images has an entry without id or file_name; get the file anew")
        names[entry["id"]] = entry["file_name"]
    kept = []
    for number, entry in enumerate(lists["annotations"] or ()):
        if entry.get("iscrowd") or not entry.get("num_keypoints", 1) or not any(entry.get("keypoints") or ()):
            continue
        kept.append(_row(entry, names, f"{file}: annotations[{number}]"))
    if not kept:
        raise ValueError(f"{file}: has no person with a keypoint; give a person_keypoints file")
    rows = np.array(kept)
    order = np.lexsort((rows[:, -1], rows[:, 0]))
    return rows[order, :-1], names


def _row(entry: Mapping[str, Any], names: Mapping[int, str], where: str) -> list[float]:
    image, identity = entry.get("image_id"), entry.get("id", 0)
    if type(image) is not int or image not in names or not 0 <= image < 1 << 31:
        raise ValueError(f"{where}: image_id is of no image; get the file anew")
    values = [float(image)]
    for key, count in (("bbox", 4), ("keypoints", 3 * len(JOINTS))):
        numbers = entry.get(key)
        plain = isinstance(numbers, list) and all(type(n) in (int, float) for n in numbers)
        if numbers is None or not plain or len(numbers) != count or any(abs(n) > _LARGEST for n in numbers):
            raise ValueError(f"{where}: {key} is no list of {count} numbers of pixels; get the file anew")
        values += [float(n) for n in numbers]
    if not all(number in (0, 1, 2) for number in values[7::3]):
        raise ValueError(f"{where}: keypoints have a visibility other than 0, 1, 2; get the file anew")
    return [*values, float(identity) if type(identity) is int and abs(identity) < 1 << 53 else 0.0]


def _boxes(given: np.ndarray, size: tuple[int, int] | None) -> Float32[np.ndarray, "N 4"]:
    """The annotated boxes, widened to the crop's aspect where there are images; at least a pixel wide."""
    corner, extent = given[:, :2] - 0.5, np.maximum(given[:, 2:], 1.0)
    boxes = np.concatenate([corner, corner + extent], axis=1).astype(np.float32)
    if size is None:
        return boxes
    corners = torch.from_numpy(boxes).reshape(-1, 2, 2)
    return bounding_box(corners, margin=0.1, aspect=size[0] / size[1]).numpy()


def _opened(files: list[Path]) -> Iterator[np.ndarray]:
    """The images; several people of one in a row share it."""
    last: tuple[Path, np.ndarray] | None = None
    for file in files:
        if last is None or last[0] != file:
            last = (file, read_colour(file))
        yield last[1]


assert get_skeleton("coco17").joints == JOINTS
