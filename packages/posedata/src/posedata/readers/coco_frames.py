"""The keypoints of a COCO JSON as those of frames: one person an image, the largest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from posedata.keypoints import checked_keypoints
from posedata.readers.files.safe_text import read_json
from posedata.readers.rgbd import people_ids
from posedata.skeleton import get_skeleton


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
