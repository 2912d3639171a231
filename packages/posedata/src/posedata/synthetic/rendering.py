"""Pictures for the rows of a store: people or hands, dressed and rendered as their cameras see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.sharing import streamed
from posedata.store.names import KINDS
from posedata.store.pose_store import PoseStore
from posedata.store.writer import StoreWriter, refuse_existing
from posedata.views.writing import BOX_MARGIN

IMAGE_SIZE = (192, 256)
Progress = Callable[[int, int], None]
"""Called with how many images are done, and of how many."""
Chance = torch.Generator
Painter = Callable[[Tensor, Tensor, Camera, Chance, Chance | None], Any]
"""Draws one row, a `Rendered`: joints, which of them are valid, camera, generators of looks and of noise."""
_CHUNK = 16


def render_store(
    store: str | Path | PoseStore,
    out: str | Path,
    *,
    rows: np.ndarray | None = None,
    size: tuple[int, int] = IMAGE_SIZE,
    seed: int = 0,
    workers: int = 1,
    kinect: bool = False,
    kinds: tuple[str, ...] = KINDS,
    alike: np.ndarray | None = None,
    background: str | None = None,
    arms: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Dress people (or hands), render them as their cameras see them, and write a store with the pictures.

    Every picture is the crop of the row's `boxes` (made from the projected joints if there are none, and
    widened to the aspect of `size`), of a person dressed anew under a light and a background of its own;
    each row's randomness follows from `seed` and its number alone, so `workers` changes nothing.
    The new store keeps all rows and columns; rows that are not rendered have image -1.

    Args:
        store: a store of h36m17 or interhand42 poses with cameras (`posedata views` makes them).
        out: the store to make.
        rows: which rows; by default all that have a camera and no invalid joint (of hands: one whole hand).
        size: (width, height) in pixels.
        seed: decides clothes, light and background.
        workers: processes; 1 renders in this one.
        kinect: depth as a Kinect would measure it.
        background: one of `posedata.synthetic.background.KINDS`; for each picture a random one if None.
        kinds: which of rgb, depth, mask to keep.
        arms: of hands, whether wrists are bent and sleeves long (`HandRenderer`).
        alike: a number for every row of the store: rows of equal number show one person in the same clothes,
            light and background, as the frames of a clip do; the sensor's noise stays each row's own.
        overwrite: replace `out` if it is a store.
        progress: called as pictures come.
    """
    source = store if isinstance(store, PoseStore) else PoseStore.open(store)
    out = Path(out)
    refuse_existing(out, overwrite)
    if source.skeleton.name not in _PAINTERS:
        known = " and ".join(_PAINTERS)
        raise ValueError(f"{source.path}: skeleton is {source.skeleton.name}; only {known} can be dressed")
    if not kinds or set(kinds) - set(KINDS):
        raise ValueError(f"kinds of image {list(kinds)}: choose some of {', '.join(KINDS)}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size is {size}; give width and height in pixels, at least 1 each")
    picked = _renderable(source) if rows is None else source.checked(rows)
    if not len(picked):
        raise ValueError(f"{source.path}: no row is chosen; choose some, or leave `rows` out for all")
    boxes = _boxes(source, picked, size)
    if alike is not None and alike.shape != (len(source),):
        raise ValueError(f"alike has shape {alike.shape}; give a number for each of {len(source)} rows")
    task = _Task(source.path, source.fingerprint, size, seed, kinect, kinds, alike, background, arms)
    visible = np.zeros((len(source), len(source.skeleton)), dtype=bool)
    image = np.full(len(source), -1, dtype=np.int32)
    image[picked] = np.arange(len(picked))
    made_by = {"size": list(size), "seed": seed, "kinect": kinect, "of": source.fingerprint}
    made_by |= {} if background is None else {"background": background}
    made_by |= {"arms": True} if arms else {}
    with StoreWriter(out, source.meta | {"render": made_by}, overwrite=overwrite) as writer:
        done = 0
        for chunk in _rendered(task, picked, boxes[picked], workers):
            writer.add_images(**chunk.images)
            visible[picked[done : done + len(chunk.visible)]] = chunk.visible
            done += len(chunk.visible)
            if progress is not None:
                progress(done, len(picked))
        made = {"image": image, "boxes": boxes, "visible_true": visible}
        kept = {name: source.column(name) for name in source.columns if name not in made}
        writer.add_columns(kept | made)
    return out


@dataclass(frozen=True)
class _Task:
    """What is the same for all rows; sent to each worker once."""

    store: Path
    fingerprint: str
    size: tuple[int, int]
    seed: int
    kinect: bool
    kinds: tuple[str, ...]
    alike: np.ndarray | None = None
    background: str | None = None
    arms: bool = False


class _Chunk(NamedTuple):
    images: dict[str, np.ndarray]
    visible: np.ndarray


class _RowRenderer:
    """Renders rows of a store; one lives in each process."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        self._store = PoseStore.open(task.store)
        if self._store.fingerprint != task.fingerprint:
            raise ValueError(f"{task.store}: was replaced while pictures were made of it; run again")
        self._paint = _PAINTERS[self._store.skeleton.name](task)

    def chunk(self, rows: np.ndarray, boxes: np.ndarray) -> _Chunk:
        cameras = self._store.camera(rows).crop(torch.from_numpy(boxes), self._task.size)
        joints = torch.from_numpy(np.array(self._store.column("joints")[rows]))
        valid = torch.from_numpy(_valid(self._store, rows))
        made = []
        for i, row in enumerate(rows.tolist()):
            alike = self._task.alike
            generator = _generator(self._task.seed, row if alike is None else int(alike[row]))
            noise = None if alike is None else _generator(self._task.seed, row, 1)
            made.append(self._paint(joints[i], valid[i], cameras[i], generator, noise))
        images = {kind: np.stack([getattr(picture, kind) for picture in made]) for kind in self._task.kinds}
        return _Chunk(images, np.stack([picture.visible for picture in made]))


def _generator(*entropy: int) -> torch.Generator:
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


def _body_painter(task: _Task) -> Painter:
    from posedata.synthetic.flesh import Flesh
    from posedata.synthetic.render import Renderer

    renderer = Renderer(size=task.size)

    def paint(joints: Tensor, valid: Tensor, camera: Camera, generator: Chance, noise: Chance | None) -> Any:
        flesh = Flesh.sample(generator)
        return renderer.render(
            joints, flesh, camera, generator=generator, noise=noise,
            kinect=task.kinect, background=task.background,
        )  # fmt: skip

    return paint


def _hand_painter(task: _Task) -> Painter:
    from posedata.synthetic.hands.flesh import HandRenderer

    renderer = HandRenderer(size=task.size, arms=task.arms)

    def paint(joints: Tensor, valid: Tensor, camera: Camera, generator: Chance, noise: Chance | None) -> Any:
        return renderer.render(
            joints, valid, camera, generator=generator, noise=noise,
            kinect=task.kinect, background=task.background,
        )  # fmt: skip

    return paint


_PAINTERS: dict[str, Callable[[_Task], Painter]] = {"h36m17": _body_painter, "interhand42": _hand_painter}
"""What can be dressed, by skeleton."""


_task: _Task | None = None
_renderer: _RowRenderer | None = None


def _start_worker(task: _Task) -> None:
    global _task, _renderer
    _task, _renderer = task, None


def _is_seen(task: _Task) -> bool:
    return PoseStore.open(task.store).fingerprint == task.fingerprint


def _work(chunk: tuple[np.ndarray, np.ndarray]) -> _Chunk:
    global _renderer
    assert _task is not None
    _renderer = _renderer or _RowRenderer(_task)
    return _renderer.chunk(*chunk)


def _rendered(task: _Task, rows: np.ndarray, boxes: np.ndarray, workers: int) -> Iterator[_Chunk]:
    """Chunks in the order of the rows; never more than a few wait in memory."""
    chunks = [(rows[i : i + _CHUNK], boxes[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)]
    yield from streamed(_work, chunks, workers, _start_worker, task, able=partial(_is_seen, task))


def _renderable(store: PoseStore) -> np.ndarray:
    if "camera" not in store:
        raise ValueError(f"{store.path}: has no cameras; make views with 'posedata views' first")
    whole = _valid(store).reshape(len(store), 1 + (store.skeleton.name == "interhand42"), -1).all(-1)
    able = (store.column("camera") >= 0) & whole.any(-1)
    rows = np.flatnonzero(able)
    if not len(rows):
        raise ValueError(
            f"{store.path}: no row has a camera and all its joints; choose"
            " another source, or fill the missing joints first"
        )
    return rows


def _valid(store: PoseStore, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    if "valid" in store:
        return np.array(store.column("valid")[rows])
    return np.ones(store.column("joints")[rows].shape[:2], dtype=bool)


def _boxes(store: PoseStore, rows: np.ndarray, size: tuple[int, int]) -> Float[np.ndarray, "N 4"]:
    """Boxes for all rows of the store, at the aspect of the images where they are to be rendered."""
    boxes = np.zeros((len(store), 4), dtype=np.float32)
    if "boxes" in store:
        boxes[:] = store.column("boxes")
        corners = torch.from_numpy(boxes[rows]).reshape(-1, 2, 2)
        fitted = bounding_box(corners, margin=0.0, aspect=size[0] / size[1])
    else:
        joints = torch.from_numpy(np.array(store.column("joints")[rows]))
        pixels = store.camera(rows).project(joints)
        fitted = bounding_box(pixels, margin=BOX_MARGIN, aspect=size[0] / size[1])
    boxes[rows] = fitted.numpy()
    return boxes
