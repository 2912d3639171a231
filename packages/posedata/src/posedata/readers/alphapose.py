"""AlphaPose's JSON (Fang et al., TPAMI 2022): `alphapose-results.json` in each of its forms.

- default: COCO's list of results, image_id an image's name ("12.jpg"), with `box` (x, y, width, height) and,
  where people were tracked, `idx`. Keypoints are COCO's 17, or Halpe's 26 or 136.
- `--format cmu` and `open`: an object by image's name of `{"bodies": [{"joints": [...]}]}` or
  `{"people": [{"pose_keypoints_2d": [...]}]}`, OpenPose's 18; or a file an image of these in `sep-json`.
- PoseFlow: an object by image's name of lists of `{"keypoints": [...], "idx": 1}`.

Frames are the numbers in the images' names. Scores of its COCO models exceed 1; such count as 1.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    frame_numbers,
    json_files,
    track_of,
)
from posedata.readers.coco_results import results
from posedata.readers.files.safe_text import read_json
from posedata.readers.format import Context, register


@register
@dataclass(frozen=True)
class AlphaPose(Detections):
    """A file is a recording, but for those of `sep-json`, which are a frame each."""

    name = "alphapose"
    title = "AlphaPose JSON: alphapose-results.json (COCO-17, Halpe-26 and -136; cmu and open forms), 2D only"
    usual = "alphapose"

    def recordings(self, source: Path) -> list[Recording]:
        files = json_files(source)
        frames = [file for file in files if file.parent.name == "sep-json"]
        whole = {file.parent for file in files if file not in frames}
        frames = [file for file in frames if file.parent.parent not in whole]  # the same people once more
        rest = [file for file in files if file.parent.name != "sep-json"]
        top = source if source.is_dir() else source.parent
        named = [Recording(f.relative_to(top).with_suffix("").as_posix(), (f,), (0,)) for f in rest]
        return [*named, *by_frame(frames, source)]

    def found(self, recording: Recording, context: Context) -> Found:
        people: list[Person] = []
        for file, frame in zip(recording.files, recording.frames, strict=True):
            data = read_json(file, (list, dict), constants=True)
            if isinstance(data, list):
                people += results(data, file, context)
            elif _is_frame(data):
                people += _frame(data, frame, file)
            else:
                frames = frame_numbers(data)
                for name, entry in data.items():
                    people += _frame(entry, frames[name], file)
        return Found(people)


def _is_frame(data: Mapping[str, Any]) -> bool:
    return isinstance(data.get("bodies", data.get("people")), list)


def _frame(entry: Any, frame: int, file: Path) -> list[Person]:
    """Everybody of one image, in any of the forms that go by images."""
    if isinstance(entry, dict) and _is_frame(entry):
        entry = entry.get("bodies", entry.get("people"))
    if not isinstance(entry, list) or not all(isinstance(person, dict) for person in entry):
        raise ValueError(f"{file}: holds what is none of AlphaPose's forms; give alphapose-results.json")
    return [
        Person(
            frame,
            next(
                (person[key] for key in ("joints", "pose_keypoints_2d", "keypoints") if key in person), None
            ),
            track_of(person.get("idx")),
            box_of(person.get("box"), corners=False),
        )
        for person in entry
    ]
