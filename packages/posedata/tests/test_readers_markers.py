"""C3D and TRC: joints by joint centres and by markers on the skin, of people that are known."""

from pathlib import Path

import numpy as np
import pytest
from marker_files import H36M, PARTS, centres, check, person, read, stacked, write_c3d, write_trc, y_up

HALPE = """Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee
    LAnkle RAnkle Head Neck Hip"""


@pytest.mark.parametrize("form", ["vicon", "hjc", "opensim", "ours", "words", "dotted"])
def test_joint_centres_are_taken_as_they_are(tmp_path: Path, form: str) -> None:
    true = person()
    labelled = centres(true, form)
    file = write_c3d(tmp_path / "walk.c3d", list(labelled), stacked(labelled) * 1000)
    (clip,), _ = read("c3d", file)
    sided = [f"{side}_{part}" for side in ("left", "right") for part in PARTS]
    check(clip, true, [*sided, "head", "neck"])
    middle = (true["left_hip"] + true["right_hip"]) / 2
    check(clip, {"pelvis": middle}, ["pelvis"])
    assert clip.columns["valid"].all()
    assert clip.fps == 100
    text = write_trc(tmp_path / "walk.trc", list(labelled), y_up(stacked(labelled)))
    check(read("trc", text)[0][0], true, [*sided, "head", "neck"])


def test_two_necks_are_thorax_and_neck(tmp_path: Path) -> None:
    """As `polypose capture` writes Human3.6M's joints."""
    true = person()
    own = {"CHip": true["left_hip"] + 0.1, "Spine": true["neck"] - 0.3}
    labelled = (
        centres(true, "words")
        | own
        | {"Neck": true["thorax"], "UpperNeck": true["neck"], "Head": true["head"]}
    )
    text = write_trc(tmp_path / "walk.trc", list(labelled), y_up(stacked(labelled)))
    named = true | {"pelvis": own["CHip"], "spine": own["Spine"]}
    check(read("trc", text)[0][0], named, ["thorax", "neck", "head", "pelvis", "spine", "left_hip"])


def test_a_pose_estimators_names_are_keypoints_by_the_usual_rules(tmp_path: Path) -> None:
    true = person()
    words = HALPE.split()
    places = {}
    for word in words:
        side = {"L": "left_", "R": "right_"}.get(word[0]) if word[1:2].isupper() else None
        places[word] = true.get((side or "") + word.lower().removeprefix(word[0].lower() if side else ""))
    middle = (true["left_shoulder"] + true["right_shoulder"]) / 2
    nose = true["neck"] + np.array([0, -0.09, 0.05])
    places |= {
        "Neck": middle,
        "Hip": (true["left_hip"] + true["right_hip"]) / 2,
        "Nose": nose,
        "Head": true["head"],
    }
    places |= {word: nose for word in words if places[word] is None}
    file = write_trc(tmp_path / "a.trc", list(places), y_up(stacked(places)))
    (clip,), notes = read("trc", file)
    check(
        clip, true | {"thorax": middle, "neck": nose}, ["left_knee", "right_wrist", "head", "thorax", "neck"]
    )
    assert "a.trc: estimated, to centimetres: spine, neck;" in notes[0]
    body25 = {word: place for word, place in places.items() if word != "Head"}
    (clip,), _ = read("trc", write_trc(tmp_path / "b.trc", list(body25), y_up(stacked(body25))))
    check(clip, {"head": nose}, ["head"])  # the middle of the eyes, which here are where the nose is


# Markers on the skin

KNEE, ANKLE, ELBOW = 0.055, 0.037, 0.045


def skin(true: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Plug-in Gait's markers about these joints, and medial ones; ASIS 24 cm apart, 16 cm before the PSIS."""
    out: dict[str, np.ndarray] = {}
    width, depth = 0.24, 0.16
    middle = (true["left_hip"] + true["right_hip"]) / 2
    forward, upward = -0.24 * depth - 0.0099, -0.30 * width - 0.0109
    asis = middle - np.array([0, -forward, upward])  # the regression turned round
    for side, sign in (("left", 1), ("right", -1)):
        letter = side[0].upper()
        across = np.array([sign, 0, 0])
        out[f"{letter}ASI"] = asis + width / 2 * across
        out[f"{letter}PSI"] = asis + 0.05 * across + np.array([0, depth, 0])
        for name, part, half in (("KNE", "knee", KNEE), ("ANK", "ankle", ANKLE), ("ELB", "elbow", ELBOW)):
            out[f"{letter}{name}"] = true[f"{side}_{part}"] + half * across
            out[f"{letter}M{name}"] = true[f"{side}_{part}"] - half * across
        out[f"{letter}WRA"] = true[f"{side}_wrist"] + np.array([0, 0.03, 0])
        out[f"{letter}WRB"] = true[f"{side}_wrist"] - np.array([0, 0.03, 0])
        out[f"{letter}SHO"] = true[f"{side}_shoulder"] + np.array([0, 0, 0.05])
        out[f"{letter}FHD"] = true["head"] + np.array([0.07 * sign, -0.09, -0.1])
        out[f"{letter}BHD"] = true["head"] + np.array([0.07 * sign, 0.09, -0.1])
    out["C7"] = true["thorax"] + np.array([0, 0.07, 0.03])
    out["CLAV"] = true["thorax"] - np.array([0, 0.07, 0.03])
    return out


def test_hips_are_where_harringtons_regression_has_them(tmp_path: Path) -> None:
    true = person()
    markers = skin(true)
    file = write_c3d(tmp_path / "gait.c3d", list(markers), stacked(markers) * 1000)
    (clip,), notes = read("c3d", file)
    lateral = 0.33 * 0.24 + 0.0073
    for side, sign in (("left", 1), ("right", -1)):
        hip = true[f"{side}_hip"].copy()
        hip[:, 0] = sign * lateral
        check(clip, {f"{side}_hip": hip}, [f"{side}_hip"])
    check(clip, true, ["left_knee", "right_ankle", "left_elbow", "right_wrist", "thorax"], atol=1e-6)
    assert "estimated, to centimetres: right_hip, right_knee" in notes[0]
    # A shoulder lies 17 % of the acromia's distance below its marker, along the trunk.
    shoulders = clip.joints[:, [H36M.index("left_shoulder"), H36M.index("right_shoulder")]]
    acromia = np.stack([markers["LSHO"], markers["RSHO"]], axis=1)
    np.testing.assert_allclose(np.linalg.norm(acromia - shoulders, axis=-1), 0.17 * 0.36, atol=1e-6)
    assert (shoulders[..., 2] < acromia[..., 2] - 0.06).all()
    # The top of the head from the thorax over the middle of the head.
    centre = true["head"] - np.array([0, 0, 0.1])
    check(
        clip,
        {"head": 1.5 * centre - 0.5 * true["thorax"], "neck": (centre + true["thorax"]) / 2},
        ["head", "neck"],
    )


def test_a_lateral_marker_alone_is_moved_inward_by_a_usual_half(tmp_path: Path) -> None:
    true = person()
    markers = {name: place for name, place in skin(true).items() if name[1] != "M"}
    (clip,), _ = read("c3d", write_c3d(tmp_path / "gait.c3d", list(markers), stacked(markers) * 1000))
    check(clip, true, ["left_knee", "right_knee", "left_ankle", "right_ankle"], atol=0.003)
    check(clip, {"left_elbow": markers["LELB"]}, ["left_elbow"])


PIG = "ASI PSI KNE MKNE ANK MANK SHO ELB MELB WRA WRB C7 CLAV"
SETS = {
    "gait2392": "{L}.ASIS {L}.PSIS {L}.Knee.Lat {L}.Knee.Med {L}.Ankle.Lat {L}.Ankle.Med {L}.Acromium "
    "{L}.Elbow - {L}.Wrist.Lat {L}.Wrist.Med C7 Sternum",
    "ISB": "{L}_IAS {L}_IPS {L}_FLE {L}_FME {L}_FAL {L}_TAM {L}_SAE {L}_HLE {L}_HME {L}_RSP {L}_UHE CV7 SJN",
    "Rajagopal": "{L}ASI {L}PSI {L}LFC {L}MFC {L}LMAL {L}MMAL {L}ACR {L}LEL {L}MEL {L}FAradius "
    "{L}FAulna C7 CLAV",
}
"""What marker sets call Plug-in Gait's markers (and the medial ones beside them), in its order."""


@pytest.mark.parametrize("name", SETS)
def test_other_marker_sets_give_the_same_joints(tmp_path: Path, name: str) -> None:
    markers = skin(person())
    called = dict(zip(PIG.split(), SETS[name].split(), strict=True))
    heads = {label: place for label, place in markers.items() if "HD" in label}
    middle = {called[label]: markers[label] for label in ("C7", "CLAV")}
    sided = {
        form.format(L=letter): markers[letter + label]
        for label, form in called.items()
        for letter in "LR"
        if letter + label in markers and form != "-"
    }
    renamed = heads | middle | sided
    (clip,), _ = read("c3d", write_c3d(tmp_path / "a.c3d", list(renamed), stacked(renamed) * 1000))
    (whole,), _ = read("c3d", write_c3d(tmp_path / "b.c3d", list(markers), stacked(markers) * 1000))
    same = [k for k, joint in enumerate(H36M) if "elbow" not in joint or called["MELB"] != "-"]
    np.testing.assert_allclose(clip.joints[:, same], whole.joints[:, same], atol=1e-6)
