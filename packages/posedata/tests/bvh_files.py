"""Writes BVH files of a person as many exporters name it: a hierarchy, and a motion of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_NAMES = {
    "Mixamo": """
        mixamorig:Hips | mixamorig:Spine, mixamorig:Spine1, mixamorig:Spine2 | mixamorig:Neck | mixamorig:Head
        | mixamorig:{S}Shoulder, mixamorig:{S}Arm, mixamorig:{S}ForeArm, mixamorig:{S}Hand
        | mixamorig:{S}UpLeg, mixamorig:{S}Leg, mixamorig:{S}Foot | mixamorig:Spine1""",
    "Rokoko": """
        Hips | Spine1, Spine2, Spine3, Spine4 | Neck | Head
        | {S}Shoulder, {S}Arm, {S}ForeArm, {S}Hand
        | {S}Thigh, {S}Shin, {S}Foot | Spine3""",
    "Xsens MVN": """
        Hips | Chest, Chest2, Chest3, Chest4 | Neck | Head
        | {S}Collar, {S}Shoulder, {S}Elbow, {S}Wrist
        | {S}Hip, {S}Knee, {S}Ankle | Chest3""",
    "Perception Neuron": """
        Hips | Spine, Spine1, Spine2 | Neck, Neck1 | Head
        | {S}Shoulder, {S}Arm, {S}ForeArm, {S}Hand
        | {S}UpLeg, {S}Leg, {S}Foot | Spine1""",
    "MotionBuilder": """
        Character1_Hips | Character1_Spine, Character1_Spine1 | Character1_Neck | Character1_Head
        | Character1_{S}Shoulder, Character1_{S}Arm, Character1_{S}ForeArm, Character1_{S}Hand
        | Character1_{S}UpLeg, Character1_{S}Leg, Character1_{S}Foot | Character1_Spine1""",
    "Biped": """
        Bip01 Pelvis | Bip01 Spine | Bip01 Neck | Bip01 Head
        | Bip01 {L} Clavicle, Bip01 {L} UpperArm, Bip01 {L} Forearm, Bip01 {L} Hand
        | Bip01 {L} Thigh, Bip01 {L} Calf, Bip01 {L} Foot | Bip01 Spine""",
    "Bandai-Namco": """
        Hips | Spine, Chest | Neck | Head
        | Shoulder_{L}, UpperArm_{L}, LowerArm_{L}, Hand_{L}
        | UpperLeg_{L}, LowerLeg_{L}, Foot_{L} | Spine""",
    "DAZ": """
        hip | abdomen, chest | neck | head
        | {l}Collar, {l}Shldr, {l}ForeArm, {l}Hand
        | {l}Thigh, {l}Shin, {l}Foot | abdomen""",
    "Unreal": """
        pelvis | spine_01, spine_02, spine_03, spine_04, spine_05 | neck_01, neck_02 | head
        | clavicle_{l}, upperarm_{l}, lowerarm_{l}, hand_{l}
        | thigh_{l}, calf_{l}, foot_{l} | spine_03""",
    "OptiTrack": """
        Hip | Ab, Chest | Neck | Head
        | {L}Shoulder, {L}UArm, {L}FArm, {L}Hand
        | {L}Thigh, {L}Shin, {L}Foot | Ab""",
    "SMPL": """
        Pelvis | Spine1, Spine2, Spine3 | Neck | Head
        | {L}_Collar, {L}_Shoulder, {L}_Elbow, {L}_Wrist, {L}_Hand
        | {L}_Hip, {L}_Knee, {L}_Ankle, {L}_Foot | Spine2""",
    "Kinect": """
        SpineBase | SpineMid | Neck | Head
        | Collar{S}, Shoulder{S}, Elbow{S}, Wrist{S}, Hand{S}
        | Hip{S}, Knee{S}, Ankle{S} | SpineMid""",
}


class Names(NamedTuple):
    """What an exporter calls things; {S}, {L}, {l} stand for Left, L, l. `spine` is half-way up the back."""

    root: str
    back: list[str]
    necks: list[str]
    head: str
    arm: list[str]
    leg: list[str]
    spine: str

    def limbs(self) -> dict[str, str]:
        """Names by joint of Human3.6M."""
        out = {}
        for side in ("Left", "Right"):
            arm = self.arm[1:] if len(self.arm) > 3 else self.arm
            joints = [("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")]
            for parts, names in zip(joints, (arm, self.leg), strict=True):
                for part, name in zip(parts, names, strict=False):
                    out[f"{side.lower()}_{part}"] = sided(name, side)
        return out


def _names(text: str) -> Names:
    root, back, necks, head, arm, leg, spine = (" ".join(part.split()) for part in text.split("|"))
    return Names(root, back.split(", "), necks.split(", "), head, arm.split(", "), leg.split(", "), spine)


EXPORTERS = {name: _names(text) for name, text in _NAMES.items()}
TOP = "End Site\n{\nOFFSET 0 18 0\n}\n"
ROOT = "Xposition Yposition Zposition Zrotation Xrotation Yrotation"
TURNS = "CHANNELS 3 Zrotation Xrotation Yrotation\n"


def sided(name: str, side: str) -> str:
    return name.format(S=side, L=side[0], l=side[0].lower())


def chain(names: Sequence[str], offsets: Sequence[tuple[float, ...]], inner: str = "") -> str:
    """JOINTs one in the other; the innermost holds `inner`."""
    text = ""
    for name, offset in zip(names, offsets, strict=True):
        text += f"JOINT {name}\n{{\nOFFSET {' '.join(map(str, offset))}\n{TURNS}"
    return text + (inner or "End Site\n{\nOFFSET 0 0 5\n}\n") + "}\n" * len(names)


def figure(exporter: str = "Mixamo", *, head: str = TOP, root: str = ROOT, offset: str = "0 0 0") -> str:
    """The hierarchy of a person of 1.7 m in centimetres, y up, with an exporter's names.

    `head` is what the head node holds; `root` and `offset` the root's channels and OFFSET.
    """
    names, arms, legs = EXPORTERS[exporter], "", ""
    for side, sign in (("Left", 1), ("Right", -1)):
        steps = [(4 * sign, 8, 0), (14 * sign, 0, 0), (28 * sign, 0, 0), (25 * sign, 0, 0), (8 * sign, 0, 0)]
        arms += chain([sided(name, side) for name in names.arm], steps[: len(names.arm)])
        steps = [(9 * sign, 0, 0), (0, -42, 1), (0, -43, -1), (0, -6, 10)]
        legs += chain([sided(name, side) for name in names.leg], steps[: len(names.leg)])
    steps = [*[(0, 14, 0), (0, 6, 1)][: len(names.necks)], (0, 8, 0)]
    neck = chain([*names.necks, names.head], steps, head)
    torso = chain(names.back, [(0, 40 / len(names.back), 0.5)] * len(names.back), neck + arms)
    count = len(root.split())
    text = f"HIERARCHY\nROOT {names.root}\n{{\nOFFSET {offset}\nCHANNELS {count} {root}\n"
    return f"{text}{legs}{torso}}}\n"


def moving(hierarchy: str, frames: int = 6, seed: int = 0) -> str:
    """The hierarchy with a motion: smooth angles, a root that walks on."""
    channels = [word for line in hierarchy.splitlines() if "CHANNELS" in line for word in line.split()[2:]]
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    values = 20 * np.sin(rng.uniform(0, 6, len(channels)) + time * rng.uniform(0.1, 0.3, len(channels)))
    for k, channel in enumerate(channels[:6]):
        if channel.endswith("position"):
            values[:, k] = {"x": 0, "y": 95, "z": 0}[channel[0].lower()] + np.arange(frames)
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in values)
    return f"{hierarchy}MOTION\nFrames: {frames}\nFrame Time: 0.0333333\n{rows}\n"


def with_positions(hierarchy: str, *, added: bool) -> str:
    """Six channels a joint; positions are the offsets, or zero if `added`, a little more each frame."""
    tree = hierarchy.replace(TURNS, f"CHANNELS 6 {ROOT}\n")
    offsets, end = [], False
    for line in tree.splitlines():
        end = end or "End Site" in line
        if "OFFSET" in line:
            offsets += [] if end else [[float(word) for word in line.split()[1:4]]]
            end = False
    head, _, motion = moving(tree).partition("MOTION")
    lines = motion.splitlines()
    for n, line in enumerate(lines[3:]):
        values = np.array([float(word) for word in line.split()]).reshape(len(offsets), 6)
        values[1:, :3] = (0 if added else np.array(offsets[1:])) + 0.1 * n * np.arange(3)
        lines[3 + n] = " ".join(f"{value:.6f}" for value in values.ravel())
    return head + "MOTION" + "\n".join(lines)
