"""Reads a real file as `prepare` and as a naive reader does: how far apart the two are, what was told."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import formats_photo
import numpy as np
from marker_files import naive_c3d, naive_trc
from naive_asf import naive_ends
from naive_bvh import naive_joints
from posedata.readers.asf_amc import bone_ends, read_amc, read_asf
from posedata.readers.bvh import UNITS
from posedata.readers.files.c3d import read_c3d
from posedata.readers.files.markers import _known, people
from posedata.readers.format import Clip, Context
from posedata.readers.registry import get_format
from posedata.readers.trc import parse as read_trc
from scipy.spatial.transform import Rotation

FRAMES = 40
"""As many frames are compared, spread over the recording."""
Compared = tuple[str, float | None]


def check(path: Path) -> dict[str, Any]:
    """`format`, `joints`, `frames`, `compared_with`, `largest_deviation_mm` and `outcome` of a file."""
    form = {".bvh": "bvh", ".amc": "asf_amc", ".c3d": "c3d", ".trc": "trc", ".npz": "amass"}[
        path.suffix.lower()
    ]
    row: dict[str, Any] = {
        "format": form,
        "joints": 0,
        "frames": 0,
        "compared_with": "",
        "largest_deviation_mm": None,
    }
    notes: list[str] = []
    try:
        clip = _read(form, path, notes.append)
        row |= {"joints": int(_valid(clip).any(axis=0).sum()), "frames": len(clip.joints)}
        row["outcome"] = "; ".join(note.removeprefix(f"{path}: ") for note in notes) or "read"
    except ValueError as error:
        clip, row["outcome"] = None, "refused: " + str(error).removeprefix(f"{path}: ")
    row["outcome"] = row["outcome"] if len(row["outcome"]) < 240 else row["outcome"][:240] + " ..."
    if clip is not None or form in ("c3d", "trc"):
        row["compared_with"], row["largest_deviation_mm"] = _COMPARE[form](path, clip)
    return row | (_estimates(path) if form == "trc" else {})


def _estimates(path: Path) -> dict[str, float]:
    """How far joints from markers on the skin lie from joint centres, where a file has both (in millimetres).

    With medial and lateral markers, and (`lateral`) without the medial ones.
    """
    places = people(path, read_trc(path, lambda text: None))[""]
    centres = {side + part: places.get(side + part) for side in "LR" for part in ("HJC", "KJC", "AJC", "SJC")}
    if any(place is None for place in centres.values()) or "LASI" not in places:
        return {}
    skin = {name: place for name, place in places.items() if not name.endswith("JC")}
    lateral = {name: place for name, place in skin.items() if name[1:] not in ("MFC", "MMAL")}
    out = {}
    for key, part, joint, markers in (
        ("hips_mm", "HJC", "hip", skin),
        ("shoulders_mm", "SJC", "shoulder", skin),
        ("knees_lateral_mm", "KJC", "knee", lateral),
        ("ankles_lateral_mm", "AJC", "ankle", lateral),
    ):
        known, _ = _known(markers, 0.001)
        far = [known[f"{s}_{joint}"] - centres[s[0].upper() + part] for s in ("left", "right")]
        out[key] = float(np.nanmean(np.linalg.norm(far, axis=-1)))
    return out


def _read(form: str, path: Path, note: Callable[[str], None]) -> Clip:
    options: dict[str, Any] = {"missing": "mark"} if form in ("c3d", "trc") else {}
    with tempfile.TemporaryDirectory() as scratch:
        if form == "amass":
            options["model"] = Path(scratch) / "model.npz"
            np.savez(options["model"], **_model())
        reader, context = get_format(form, **options), Context(Path(scratch), note, note)
        return next(clip for unit in reader.plan(path, context).units for clip in reader.read(unit, context))


def _valid(clip: Clip) -> np.ndarray:
    return clip.columns.get("valid", np.ones(clip.joints.shape[:2], bool))


def _some(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(FRAMES, count)).astype(int))


def _bvh(path: Path, clip: Clip | None) -> Compared:
    """Each joint against the nearest node of the naive forward kinematics, in whichever unit they agree.

    Left out: the pelvis, and a top of the head that is not a node.
    """
    assert clip is not None
    head, _, motion = path.read_text(encoding="utf-8-sig").partition("MOTION")
    lines = [line for line in motion.splitlines() if line.strip()]
    rows, first = lines[2:], len(lines) - 2 - len(clip.joints)
    some = _some(len(clip.joints))
    _, places = naive_joints("\n".join([head + "MOTION", *lines[:2], *(rows[first + i] for i in some)]))
    places = np.stack([places[..., 0], -places[..., 2], places[..., 1]], axis=-1)
    best = np.inf
    for scale in UNITS.values():
        apart = np.linalg.norm(clip.joints[some][:, 1:, None] - places[:, None] * scale, axis=-1).max(axis=0)
        nearest = np.sort(apart.min(axis=1))
        best = min(best, nearest[-2] if nearest[-1] > 0.005 > nearest[-2] else nearest[-1])
    return "naive forward kinematics, frame by frame", float(best) * 1000


def _amc(path: Path, clip: Clip | None) -> Compared:
    context = Context(path.parent, lambda text: None)
    (unit,) = get_format("asf_amc").plan(path, context).units
    amc, asf = unit.files
    motion = read_amc(amc)
    every = max(1, len(motion.frames) // FRAMES)
    ours, naive = bone_ends(read_asf(asf), motion, amc), naive_ends(asf, amc, every)
    return "naive forward kinematics, frame by frame", 1000 * max(
        float(np.abs(ours[name][::every] - places).max()) for name, places in naive.items()
    )


def _c3d(path: Path, clip: Clip | None) -> Compared:
    try:
        naive, ours = naive_c3d(path), read_c3d(path, lambda text: None).places
    except ValueError:
        return "", None
    return "plain parse, point by point", _apart(naive, ours)


def _trc(path: Path, clip: Clip | None) -> Compared:
    return "plain parse, cell by cell", _apart(naive_trc(path), read_trc(path, lambda text: None).places)


def _apart(naive: np.ndarray, ours: np.ndarray) -> float:
    """Largest difference of points that both have; infinite where only one has a point, not at the origin."""
    naive[~naive.any(axis=-1)] = np.nan
    if naive.shape != ours.shape or (np.isnan(naive) != np.isnan(ours)).any():
        return float("inf")
    return float(np.nanmax(np.abs(naive - ours)))


def _model() -> dict[str, np.ndarray]:
    return formats_photo.smplh_model(np.random.default_rng(8), vertices=20)


def _amass(path: Path, clip: Clip | None) -> Compared:
    """SMPL's equation 3 with a body model that is made up, since the real one may not be passed on."""
    assert clip is not None
    model = _model()
    with np.load(path) as file:
        poses, trans, betas = file["poses"], file["trans"], file["betas"]
    shaped = (
        model["v_template"] + model["shapedirs"][..., : len(betas)] @ betas[: model["shapedirs"].shape[-1]]
    )
    rest = model["J_regressor"] @ shaped
    parents = [int(p) for p in model["kintree_table"][0]]
    some, worst = _some(len(clip.joints)), 0.0
    for frame in some:
        turns = Rotation.from_rotvec(poses[frame].reshape(-1, 3))
        whole, place = [turns[0]], [rest[0]]
        for j in range(1, 22):
            place.append(place[parents[j]] + whole[parents[j]].apply(rest[j] - rest[parents[j]]))
            whole.append(whole[parents[j]] * turns[j])
        worst = max(worst, float(np.abs(clip.joints[frame][:22] - (np.array(place) + trans[frame])).max()))
    return "naive SMPL joints of a made-up body model", worst * 1000


_COMPARE: dict[str, Callable[[Path, Clip | None], Compared]] = {
    "bvh": _bvh, "asf_amc": _amc, "c3d": _c3d, "trc": _trc, "amass": _amass,
}  # fmt: skip
