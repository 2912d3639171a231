"""Markers or joint centres by their labels, as Human3.6M-17: what C3D and TRC files have in common.

Joint centres are taken as they are: those of model outputs (LHJC, LFEP, LTIO, ...), of OpenSim (L_HJC) and of
pose estimators (LHip, left_hip). With an UpperNeck beside the Neck, as `polypose capture` writes them, those
are neck and thorax, CHip and Spine pelvis and spine. What only surface markers tell (Plug-in Gait, ISB
landmarks, OpenSim's gait models) is computed:

- hips from ASIS, PSIS or sacrum by the regression of Harrington et al., Journal of Biomechanics 40 (2007),
  595-602 (its two-parameter form: pelvic width and depth);
- knees, ankles and elbows as the middle of the lateral and the medial marker; with the lateral one alone, a
  usual half width inward along the line of the ASIS (an elbow stays on its marker);
- shoulders 17 % of the distance of the acromia below them (Rab, Petuskey, Bagley, Gait and Posture 15 (2002),
  113-119);
- the thorax as the middle of C7 and the jugular notch, the middle of the head as the mean of its markers.

What is missing then comes from `posedata.skeleton.APPROXIMATIONS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posedata.skeleton import Skeleton, get_skeleton

Places = dict[str, np.ndarray]
"""(T, 3) by name, NaN where a marker was not seen."""
Skin = dict[str, dict[str, np.ndarray | None]]
"""By side and by landmark of `_SURFACE`."""

_CENTRES = {
    "hip": ("hjc", "hip", "fep", "hipjoint", "hipjc"),
    "knee": ("kjc", "knee", "feo", "kneejoint", "kneejc"),
    "ankle": ("ajc", "ankle", "tio", "anklejoint", "anklejc"),
    "shoulder": ("sjc", "shoulder", "hup", "clo", "shoulderjoint", "shoulderjc", "gjc"),
    "elbow": ("ejc", "elbow", "huo", "elbowjoint", "elbowjc"),
    "wrist": ("wjc", "wrist", "rao", "wristjoint", "wristjc"),
    "eye": ("eye",),
    "ear": ("ear",),
}
"""Labels of joint centres, without their side, as compared: lower case, letters and digits alone."""
_SURFACE = {
    "asis": ("asi", "asis", "ias"),
    "psis": ("psi", "psis", "ips"),
    "knee_lateral": ("kne", "knee", "kneelat", "kneelateral", "lknee", "lfc", "fle", "lfe"),
    "knee_medial": ("kneemed", "kneemedial", "mknee", "mkne", "knm", "mfc", "fme", "mfe"),
    "ankle_lateral": ("ank", "ankle", "anklelat", "anklelateral", "lankle", "lmal", "lma", "fal", "lm"),
    "ankle_medial": ("anklemed", "anklemedial", "mankle", "mank", "mmal", "mma", "tam", "mm"),
    "acromion": ("sho", "shoulder", "acr", "acromion", "acromium", "sae", "saa", "ac"),
    "elbow_lateral": ("elb", "elbow", "elbowlat", "elbowlateral", "lelbow", "lel", "hle", "lhe"),
    "elbow_medial": ("elbowmed", "elbowmedial", "melbow", "melb", "mel", "hme", "mhe"),
    "wrist_thumb": ("wra", "wristlat", "wristrad", "rsp", "faradius", "rs"),
    "wrist_little": ("wrb", "wristmed", "wristuln", "uhe", "usp", "faulna", "us"),
    "wrist_middle": ("wrist", "wri", "wr"),
    "head_front": ("fhd", "temple", "fronthead"),
    "head_back": ("bhd", "backhead"),
}
_CENTRAL = {
    "c7": ("c7", "cv7"),
    "notch": ("clav", "sjn", "ij", "jn", "jugularnotch", "sternum"),
    "sacrum": ("sacr", "sac", "sacrum", "vsacral", "s2"),
    "head_top": ("tophead", "headtop", "thd"),
    "nose": ("nose",),
    "neck": ("neck",),
    "upper_neck": ("upperneck",),
    "head": ("head",),
    "pelvis": ("chip",),
    "spine": ("spine",),
}
_HALF_KNEE, _HALF_ANKLE = 0.055, 0.037
"""Metres from a lateral marker to the middle of the joint: half of a usual width, and a marker."""
_LEG = (0.4, 1.2)
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
_WORDS = {
    "meters": "m",
    "metres": "m",
    "millimeters": "mm",
    "centimeters": "cm",
    "in": "inch",
    "inches": "inch",
}


@dataclass(frozen=True)
class Markers:
    """A recording: labels, places (T, M, 3) in its unit (NaN if not seen), frame numbers (T,), rate, unit."""

    labels: list[str]
    places: np.ndarray
    frames: np.ndarray
    rate: float
    unit: str


@dataclass(frozen=True)
class Reading:
    """How markers are read: `unit` and `up` as the formats' options say; `mark` joints that are missing."""

    unit: str
    up: str
    mark: bool


def people(file: Path, markers: Markers) -> dict[str, Places]:
    """Markers by who wears them: by what stands before a colon in their labels, "" without one."""
    found: dict[str, Places] = {}
    for column, label in enumerate(markers.labels):
        person, _, name = label.rpartition(":")
        if name and not name.startswith("*"):
            found.setdefault(person.strip(), {}).setdefault(name.strip(), markers.places[:, column])
    if not found:
        raise ValueError(f"{file}: has no labelled marker; label them, and export it again")
    return found


def h36m17(
    file: Path, places: Places, unit: str, how: Reading, usual_up: str, note: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 17, 3) float32 in metres, z up, and which are known (T, 17); the others are zero.

    Raises ValueError with the joints that cannot be had, unless they are to be marked.
    """
    stated = _WORDS.get(unit.strip().lower(), unit.strip().lower())
    scale = _UNITS.get(stated if how.unit == "auto" else how.unit)
    known, made = _known(places, scale or 1.0)
    if how.unit == "auto":
        better = _scale(file, known, scale, unit, note)
        if better != scale:
            scale = better
            known, made = _known(places, scale)
    joints, missing, rough = _converted(known)
    if missing and not (how.mark and len(missing) < 17):
        have = ", ".join(places)
        raise ValueError(
            f"{file}: no {', '.join(missing)} can be had from its labels ({have[:400]}); label more, or take"
            " --missing mark to leave them out of 'valid'"
        )
    valid = np.isfinite(joints).all(axis=-1)
    if not valid.any():
        raise ValueError(f"{file}: in no frame all markers of a joint were seen; fill its gaps")
    joints = _upright(file, joints * (scale or 1.0), how.up, usual_up, note)
    if missing:
        note(f"{file}: has no {', '.join(missing)}, which are marked in 'valid'; label markers for them")
    if made or rough:
        names = ", ".join(name for name in get_skeleton("h36m17").joints if name in {*made, *rough})
        note(f"{file}: estimated, to centimetres: {names}; export joint centres to have them exactly")
    return np.where(valid[..., None], joints, 0).astype(np.float32), valid


def plain(label: str) -> str:
    return re.sub(r"[^a-z0-9]", "", label.lower())


def _sided(labels: Places, parts: tuple[str, ...], side: str) -> np.ndarray | None:
    """The first of these markers on that side: LASI, L.ASIS, L_IAS, left_asis, ASIS_L, ASISLeft."""
    for part in parts:
        for form in (side[0] + part, side + part, part + side):
            for label, place in labels.items():
                if plain(label) == form or (plain(label) == part + side[0] and label[-2:-1] in "._- "):
                    return place
    return None


def _known(places: Places, scale: float) -> tuple[Places, set[str]]:
    """Joints by our names in the file's unit, and which of them are computed from surface markers alone."""
    known: Places = {}
    made: set[str] = set()
    central = {
        name: place
        for name, forms in _CENTRAL.items()
        if (place := next((p for form in forms for label, p in places.items() if plain(label) == form), None))
        is not None
    }
    both = {
        side: {n: _sided(places, forms, side) for n, forms in _SURFACE.items()} for side in ("left", "right")
    }
    surface = all(both[side]["asis"] is not None for side in both)
    for side in both:
        for joint, forms in _CENTRES.items():
            forms = tuple(f for f in forms if f != joint and f != "hip") if surface else forms
            if (place := _sided(places, forms, side)) is not None:
                known[f"{side}_{joint}"] = place
    if surface:
        made |= _from_surface(known, both, central, 1.0 / scale)
    elif "neck" in central and "upper_neck" in central:
        known |= {"thorax": central["neck"], "neck": central["upper_neck"]}
        known |= {name: central[name] for name in ("pelvis", "spine") if name in central}
    elif "neck" in central and "left_shoulder" in known and "right_shoulder" in known:
        middle = (known["left_shoulder"] + known["right_shoulder"]) / 2
        apart = _middle_length(known["left_shoulder"] - known["right_shoulder"])
        above = _middle_length(central["neck"] - middle)
        known["thorax" if above < 0.2 * apart else "neck"] = central["neck"]
    known |= {name: central[name] for name in ("nose",) if name in central}
    if "head_top" in central or ("head" in central and not surface):
        known["head"] = central.get("head_top", central.get("head", np.zeros(0)))
    return known, made


def _from_surface(known: Places, both: Skin, central: Places, metre: float) -> set[str]:
    """Adds to `known` what it lacks, from markers on the skin; returns what. `metre` is one in the unit."""
    before = set(known)
    asis = [both[side]["asis"] for side in ("left", "right")]
    psis = [both[side]["psis"] for side in ("left", "right")]
    if asis[0] is None or asis[1] is None:
        return set()
    back = central.get("sacrum") if psis[0] is None or psis[1] is None else (psis[0] + psis[1]) / 2
    leftward = _unit(asis[0] - asis[1])
    if back is not None:
        for side, place in _hips(asis[0], asis[1], back, metre).items():
            known.setdefault(f"{side}_hip", place)
    for side, inward in (("left", -leftward), ("right", leftward)):
        skin = both[side]
        for joint, above, half in (("knee", "hip", _HALF_KNEE), ("ankle", "knee", _HALF_ANKLE)):
            lateral, medial = skin[f"{joint}_lateral"], skin[f"{joint}_medial"]
            if lateral is not None and medial is not None:
                known.setdefault(f"{side}_{joint}", (lateral + medial) / 2)
            elif lateral is not None and f"{side}_{above}" in known:
                centre = _inside(lateral, known[f"{side}_{above}"], inward, half * metre)
                known.setdefault(f"{side}_{joint}", centre)
        ends = [p for p in (skin["elbow_lateral"], skin["elbow_medial"]) if p is not None]
        if skin["elbow_lateral"] is not None:
            known.setdefault(f"{side}_elbow", _mean(ends))
        ends = [p for p in (skin["wrist_thumb"], skin["wrist_little"]) if p is not None]
        ends = ends or [p for p in (skin["wrist_middle"],) if p is not None]
        if ends:
            known.setdefault(f"{side}_wrist", _mean(ends))
    _shoulders(known, both)
    if "c7" in central and "notch" in central:
        known.setdefault("thorax", (central["c7"] + central["notch"]) / 2)
    head = [p for side in both.values() for p in (side["head_front"], side["head_back"]) if p is not None]
    if len(head) > 1:
        known.setdefault("head_centre", _mean(head))
    return {name for name in known if name not in before}


def _shoulders(known: Places, both: Skin) -> None:
    left, right = both["left"]["acromion"], both["right"]["acromion"]
    if left is None or right is None or "left_hip" not in known or "right_hip" not in known:
        return
    up = _unit((left + right) / 2 - (known["left_hip"] + known["right_hip"]) / 2)
    down = 0.17 * np.linalg.norm(left - right, axis=-1, keepdims=True) * -up
    known.setdefault("left_shoulder", left + down)
    known.setdefault("right_shoulder", right + down)


def _inside(lateral: np.ndarray, above: np.ndarray, inward: np.ndarray, half: float) -> np.ndarray:
    """The centre half a width from a lateral marker, at a right angle to the bone that comes from above."""
    bone = lateral - above
    length = np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-12)
    bone = bone / length
    across = _unit(inward - (inward * bone).sum(-1, keepdims=True) * bone)
    sine = np.minimum(half / length, 1.0)
    return lateral + half * (np.sqrt(1 - sine**2) * across - sine * bone)


def _hips(left: np.ndarray, right: np.ndarray, back: np.ndarray, metre: float) -> Places:
    """Harrington 2007 in the pelvis' axes: forward, upward, sideward from the middle of the ASIS."""
    middle = (left + right) / 2
    sideward = _unit(left - right)
    forward = middle - back
    forward = _unit(forward - (forward * sideward).sum(-1, keepdims=True) * sideward)
    upward = np.cross(forward, sideward)
    width = np.linalg.norm(left - right, axis=-1, keepdims=True)
    depth = np.linalg.norm(middle - back, axis=-1, keepdims=True)
    centre = middle + (-0.24 * depth - 0.0099 * metre) * forward + (-0.30 * width - 0.0109 * metre) * upward
    out = (0.33 * width + 0.0073 * metre) * sideward
    return {"left": centre + out, "right": centre - out}


def _converted(known: Places) -> tuple[np.ndarray, list[str], list[str]]:
    """(T, 17, 3) with NaN for what is missing, the names of that, and of what is an approximation."""
    wanted = get_skeleton("h36m17").joints
    count = len(next(iter(known.values()))) if known else 0
    joints, missing, rough = np.full((count, len(wanted), 3), np.nan), [], []
    if not known:
        return joints, list(wanted), []
    names = tuple(known)
    source = Skeleton("markers", names, (-1, *[0] * (len(names) - 1)))
    stacked = torch.from_numpy(np.stack(list(known.values()), axis=1))
    for k, name in enumerate(wanted):
        target = Skeleton("one", (name,), (-1,))
        for lossy in (False, True):
            try:
                joints[:, k] = source.convert(stacked, target, lossy=lossy)[:, 0].numpy()
            except ValueError:
                continue
            rough += [name] * lossy
            break
        else:
            missing.append(name)
    return joints, missing, rough


def _scale(file: Path, known: Places, stated: float | None, unit: str, note: Callable[[str], None]) -> float:
    """Metres per unit: as stated, unless legs are human in another unit only."""
    legs = [known.get(f"left_{joint}") for joint in ("hip", "knee", "ankle")]
    legs = (
        legs
        if all(p is not None for p in legs)
        else [known.get(f"right_{j}") for j in ("hip", "knee", "ankle")]
    )
    hip, knee, ankle = legs
    fits: list[str] = []
    if hip is not None and knee is not None and ankle is not None:
        leg = _middle_length(hip - knee) + _middle_length(knee - ankle)
        fits = [name for name, metres in _UNITS.items() if _LEG[0] <= leg * metres <= _LEG[1]]
        if stated is not None and not fits and not _LEG[0] <= leg * stated <= _LEG[1]:
            note(f"{file}: a leg of {leg * stated:.3g} m is not human; check its unit ({unit}) with --unit")
    if stated is None and not fits:
        raise ValueError(f"{file}: its unit is {unit[:20]!r}; give one: --unit {', '.join(_UNITS)}")
    if fits and stated is not None and stated not in [_UNITS[name] for name in fits]:
        note(f"{file}: says {unit} and has legs of people in {fits[0]}, which is taken; mend its unit")
    return (
        stated
        if stated is not None and (not fits or stated in [_UNITS[n] for n in fits])
        else _UNITS[fits[0]]
    )


def _upright(file: Path, joints: np.ndarray, up: str, usual: str, note: Callable[[str], None]) -> np.ndarray:
    """z up. `auto` takes the axis along which people stand, the format's usual one if they do not."""
    if up == "auto":
        h36m = get_skeleton("h36m17")
        feet = (joints[:, h36m.index("left_ankle")] + joints[:, h36m.index("right_ankle")]) / 2
        tall = joints[:, h36m.index("thorax")] - feet
        tall = tall[np.isfinite(tall).all(axis=-1)]
        middle = np.abs(np.median(tall, axis=0)) if len(tall) else np.zeros(3)
        stands = "xyz"[int(middle.argmax())] if middle.max() > 0.8 * np.linalg.norm(middle) > 0 else usual
        up = stands
        if up != usual:
            note(f"{file}: people stand along {up}, which is taken for up; say --up {usual} if they lie")
    order, signs = {"x": ((1, 2, 0), (1, 1, 1)), "y": ((0, 2, 1), (1, -1, 1)), "z": ((0, 1, 2), (1, 1, 1))}[
        up
    ]
    return joints[..., order] * np.array(signs)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _mean(places: list[np.ndarray]) -> np.ndarray:
    return np.mean(np.stack(places), axis=0)


def _middle_length(vectors: np.ndarray) -> float:
    """The median length, of the frames where it is known."""
    lengths = np.linalg.norm(vectors, axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if len(lengths) else 0.0
