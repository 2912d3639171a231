"""MS COCO keypoints (Lin et al., ECCV 2014): `annotations/person_keypoints_{train,val}2017.json`.

COCO has no 3D and no cameras. Its store has joints that are NaN and `valid` nowhere; what there is stands in
`keypoints_annotated` (x, y in pixels, 1 where annotated, else 0, 0, 0), `visible_true` (annotated as visible)
and `boxes`, and in the images. Trainers that need 3D refuse it; those of 2D and images take it.

A row is an annotated person: crowds and people without a keypoint are left out, as by COCO's own evaluation,
and so are other categories and what is damaged; each kind is told with its count. Keypoints are found by the
names that the category lists, so that files of other sets (CrowdPose's 14, Halpe's 26 and 136,
COCO-WholeBody's 133) and of annotation tools are read as far as they have COCO's 17. A person without a box
gets one from the keypoints; a keypoint outside its image by more than a tenth of it is not annotated.

`frame` is the image's id (its place in the list, where ids are not numbers). A photograph has no rate: fps is
1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from posedata.geometry.boxes import bounding_box
from posedata.readers.files.coco import JOINTS, read_people
from posedata.readers.files.kinect import read_colour
from posedata.readers.files.pictures import SIZE_HELP, crop_size, crops
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Clip, Context, Format, Plan, Total, Unit, inside, option, register
from posedata.readers.listing import files_below, is_junk, matching, nothing_found
from posedata.skeleton import get_skeleton

_ROWS = 2048
_OF_COCO = ("captions_", "instances_", "image_info_", "stuff_", "panoptic_")


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
    category: str = option("person", "The category whose annotations are people.")
    images: Path | None = option(None, "The folder of the images, where it does not lie beside annotations.")

    def plan(self, source: Path, context: Context) -> Plan:
        """Reads the annotations whole, and leaves each unit's rows as an array in the scratch folder."""
        if self.fps is not None:
            raise ValueError("fps: photographs have no rate; leave it out")
        crop_size(self.size)
        units: list[Unit] = []
        files = _files(source, context)
        for number, (file, part) in enumerate(zip(files, _parts(files, source), strict=True)):
            rows, images = read_people(_read(file), file, self.category, context)
            folder = self._folder(file, part) if self.size != "none" else None
            for start in range(0, len(rows), _ROWS):
                chunk = rows[start : start + _ROWS]
                place = context.scratch / f"coco-{number:04d}-{start:07d}.npy"
                np.save(place, chunk, allow_pickle=False)
                pictures: list[Path] = []
                shown: dict[int, int] = {}
                for image in dict.fromkeys(chunk[:, 0].astype(int).tolist() if folder else ()):
                    picture = inside(folder, images[image].name) if folder else Path()
                    if picture.is_file():
                        pictures.append(picture)
                        shown[image] = len(pictures)
                    else:
                        context.note(f"{picture}: is missing, its people have no image; unpack {part}.zip")
                detail = {"rows": place.name, "part": part, "files": shown}
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
            "visible_true": known & (keypoints[..., 2] != 1),
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
        usual = (place for place in places if place.is_dir() and any(map(_is_picture, place.iterdir())))
        folder = self.images or next(usual, places[0])
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder of images; unpack {part}.zip, or give --images"
            )
        return Path(folder)


def _files(source: Path, context: Context) -> list[Path]:
    if source.is_file():
        return [source]
    every = matching(files_below(source), "*.json")
    found = matching(every, "person_keypoints_*.json")
    if not found:
        cure = "unpack them there, or give the .json file itself"
        raise nothing_found(source, "has no annotations/person_keypoints_*.json", cure)
    others = [file for file in every if file not in found and not file.name.lower().startswith(_OF_COCO)]
    if others:
        context.tell(
            f"{others[0]}: {len(others)} .json files are not named person_keypoints_*; left out, give one by"
            " itself"
        )
    return found


def _parts(files: list[Path], source: Path) -> list[str]:
    """A name for each file: train2017; with its folders where several files have the same."""
    names = [re.sub("^person_keypoints_", "", file.stem, flags=re.IGNORECASE) for file in files]
    return [
        name if names.count(name) == 1 else f"{file.parent.relative_to(source).as_posix()}/{name}"
        for name, file in zip(names, files, strict=True)
    ]


def _read(file: Path) -> dict[str, Any]:
    """The file's object. A NaN in it costs the person that has it, not the file."""
    data = read_json(file, (dict, list), constants=True)
    if isinstance(data, list):
        raise ValueError(
            f"{file}: is a list of results and no annotations; read it with prepare coco_results"
        )
    return data


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (".jpg", ".jpeg", ".png") and not is_junk(path.name)


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
