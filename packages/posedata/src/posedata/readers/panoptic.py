"""CMU Panoptic (Joo et al., ICCV 2015 and TPAMI 2017), as it is published: a folder a sequence, NAME.

- `hdPose3d_stage1_coco19/body3DScene_%08d.json` (or the folder's tar): `univTime`, and `bodies`, each with an
  `id` and 19 joints as x, y, z, score; centimetres, y down. A joint counts if its score exceeds 0.1.
- `calibration_NAME.json`: cameras "PP_NN" with K, distCoef (k1, k2, p1, p2, k3), R, t (x = R X + t, cm).
- `kcalibration_NAME.json`: `sensors`, one for each Kinect: K_depth, distCoeffs_depth, M_depth, M_color
  (4x4, metres). `ksynctables_NAME.json`: when each depth image was taken (univ_time, milliseconds).
- `kinect_shared_depth/KINECTNODEk/depthdata.dat`: 512x424 uint16 a frame, millimetres, mirrored.
- `kinectImgs/50_0k/50_0k_%08d.jpg` (counted from 1), or `kinectVideos/kinect_50_0k.mp4`: colour, 1920x1080.

World here is (x, z, -y) / 100 of theirs: metres, z up. A depth camera's place is that of its colour camera,
50_0k, undone by M_color and taken on by M_depth. M_color takes the sensor's frame to the colour camera's: the
owners' toolbox projects so, but composes the world with the inverse. The two differ by up to a degree; on ten
real Kinects edges in depth fall on edges in colour clearly better the first way, so that is what is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8, UInt16

from posedata.readers._clips import stride_for
from posedata.readers.files.kinect import (
    BATCH,
    Framing,
    batches,
    camera_of,
    project,
    read_colour,
    register_colour,
)
from posedata.readers.files.panoptic import (
    AXES,
    Scenes,
    color_camera,
    depth_camera,
    hd_times,
    kinect_times,
    read_calibration,
    read_sensors,
    scene_files,
    sensor_color_camera,
)
from posedata.readers.files.pictures import video_frames
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Unit, option, register
from posedata.readers.listing import is_junk, nothing_found

RATE = 29.97
DEPTH_SIZE = (512, 424)
MOST_APART, COLOUR_APART, BOTH_APART, COLOUR_LATE = 17.0, 30.0, 6.5, 6.25
"""Milliseconds: that a depth and a colour image may lie from their pose, and from each other; what a colour
image's time is late by (the owners' toolbox)."""
BEHIND_SKIN = (-0.05, 0.35)
"""Metres by which a torso's joint may lie behind the surface that is seen in front of it."""
_FRAME_BYTES = 512 * 424 * 2
_TORSO = (0, 2, 3, 6, 9, 12)


class Colour(NamedTuple):
    """A Kinect's colour camera, its image for each of the sequence's frames (-1: none), where they lie."""

    camera: ClipCamera
    images: Int[np.ndarray, " F"]
    source: Path


class View(NamedTuple):
    """A camera, and for each of the sequence's frames the depth image that was taken then (-1: none)."""

    camera: ClipCamera
    images: Int[np.ndarray, " F"] | None = None
    file: Path | None = None
    colour: Colour | None = None


@register
@dataclass(frozen=True)
class Panoptic(Format):
    """Poses; poses seen by named cameras; or, where there is Kinect depth, poses with depth images."""

    name = "panoptic"
    title = "CMU Panoptic: hdPose3d_stage1_coco19, calibrations, Kinect depth"
    terms = "CMU Panoptic Studio: non-commercial research use"
    reference_fps = RATE

    cameras: str = option("auto", "auto, none, depth, hd, or camera names such as 00_03,00_12.")
    size: str = option("256x256", "Depth images: a crop around each person such as 256x256, or full.")
    colour: bool = option(True, "Colour too, where the Kinects' images or videos are there.")
    least_score: float = option(0.1, "Joints of a lower score are not valid.")

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a sequence."""
        Framing.parse(DEPTH_SIZE, self.size)
        inside = source.iterdir() if source.is_dir() else ()
        folders = [source, *sorted(p for p in inside if p.is_dir() and not is_junk(p.name))]
        units = []
        for folder in folders:
            files = scene_files(folder)
            if files:
                depth = _depth_files(folder) if self.cameras in ("auto", "depth") else {}
                others = [_named(folder, stem) for stem in ("calibration", "kcalibration", "ksynctables")]
                there = [path for path in [*others, *depth.values()] if path is not None]
                units.append(Unit(folder.name, (*files, *there), {"folder": str(folder)}))
            elif _named(folder, "calibration") is not None or (folder / "hdPose3d_stage1").is_dir():
                context.note(f"{folder}: has no hdPose3d_stage1_coco19; left out, download it")
        if not units:
            raise nothing_found(
                source,
                "holds no hdPose3d_stage1_coco19",
                "give a sequence's folder, or one of such folders (the older mpi15 layout is not read)",
            )
        stride = stride_for(source, RATE, self.fps)
        return Plan(units, "CMU Panoptic", RATE / stride, "panoptic19")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip a person and camera."""
        folder = Path(unit.detail["folder"])
        scenes = Scenes.read(scene_files(folder), stride_for(folder, RATE, self.fps), context.note)
        views = list(self._views(folder, scenes, context))
        for person in scenes.people:
            frames, joints, score = scenes.person(person)
            valid = (score > self.least_score) & np.isfinite(joints).all(-1)
            world = np.where(valid[..., None], joints @ AXES.T / 100, 0).astype(np.float32)
            for view in views:
                yield from self._clip(unit.name, person, frames, world, valid, view, scenes, context)
            if not views:
                columns = {"frame": scenes.numbers[frames], "valid": valid}
                yield Clip(world, f"{unit.name} {person}", f"{unit.name} {person}", columns=columns)

    def _views(self, folder: Path, scenes: Scenes, context: Context) -> Iterator[View]:
        depth = _depth_files(folder)
        if self.cameras == "none" or (self.cameras == "auto" and not depth):
            return
        table = read_calibration(_needed(folder, "calibration"))
        if self.cameras not in ("auto", "depth"):
            hd = self.cameras == "hd"
            names = [n for n in table if n.startswith("00_")] if hd else self.cameras.split(",")
            for name in names:
                yield View(color_camera(table, name, _needed(folder, "calibration")))
            return
        if not depth:
            raise FileNotFoundError(
                f"{folder}: has no kinect_shared_depth; download it, or leave --cameras out"
            )
        sensors = read_sensors(_needed(folder, "kcalibration"))
        sync = _needed(folder, "ksynctables")
        times = scenes.times
        if not np.isfinite(times).all():
            times = hd_times(_needed(folder, "synctables"), scenes.numbers, scenes.stride)
        for node, file in depth.items():
            camera = depth_camera(table, sensors, node, _needed(folder, "kcalibration"))
            taken = kinect_times(sync, node)
            images, colour = _paired(times, taken, file, context), None
            source = _colour_source(folder, node) if self.colour else None
            if source is not None:
                shot = kinect_times(sync, node, "color")
                chosen = _colour_images(times, taken, shot, images)
                images = np.where(chosen >= 0, images, -1)
                seen = sensor_color_camera(table, sensors, node, _needed(folder, "kcalibration"))
                colour = Colour(seen, chosen, source)
            yield View(camera, images, file, colour)

    def _clip(
        self,
        sequence: str,
        person: str,
        frames: Int[np.ndarray, " T"],
        world: Float32[np.ndarray, "T 19 3"],
        valid: Bool[np.ndarray, "T 19"],
        view: View,
        scenes: Scenes,
        context: Context,
    ) -> Iterator[Clip]:
        keypoints = project(view.camera, world, valid)
        kept = _in_image(keypoints, view.camera)
        if view.images is not None:
            kept &= view.images[frames] >= 0
        if not kept.any():
            return
        frames, world, valid, keypoints = frames[kept], world[kept], valid[kept], keypoints[kept]
        columns = {"frame": scenes.numbers[frames], "valid": valid, "keypoints_true": keypoints}
        images = None
        if view.images is not None and view.file is not None:
            framing = Framing.parse(DEPTH_SIZE, self.size)
            columns["boxes"] = framing.boxes(keypoints)
            chosen = view.images[frames]
            _check_depth(view, chosen, world, keypoints, f"{sequence} {person}", context)
            images = batches(_images(view, frames, framing, columns["boxes"]))
        name = f"{sequence} {person}"
        yield Clip(world, name, name, "unknown", columns, (view.camera,), images)


def _depth_files(folder: Path) -> dict[int, Path]:
    """Depth by number of the Kinect, 1 to 10."""
    places = {k: folder / "kinect_shared_depth" / f"KINECTNODE{k}" / "depthdata.dat" for k in range(1, 11)}
    return {k: path for k, path in places.items() if path.is_file()}


def _named(folder: Path, stem: str) -> Path | None:
    places = (folder, folder / "kinect_shared_depth")
    names = (f"{stem}_{folder.name}.json", f"{stem}.json")
    return next((p / name for p in places for name in names if (p / name).is_file()), None)


def _needed(folder: Path, stem: str) -> Path:
    path = _named(folder, stem)
    if path is None:
        raise FileNotFoundError(
            f"{folder}/{stem}_{folder.name}.json: no such file; download it, it is needed"
        )
    return path


def _paired(
    times: Float[np.ndarray, " F"], taken: Float[np.ndarray, " D"], file: Path, context: Context
) -> Int[np.ndarray, " F"]:
    """For each pose the nearest depth image, -1 where none is near or the file does not reach so far."""
    stored, rest = divmod(file.stat().st_size, _FRAME_BYTES)
    if rest:
        context.note(f"{file}: ends within a frame, it is truncated; the {stored} whole ones are read")
    if not stored or not len(taken):
        return np.full(len(times), -1)
    order = np.argsort(taken, kind="stable")
    right = np.searchsorted(taken[order], times).clip(1, max(len(taken) - 1, 1))
    candidates = order[np.stack([right - 1, right.clip(max=len(taken) - 1)])]
    nearest = candidates[np.abs(taken[candidates] - times).argmin(0), np.arange(len(times))]
    near = np.abs(taken[nearest] - times) <= MOST_APART
    short = int((near & (nearest >= stored)).sum())
    if short:
        context.note(f"{file}: holds {stored} frames, {short} poses need later ones; download it again")
    return np.where(near & (nearest < stored), nearest, -1)


def _in_image(keypoints: Float32[np.ndarray, "T 19 3"], camera: ClipCamera) -> Bool[np.ndarray, " T"]:
    """Whether at least half of a pose's valid joints are in the image."""
    width, height = camera.size
    inside = (keypoints[..., :2] >= -0.5).all(-1) & (keypoints[..., 0] < width - 0.5)
    inside &= (keypoints[..., 1] < height - 0.5) & (keypoints[..., 2] > 0)
    return 2 * inside.sum(-1) >= (keypoints[..., 2] > 0).sum(-1).clip(min=1)


def _colour_source(folder: Path, node: int) -> Path | None:
    """The folder of a Kinect's colour images, or its video."""
    name = f"50_{node:02d}"
    places = (folder / "kinectImgs" / name, folder / "kinectVideos" / f"kinect_{name}.mp4")
    return next((place for place in places if place.exists()), None)


def _colour_images(
    times: Float[np.ndarray, " F"],
    taken: Float[np.ndarray, " D"],
    shot: Float[np.ndarray, " C"],
    images: Int[np.ndarray, " F"],
) -> Int[np.ndarray, " F"]:
    """For each pose with a depth image the colour image of the same moment, -1 where there is none."""
    if not len(shot):
        return np.full(len(times), -1)
    nearest = np.array([int(np.abs(shot - COLOUR_LATE - time).argmin()) for time in times])
    near = np.abs(shot[nearest] - COLOUR_LATE - times) <= COLOUR_APART
    near &= np.abs(taken[images.clip(min=0)] - shot[nearest]) <= BOTH_APART
    return np.where(near & (images >= 0), nearest, -1)


def _images(
    view: View, frames: Int[np.ndarray, " T"], framing: Framing, boxes: Float32[np.ndarray, "T 4"]
) -> Iterator[dict[str, Any]]:
    """Depth, and colour on its pixels, cropped."""
    assert view.file is not None
    assert view.images is not None
    chosen = view.images[frames].tolist()
    pictures = None if view.colour is None else _pictures(view.colour, frames)
    with view.file.open("rb") as handle:
        for index, box in zip(chosen, boxes, strict=True):
            depth = _frame(handle, index, view.file)
            images = {"depth": framing.cut(depth, box)}
            if pictures is not None and view.colour is not None:
                cameras = camera_of(view.camera), camera_of(view.colour.camera)
                images["rgb"] = framing.cut(register_colour(depth, next(pictures), *cameras), box)
            yield images


def _pictures(colour: Colour, frames: Int[np.ndarray, " T"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The colour images of these frames, in their order; frames are ascending, and so are their images."""
    wanted = colour.images[frames]
    if colour.source.is_dir():
        for number in wanted.tolist():
            yield read_colour(colour.source / f"{colour.source.name}_{number + 1:08d}.jpg")
        return
    distinct, repeats = np.unique(wanted, return_counts=True)
    for picture, count in zip(video_frames(colour.source, distinct), repeats.tolist(), strict=False):
        for _ in range(count):
            yield picture
    raise ValueError(f"{colour.source}: ends before the images that poses need; download it again")


def _frame(handle: Any, index: int, file: Path) -> UInt16[np.ndarray, "424 512"]:
    handle.seek(index * _FRAME_BYTES)
    data = handle.read(_FRAME_BYTES)
    if len(data) != _FRAME_BYTES:
        raise ValueError(f"{file}: frame {index} is cut short; download it again")
    width, height = DEPTH_SIZE
    return np.frombuffer(data, "<u2").reshape(height, width)[:, ::-1].astype(np.uint16)


def _check_depth(
    view: View,
    chosen: Int[np.ndarray, " T"],
    world: Float32[np.ndarray, "T 19 3"],
    keypoints: Float32[np.ndarray, "T 19 3"],
    who: str,
    context: Context,
) -> None:
    """Tell where the depth in front of the torso's joints is not where a body's skin would be."""
    assert view.file is not None
    behind = (world @ view.camera.rotation.T + view.camera.translation)[..., 2]
    width, height = DEPTH_SIZE
    gaps = []
    with view.file.open("rb") as handle:
        for row in np.unique(np.linspace(0, len(chosen) - 1, BATCH).astype(int)):
            image = _frame(handle, int(chosen[row]), view.file)
            for joint in _TORSO:
                u, v = np.rint(keypoints[row, joint, :2]).astype(int)
                known = keypoints[row, joint, 2] > 0 and 0 <= u < width and 0 <= v < height
                if known and image[v, u]:
                    gaps.append(behind[row, joint] - image[v, u] / 1000)
    low, high = BEHIND_SKIN
    agree = sum(low <= gap <= high for gap in gaps)
    if gaps and 2 * agree < len(gaps):
        context.note(
            f"{view.file}: only {agree} of {len(gaps)} torso joints of {who} lie behind the skin in it;"
            " check calibration and synchronisation, or leave this Kinect out"
        )
