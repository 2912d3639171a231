"""The comparison of keypoint files with a plain parse, which `tests/exporters.py` makes, notices faults."""

import json
from pathlib import Path
from typing import Any

import exporters_keypoints
import numpy as np
import pytest
from formats_detections import COCO_17, alphapose_entry, flat, mmpose_instance, mmpose_meta, people, write
from formats_detections import write_openpose as openpose
from posedata.readers.format import Clip


def written(form: str, folder: Path, made: np.ndarray) -> Path:
    """The people, one a frame, as the tool of this format writes them."""
    if form == "openpose":
        return openpose(folder / "json", {frame: [person] for frame, person in enumerate(made)})[0].parent
    content: Any = [alphapose_entry(f"{i}.jpg", p) for i, p in enumerate(made)]
    if form == "mmpose":
        frames = [{"frame_id": i, "instances": [mmpose_instance(p)]} for i, p in enumerate(made)]
        content = {"meta_info": mmpose_meta(COCO_17), "instance_info": frames}
    elif form == "coco_results":
        content = [{"image_id": i, "category_id": 1, "keypoints": flat(p)} for i, p in enumerate(made)]
    elif form == "coco":
        entries = [
            {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [9, 9, 99, 99],
             "keypoints": [n for x, y, s in p.tolist() for n in (x, y, 2 if s else 0)]}
            for i, p in enumerate(made)
        ]  # fmt: skip
        category = {"id": 1, "name": "person", "keypoints": COCO_17}
        images = [{"id": i, "file_name": f"{i}.jpg", "width": 2000, "height": 2000} for i in range(len(made))]
        content = {"images": images, "annotations": entries, "categories": [category]}
    return write(folder / f"{form}.json", content)


@pytest.mark.parametrize("form", exporters_keypoints.FORMS)
def test_whole_files_agree_and_a_moved_person_does_not(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = people(np.random.default_rng(3), 4, 25 if form == "openpose" else 17)
    path = written(form, tmp_path, made)
    row = exporters_keypoints.check(form, path)
    assert (row["format"], row["frames"], row["people"]) == (form, 4, 4)
    assert row["largest_deviation_px"] < 1e-4
    read = exporters_keypoints._points

    def moved(clip: Clip) -> np.ndarray:
        points = read(clip).copy()
        points[-1, 0, 0] += 2.5
        return points

    monkeypatch.setattr(exporters_keypoints, "_points", moved)
    assert exporters_keypoints.check(form, path)["largest_deviation_px"] == pytest.approx(2.5, abs=1e-4)
    monkeypatch.setattr(exporters_keypoints, "_points", lambda clip: read(clip)[..., [1, 0, 2]])
    assert exporters_keypoints.check(form, path)["largest_deviation_px"] > 20


def test_a_person_too_few_is_infinitely_far_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    made = people(np.random.default_rng(3), 3, 17)
    path = written("coco_results", tmp_path, made)
    assert exporters_keypoints._apart(list(made), made[:2], subset=False) == np.inf
    path.write_text(json.dumps(json.loads(path.read_text()))[:-40])
    row = exporters_keypoints.check("coco_results", path)
    assert row["outcome"].startswith("refused: is not JSON (ends too early at line 1")
    assert "largest_deviation_px" not in row
