"""COCO's results of keypoints: a list with an entry a person, as pycocotools takes and detectors write it.

    [{"image_id": 785, "category_id": 1, "keypoints": [x0, y0, s0, x1, ...], "score": 0.93}, ...]

Keypoints are COCO's 17, or a larger set that begins with them or with Halpe's 26. `frame` is the image's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedata.readers._detections import (
    Detections,
    Found,
    Person,
    Recording,
    box_of,
    frame_numbers,
    track_of,
)
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Context, register


@register
@dataclass(frozen=True)
class CocoResults(Detections):
    """A file is a recording; photographs have no rate, so fps is 1 unless `rate` tells."""

    name = "coco_results"
    title = "COCO keypoint results: a JSON list of image_id, category_id, keypoints, score; 2D only"
    usual = "detector"
    native_rate = 1.0

    def found(self, recording: Recording, context: Context) -> Found:
        file = recording.files[0]
        data = read_json(file, (list, dict), constants=True)
        if isinstance(data, dict):
            raise ValueError(
                f"{file}: is an object and no list of results; read annotations with prepare coco"
            )
        return Found(results(data, file, context))


def results(entries: list[Any], file: Path, context: Context) -> list[Person]:
    """The people of a list of results; those of other categories than 1 are counted and left out."""
    if not all(isinstance(entry, dict) and "keypoints" in entry for entry in entries):
        raise ValueError(f"{file}: has an entry without keypoints; give a list of keypoint results")
    people = [entry for entry in entries if entry.get("category_id", 1) in (1, "1")]
    if len(people) < len(entries):
        others = len(entries) - len(people)
        context.tell(f"{file}: {others} results are of other categories than 1, people; left out")
    named = [entry.get("image_id") for entry in people]
    if not all(isinstance(name, int | str) and not isinstance(name, bool) for name in named):
        raise ValueError(f"{file}: has an entry without image_id; give each result its image")
    frames = frame_numbers(named)
    return [
        Person(
            frames[entry["image_id"]],
            entry["keypoints"],
            track_of(entry.get("idx", entry.get("track_id"))),
            box_of(entry.get("box", entry.get("bbox")), corners=False),
        )
        for entry in people
    ]
