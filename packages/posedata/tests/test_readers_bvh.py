"""BVH of any exporter: names, heads and channels against a naive twin; what files get wrong."""

from pathlib import Path

import numpy as np
import pytest
from bvh_files import EXPORTERS, ROOT, TOP, TURNS, chain, figure, moving, with_positions
from naive_bvh import naive_joints
from posedata.readers._rig import plain_names
from posedata.readers.files.bvh import read_motion
from posedata.readers.format import Clip, Context
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton

CMU = Path(__file__).resolve().parents[3] / "../shared/data/motion/cmu_12_01_walk.bvh"
H36M = get_skeleton("h36m17").joints


def read(path: Path, **options: object) -> tuple[Clip, list[str]]:
    notes: list[str] = []
    form = get_format("bvh", **options)
    context = Context(path.parent, notes.append)
    (clip,) = [clip for unit in form.plan(path, context).units for clip in form.read(unit, context)]
    return clip, notes


def save(folder: Path, text: str, name: str = "walk.bvh") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def joint(clip: Clip, name: str) -> np.ndarray:
    return clip.joints[:, H36M.index(name)].astype(np.float64)


def in_metres(places: np.ndarray) -> np.ndarray:
    return np.stack([places[..., 0], -places[..., 2], places[..., 1]], axis=-1) / 100


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_joints_of_every_exporters_names_are_where_a_naive_twin_has_them(
    tmp_path: Path, exporter: str
) -> None:
    text = moving(figure(exporter))
    clip, notes = read(save(tmp_path, text))
    names, true = naive_joints(text)
    called = EXPORTERS[exporter]
    wanted = called.limbs() | {"spine": called.spine, "thorax": called.necks[0], "neck": called.head}
    wanted["head"] = f"End of {called.head}"
    assert len(wanted) == 16
    assert notes == []
    for name, node in wanted.items():
        np.testing.assert_allclose(
            joint(clip, name), in_metres(true[:, names.index(node)]), atol=1e-6, err_msg=name
        )
    middle = (joint(clip, "left_hip") + joint(clip, "right_hip")) / 2
    np.testing.assert_allclose(joint(clip, "pelvis"), middle, atol=1e-6)


def test_prefixes_and_sides_of_names() -> None:
    names = [
        "Rig1:Hips",
        "Rig1:LeftUpLeg",
        "Rig1:left_leg",
        "Rig1:R_Foot",
        "Rig1:rShldr",
        "Rig1:Hand.L",
        "Rig1:KneeRight",
    ]
    assert plain_names(names) == [
        ("", "hips"), ("left", "upleg"), ("left", "leg"), ("right", "foot"), ("right", "shldr"),
        ("left", "hand"), ("right", "knee"),
    ]  # fmt: skip
    assert plain_names(["mixamorigHead", "mixamorig1:LeftArm"]) == [("", "head"), ("left", "arm")]


# Positions in every joint


def test_positions_of_joints_replace_their_offsets(tmp_path: Path) -> None:
    text = with_positions(figure(), added=False)
    clip, notes = read(save(tmp_path, text))
    names, true = naive_joints(text)
    for name, node in {"left_wrist": "mixamorig:LeftHand", "right_ankle": "mixamorig:RightFoot"}.items():
        np.testing.assert_allclose(joint(clip, name), in_metres(true[:, names.index(node)]), atol=1e-6)
    assert notes == []


def test_positions_near_zero_are_added_to_the_offsets(tmp_path: Path) -> None:
    replaced = with_positions(figure(), added=False)
    added = with_positions(figure(), added=True)
    np.testing.assert_allclose(
        read(save(tmp_path, added))[0].joints, read(save(tmp_path, replaced))[0].joints, atol=1e-6
    )


@pytest.mark.parametrize(
    "root",
    [
        "Yrotation Xrotation Zrotation Zposition Yposition Xposition",
        "Zposition Xposition Yposition Xrotation Yrotation Zrotation",
        "Xposition Xrotation Yposition Yrotation Zposition Zrotation",
        "xposition yposition zposition zrotation yrotation xrotation",
        "Zrotation Xrotation Yrotation",
    ],
)
def test_channels_of_the_root_stand_in_any_order(tmp_path: Path, root: str) -> None:
    text = moving(figure(root=root, offset="3 90 7"))
    clip, _ = read(save(tmp_path, text))
    names, true = naive_joints(text)
    for name, node in {"neck": "mixamorig:Head", "right_wrist": "mixamorig:RightHand"}.items():
        np.testing.assert_allclose(joint(clip, name), in_metres(true[:, names.index(node)]), atol=1e-6)


@pytest.mark.parametrize("none", ["", "CHANNELS 0\n"])
def test_joints_without_channels_keep_their_rest(tmp_path: Path, none: str) -> None:
    text = figure()
    at = text.index("CHANNELS", text.index("LeftForeArm"))
    text = moving(text[:at] + none + text[text.index("\n", at) + 1 :])
    clip, _ = read(save(tmp_path, text))
    names, true = naive_joints(text)
    place = in_metres(true[:, names.index("mixamorig:LeftHand")])
    np.testing.assert_allclose(joint(clip, "left_wrist"), place, atol=1e-6)


# The head


def test_a_head_with_children_ends_at_its_top_not_at_the_neck(tmp_path: Path) -> None:
    eyes = (
        chain(["LeftEye"], [(3, 5, 8)])
        + chain(["RightEye"], [(-3, 5, 8)])
        + chain(["HeadTop_End"], [(0, 19, 1)])
    )
    text = moving(figure(head=eyes))
    clip, notes = read(save(tmp_path, text))
    names, true = naive_joints(text)
    np.testing.assert_allclose(joint(clip, "head"), in_metres(true[:, names.index("HeadTop_End")]), atol=1e-6)
    assert notes == []


@pytest.mark.parametrize(
    ("head", "long", "why"),
    [
        ("End Site\n{\nOFFSET 0 0 0\n}\n", 0.43 * 42.012, "has an end of no length; the top is put 181 mm"),
        (chain(["LeftEye"], [(3, 5, 8)]), 0.43 * 42.012, "has neither an End Site nor a HeadTop_End"),
        ("End Site\n{\nOFFSET 0 -5 0\n}\n", 0.43 * 42.012, "has an end where no head ends"),
        ("End Site\n{\nOFFSET 0 0 18\n}\n", 0.43 * 42.012, "has an end where no head ends"),
        ("End Site\n{\nOFFSET 0 95 0\n}\n", 0.43 * 42.012, "has an end where no head ends"),
        ("End Site\n{\nOFFSET 0 9 0\n}\n", 18, "ends in its middle; the top is taken as far again, 180 mm"),
    ],
)
def test_a_head_without_a_top_is_estimated_and_told(tmp_path: Path, head: str, long: float, why: str) -> None:
    clip, notes = read(save(tmp_path, moving(figure(head=head))))
    up = joint(clip, "head") - joint(clip, "neck")
    np.testing.assert_allclose(np.linalg.norm(up, axis=-1), long / 100, atol=1e-4)
    assert len(notes) == 1
    assert f"walk.bvh: the head mixamorig:Head {why}" in notes[0]
    # It turns with the head: where an end of 18 cm along the neck would be.
    with_end, _ = read(
        save(tmp_path, moving(figure(head=TOP if "Eye" not in head else TOP + head)), "true.bvh")
    )
    true = joint(with_end, "head") - joint(with_end, "neck")
    np.testing.assert_allclose(up / np.linalg.norm(up, axis=-1, keepdims=True), true / 0.18, atol=1e-5)


def test_a_second_neck_does_not_make_it_cmus_head(tmp_path: Path) -> None:
    """What has a Neck1 was taken for CMU's, and its head made twice as long."""
    clip, notes = read(save(tmp_path, moving(figure("Perception Neuron"))))
    np.testing.assert_allclose(
        np.linalg.norm(joint(clip, "head") - joint(clip, "neck"), axis=-1), 0.18, atol=1e-6
    )
    assert notes == []


@pytest.mark.skipif(not CMU.is_file(), reason="needs ../shared/data")
def test_cmus_head_is_the_same_under_other_names(tmp_path: Path) -> None:
    """Its end lies in the middle of the head; renamed files had half a head, told now."""
    text = CMU.read_text()
    renamed = text.replace("Neck1", "Neck2").replace("LowerBack", "Abdomen").replace("HipJoint", "Pelvis")
    whole, none = read(CMU)
    clip, notes = read(save(tmp_path, renamed, "12_01.bvh"))
    np.testing.assert_array_equal(clip.joints, whole.joints)
    assert none == []
    assert "the top is taken as far again, 210 mm" in notes[0]


# What files get wrong


def test_line_ends_tabs_marks_and_spaces_change_nothing(tmp_path: Path) -> None:
    text = moving(figure())
    whole, _ = read(save(tmp_path, text))
    odd = text.replace("Frames: 6", "Frames :\t6 ").replace("Frame Time: ", " Frame  Time:\t")
    odd = odd.replace("OFFSET ", "\t OFFSET\t").replace("\nMOTION", "\n\n  MOTION ") + "\n \n"
    for changed in (
        odd.replace("\n", "\r\n"),
        odd.replace("\n", "\r"),
        "\ufeff" + odd,
        odd.replace("\n{\n", " {\n"),
    ):
        clip, notes = read(save(tmp_path, changed, "WALK.BVH"))
        np.testing.assert_array_equal(clip.joints, whole.joints)
        assert notes == []
    (tmp_path / "wide.bvh").write_bytes(text.encode("utf-16"))
    np.testing.assert_array_equal(read(tmp_path / "wide.bvh")[0].joints, whole.joints)


def test_a_count_of_frames_that_lies_is_told(tmp_path: Path) -> None:
    text = moving(figure())
    for said in (5, 9):
        clip, notes = read(save(tmp_path, text.replace("Frames: 6", f"Frames: {said}")))
        assert len(clip.joints) == 6
        assert f"says 'Frames: {said}' and has 6" in notes[0]
    clip, notes = read(save(tmp_path, text.rstrip()[:-40]))
    assert len(clip.joints) == 5
    assert "its last line (frame 6) is cut off" in notes[0]
    wrapped = text.splitlines()
    wrapped[-6:] = [
        part for line in wrapped[-6:] for part in (line[: line.index(" ", 90)], line[line.index(" ", 90) :])
    ]
    clip, notes = read(save(tmp_path, "\n".join(wrapped)))
    assert len(clip.joints) == 6
    assert notes == []


def test_a_frame_with_nan_is_left_out_and_its_number_too(tmp_path: Path) -> None:
    lines = moving(figure()).splitlines()
    words = lines[-4].split()
    lines[-4] = " ".join([*words[:9], "nan", *words[10:]])
    clip, notes = read(save(tmp_path, "\n".join(lines)))
    assert clip.columns["frame"].tolist() == [0, 1, 3, 4, 5]
    assert "frame 3: a value of joint mixamorig:LeftLeg is nan" in notes[0].replace("'", "")
    every = [" ".join(["inf", *line.split()[1:]]) for line in lines[-6:]]
    with pytest.raises(
        ValueError, match=r"frame 1: a value of joint 'mixamorig:Hips' is inf, and so in every"
    ):
        read(save(tmp_path, "\n".join([*lines[:-6], *every])))


@pytest.mark.parametrize("order", [0, 1])
def test_of_several_roots_the_person_is_read_and_told(tmp_path: Path, order: int) -> None:
    prop = "ROOT Ball\n{\nOFFSET 0 0 0\nCHANNELS 2 Xposition Zposition\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
    person = figure().removeprefix("HIERARCHY\n")
    text = moving("HIERARCHY\n" + (prop + person if order else person + prop))
    clip, notes = read(save(tmp_path, text))
    assert "has 2 roots" in notes[0]
    assert "mixamorig:Hips is read" in notes[0]
    np.testing.assert_allclose(
        np.linalg.norm(joint(clip, "left_knee") - joint(clip, "left_hip"), axis=-1), 0.42012, atol=1e-4
    )
    clip, notes = read(save(tmp_path, moving(figure()) + moving(figure())))
    assert len(clip.joints) == 6
    assert "holds a second HIERARCHY" in notes[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frame Time: 0.0333333", "Frame Time: 0", r"'Frame Time: 0' is not the seconds of a frame"),
        ("Frame Time: 0.0333333", "Frame Time: 33.3", r"'Frame Time: 33.3' is not the seconds"),
        ("Frame Time: 0.0333333", "", r"no 'Frames:' and 'Frame Time:'"),
        ("HIERARCHY", "HIER", r"no HIERARCHY"),
        ("CHANNELS 6 Xposition", "CHANNELS 6 Xscale", r"channel 'Xscale' is not read"),
        ("CHANNELS 6 Xposition", "CHANNELS 7 Xposition", r"joint 'mixamorig:Hips': channel 'JOINT'"),
        ("OFFSET 9 0 0", "OFFSET 9 zero 0", r"joint 'mixamorig:LeftUpLeg': OFFSET 9 zero 0"),
        ("MOTION", "}\nMOTION", r"a '}' too many"),
        ("}\nMOTION", "MOTION", r"joint 'mixamorig:Hips': cut short"),
        ("JOINT mixamorig:LeftLeg\n", "JOINT\n", r"a joint without a name"),
        ("mixamorig:LeftForeArm", "LeftSleeve", r"no node for left_elbow \(looked for LeftElbow, .*has mi"),
        ("JOINT mixamorig:Head\n", "JOINT mixamorig:Skull\n", r"no node for neck \(looked for Head\)"),
        ("OFFSET 0 -42 1", "OFFSET 0 0 0", r"LeftLeg \(left_knee\) lies on mixamorig:LeftUpLeg \(left_hip\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = moving(figure())
    assert old in text
    with pytest.raises(ValueError, match=r"walk\.bvh: .*" + message):
        read(save(tmp_path, text.replace(old, new, 1)))


def test_values_that_do_not_fit_name_their_line(tmp_path: Path) -> None:
    text = moving(figure())
    line = 1 + text[: text.index("Frame Time")].count("\n") + 1
    width = len(text.splitlines()[-1].split())
    wide = width + 3 * text.count(TURNS)
    with pytest.raises(
        ValueError, match=f"line {line} has {width} values where the CHANNELS of its joints are {wide}"
    ):
        read(save(tmp_path, text.replace(TURNS, f"CHANNELS 6 {ROOT}\n")))
    with pytest.raises(ValueError, match=r"line \d+: '0,5' is not a number; write decimal points"):
        read(save(tmp_path, text.rstrip() + " 0,5\n"))


def test_long_recordings_are_posed_block_by_block(tmp_path: Path) -> None:
    text = moving(figure(), frames=4100)
    motion = read_motion(save(tmp_path, text), print)
    wrist = next(i for i, node in enumerate(motion.nodes) if node.name == "mixamorig:LeftHand")
    head, _, rows = text.partition("MOTION")
    last = rows.splitlines()
    names, true = naive_joints(head + "MOTION\n" + "\n".join([*last[:3], *last[-2:]]))
    places = motion.positions([wrist])
    assert places.shape == (4100, 1, 3)
    np.testing.assert_allclose(places[-2:, 0], true[:, names.index("mixamorig:LeftHand")], atol=1e-9)


@pytest.mark.parametrize("shape", [(40, 44.5), (59.5, 42), (34, 40)])
def test_a_knee_drawn_too_low_or_high_does_not_hide_the_unit(
    tmp_path: Path, shape: tuple[float, float]
) -> None:
    """A real Xsens file has thighs of 595 mm and shanks of 418."""
    text = moving(figure().replace("0 -42 1", f"0 -{shape[0]} 1").replace("0 -43 -1", f"0 -{shape[1]} -1"))
    clip, _ = read(save(tmp_path, text))
    thigh = np.linalg.norm(joint(clip, "left_knee") - joint(clip, "left_hip"), axis=-1)
    np.testing.assert_allclose(thigh, np.hypot(shape[0], 1) / 100, atol=1e-5)


@pytest.mark.parametrize("metres", [1.0, 0.01, 0.001])
def test_a_childs_legs_tell_a_decimal_unit(tmp_path: Path, metres: float) -> None:
    """Of 1.3 m: those of a child in a public demo of several cameras."""
    thigh, shank = 0.28 / metres, 0.28 / metres
    text = moving(figure().replace("0 -42 1", f"0 -{thigh} 0").replace("0 -43 -1", f"0 -{shank} 0"))
    clip, _ = read(save(tmp_path, text))
    found = np.linalg.norm(joint(clip, "left_knee") - joint(clip, "left_hip"), axis=-1)
    np.testing.assert_allclose(found, 0.28, atol=1e-5)


def test_a_unit_that_is_none_known_can_be_given(tmp_path: Path) -> None:
    """Some studios' files have people 40 units tall."""
    text = moving(figure().replace("0 -42 1", "0 -10.5 1").replace("0 -43 -1", "0 -10.75 -1"))
    file = save(tmp_path, text)
    with pytest.raises(
        ValueError, match=r"walk\.bvh: a leg of 21\.3 .*fits no known unit; .*\(--unit 0\.04 makes"
    ):
        read(file)
    thigh = joint(read(file, unit="0.04")[0], "left_knee") - joint(read(file, unit="0.04")[0], "left_hip")
    np.testing.assert_allclose(np.linalg.norm(thigh, axis=-1), 0.04 * np.hypot(10.5, 1), atol=1e-5)
    with pytest.raises(ValueError, match="unit '-1' is not known"):
        read(file, unit="-1")


def test_people_who_lie_are_told_with_the_option_that_has_them_stand(tmp_path: Path) -> None:
    text = moving(figure())
    lines = text.splitlines()
    columns = lines[-1].split()
    for n in range(1, 7):  # a quarter turn about x: y up becomes z up
        row = lines[-n].split()
        lines[-n] = " ".join(["0", "0", "95", "0", "90", "0", *row[6 : len(columns)]])
    file = save(tmp_path, "\n".join(lines))
    clip, notes = read(file)
    assert "walk.bvh: people lie along z; if they stand, z is the file's vertical: --up z" in notes[0]
    clip, notes = read(file, up="z")
    assert notes == []
    assert (joint(clip, "head")[:, 2] > joint(clip, "left_ankle")[:, 2] + 1).all()
