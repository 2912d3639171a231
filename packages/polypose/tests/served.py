"""A library with a film and motion capture, as the page serves it, and somebody who is seen in a picture."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from films import write_film
from libraries import embedder, quiet, write_joints
from PIL import Image
from polypose.cameras import take_camera
from polypose.capture.motion import Motion
from polypose.search.adding import add
from polypose.search.filmed import cropped
from polypose.search.manifest import SEGMENTS, Entry, Manifest
from polypose.search.reading import Options
from polypose.search.rows import Rows
from polypose.search.segments import SegmentWriter
from polypose.search.serving.library import Library
from polypose.search.serving.looking import Person
from posedata.skeleton import get_skeleton
from walkers import walkers

H36M = get_skeleton("h36m17")
HOSTILE = '<img src=x onerror="window.hurt=1">'
"""What somebody calls a recording."""


def library(folder: Path) -> Library:
    """Motion capture seen by two virtual cameras, and the film of two walkers, under a hostile name."""
    index, models = folder / "index", embedder()
    write_joints(folder / "mocap.npz", 0, 1)
    add(index, [folder / "mocap.npz"], models, Options(cameras=2), say=quiet)
    motion = walkers(2, 40)
    film = write_film(folder / "walk.mp4", motion)
    segment = index / SEGMENTS / "film"
    segment.mkdir()
    writer = SegmentWriter(segment, HOSTILE)
    for rows in filmed(motion):
        writer.add(rows, models.embed(rows))
    stat = film.stat()
    entry = Entry(
        HOSTILE,
        str(film),
        "film",
        "film",
        "",
        (stat.st_size, stat.st_mtime_ns),
        "film",
        writer.rows,
        1,
        2.0,
        writer.close(),
    )
    Manifest.read(index).replaced(entry).write(index)
    return Library(index, models)


def filmed(motion: Motion) -> list[Rows]:
    """What the left view saw of everybody."""
    made = []
    for person in motion.people:
        points = person.keypoints["left"].astype(np.float32)
        seen = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
        low, high = np.nanmin(seen, axis=1), np.nanmax(seen, axis=1)
        time_ = (np.arange(len(points)) + person.first) / motion.rate
        made.append(
            Rows(
                time=time_,
                frame=np.arange(len(points)) + person.first,
                person=str(person.id),
                camera="left",
                box=np.concatenate([low, high - low], axis=1),
                points=torch.from_numpy(points),
                skeleton=H36M,
                seen_by=take_camera(None, (640, 480)),
                pictures=[(0, cropped(np.full((480, 640, 3), 128, np.uint8), np.array([10, 10, 60, 120])))],
            )
        )
    return made


def seen_in(path: Path) -> list[Person]:
    """The second walker after a second, whatever the picture shows."""
    Image.open(path).verify()
    rows = filmed(walkers(2, 40))[1]
    assert rows.points is not None
    at = slice(20, 21)
    points, box = rows.points[at].numpy(), np.asarray(rows.box)[at]
    return [Person("1", rows.time[at], points, box, "h36m17", (640, 480), rows.pictures[0][1])]


def dies(path: Path, detector: str, network: str) -> list[Person]:
    """What a decoder does that a file kills; a file of one byte is survived."""
    if path.stat().st_size > 1:
        os._exit(1)
    return []


def hangs(path: Path, detector: str, network: str) -> list[Person]:
    """What a decoder does that a file never ends for."""
    time.sleep(60)
    return []
