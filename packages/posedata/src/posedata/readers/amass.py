"""AMASS (Mahmood et al., ICCV 2019) and files in its form: npz with SMPL+H parameters.

`poses (T, 156)` axis-angles of 52 joints, `trans (T, 3)` metres, z up, `betas (S,)`, `gender`,
`mocap_framerate` (or `mocap_frame_rate`). The files hold no joints: those take the body model, whose files
are the user's (SMPL+H for AMASS, `smplh/{female,male,neutral}/model.npz`). Of it only the template, the shape
directions (as many as both it and the betas have: 16 of SMPL+H's) and the joint regressor are needed, no
skinning:

    J = R (T + S β)                     rest joints of this shape
    G_0 = [rot θ_0 | J_0],  G_j = G_parent(j) [rot θ_j | J_j - J_parent(j)],  joint j = G_j's place + trans

(Loper et al., SMPL, SIGGRAPH Asia 2015, equations 3 and 10.) The first 22 joints are SMPL's. SMPL's hand
joints, which SMPL+H has not, are taken at the knuckle of the middle finger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from posedata.readers._clips import files_of, stride_for
from posedata.readers._smpl import JOINTS_HELP, as_skeleton, check_joints
from posedata.readers.files.safe_npz import load_npz_arrays, load_plain_npz
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option, register

JOINTS = 52
BODY = 22
HANDS = (25, 40)
"""Left and right middle finger's first joint."""
GENDERS = ("female", "male", "neutral")
_SHAPES = ("shape", "neutral_stagei")
_REACH = 1e4


class BodyModel(NamedTuple):
    """What joints need of a body model: rest joints (52, 3), how shape moves them (52, 3, S), parents."""

    rest: Float[np.ndarray, "J 3"]
    shape: Float[np.ndarray, "J 3 S"]
    parents: tuple[int, ...]


@register
@dataclass(frozen=True)
class Amass(Format):
    """Every motion file of a folder (or one), as SMPL's 24 joints."""

    name = "amass"
    title = "AMASS-style npz: SMPL+H parameters; needs the SMPL+H model files, which are yours"
    terms = "AMASS: non-commercial research (amass.is.tue.mpg.de), and each part's own"
    version = 2

    model: Path | None = option(
        None, "SMPL+H: a model.npz, or a folder with female, male, neutral/model.npz."
    )
    joints: str = option("smpl24", JOINTS_HELP)

    def plan(self, source: Path, context: Context) -> Plan:
        """One unit a motion file."""
        check_joints(self.joints)
        if self.model is None:
            raise ValueError(
                f"{source}: joints need the SMPL+H body model; get it from mano.is.tue.mpg.de, give --model"
            )
        models = _models(Path(self.model))
        found = [file for file in files_of(source, ".npz") if file not in models.values()]
        files = [file for file in found if file.stem not in _SHAPES]
        if len(found) > len(files):
            count = len(found) - len(files)
            context.tell(f"{source}: {count} files hold a body's shape and no motion; left out")
        top = source if source.is_dir() else source.parent
        units = []
        for file in files:
            parts = file.relative_to(top).with_suffix("").parts
            detail = {"models": {gender: str(path) for gender, path in models.items()}, "parts": parts}
            units.append(Unit("/".join(parts), (file, *dict.fromkeys(models.values())), detail))
        return Plan(units, "AMASS", None, self.joints)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        """One clip: the motion."""
        file, parts = unit.files[0], unit.detail["parts"]
        data = load_npz_arrays(file)
        if "poses" not in data and "trans" not in data:
            context.note(f"{file}: has neither poses nor trans, so is no motion; left out")
            return
        rate = _rate(data, file)
        stride = stride_for(file, rate, self.fps)
        poses = _numbers(data, "poses", 2, file)
        trans = _numbers(data, "trans", 2, file)
        betas = _numbers(data, "betas", 1, file)
        if poses.shape[1] != 3 * JOINTS or trans.shape != (len(poses), 3) or len(betas) < 1:
            raise ValueError(
                f"{file}: poses {poses.shape}, trans {trans.shape}, betas {betas.shape}; give SMPL+H's:"
                f" (T, {3 * JOINTS}), (T, 3), (S,) (SMPL-X has others)"
            )
        path = self._model_for(unit, data, context)
        joints = smplh_joints(body_model(path), poses[::stride], trans[::stride], betas)
        kept = joints[:, [*range(BODY), *HANDS]].astype(np.float32)
        subject = "/".join(parts[:-1]) or file.parent.name
        yield Clip(as_skeleton(kept, self.joints), subject, unit.name, fps=self.fps or rate)

    def _model_for(self, unit: Unit, data: dict[str, np.ndarray], context: Context) -> Path:
        models = unit.detail["models"]
        if "" in models:
            return Path(models[""])
        given = data.get("gender")
        gender = "" if given is None else str(given.item() if given.size == 1 else "")
        gender = gender.removeprefix("b'").removesuffix("'").lower()
        if gender not in models:
            fallback = "neutral" if "neutral" in models else sorted(models)[0]
            context.note(
                f"{unit.files[0]}: no model for gender {gender[:20]!r}; read with {fallback}'s, give it"
            )
            gender = fallback
        return Path(models[gender])


def smplh_joints(
    model: BodyModel,
    poses: Float[np.ndarray, "T P"],
    trans: Float[np.ndarray, "T 3"],
    betas: Float[np.ndarray, " S"],
) -> Float[np.ndarray, "T J 3"]:
    """Joints of the posed body, metres, by forward kinematics of the shaped rest joints."""
    count = min(len(betas), model.shape.shape[2])
    rest = model.rest + model.shape[..., :count] @ betas[:count]
    local = rotations(poses.reshape(len(poses), -1, 3))
    turns, places = [local[:, 0]], [np.broadcast_to(rest[0], (len(poses), 3))]
    for joint, parent in enumerate(model.parents[1:], start=1):
        turns.append(turns[parent] @ local[:, joint])
        places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
    return np.stack(places, axis=1) + trans[:, None]


def rotations(turns: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Axis-angles to matrices (Rodrigues)."""
    angle = np.linalg.norm(turns, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(turns, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*turns.shape[:-1], 3, 3)
    # sin(a)/a and (1 - cos(a))/a², which have limits at 0
    return (
        np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)
    )


@lru_cache(maxsize=4)
def body_model(path: Path) -> BodyModel:
    """Read a SMPL+H model.npz.

    Raises FileNotFoundError; ValueError naming the field that is missing or wrong.
    """
    data = load_plain_npz(path)
    found = {name: data.get(name) for name in ("v_template", "shapedirs", "J_regressor", "kintree_table")}
    for name, value in found.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise ValueError(f"{path}: has no array {name}; give SMPL+H's model.npz (not a .pkl)")
        if name != "kintree_table" and not ((value > -_REACH) & (value < _REACH)).all():
            raise ValueError(f"{path}: {name} holds numbers that no body has; get the model again")
    vertices, shapes, regressor, tree = (np.asarray(value, np.float64) for value in found.values())
    count = len(vertices)
    wanted = shapes.shape[:2] == (count, 3) and regressor.shape == (JOINTS, count)
    if vertices.shape != (count, 3) or shapes.ndim != 3 or not wanted or tree.shape != (2, JOINTS):
        raise ValueError(f"{path}: is not an SMPL+H model of {JOINTS} joints; get it from mano.is.tue.mpg.de")
    parents = tuple(-1 if not 0 <= parent < JOINTS else int(parent) for parent in tree[0])
    if parents[0] != -1 or any(not 0 <= parent < joint for joint, parent in enumerate(parents[1:], start=1)):
        raise ValueError(f"{path}: kintree_table does not put parents first; get the model again")
    shape = np.einsum("jv,vds->jds", regressor, shapes)
    return BodyModel(regressor @ vertices, shape, parents)


def _models(path: Path) -> dict[str, Path]:
    """Model files by gender; one file alone serves all ("")."""
    if path.is_file():
        return {"": path}
    found = {gender: path / gender / "model.npz" for gender in GENDERS}
    held = {gender: file for gender, file in found.items() if file.is_file()}
    if not held:
        raise FileNotFoundError(
            f"{path}: has no {{{','.join(GENDERS)}}}/model.npz; get SMPL+H from mano.is.tue.mpg.de"
        )
    return held


def _numbers(data: dict[str, np.ndarray], name: str, dims: int, file: Path) -> np.ndarray:
    value = data.get(name)
    if value is None:
        raise ValueError(f"{file}: has no array {name}; give an AMASS file")
    if value.dtype.kind not in "fiu" or value.ndim != dims:
        raise ValueError(
            f"{file}: {name} is {value.dtype} {value.shape}, wanted floats of {dims} dimensions; give an"
            " AMASS file"
        )
    if not (np.isfinite(value).all() and np.abs(value).max(initial=0) < _REACH):
        raise ValueError(f"{file}: {name} holds numbers that none of a body is; get it again")
    return value.astype(np.float64)


def _rate(data: dict[str, Any], file: Path) -> float:
    for name in ("mocap_framerate", "mocap_frame_rate"):
        value = data.get(name)
        if (
            value is not None
            and value.size == 1
            and value.dtype.kind in "fiu"
            and 0 < float(value.item()) < 1e4
        ):
            return float(value.item())
    raise ValueError(f"{file}: has no mocap_framerate; add the frames per second")
