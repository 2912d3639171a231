"""RGB-D recordings as stores: images and cameras, and 2D keypoints where there are any.

How a recording is laid out stands in `posedata.readers.files.recording`, which `open_rgbd` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.keypoints import checked_keypoints
from posedata.plausible import check_keypoints
from posedata.readers.files.coco import PEOPLE
from posedata.readers.files.intrinsics import array_of
from posedata.readers.files.kinect import Framing, batches
from posedata.readers.files.recording import COLOUR, INTRINSICS, RgbdFrame, RgbdSequence, images_in, open_rgbd
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Unit, option, register
from posedata.readers.listing import is_junk
from posedata.skeleton import get_skeleton

__all__ = ["Rgbd", "RgbdFrame", "RgbdSequence", "open_rgbd", "people_in", "read_coco_keypoints"]


@register
@dataclass(frozen=True)
class Rgbd(Format):
    """Recordings without 3D truth: images and cameras, and 2D keypoints from a COCO JSON if there is one."""

    name = "rgbd"
    title = "RGB-D recordings: depth/, rgb/ and intrinsics.json, or organised .pcd files"
    version = 4

    keypoints: str = option(
        "keypoints.json", "COCO keypoints in each recording's folder, by depth file's name."
    )
    size: str = option("full", "Images: full, or a crop around each person such as 256x256.")
    depth_scale: float | None = option(
        None, "Units of a metre in depth images: 1000 for millimetres, 5000 for TUM's."
    )

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a recording; all run at the first one's rate unless their intrinsics say otherwise."""
        places = _recordings(source)
        if not places:
            raise FileNotFoundError(f"{source}: holds no depth/ folder and no .pcd file; give recordings")
        units = []
        for place in places:
            name = place.name if place == source else place.relative_to(source).as_posix()
            tables = [p for p in (place / self.keypoints, *(place / n for n in INTRINSICS)) if p.is_file()]
            files = [place] if place.is_file() else [*images_in(place, ("depth",)), *images_in(place, COLOUR)]
            units.append(Unit(name, (*files, *tables), str(place)))
        return Plan(units, "RGB-D recordings", None, "coco17")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a recording: a row a frame, or a row a person where there are keypoints."""
        place = Path(unit.detail)
        frames = open_rgbd(place, depth_scale=self.depth_scale)
        for text in frames.notes:
            context.note(text)
        stride = 1 if self.fps is None else max(1, round(frames.fps / self.fps))
        table = place / self.keypoints if place.is_dir() else place.with_suffix(".keypoints.json")
        index, keypoints = (
            people_in(table, frames.names(), context.tell)
            if table.is_file()
            else (np.arange(len(frames)), None)
        )
        kept = index % stride == 0
        if bare := frames.without_colour():
            first = images_in(place, ("depth",))[bare[0]]
            context.note(
                f"{first}: has no colour image, as {len(bare)} of {len(frames)} frames of {unit.name}; their"
                " rows are left out, add the images"
            )
            kept &= ~np.isin(index, bare)
        index, keypoints = index[kept], None if keypoints is None else keypoints[kept]
        framing = Framing.parse(frames.size, self.size)
        around = np.zeros((len(index), 17, 3), np.float32) if keypoints is None else keypoints
        columns: dict[str, np.ndarray] = {
            "frame": index // stride,
            "valid": np.zeros((len(index), 17), bool),
            "boxes": framing.boxes(around),
        }
        if keypoints is not None:
            columns["keypoints_detector"] = keypoints
        cameras = [_clip_camera(unit.name, frames.camera(i)) for i in range(len(frames))]
        columns["camera"] = index
        images = batches(_cut(frames, index, framing, columns["boxes"], context))
        joints = np.zeros((len(index), 17, 3), np.float32)
        yield Clip(joints, unit.name, unit.name, "unknown", columns, cameras, images, fps=frames.fps / stride)


def _recordings(source: Path) -> list[Path]:
    if source.is_file() or (source / "depth").is_dir():
        return [source] if source.exists() else []
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder; give recordings")
    lying = sorted(p for p in source.iterdir() if not is_junk(p.name))
    inside = [p for p in lying if (p / "depth").is_dir()]
    return inside or [p for p in lying if p.suffix.lower() == ".pcd"]


def _clip_camera(name: str, camera: Camera) -> ClipCamera:
    """The camera level in the world's origin, z up."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    values = (camera.focal.numpy(), camera.centre.numpy(), turn, np.zeros(3))
    width, height = camera.size.tolist()
    return ClipCamera(name, *values, (int(width), int(height)), camera.distortion.numpy())


def _cut(
    frames: RgbdSequence,
    index: Int[np.ndarray, " N"],
    framing: Framing,
    boxes: Float32[np.ndarray, "N 4"],
    context: Context,
) -> Iterator[dict[str, np.ndarray]]:
    """Images of each row; at the end it is noted what of the depth was lost, and which frames have none."""
    at, frame, empty = -1, None, []
    for number, box in zip(index.tolist(), boxes, strict=True):
        if frame is None or number != at:
            at, frame = number, frames[number]
            empty += [] if frame.depth.any() else [frame.name]
        images = {"depth": framing.cut(frame.depth, box)}
        if frame.rgb is not None:
            images["rgb"] = framing.cut(frame.rgb, box)
        yield images
    count = len(set(index.tolist()))
    if empty and len(empty) == count:
        raise ValueError(
            f"{frames.name}: depth is 0 everywhere in all of {count} frames, first {empty[0]}; record it"
            " again"
        )
    if empty:
        context.note(
            f"{frames.name}: depth is 0 everywhere in {len(empty)} of {count} frames, first {empty[0]}; leave"
            " them out if nothing stood there"
        )
    if text := frames.losses():
        context.note(f"{frames.name}: {text}")


def people_in(
    path: Path, names: Sequence[str], say: Callable[[str], None] = lambda text: None
) -> tuple[Int[np.ndarray, " N"], Float32[np.ndarray, "N 17 3"]]:
    """COCO-17 keypoints of everybody in a COCO JSON, whose images are named as these frames (endings aside).

    COCO's visibility 0, 1, 2 becomes confidence 0, 0.5, 1; a detector's scores stay as they are. Other
    categories than people, crowds, and who has no keypoint are left out.

    Args:
        say: told what is left out, and what looks wrong.

    Returns: the number of the frame of each, ascending, and pixels with confidence.

    Raises FileNotFoundError, or ValueError naming the file and what it lacks, or that these are no pixels.
    """
    content = read_json(path)
    images, people = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(people, list):
        raise ValueError(f"{path}: has no lists 'images' and 'annotations'; write COCO keypoints")
    place = {name: number for number, name in enumerate(names)}
    of: dict[Any, str] = {}
    for i, image in enumerate(images):
        if not isinstance(image, dict) or not {"id", "file_name"} <= set(image):
            raise ValueError(f"{path}: images {i} lacks id or file_name; write both")
        stem = Path(str(image["file_name"])).stem
        if of.setdefault(_key(image["id"]), stem) != stem:
            raise ValueError(f"{path}: images {i} has the id of another; number them anew")
    wanted, others = people_ids(content, path), 0
    found = []
    for i, person in enumerate(people):
        if not isinstance(person, dict) or not {"image_id", "keypoints"} <= set(person):
            raise ValueError(f"{path}: annotations {i} lacks image_id or keypoints; write both")
        if (wanted is not None and _key(person.get("category_id")) not in wanted) or person.get("iscrowd"):
            others += 1
            continue
        name = of.get(_key(person["image_id"]))
        if name not in place:
            what = f"image {name[:60]!r}" if name else f"image_id {str(person['image_id'])[:20]}"
            raise ValueError(
                f"{path}: annotations {i} is of {what}, which is not a depth file; name images as depth"
                f" files, e.g. {names[0] if names else '000000'}.png"
            )
        found.append((place[name], person["keypoints"]))
    found.sort(key=lambda pair: pair[0])
    points = [array_of(values, (17, 3), f"{path}: keypoints") for _, values in found]
    keypoints = np.array(points, np.float32).reshape(-1, 17, 3)
    wrong = (keypoints[..., 2] < 0) | (keypoints[..., 2] > 2)
    if wrong.any():
        person, joint = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"{path}: keypoint {joint} of {names[found[person][0]]} has visibility"
            f" {keypoints[person, joint, 2]:g}; give COCO's 0, 1, 2, or a detector's confidence from 0 to 1"
        )
    if keypoints[..., 2].max(initial=0) > 1:
        keypoints[..., 2] /= 2
    seen = (keypoints[..., 2] > 0).any(1)
    if left := others + int((~seen).sum()):
        say(f"{path}: {left} annotations are other categories, crowds, or have no keypoint; left out")
    keypoints = keypoints[seen]
    errors, warnings = check_keypoints(keypoints, get_skeleton("coco17"))
    if errors:
        raise ValueError(f"{path}: {'; '.join(errors)}")
    for text in warnings:
        say(f"{path}: {text}")
    return np.array([number for number, _ in found], dtype=np.int64)[seen], keypoints


def read_coco_keypoints(path: Path) -> Float[Tensor, "n 17 3"]:
    """The keypoints of a COCO JSON, one person an image (the largest), by ascending image id.

    COCO's visibility 0, 1, 2 becomes confidence 0, 0.5, 1; a detector's scores stay as they are. Other
    categories than people and crowds are left out.

    Raises:
        FileNotFoundError, ValueError: no such file, no JSON or one that would fill the memory, or not COCO
            keypoints in pixels.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a COCO JSON with keypoints")
    content, what = read_json(path, (dict, list), constants=True), "the file"
    kinds = people_ids(content, path) if isinstance(content, dict) else {1}
    try:
        people: list[dict[str, Any]] = content["annotations"] if isinstance(content, dict) else content
        what = "the list of images"
        images = [i["id"] for i in content["images"]] if isinstance(content, dict) else []
        images = sorted(images or {p["image_id"] for p in people})
        found = np.zeros((len(images), 17, 3), np.float32)
        largest = np.full(len(images), -1.0)
        place = {image: i for i, image in enumerate(images)}
        for number, person in enumerate(people):
            what = f"annotation {number}"
            if (kinds is not None and person.get("category_id", 1) not in kinds) or person.get("iscrowd"):
                continue
            values = np.asarray(person["keypoints"], np.float32).reshape(17, 3)
            seen = values[values[:, 2] > 0]
            size = float(np.prod(np.ptp(seen[:, :2], axis=0))) if len(seen) else 0.0
            at = place[person["image_id"]]
            if size > largest[at]:
                largest[at], found[at] = size, values
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ValueError(f"{path}: not COCO keypoints, at {what}; see cocodataset.org, data format") from None
    if (found[..., 2] == 2).any() and np.isin(found[..., 2], (0, 1, 2)).all():
        found[..., 2] /= 2
    return checked_keypoints(found, get_skeleton("coco17"), str(path))


def people_ids(told: Mapping[str, Any], path: Path) -> set[Any] | None:
    """Ids of the categories of a COCO JSON that are people; None where it lists no categories.

    Raises ValueError where none of those that it lists is people.
    """
    listed = told.get("categories")
    if not isinstance(listed, list) or not listed:
        return None
    names = {_key(entry.get("id")): str(entry.get("name", "")) for entry in listed if isinstance(entry, dict)}
    found = {key for key, name in names.items() if name.strip().lower() in PEOPLE}
    if not found:
        raise ValueError(
            f"{path}: no category is called 'person', there are {', '.join(names.values())[:200]}; call that"
            " of people so"
        )
    return found


def _key(value: Any) -> Any:
    """What a dict can be asked for: JSON's lists and objects as their text."""
    return value if isinstance(value, (str, int, float)) else str(value)
