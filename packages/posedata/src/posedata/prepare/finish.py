"""Joins the parts of a data set to one store, in the order of the plan; memory holds a few thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posedata.prepare.parts import Part
from posedata.readers.format import Format, Plan
from posedata.readers.merge import Cameras, Names, common_columns, filled, store_meta
from posedata.store.schema import CAMERA_COLUMNS, IMAGE_KINDS
from posedata.store.writer import StoreWriter

_ROWS = 1 << 15
_IMAGES = 64


def finish(
    form: Format,
    plan: Plan,
    parts: Sequence[tuple[str, Part]],
    files: Sequence[tuple[str, int, str]],
    notes: Sequence[str],
    work: Path,
    out: Path,
    *,
    overwrite: bool,
    shards: bool = False,
) -> None:
    """Write the store; `parts` come with their keys, which name their folders in `work`/parts."""
    held = [(work / "parts" / key, part) for key, part in parts if part.rows]
    if not held:
        raise ValueError(f"{out}: there is no frame to write; check what was selected")
    names = Names((label for _, part in held for label in part.labels), plan)
    kinds = set(IMAGE_KINDS)
    columns = common_columns((part.unit, set(part.digests) - set(CAMERA_COLUMNS) - kinds) for _, part in held)
    cameras = Cameras()
    places = [cameras.add(part.cameras, _camera_arrays(place)) for place, part in held]
    meta = store_meta(form, plan, names, cameras, {"format": form.name})
    with StoreWriter(out, meta, overwrite=overwrite, scratch=work, shards=shards) as writer:
        images = 0
        for (place, part), moved in zip(held, places, strict=True):
            writer.append_columns(names.columns(part.labels))
            for chunk in _chunks(place, columns):
                if "camera" in chunk:
                    chunk["camera"] = moved[chunk["camera"]]
                if "image" in chunk:
                    chunk["image"] = np.where(chunk["image"] < 0, -1, chunk["image"] + images)
                writer.append_columns(chunk)
            for batch in _images(place, sorted(kinds & set(part.digests))):
                writer.add_images(**batch)
            images += part.images
        writer.add_columns(cameras.columns())
        writer.add_json("sources.json", _sources(form, parts, files, notes))


def _chunks(place: Path, columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """The rows of a part, a few thousand at a time."""
    arrays = {
        name: np.load(place / f"{name}.npy", mmap_mode="r")
        for name in columns
        if (place / f"{name}.npy").is_file()
    }
    for start in range(0, len(arrays["joints"]), _ROWS):
        here = {name: np.array(array[start : start + _ROWS]) for name, array in arrays.items()}
        yield {name: filled(here, name) for name in columns}


def _images(place: Path, kinds: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    arrays = {kind: np.load(place / f"{kind}.npy", mmap_mode="r") for kind in kinds}
    for start in range(0, min((len(array) for array in arrays.values()), default=0), _IMAGES):
        yield {kind: np.array(array[start : start + _IMAGES]) for kind, array in arrays.items()}


def _camera_arrays(place: Path) -> dict[str, np.ndarray]:
    return {
        name: np.load(place / f"{name}.npy") for name in CAMERA_COLUMNS if (place / f"{name}.npy").is_file()
    }


def _sources(
    form: Format,
    parts: Sequence[tuple[str, Part]],
    files: Sequence[tuple[str, int, str]],
    notes: Sequence[str],
) -> dict[str, Any]:
    every = [*files, *(file for _, part in parts for file in part.files)]
    return {
        "format": form.name,
        "options": form.options(),
        "files": [{"file": name, "bytes": size, "sha256": digest} for name, size, digest in every],
        "units": [{"unit": part.unit, "rows": part.rows, "clips": len(part.labels)} for _, part in parts],
        "notes": list(notes),
    }
