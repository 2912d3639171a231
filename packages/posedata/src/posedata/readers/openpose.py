"""OpenPose's JSON (Cao et al., TPAMI 2021; `--write_json`): a file a frame, NAME_000000000012_keypoints.json.

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x0, y0, c0, x1, ...], ...}]}

BODY_25 becomes the skeleton `openpose25`; the COCO model's 18 become `coco17`, which has no neck. Tools that
write the same files with other models are read too: 17 are COCO's, 26 and 136 Halpe's, 133 COCO-WholeBody's.
Hands and face are left out. A keypoint that was not found is 0, 0, 0. Frames are the numbers in the files'
names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedata.readers._detections import Detections, Found, Person, Recording, by_frame, json_files, track_of
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Context, register


@register
@dataclass(frozen=True)
class OpenPose(Detections):
    """A recording is the files of one folder and name."""

    name = "openpose"
    title = "OpenPose JSON: a folder of NAME_FRAME_keypoints.json (BODY_25, COCO-18), 2D only"
    usual = "openpose"

    def recordings(self, source: Path) -> list[Recording]:
        return by_frame(json_files(source), source)

    def found(self, recording: Recording, context: Context) -> Found:
        people: list[Person] = []
        faults: list[str] = []
        for file, frame in zip(recording.files, recording.frames, strict=True):
            try:
                people += [
                    person_of(entry, frame) for entry in people_in(read_json(file, constants=True), file)
                ]
            except ValueError as error:
                faults.append(str(error))
        if len(faults) == len(recording.files):
            raise ValueError(faults[0])
        for fault in faults:
            context.note(f"{fault} [the frame is left out]")
        return Found(people)


def people_in(data: dict[str, Any], file: Path) -> list[dict[str, Any]]:
    """The entries of a frame's people."""
    entries = data.get("people")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(
            f"{file}: has no list people, so is none of OpenPose's; give its --write_json folder"
        )
    return entries


def person_of(entry: dict[str, Any], frame: int) -> Person:
    values = entry.get("pose_keypoints_2d", entry.get("pose_keypoints"))
    return Person(frame, values, track_of(entry.get("person_id")))
