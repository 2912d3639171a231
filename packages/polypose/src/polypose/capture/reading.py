"""Any file of people in 3D as a motion: what capture and lift write, and what posedata reads."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton
from posedata.terminal import print_line

from polypose.capture.motion import Motion, Person, View
from polypose.capture.telling import apart, flat, tell_format

_BY_SUFFIX = {".bvh": "bvh", ".trc": "trc", ".c3d": "c3d", ".amc": "asf_amc", ".asf": "asf_amc"}
_RATE = 30.0
_LARGEST = 1e6
Say = Callable[[str], None]


def read_motion(
    path: Path,
    form: str | None = None,
    sequence: str | None = None,
    say: Say = print_line,
    unit: str | None = None,
) -> Motion:
    """The people of a file or folder.

    Args:
        form: a format of `posedata prepare`, where the ending does not tell.
        sequence: which one of a data set of several; the first, if left out.
        say: told which sequence it is.
        unit: of a format's lengths, where it takes one and they are no body's as they are.

    Raises:
        FileNotFoundError, ValueError: nothing is there, or nothing in it is known.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give one of capture, or that posedata prepare reads")
    if unit is not None and (form := form or _BY_SUFFIX.get(path.suffix.lower())) is None:
        raise ValueError(f"{path}: --unit is of {', '.join(_BY_SUFFIX)}; its own is known")
    if form is not None:
        return _of_posedata(path, form, sequence, say, unit)
    if (path / "meta.json").is_file():
        from posedata.store.pose_store import PoseStore

        store = PoseStore.open(path)
        table = {name: store.column(name) for name in store.columns if not name.startswith("camera_")}
        return _chosen(table, store.meta, path, sequence, say)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _npz(path, sequence, say)
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".glb":
        return _glb(path)
    if (form := _BY_SUFFIX.get(suffix) or tell_format(path)) is None:
        raise ValueError(f"{path}: no format of posedata prepare reads it (posedata prepare --help)")
    return _of_posedata(path, form, sequence, say, unit)


def _npz(path: Path, sequence: str | None, say: Say) -> Motion:
    from posedata.readers.files.safe_npz import load_npz_arrays

    from polypose.capture.write.npz import holds_motion

    try:
        arrays = load_npz_arrays(path)
    except ValueError:
        if (form := tell_format(path)) is None:
            raise
        return _of_posedata(path, form, sequence, say)
    if holds_motion(arrays):
        return Motion.load(path)
    if "seq_names" in arrays:
        return _of_posedata(path, "joints", sequence, say)
    if {"poses", "trans"} <= arrays.keys():
        return _of_posedata(path, "amass", sequence, say)
    if "joints" not in arrays:
        raise ValueError(
            f"{path}: holds no joints ({', '.join(arrays)[:80]}); write poses with polypose lift"
        )
    name = str(arrays.get("skeleton", np.array("h36m17")))
    skeleton = get_skeleton(name)
    joints = np.array(arrays["joints"])
    joints = joints.mean(0) if joints.ndim == 4 else joints
    if joints.ndim != 3 or joints.shape[1:] != (len(skeleton), 3) or joints.dtype.kind != "f":
        raise ValueError(f"{path}: joints has shape {joints.shape}, want (N, {len(skeleton)}, 3) of {name}")
    if "translation" in arrays:
        joints = joints + arrays["translation"][:, None]
    return _before_camera(joints, arrays.get("sd"), skeleton, path)


def _before_camera(joints: np.ndarray, sd: np.ndarray | None, skeleton: Skeleton, path: Path) -> Motion:
    """Poses of `polypose lift` as the frames of one person; its camera is taken for level."""
    turned = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1).astype(float)
    if not np.isfinite(turned).any():
        raise ValueError(f"{path}: no pose in it is known; lift frames with a person")
    turned[..., 2] -= np.nanmin(turned[..., 2])
    notes = (f"rows of {path.name} are taken for frames, {_RATE:g} a second", "camera assumed level")
    person = _person(1, 0, turned, sd)
    return Motion(np.arange(len(turned)) / _RATE, (person,), skeleton=skeleton, notes=notes)


def _person(number: int, first: int, joints: np.ndarray, sd: np.ndarray | None = None) -> Person:
    joints = np.where(np.isfinite(joints).all(-1, keepdims=True), joints, np.nan)
    if (np.abs(joints[np.isfinite(joints)]) > _LARGEST).any():
        raise ValueError("joints lie more than 1000 km away; mend the file's unit")
    if sd is None or np.shape(sd) != joints.shape[:2]:
        sd = np.zeros(joints.shape[:2])
    return Person(number, first, joints, np.where(np.isfinite(joints).all(-1), sd, np.nan))


def _csv(path: Path) -> Motion:
    """What `Motion.save` or `polypose lift` wrote."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        wide = [name.removesuffix("_x_m") for name in header if name.endswith("_x_m")]
        names = tuple(name for name in wide if name != "translation")
        places = [header.index(f"{name}_{axis}_m") for name in names for axis in "xyz"]
        spread = [header.index(f"{name}_sd_m") for name in names if f"{name}_sd_m" in header]
        values = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows], float)
        joints = values[:, places].reshape(len(rows), len(names), 3)
    except (ValueError, IndexError, UnicodeDecodeError, csv.Error):
        raise ValueError(
            f"{path}: is no table of joints (NAME_x_m, ...); write it with polypose capture"
        ) from None
    skeleton = next((s for s in SKELETONS.values() if s.joints == names), None)
    if skeleton is None or not len(rows):
        raise ValueError(f"{path}: its joints are of no known skeleton; write it with polypose capture")
    sd = values[:, spread] if len(spread) == len(names) else None
    if "person" not in header:
        if "translation_x_m" in header:
            joints += values[:, [header.index(f"translation_{axis}_m") for axis in "xyz"]][:, None]
        return _before_camera(joints, sd, skeleton, path)
    frame, who = (values[:, header.index(name)].astype(int) for name in ("frame", "person"))
    return _gathered(frame, who, joints, sd, values[:, header.index("time_s")], skeleton, ())


def _gathered(
    frame: np.ndarray,
    who: np.ndarray,
    joints: np.ndarray,
    sd: np.ndarray | None,
    time: np.ndarray,
    skeleton: Skeleton,
    notes: tuple[str, ...],
    views: tuple[View, ...] = (),
) -> Motion:
    """A motion of rows: of each its frame, person, joints and time. Of rows that repeat the first counts."""
    frames, first = np.unique(frame, return_index=True)
    people = []
    for number, person in enumerate(np.unique(who), start=1):
        rows = np.flatnonzero(who == person)
        own, chosen = np.unique(frame[rows], return_index=True)
        places = np.searchsorted(frames, own)
        begin, count = int(places[0]), int(places[-1] - places[0]) + 1
        moved = np.full((count, *joints.shape[1:]), np.nan)
        moved[places - begin] = joints[rows[chosen]]
        spread = None
        if sd is not None:
            spread = np.full(moved.shape[:2], np.nan)
            spread[places - begin] = sd[rows[chosen]]
        people.append(_person(number, begin, moved, spread))
    return Motion(time[first], tuple(people), views, skeleton, notes)


def _glb(path: Path) -> Motion:
    from polypose.capture.glb_reading import read_figures

    figures = read_figures(path)
    times = np.unique(np.concatenate([figure.times for figure in figures]).round(5))
    people = []
    for number, figure in enumerate(figures, start=1):
        known = np.flatnonzero(np.isfinite(figure.joints).all((1, 2)))
        if figure.skeleton != figures[0].skeleton or not len(known):
            continue
        at = np.searchsorted(times, figure.times[known].round(5))
        moved = np.full((at[-1] - at[0] + 1, *figure.joints.shape[1:]), np.nan)
        moved[at - at[0]] = figure.joints[known]
        people.append(_person(number, int(at[0]), moved))
    return Motion(times, tuple(people), skeleton=figures[0].skeleton)


def _of_posedata(path: Path, form: str, sequence: str | None, say: Say, unit: str | None = None) -> Motion:
    from posedata.readers.merge import collect
    from posedata.readers.registry import get_format

    options = {"missing": "mark"} if form in ("trc", "c3d") else {}
    options |= {} if unit is None else {"unit": unit}
    try:
        read = collect(get_format(form, **options), path, lambda text: say(f"note: {text}"))
    except ValueError as error:
        if "give --" not in str(error):
            raise
        raise ValueError(f"{error} to posedata prepare {form}, and view the store that it writes") from None
    together = form == "c3d" and path.is_file() and sequence is None
    return _chosen(read.columns, read.meta, path, sequence, say, together)


def _chosen(
    table: dict[str, np.ndarray],
    meta: dict[str, Any],
    path: Path,
    sequence: str | None,
    say: Say,
    together: bool = False,
) -> Motion:
    """One sequence of a data set; `together`, all of them as people of one."""
    names = list(meta.get("sequences", ["all"]))
    if sequence is not None and sequence not in names:
        known = ", ".join(names[:20])
        raise ValueError(
            f"{path}: has no sequence {sequence!r}; it has {known}{' ...' if names[20:] else ''}"
        )
    of = np.asarray(table["sequence"]) if "sequence" in table else np.zeros(len(table["joints"]), int)
    picked = names.index(sequence) if sequence is not None else int(of[0])
    if len(names) > 1 and not together and sequence is None:
        say(f"{path}: {names[picked]}, one of {len(names)} sequences, is shown; name another with --sequence")
    rows = np.arange(len(of)) if together else np.flatnonzero(of == picked)
    joints = np.asarray(table["joints"][rows], float)
    if "valid" in table:
        valid = np.asarray(table["valid"][rows], bool)
        joints[~valid] = np.nan
    frame = np.asarray(table["frame"][rows]) if "frame" in table else np.arange(len(rows))
    who = np.asarray(table["sequence" if together else "subject"][rows]) if "subject" in table else 0 * frame
    rate = float(meta.get("fps") or _RATE)
    notes = [f"read from {path.name}", str(meta.get("source", ""))]
    seen = next((name for name in table if name.startswith("keypoints_")), None)
    if seen is not None and not np.isfinite(joints).all(-1).any():
        joints, who = flat(table[seen][rows]), apart(frame, who)
        notes.append("2D alone: shown flat, in no true size; polypose capture and lift make 3D of it")
    if not np.isfinite(joints).all(-1).any():
        raise ValueError(f"{path}: {names[picked]}: nobody in it is known; name another with --sequence")
    skeleton = get_skeleton(str(meta["skeleton"]))
    return _gathered(frame, who, joints, None, frame / rate, skeleton, tuple(filter(None, notes)))
