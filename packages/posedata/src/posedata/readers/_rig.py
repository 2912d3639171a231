"""Human3.6M-17 in the skeleton of any exporter, by the names of its nodes and by how they hang together.

What names are known: Mixamo, MotionBuilder and Perception Neuron (LeftUpLeg, LeftArm), Rokoko (LeftThigh,
LeftShin), Xsens MVN and 100STYLE (LeftHip, LeftElbow, LeftCollar), LAFAN1, ACCAD, SFU and CMU (LowerBack,
Neck1), CMU for DAZ and Poser (lShldr, lThigh), Bandai-Namco, VRM and Unity (UpperArm_L, LeftUpperLeg), 3ds
Max Biped (Bip01 L Calf), Unreal (calf_l), Rigify (shin.L), OptiTrack (LUArm), SMPL (L_Hip), Kinect
(KneeLeft), the ASF names that some converters keep (lfemur). A prefix that most names share ("mixamorig:",
"Character1_") is no part of a name. Left and right are what the names say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from posedata.readers.files.bvh import Motion

_LIMBS: dict[tuple[str, str, str], tuple[tuple[str, ...], ...]] = {
    ("hip", "knee", "ankle"): (
        ("upleg", "thigh", "upperleg", "thighbend", "femur", "hip", "leg"),
        ("knee", "shin", "calf", "lowleg", "lowerleg", "tibia", "leg"),
        ("ankle", "foot"),
    ),
    ("shoulder", "elbow", "wrist"): (
        ("upperarm", "uparm", "uarm", "shldr", "shldrbend", "humerus", "arm", "shoulder"),
        ("elbow", "forearm", "lowerarm", "lowarm", "farm", "forearmbend", "radius"),
        ("wrist", "hand"),
    ),
}
"""The names of a limb's joints without their side, best first. A "leg" is below an upleg, an "arm" below a
"shoulder" that is the collar-bone; without those they begin the limb."""
_PARTS = {part for names in _LIMBS.values() for part in sum(names, ())}
_HEAD_TOPS = ("headtopend", "headtop", "headend", "headnub", "headtip", "tophead", "topofhead", "endhead")
_HEAD = (0.335, 0.9)
"""Between which parts of a thigh's length the top of the head lies above where the head turns."""
_HALF_A_HEAD = 0.15
_TYPICAL_HEAD = 0.43
_MOST = 6
"""Nodes of one name that are tried."""
_PREFIX = re.compile(r"[^:_.\s\-|]+[:_.\s\-|]+")


@dataclass(frozen=True)
class Rig:
    """Which node each joint of Human3.6M-17 is (all but the pelvis, the middle of the hips).

    `nodes` by joint; `head` is there if a node is the top of the head. Else `top` (3,) is where it is taken
    to be, in the axes of the node `neck`, and `estimated` tells why, with {mm} for its distance.
    """

    nodes: dict[str, int]
    top: np.ndarray | None = None
    estimated: str = ""


def find_rig(motion: Motion, root: int) -> Rig:
    """The joints among the nodes below a root.

    Raises ValueError (without the file's name) that tells which joints were not found, and what there is.
    """
    roots: list[int] = []
    for i, node in enumerate(motion.nodes):
        roots.append(i if node.parent < 0 else roots[node.parent])
    below = [i for i, node in enumerate(motion.nodes) if roots[i] == root and not node.end]
    names = dict(zip(below, plain_names([motion.nodes[i].name for i in below]), strict=True))
    found, missing = _limbs(motion, names)
    head = next((i for i in below if names[i] == ("", "head")), None)
    if head is None:
        missing["neck"] = "Head"
    trunk, necks = ([], []) if head is None or missing else _trunk(motion, names, found, head)
    if head is not None and not missing:
        missing |= {"thorax": "Neck, Neck1"} if not necks else {}
        missing |= {"spine": "Spine, Chest, Abdomen"} if not trunk else {}
    if missing or head is None:
        looked = "; ".join(dict.fromkeys(missing.values()))
        have = ", ".join(motion.nodes[i].name for i in below)
        have = have if len(have) < 400 else have[:400] + " ..."
        raise ValueError(
            f"no node for {', '.join(missing)} (looked for {looked}); it has {have}: rename those"
        )
    found |= {"neck": head, "thorax": _thorax(motion, necks)}
    found["spine"] = _spine(motion, names, trunk, found["thorax"])
    _check_lengths(motion, found)
    cmu = {("", "lhipjoint"), ("", "lowerback"), ("", "neck1")} <= set(names.values())
    return _with_head(motion, found, cmu)


def plain_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """(side, part) of names: ("left", "upleg") of "mixamorig:LeftUpLeg", ("", "head") of "Bip01 Head"."""
    names = list(names)
    while True:
        prefixes = Counter(found.group() for name in names if (found := _PREFIX.match(name)))
        prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
        if 2 * count <= len(names) or len(names) < 4:
            break
        names = [name.removeprefix(prefix) for name in names]
    return [_side_and_part(re.sub(r"^mixamorig\d*", "", name.rpartition(":")[2])) for name in names]


def _side_and_part(name: str) -> tuple[str, str]:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.sub(r"[^0-9a-z]+", " ", text.lower()).split() if word != "c"]
    whole = "".join(words)
    for side, letter in (("left", "l"), ("right", "r")):
        rest = [word for word in words if word not in (side, letter)]
        if len(rest) == len(words) - 1:
            return side, "".join(rest)
        for part in (whole.removeprefix(side), whole.removesuffix(side)):
            if part != whole:
                return side, part
        if whole[:1] == letter and whole[1:] in _PARTS:
            return side, whole[1:]
    return "", whole


def _limbs(motion: Motion, names: dict[int, tuple[str, str]]) -> tuple[dict[str, int], dict[str, str]]:
    """Nodes by joint, and for joints without one what was looked for. A limb's nodes hang from each other."""
    found: dict[str, int] = {}
    missing: dict[str, str] = {}
    for side, (joints, known) in product(("left", "right"), _LIMBS.items()):
        candidates = [
            [i for part in parts for i, name in names.items() if name == (side, part)][:_MOST]
            for parts in known
        ]
        chain = next(
            (
                (a, b, c)
                for a, b, c in product(*candidates)
                if a in motion.chain(b)[1:] and b in motion.chain(c)[1:]
            ),
            None,
        )
        if chain is not None:
            found |= {f"{side}_{joint}": node for joint, node in zip(joints, chain, strict=True)}
            continue
        for k in [k for k in range(3) if not candidates[k]] or range(3):
            missing[f"{side}_{joints[k]}"] = ", ".join(side.title() + part.title() for part in known[k])
    return found, missing


def _trunk(
    motion: Motion, names: dict[int, tuple[str, str]], found: dict[str, int], head: int
) -> tuple[list[int], list[int]]:
    """Nodes between where the legs branch off and the head: those of the back, and those of the neck."""
    legs = set(motion.chain(found["left_hip"])) & set(motion.chain(found["right_hip"]))
    chain = [i for i in reversed(motion.chain(head)[1:]) if i not in legs]
    first = next((k for k, i in enumerate(chain) if "neck" in names[i][1]), len(chain))
    return chain[:first], chain[first:]


def _thorax(motion: Motion, necks: list[int]) -> int:
    """The base of the neck. A first neck node without length ends the chest, as in what amc2bvh writes."""
    longest = max(np.linalg.norm(motion.rest[i]) for i in necks)
    return next((i for i in necks if np.linalg.norm(motion.rest[i]) > 0.02 * longest), necks[-1])


def _spine(motion: Motion, names: dict[int, tuple[str, str]], trunk: list[int], thorax: int) -> int:
    """Half-way up the back: Spine1 above a Spine (and below at most Spine2), else the node nearest to it."""
    parts = [names[i][1] for i in trunk]
    if "spine" in parts and "spine1" in parts and "spine3" not in parts:
        return trunk[parts.index("spine1")]
    path = list(reversed(motion.chain(thorax)))
    path = path[path.index(trunk[0]) :]
    along = dict(zip(path, np.cumsum(np.linalg.norm(motion.rest[path], axis=1)).tolist(), strict=True))
    return min(trunk, key=lambda i: abs(along[i] - along[thorax] / 2))


def _check_lengths(motion: Motion, found: dict[str, int]) -> None:
    """Raises ValueError for a limb's bone, or a neck, of no length."""
    thigh = _length(motion, found["left_hip"], found["left_knee"])
    pairs = [("thorax", "neck")]
    for side, joints in product(("left", "right"), _LIMBS):
        pairs += [(f"{side}_{a}", f"{side}_{b}") for a, b in pairwise(joints)]
    for a, b in pairs:
        above, below = motion.nodes[found[a]].name, motion.nodes[found[b]].name
        if found[a] == found[b] or _length(motion, found[a], found[b]) <= 1e-3 * thigh:
            raise ValueError(f"joint {below} ({b}) lies on {above} ({a}), 0 mm from it; give it an OFFSET")


def _with_head(motion: Motion, found: dict[str, int], cmu: bool) -> Rig:
    """The rig with the top of its head.

    An end that lies along the neck and a third of a thigh or more beyond it is the top. A nearer one is the
    middle of the head (CMU's skeletons end there), the top as far again. Else there is none that can be used.
    """
    head, rest = found["neck"], motion.rest
    thigh = _length(motion, found["left_hip"], found["left_knee"])
    along = rest[head] / max(float(np.linalg.norm(rest[head])), 1e-12)
    middle, said = None, "has neither an End Site nor a HeadTop_End"
    for tip in _tips(motion, head):
        length = float(np.linalg.norm(rest[tip]))
        upward = not along.any() or float(rest[tip] @ along) > 0.5 * length
        if upward and _HEAD[0] * thigh <= length <= _HEAD[1] * thigh:
            return Rig(found | {"head": tip})
        if upward and middle is None and _HALF_A_HEAD * thigh <= length < _HEAD[0] * thigh:
            middle = rest[tip]
        said = "has an end of no length" if length < 0.01 * thigh else "has an end where no head ends"
    if middle is not None:
        ending = "" if cmu else "ends in its middle; the top is taken as far again, {mm} mm above the neck"
        return Rig(found, 2 * middle, ending)
    along = along if along.any() else np.array([0.0, 1.0, 0.0])
    ending = "; the top is put {mm} mm above the neck, in people's usual proportion to the thigh"
    return Rig(found, _TYPICAL_HEAD * thigh * along, said + ending)


def _tips(motion: Motion, head: int) -> Iterator[int]:
    """Nodes that may be the top of the head, named ones first; eyes, jaw and hair are none."""
    children = [i for i, node in enumerate(motion.nodes) if node.parent == head]
    parts = [_side_and_part(motion.nodes[i].name.rpartition(":")[2])[1] for i in children]
    yield from (i for i, part in zip(children, parts, strict=True) if part.endswith(_HEAD_TOPS))
    yield from (i for i in children if motion.nodes[i].end)


def _length(motion: Motion, above: int, below: int) -> float:
    """From a node down to another, along the bones between."""
    chain = motion.chain(below)
    return sum(float(np.linalg.norm(motion.rest[i])) for i in chain[: chain.index(above)])
