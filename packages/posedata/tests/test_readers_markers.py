"""C3D and TRC: what is written is read, by joint centres and by markers on the skin of known people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from marker_files import naive_c3d, write_c3d, write_trc
from posedata.prepare import get_format
from posedata.prepare.format import Clip, Context
from posedata.readers import read_c3d, read_trc
from posedata.readers._c3d import read_c3d as parse_c3d
from posedata.readers.trc import parse as parse_trc
from posedata.skeleton import get_skeleton

H36M = get_skeleton("h36m17").joints
POSE = {
    "left_hip": (0.09, 0.0, 0.92), "left_knee": (0.1, 0.03, 0.5), "left_ankle": (0.1, -0.02, 0.08),
    "left_shoulder": (0.18, -0.02, 1.42), "left_elbow": (0.22, -0.03, 1.12), "left_wrist": (0.24, 0.05, 0.87),
    "thorax": (0.0, -0.01, 1.45), "neck": (0.0, 0.02, 1.53), "head": (0.0, 0.03, 1.72),
}  # fmt: skip
"""A standing person in metres, z up, facing -y; the right side is the left one mirrored."""
HALPE = """Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee
    LAnkle RAnkle Head Neck Hip"""
PARTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")


def person(frames: int = 4) -> dict[str, np.ndarray]:
    """Joints (T, 3) of somebody who walks on along -y, 1 cm a frame."""
    whole = dict(POSE) | {n.replace("left", "right"): (-p[0], *p[1:]) for n, p in POSE.items() if "left" in n}
    on = np.arange(frames)[:, None] * np.array([0, -0.01, 0])
    return {name: np.array(place) + on for name, place in whole.items()}


def y_up(places: np.ndarray) -> np.ndarray:
    """(x, y, z) with z up to y up, as OpenSim has it."""
    return np.stack([places[..., 0], places[..., 2], -places[..., 1]], axis=-1)


def stacked(named: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(named.values()), axis=1)


def read(form: str, path: Path, **options: object) -> tuple[list[Clip], list[str]]:
    notes: list[str] = []
    reader, context = get_format(form, **options), Context(path.parent, notes.append)
    clips = [clip for unit in reader.plan(path, context).units for clip in reader.read(unit, context)]
    return clips, notes


def check(clip: Clip, true: dict[str, np.ndarray], names: Sequence[str], atol: float = 1e-6) -> None:
    for name in names:
        np.testing.assert_allclose(clip.joints[:, H36M.index(name)], true[name], atol=atol, err_msg=name)


def centres(true: dict[str, np.ndarray], form: str) -> dict[str, np.ndarray]:
    """Joint centres with the labels of a model."""
    words = {
        "vicon": dict(zip(PARTS, ("{L}FEP", "{L}FEO", "{L}TIO", "{L}CLO", "{L}HUO", "{L}RAO"), strict=True)),
        "hjc": {part: "{L}" + part[0].upper() + "JC" for part in PARTS},
        "opensim": {part: "{L}_" + part[0].upper() + "JC" for part in PARTS},
        "ours": {part: "{side}_" + part for part in PARTS},
        "words": {part: "{Side}" + part.title() for part in PARTS},
        "dotted": {part: "{Side}." + part.title() for part in PARTS},
    }[form]
    out = {}
    for side in ("left", "right"):
        for part, label in words.items():
            out[label.format(L=side[0].upper(), side=side, Side=side.title())] = true[f"{side}_{part}"]
    return out | {"Head": true["head"], "Neck": true["neck"]}


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


# What files are like


@pytest.mark.parametrize("order", ["<", ">", "vax"])
@pytest.mark.parametrize("scale", [-1.0, 0.1])
def test_c3d_of_every_processor_gives_what_was_written(tmp_path: Path, order: str, scale: float) -> None:
    true = centres(person(), "hjc")
    places = stacked(true) * 1000
    places[1, 3] = np.nan
    file = write_c3d(tmp_path / "a.c3d", list(true), places, order=order, scale=scale, first=7)
    markers = parse_c3d(file, print)
    assert markers.labels == list(true)
    assert (markers.rate, markers.unit, markers.frames.tolist()) == (100, "mm", [7, 8, 9, 10])
    np.testing.assert_allclose(markers.places, places, atol=1e-3 if scale < 0 else 0.06)
    if order == "<" and scale < 0:
        np.testing.assert_array_equal(markers.places, naive_c3d(file))


def test_c3d_with_many_points_and_frames(tmp_path: Path) -> None:
    """Labels beyond 255 stand in LABELS2; a recording beyond 65,535 frames has its end in TRIAL."""
    true = centres(person(2), "hjc")
    labels = [f"extra{n}" for n in range(300)] + list(true)
    places = np.concatenate([np.ones((2, 300, 3)), stacked(true) * 1000], axis=1)
    markers = parse_c3d(write_c3d(tmp_path / "a.c3d", labels, places), print)
    assert markers.labels == labels
    notes: list[str] = []
    places = np.ones((70_000, 1, 3), np.float32)
    file = write_c3d(tmp_path / "b.c3d", ["A"], places, trial=True, analogue=0)
    assert len(parse_c3d(file, notes.append).places) == 70_000
    assert notes == []


def test_the_header_says_how_a_c3ds_frames_are_laid_out(tmp_path: Path) -> None:
    """A real file has 11 points in its header and 12 in POINT:USED; the header is right."""
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000, used=len(true) + 1)
    np.testing.assert_allclose(parse_c3d(file, print).places, stacked(true) * 1000, atol=1e-3)


def test_a_c3d_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    file.write_bytes(file.read_bytes()[:-100])
    (clip,), notes = read("c3d", file)
    assert len(clip.joints) == 3
    assert "a.c3d: says 4 frames and has 3" in notes[0]
    file.write_bytes(file.read_bytes()[:1100])
    with pytest.raises(ValueError, match=r"a\.c3d: has no frame of 14 points"):
        read("c3d", file)


@pytest.mark.parametrize("missing", ["", "NaN", "0.0"])
def test_markers_that_were_not_seen_are_not_valid(tmp_path: Path, missing: str) -> None:
    true = centres(person(), "hjc")
    places = stacked(true)
    places[2, list(true).index("LWJC")] = np.nan
    places[:, list(true).index("RAJC")][1] = np.nan
    text = write_trc(tmp_path / "a.trc", list(true), y_up(places), missing=missing)
    file = write_c3d(tmp_path / "a.c3d", list(true), places * 1000)
    for (clip,), _ in (read("trc", text), read("c3d", file)):
        expected = np.ones((4, 17), bool)
        expected[2, H36M.index("left_wrist")] = expected[1, H36M.index("right_ankle")] = False
        np.testing.assert_array_equal(clip.columns["valid"], expected)
        assert not clip.joints[~expected].any()


def test_several_people_in_a_file_are_clips(tmp_path: Path) -> None:
    one = {f"anna:{name}": place for name, place in centres(person(), "hjc").items()}
    two = {f"ben:{name}": place + 1 for name, place in centres(person(), "hjc").items()}
    both = one | two | {"*17": person()["head"]}
    clips, _ = read("c3d", write_c3d(tmp_path / "pair.c3d", list(both), stacked(both) * 1000))
    assert [(clip.subject, clip.sequence) for clip in clips] == [("anna", "pair-anna"), ("ben", "pair-ben")]
    np.testing.assert_allclose(clips[1].joints - clips[0].joints, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("unit", "written", "says"),
    [("m", 1, None), ("mm", 1000, None), ("cm", 100, None), ("meters", 1, None),
     ("mm", 1, "says mm and has legs"), ("", 1000, None), ("furlong", 100, None)],
)  # fmt: skip
def test_units_are_as_told_or_as_legs_are(tmp_path: Path, unit: str, written: int, says: str | None) -> None:
    true = person()
    labelled = centres(true, "hjc")
    text = write_trc(tmp_path / "a.trc", list(labelled), y_up(stacked(labelled)) * written, unit=unit or "-")
    (clip,), notes = read("trc", text)
    check(clip, true, ["left_knee", "head"], atol=1e-5)
    assert bool(says) == any(says in note for note in notes if says)
    (clip,), _ = read("trc", text, unit="inch")
    np.testing.assert_allclose(clip.joints[0, H36M.index("left_knee"), 2], 0.5 * written * 0.0254, rtol=1e-5)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_up_is_where_people_stand_and_told_if_unusual(tmp_path: Path, axis: str) -> None:
    true = person()
    labelled = centres(true, "hjc")
    z_up = stacked(labelled)
    turned = {"x": z_up[..., [2, 0, 1]], "y": y_up(z_up), "z": z_up}[axis]
    for form, file, usual in (
        ("c3d", write_c3d(tmp_path / "a.c3d", list(labelled), turned * 1000), "z"),
        ("trc", write_trc(tmp_path / "a.trc", list(labelled), turned), "y"),
    ):
        (clip,), notes = read(form, file)
        check(clip, true, ["left_knee", "head", "right_wrist"], atol=1e-5)
        told = f"people stand along {axis}, which is taken for up; say --up {usual} if they lie"
        assert any(told in note for note in notes) == (axis != usual)
        (clip,), _ = read(form, file, up=axis)
        check(clip, true, ["left_knee", "head"], atol=1e-5)


def test_frame_numbers_and_rates(tmp_path: Path) -> None:
    true = centres(person(12), "hjc")
    text = write_trc(tmp_path / "a.trc", list(true), y_up(stacked(true)), first=21)
    lines = text.read_text().splitlines()
    text.write_text("\n".join([*lines[:8], *lines[11:]]))
    (clip,), notes = read("trc", text)
    assert clip.columns["frame"].tolist() == [20, 21, 22, *range(26, 32)]
    assert "frames 24 to 26 are missing" in notes[0]
    (clip,), _ = read("trc", text, fps=20)
    assert clip.columns["frame"].tolist() == [6, 8, 9]
    text.write_text(text.read_text().replace("\n60\t60", "\n0\t60"))
    assert read("trc", text)[0][0].fps == 60
    text.write_text(text.read_text().replace("\n0\t60", "\n120\t60"))
    (clip,), notes = read("trc", text)
    assert clip.fps == 60
    assert any("says DataRate 120 and its times 60 frames/s" in note for note in notes)


def test_trc_of_other_hands_reads_the_same(tmp_path: Path) -> None:
    """Spaces in the header, tabs doubled in it, an empty line, lines that end in tabs, CRLF, a mark."""
    true = centres(person(), "hjc")
    text = write_trc(tmp_path / "a.trc", list(true), y_up(stacked(true)))
    whole = parse_trc(text, print)
    lines = text.read_text().splitlines()
    lines[2] = "  60.0\t\t 60.0\t\t  4\t   14\t m\t 60.0\t  1\t 4"
    lines[3] += "\t\t"
    lines[5:] = ["", *(f"{line}\t" for line in lines[5:])]
    text.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    again = parse_trc(text, print)
    assert (again.labels, again.rate, again.unit) == (whole.labels, whole.rate, "m")
    np.testing.assert_array_equal(again.places, whole.places)


def test_joints_that_cannot_be_had_are_named_or_marked(tmp_path: Path) -> None:
    true = {n: p for n, p in centres(person(), "hjc").items() if n != "LEJC"}
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    with pytest.raises(
        ValueError, match=r"a\.c3d: no left_elbow can be had from its labels \(LHJC, LKJC.*missing mark"
    ):
        read("c3d", file)
    (clip,), notes = read("c3d", file, missing="mark")
    assert not clip.columns["valid"][:, H36M.index("left_elbow")].any()
    assert clip.columns["valid"][:, H36M.index("left_wrist")].all()
    assert any("has no left_elbow, which are marked in 'valid'" in note for note in notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frame#", "Nr", r"is no TRC file \(no 'DataRate' and 'Frame#' lines"),
        ("0.900000", "0,9", r"line \d+: '0,9' is no number"),
        ("0.900000", "0.9\t0.9", r"line 6 has 45 values for 44"),
        ("\n2\t", "\n1\t", r"its frame numbers do not grow"),
        ("\n60\t60\t4\t14\tm", "\nx\t60\t4\t14\tm", None),
    ],
)
def test_a_trc_that_cannot_be_read_names_the_fault(
    tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    true = centres(person(), "hjc")
    places = stacked(true)
    places[0, 0, 0] = 0.9
    text = write_trc(tmp_path / "a.trc", list(true), places)
    assert old in text.read_text()
    text.write_text(text.read_text().replace(old, new, 1))
    if message is None:
        assert read("trc", text)[0][0].fps == 60  # by its times
        return
    with pytest.raises(ValueError, match=r"a\.trc: " + message):
        read("trc", text)


def test_what_is_no_c3d_is_refused(tmp_path: Path) -> None:
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    whole = file.read_bytes()
    for content, message in (
        (b"<html>" + bytes(2000), "is no C3D file"),
        (whole[:700], "is no C3D file"),
        (whole[:515] + b"\x00" + whole[516:], r"is no C3D file that can be read \(its processor is unknown"),
        (whole.replace(b"LABELS", b"LABELX"), "field POINT:LABELS is missing"),
        (
            whole.replace(b"RATE", b"RATX")[:20] + bytes(4) + whole.replace(b"RATE", b"RATX")[24:],
            "field POINT:RATE is 0",
        ),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.c3d: {message}"):
            read_c3d(file)
    with pytest.raises(ValueError, match="unit 'ell' is not known"):
        read_trc(file, unit="ell")
