"""MMPose's JSON (OpenMMLab): what its inferencer and demos save of an image or a video.

- 1.x: `{"meta_info": {"keypoint_id2name": ...}, "instance_info": [...]}`, whose entries are frames
  `{"frame_id": 1, "instances": [...]}` of a video, or the instances of one image.
- the inferencer's `predictions`: the list `instance_info` alone.
- 0.x: a list of people, or of frames that are lists of people, each keypoint x, y, score.

An instance has `keypoints` [[x, y], ...], `keypoint_scores`, and `bbox` (x0, y0, x1, y1, in a list of its
own). Keypoints go by name where the file has names; else 17 are COCO's, 26 Halpe's, 133 COCO-WholeBody's.
Results of 3D models hold no pixels and are refused. Frames are counted as the file counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedata.readers._detections import (
    Detections,
    Found,
    Person,
    Recording,
    box_of,
    by_frame,
    json_files,
    track_of,
)
from posedata.readers.files.joint_names import canonical
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Context, register

_H36M = {"root": "pelvis", "neck_base": "neck", "left_foot": "left_ankle", "right_foot": "right_ankle"}


@register
@dataclass(frozen=True)
class MMPose(Detections):
    """A file of frames is a recording; files of an image each are put together by folder and name."""

    name = "mmpose"
    title = "MMPose JSON: results of its inferencer and demos, 1.x and 0.x, 2D only"
    usual = "mmpose"

    def recordings(self, source: Path) -> list[Recording]:
        out = []
        for group in by_frame(json_files(source), source):
            if len(group.files) > 1 and not _of_frames(group.files[0]):
                out.append(group)
                continue
            for file in group.files:
                top = source if source.is_dir() else source.parent
                out.append(Recording(file.relative_to(top).with_suffix("").as_posix(), (file,), (0,)))
        return out

    def found(self, recording: Recording, context: Context) -> Found:
        people: list[Person] = []
        names: list[str] | None = None
        for file, first in zip(recording.files, recording.frames, strict=True):
            data = read_json(file, (list, dict), constants=True)
            if isinstance(data, dict):
                names = _names(data.get("meta_info"))
            for frame, instances in _frames(data, first, file):
                people += [_person(instance, frame, file) for instance in instances]
        return Found(people, names)


def _of_frames(file: Path) -> bool:
    """Whether a file holds the frames of a video."""
    try:
        entries = _entries(read_json(file, (list, dict), constants=True), file)
    except ValueError:
        return True  # named when it is read
    return bool(entries) and (isinstance(entries[0], list) or "instances" in entries[0])


def _entries(data: Any, file: Path) -> list[Any]:
    entries = data.get("instance_info") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not all(isinstance(entry, dict | list) for entry in entries):
        raise ValueError(f"{file}: has no list instance_info, so is none of MMPose's; give its results")
    return entries


def _frames(data: Any, first: int, file: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Frames and their instances; all are of the frame `first`, where the file is of one image."""
    entries = _entries(data, file)
    if entries and all(isinstance(entry, dict) and "instances" not in entry for entry in entries):
        yield first, entries
        return
    for place, entry in enumerate(entries):
        number = entry.get("frame_id", place) if isinstance(entry, dict) else place
        instances = entry.get("instances") if isinstance(entry, dict) else entry
        plain = isinstance(instances, list) and all(isinstance(one, dict) for one in instances)
        if not plain or type(number) is not int or not 0 <= number < 1 << 31:
            raise ValueError(
                f"{file}: instance_info[{place}] is not a frame with a list of instances; get it again"
            )
        yield number, instances  # type: ignore[misc]


def _person(instance: dict[str, Any], frame: int, file: Path) -> Person:
    points, scores = instance.get("keypoints"), instance.get("keypoint_scores")
    values: Any = points
    if isinstance(points, list) and all(isinstance(point, list) for point in points):
        sizes = {len(point) for point in points}
        if sizes == {3} and scores is not None:
            raise ValueError(
                f"{file}: frame {frame}: keypoints are 3D, no pixels; give the results of a 2D model"
            )
        if sizes == {2} and isinstance(scores, list) and len(scores) == len(points):
            values = [n for point, score in zip(points, scores, strict=True) for n in (*point, score)]
        elif sizes == {3}:
            values = [n for point in points for n in point]
    track = track_of(instance.get("track_id", instance.get("instance_id")))
    return Person(frame, values, track, box_of(instance.get("bbox"), corners=True))


def _names(meta: Any) -> list[str] | None:
    """The names of the keypoints in order; Human3.6M's in our words."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or not table:
        return None
    names = [table.get(str(place)) for place in range(len(table))]
    if not all(isinstance(name, str) for name in names):
        return None
    listed = [str(name) for name in names]
    if "root" in listed and "thorax" in listed:
        return [_H36M.get(name, name) for name in listed]
    return [canonical(name) for name in listed]
