"""InterHand2.6M (Moon et al., ECCV 2020): its annotations read, and its pictures cut into a pose store.

Three JSON files a split: `..._data.json` (pictures, boxes, which hands), `..._camera.json` (by capture and
camera: position and rotation, camera = R (world - position), millimetres; focal length, principal point),
`..._joint_3d.json` (by capture and frame: 42 joints in the world, millimetres).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.readers.files.safe_text import read_json
from posedata.store.writer import StoreWriter, refuse_existing
from posedata.views.hands import BOX_SCALE, KINDS, hand_columns

_DATA = "_data.json"


@dataclass(frozen=True)
class InterHand:
    """A split in memory, one entry a picture.

    Attributes:
        files: names of the pictures, relative to the folder of images.
        joints, valid: world metres in InterHand2.6M's order; 0 where not valid.
        camera: of the whole pictures.
        boxes: x0, y0, x1, y1 as annotated, tight about the hands, px.
        kind: index into `posedata.views.hands.KINDS`; right if the annotation says it does not know.
        kind_valid: whether it does.
        subject, sequence: names; frame: numbers.
    """

    files: tuple[str, ...]
    joints: Float[Tensor, "N 42 3"]
    valid: Bool[Tensor, "N 42"]
    camera: Camera
    boxes: Float[Tensor, "N 4"]
    kind: Int[Tensor, " N"]
    kind_valid: Bool[Tensor, " N"]
    subject: tuple[str, ...]
    sequence: tuple[str, ...]
    frame: Int[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.files)


def read_interhand(data: str | Path) -> InterHand:
    """Read a split by its `..._data.json`; the other two files lie beside it.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: a file that is no such JSON, naming the entry that is missing.
    """
    data = Path(data)
    if not data.name.endswith(_DATA):
        raise ValueError(f"{data}: give the file whose name ends in {_DATA}")
    index = read_json(data)
    cameras, joints = (
        read_json(data.with_name(data.name[: -len(_DATA)] + end))
        for end in ("_camera.json", "_joint_3d.json")
    )
    try:
        return _table(index, cameras, joints)
    except KeyError as error:
        raise ValueError(
            f"{data}: no entry {error} for one of its pictures; download the split again"
        ) from None
    except (TypeError, ValueError, RuntimeError, IndexError):
        raise ValueError(
            f"{data}: it, or the cameras and joints beside it, hold arrays of other sizes than 42 joints,"
            " boxes of 4 and cameras of 3x3; download the split again"
        ) from None


def write_interhand(
    split: InterHand, images: str | Path, out: str | Path, *, size: int = 256, overwrite: bool = False
) -> Path:
    """Write a store with the pictures cut to square boxes, `BOX_SCALE` times the annotated ones.

    Pictures without any valid joint are left out.

    Args:
        split: of `read_interhand`.
        images: the folder that the files are relative to.
        out: the store to make.
        size: side of the cut pictures, px.

    Raises:
        FileNotFoundError: a picture that is not there.
        ValueError: a picture that cannot be read, or no picture has a valid joint.
    """
    refuse_existing(Path(out), overwrite)
    kept = split.valid.any(1).nonzero()[:, 0]
    if not len(kept):
        raise ValueError("no picture of this split has a valid joint: check the joint_3d file")
    columns = hand_columns(split.joints[kept], split.valid[kept], split.camera[kept])
    corners = split.boxes[kept].reshape(-1, 2, 2)
    boxes = bounding_box(corners, margin=(BOX_SCALE - 1) / 2, aspect=1.0)
    columns |= {"boxes": boxes.numpy(), "image": np.arange(len(kept)), "action": split.kind[kept].numpy()}
    columns["frame"] = split.frame[kept].numpy()
    meta: dict[str, Any] = {
        "skeleton": "interhand42", "fps": 5, "source": "InterHand2.6M", "licence": "CC BY-NC 4.0",
        "actions": list(KINDS),
    }  # fmt: skip
    for name in ("subject", "sequence"):
        values = [getattr(split, name)[i] for i in kept.tolist()]
        meta[f"{name}s"] = sorted(set(values))
        columns[name] = np.array([meta[f"{name}s"].index(value) for value in values])
    with StoreWriter(out, meta, overwrite=overwrite) as writer:
        for row, box in zip(kept.tolist(), boxes.tolist(), strict=True):
            writer.add_images(rgb=cut(Path(images) / split.files[row], tuple(box), size)[None])
        writer.add_columns(columns)
    return Path(out)


def cut(file: Path, box: tuple[float, ...], size: int) -> np.ndarray:
    """The box (x0, y0, x1, y1, pixel centres whole) of a picture as (size, size, 3) uint8, black outside."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such picture; give the folder that data.json's names start from")
    try:
        with Image.open(file) as picture:
            image = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(f"{file}: not a readable picture; download it again") from None
    return cut_image(image, box, size)


def cut_image(image: Image.Image, box: tuple[float, ...], size: int) -> np.ndarray:
    """The same of a picture that is open, in RGB."""
    left, top, right, bottom = (edge + 0.5 for edge in box)
    corner = int(np.floor(left)), int(np.floor(top))
    window = image.crop((*corner, int(np.ceil(right)), int(np.ceil(bottom))))
    inner = (left - corner[0], top - corner[1], right - corner[0], bottom - corner[1])
    return np.asarray(window.resize((size, size), Image.Resampling.BILINEAR, box=inner))


def _table(index: Any, cameras: Any, joints: Any) -> InterHand:
    pictures = {picture["id"]: picture for picture in index["images"]}
    notes = index["annotations"]
    seen = [pictures[note["image_id"]] for note in notes]
    frames = [joints[str(p["capture"])][str(p["frame_idx"])] for p in seen]
    world = torch.tensor([frame["world_coord"] for frame in frames], dtype=torch.float32) / 1000
    valid = torch.tensor([note["joint_valid"] for note in notes]).reshape(-1, 42) > 0
    valid &= torch.tensor([frame["joint_valid"] for frame in frames]).reshape(-1, 42) > 0
    x, y, width, height = torch.tensor([note["bbox"] for note in notes]).unbind(-1)
    return InterHand(
        files=tuple(p["file_name"] for p in seen),
        joints=torch.where(valid[..., None], world, 0.0),
        valid=valid,
        camera=_camera(seen, cameras),
        boxes=torch.stack([x, y, x + width, y + height], -1),
        kind=torch.tensor([KINDS.index(note["hand_type"]) if _known(note) else 0 for note in notes]),
        kind_valid=torch.tensor([_known(note) for note in notes]),
        subject=tuple(str(p["subject"]) for p in seen),
        sequence=tuple(p["seq_name"] for p in seen),
        frame=torch.tensor([p["frame_idx"] for p in seen]),
    )


def _known(note: Any) -> bool:
    return bool(note["hand_type_valid"]) and note["hand_type"] in KINDS


def _camera(seen: list[Any], cameras: Any) -> Camera:
    def values(key: str) -> Tensor:
        return torch.tensor(
            [cameras[str(p["capture"])][key][str(p["camera"])] for p in seen], dtype=torch.float32
        )

    rotation, position = values("camrot"), values("campos") / 1000
    return Camera(
        values("focal"),
        values("princpt"),
        rotation,
        -(rotation @ position[..., None])[..., 0],
        size=torch.tensor([[p["width"], p["height"]] for p in seen]),
    )
