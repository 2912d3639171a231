"""The annotations of a COCO file as rows: what can be used of each person; the rest is counted by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from posedata.readers.files.joint_names import places_of
from posedata.readers.files.safe_text import is_number
from posedata.readers.format import Context

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's order, which files without names of keypoints are taken to have."""
_LARGER = (26, 133, 136)
"""Sets that begin with COCO's 17: Halpe's, COCO-WholeBody's, Halpe's full body."""
PEOPLE = ("person", "persons", "people", "human", "humans", "pedestrian")
_LARGEST = 1e6
_OUTSIDE = 0.1
"""Share of an image's side by which a keypoint may lie outside it: people are cut off, and pixels rounded."""
_LEAST_LIMBS = 4
Columns = tuple[int, list[int]]
"""How many keypoints an annotation has, and where among them each of the 17 stands (-1: nowhere)."""


class Image(NamedTuple):
    """Number as a frame, name of the file, and size, where it is given."""

    frame: int
    name: str
    size: tuple[float, float] | None


class People(NamedTuple):
    """(N, 5 + 51): frame, box x y w h (pixels), x y v of the 17; sorted by frame; and images by frame."""

    rows: Float64[np.ndarray, "N 56"]
    images: dict[int, Image]


class _LeftOut(Exception):  # noqa: N818 (no error: most of it is as the data set says)
    """Why an annotation gives no row, and whether that is a fault of the file."""

    def __init__(self, why: str, *, fault: bool = True) -> None:
        super().__init__(why)
        self.fault = fault


@dataclass
class _Tally:
    """Counts what is noted of a list's entries: a kind, how many, the first of them."""

    file: Path
    of: str
    faults: dict[str, list[int]] = field(default_factory=dict)
    remarks: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, number: int, *, fault: bool = True) -> None:
        (self.faults if fault else self.remarks).setdefault(kind, []).append(number)

    def tell(self, context: Context) -> None:
        for line in self.lines(self.remarks):
            context.tell(line)
        for line in self.lines(self.faults):
            context.note(line)

    def lines(self, table: Mapping[str, list[int]]) -> list[str]:
        return [
            f"{self.file}: {len(numbers)} {self.of} (first {self.of}[{numbers[0]}]) {kind}"
            for kind, numbers in table.items()
        ]


def read_people(data: Mapping[str, Any], file: Path, category: str, context: Context) -> People:
    """The people of a COCO file.

    Raises ValueError, naming file and cure, where nobody can be used or the lists are none.
    """
    lists = {key: data.get(key) for key in ("images", "annotations", "categories")}
    for key, entries in lists.items():
        if entries is None and key == "categories":
            continue
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{file}: {key} is not a list of objects; export the file as COCO keypoints")
    columns = _categories(lists["categories"] or [], category, file, context)
    images = _images(lists["images"] or [], file, context)
    tally = _Tally(file, "annotations")
    rows: list[list[float]] = []
    order: list[float] = []
    seen: dict[Any, list[float]] = {}
    for number, entry in enumerate(lists["annotations"] or ()):
        try:
            row, identity = _person(entry, number, columns, images, tally), _key(entry.get("id"))
            if seen.get(identity) == row:
                raise _LeftOut("are there twice; left out, remove them")
        except _LeftOut as reason:
            tally.add(str(reason), number, fault=reason.fault)
            continue
        if identity in seen:
            tally.add("have the id of another; they are kept, number them again", number)
        if identity is not None:
            seen[identity] = row
        rows.append(row)
        order.append(float(identity) if isinstance(identity, int) and abs(identity) < 1 << 53 else 0.0)
    if not rows:
        found = "; ".join(tally.lines(tally.faults | tally.remarks)) or "its list of annotations is empty"
        raise ValueError(f"{file}: has no person with a keypoint that can be used ({found[:600]})")
    tally.tell(context)
    table = np.array(rows)
    _check_pixels(table, file)
    table = table[np.lexsort((np.array(order), table[:, 0]))]
    return People(table, {image.frame: image for image in images.values() if image is not None})


def _categories(
    entries: list[dict[str, Any]], wanted: str, file: Path, context: Context
) -> dict[Any, Columns | None] | None:
    """By id the columns of categories that are people; None: the file has no categories."""
    if not entries:
        context.tell(f"{file}: has no categories; all annotations are taken for people in COCO's order")
        return None
    names = [str(entry.get("name", ""))[:40] for entry in entries]
    accepted = PEOPLE if wanted == "person" else (wanted.lower(),)
    if not any(name.strip().lower() in accepted for name in names):
        raise ValueError(
            f"{file}: no category is called {wanted!r}, there are {', '.join(names)[:200]}; name the one that"
            " is people by --category"
        )
    out: dict[Any, Columns | None] = {}
    for entry, name in zip(entries, names, strict=True):
        person = name.strip().lower() in accepted
        key = _key(entry.get("id"))
        if key in out and (person or out[key] is not None):
            raise ValueError(f"{file}: categories have the id {str(key)[:20]} twice; give each its own")
        out[key] = _columns(entry.get("keypoints"), f"{file}: category {name!r}", context) if person else None
    return out


def _columns(names: Any, where: str, context: Context) -> Columns:
    """Where the 17 stand by the names that the category lists; in COCO's order where it lists none."""
    if not names:
        return len(JOINTS), list(range(len(JOINTS)))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{where}: keypoints is not a list of names; write the joints' names there")
    places = places_of(JOINTS, names)
    found = sum(place >= 0 for place in places)
    if sum(place >= 0 for place in places[5:]) < _LEAST_LIMBS:
        raise ValueError(
            f"{where}: categories list other keypoints than COCO's 17: {', '.join(names)[:160]}; name them as"
            " COCO does: nose, left_shoulder, ..."
        )
    if found < len(JOINTS) or len(names) > len(JOINTS):
        context.tell(
            f"{where}: has {len(names)} keypoints, {found} of them by name COCO's 17; the rest is left out"
        )
    return len(names), places


def _images(entries: list[dict[str, Any]], file: Path, context: Context) -> dict[Any, Image | None]:
    """By id; None for an id that two different images have."""
    keys = [_key(entry.get("id")) for entry in entries]
    numbered = all(isinstance(key, int) and 0 <= key < 1 << 31 for key in keys)
    if not numbered:
        context.tell(f"{file}: ids of images are not whole numbers below 2^31; frames are numbered as listed")
    tally = _Tally(file, "images")
    out: dict[Any, Image | None] = {}
    for number, (key, entry) in enumerate(zip(keys, entries, strict=True)):
        if key is None:
            tally.add("have no id; left out, give them one", number)
            continue
        name = entry.get("file_name")
        size = _size(entry.get("width"), entry.get("height"))
        text = name.replace("\\", "/") if isinstance(name, str) else ""
        frame = key if numbered and isinstance(key, int) else number
        image: Image | None = Image(frame, text, size)
        known = out.get(key, image)
        if known is None or image is None or known[1:] != image[1:]:
            tally.add("have the id of another; people of both are left out, number them again", number)
            image = None
        out[key] = image
    tally.tell(context)
    return out


def _person(
    entry: Mapping[str, Any],
    number: int,
    columns: Mapping[Any, Columns | None] | None,
    images: Mapping[Any, Image | None],
    tally: _Tally,
) -> list[float]:
    """The row of an annotation; `_LeftOut` where it is none of a person that can be used."""
    held: Columns | None = (len(JOINTS), list(range(len(JOINTS))))
    if columns is not None:
        key = _key(entry.get("category_id"))
        if key not in columns:
            raise _LeftOut("are of a category that is not listed; left out, list it")
        held = columns[key]
    if held is None:
        raise _LeftOut("are of other categories than people; left out", fault=False)
    if entry.get("iscrowd") not in (None, 0, False):
        raise _LeftOut("are crowds; left out", fault=False)
    numbers = entry.get("keypoints")
    if not numbers:
        raise _LeftOut("have no keypoints; left out", fault=False)
    points = _points(numbers, held)
    known = points[:, 2] > 0
    if not known.any():
        raise _LeftOut("have no keypoint that is annotated; left out", fault=False)
    image = images.get(_key(entry.get("image_id")))
    if image is None:
        raise _LeftOut("are of an image that is not listed, or listed twice; left out, list it once")
    if len(numbers) > 3 * held[0]:
        tally.add("have more keypoints than COCO's 17; the rest is left out", number, fault=False)
    stated = entry.get("num_keypoints")
    counted = sum(visibility > 0 for visibility in numbers[2::3])
    if type(stated) is int and len(numbers) == 3 * held[0] and stated != counted:
        tally.add("have a num_keypoints that their keypoints contradict; these are taken", number)
    if (known & (points[:, 2] != 1) & (points[:, 2] != 2)).any():
        kind = "have visibilities other than 0, 1, 2; what is above 0 counts as annotated"
        tally.add(kind, number, fault=False)
    if (far := _far(points, image.size)).any():
        points[far] = 0
        tally.add("have keypoints far outside their image; these are not taken, correct them", number)
        if far.sum() == known.sum():
            raise _LeftOut("have no keypoint in their image; left out, correct them")
    box = _box(entry.get("bbox"), image.size)
    if box is None:
        tally.add("have no box, or one that is none; it is made of their keypoints, correct it", number)
        inside = points[points[:, 2] > 0, :2]
        box = [*inside.min(0).tolist(), *np.ptp(inside, axis=0).tolist()]
    return [float(image.frame), *box, *points.ravel().tolist()]


def _points(numbers: Any, columns: Columns) -> Float64[np.ndarray, "17 3"]:
    """x, y, visibility; 0, 0, 0 where not annotated."""
    count, places = columns
    if not isinstance(numbers, list) or not all(is_number(n) for n in numbers):
        raise _LeftOut("have keypoints that are not a list of finite numbers; left out, correct them")
    held = len(numbers) // 3
    first = places == list(range(len(JOINTS)))  # more names than keypoints (Human-Art), or the reverse
    if len(numbers) != 3 * held or (held != count and not (first and held in (len(JOINTS), *_LARGER))):
        raise _LeftOut(
            f"have {len(numbers)} numbers as keypoints, wanted {3 * count}; left out, correct them"
        )
    points = np.array(numbers, float).reshape(-1, 3)
    points = np.where(np.array(places)[:, None] >= 0, points[places], 0.0)
    if not ((points[:, 2] >= 0) & (points[:, 2] <= 2)).all():
        raise _LeftOut("have a visibility that is none of 0, 1, 2; left out, correct it")
    if np.abs(points[:, :2]).max() > _LARGEST:
        raise _LeftOut("have keypoints that are not pixels; left out, correct them")
    points[points[:, 2] == 0] = 0
    return points


def _far(points: np.ndarray, size: tuple[float, float] | None) -> np.ndarray:
    """Which annotated keypoints lie outside the image by more than a tenth of it."""
    if size is None:
        return np.zeros(len(points), bool)
    sides = np.array(size)
    beyond = (points[:, :2] < -_OUTSIDE * sides) | (points[:, :2] > (1 + _OUTSIDE) * sides)
    return beyond.any(1) & (points[:, 2] > 0)


def _box(given: Any, size: tuple[float, float] | None) -> list[float] | None:
    """x, y, width, height; None for what is not a box in the image."""
    if not isinstance(given, list) or len(given) != 4 or not all(is_number(n) for n in given):
        return None
    x, y, width, height = (float(n) for n in given)
    if width <= 0 or height <= 0 or max(abs(x), abs(y), width, height) > _LARGEST:
        return None
    if size is not None and (x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0):
        return None
    return [x, y, width, height]


def _check_pixels(rows: Float64[np.ndarray, "N 56"], file: Path) -> None:
    """Refuse coordinates that were divided by the image's size."""
    points = rows[:, 5:].reshape(-1, 3)
    known = points[points[:, 2] > 0, :2]
    if len(known) >= len(JOINTS) // 2 and np.abs(known).max() <= 1:
        raise ValueError(
            f"{file}: all keypoints lie between {known.min():.3g} and {known.max():.3g}, so they are not"
            " pixels; multiply them by the image's width and height"
        )


def _size(width: Any, height: Any) -> tuple[float, float] | None:
    known = is_number(width) and is_number(height) and width > 0 and height > 0
    return (float(width), float(height)) if known else None


def _key(value: Any) -> int | str | None:
    """Ids that say the same are the same: 7, 7.0 and "7"."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
