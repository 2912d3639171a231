"""ASF/AMC and BVH: hand-written files with closed-form positions, and CMU's real clips."""

from pathlib import Path

import numpy as np
import pytest
from posedata.prepare import prepare
from posedata.readers import read_asf_amc, read_bvh
from posedata.readers._clips import files_of, names_of
from posedata.readers.asf_amc import bone_ends, read_amc, read_asf
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

DATA = Path(__file__).resolve().parents[3] / "../shared/data"
MOTION = DATA / "motion"
needs_motion = pytest.mark.skipif(
    not (MOTION.is_dir() and (DATA / "mocap/open_joints.npz").is_file()), reason="needs ../shared/data"
)
H36M = get_skeleton("h36m17").joints

ASF = """\
:version 1.10
:name two
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0 -1 0
     length 7
     axis 0 0 30 XYZ
    dof rx rz
    limits (-160.0 20.0)
           (-70.0 70.0)
  end
  begin
     id 2
     name shin
     direction 0 -1 0
     length 6
     axis 0 0 0 XYZ
    dof rx
    limits (-10.0 170.0)
  end
:hierarchy
  begin
    root thigh
    thigh shin
  end
"""
AMC = """\
#!OML:ASF two.ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
thigh 0 0
shin 0
2
root 1 2 3 0 90 0
thigh 90 0
shin 90
3
root 0 0 0 0 0 0
thigh 0 90
shin 0
"""
UNIT = 0.0254 / 0.45


@pytest.fixture
def two_bones(tmp_path: Path) -> Path:
    (tmp_path / "two.asf").write_text(ASF)
    (tmp_path / "two.amc").write_text(AMC)
    return tmp_path


def test_two_bones_stand_where_trigonometry_puts_them(two_bones: Path) -> None:
    amc = two_bones / "two.amc"
    ends = bone_ends(read_asf(two_bones / "two.asf"), read_amc(amc), amc)
    root = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(ends["thigh"][0], (root - [0, 7, 0]) * UNIT, atol=1e-12)
    np.testing.assert_allclose(ends["shin"][0], (root - [0, 13, 0]) * UNIT, atol=1e-12)
    # Frame 2. The thigh's own x axis is (cos 30, sin 30, 0): a quarter turn about it by Rodrigues, then the
    # shin's quarter turn about x within that, then the root's quarter turn about y, by which z becomes x.
    thigh = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6), 0])
    about_thigh = np.outer(thigh, thigh) + np.cross(np.eye(3), thigh)
    about_y = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    knee = root + about_y @ about_thigh @ [0, -7, 0]
    ankle = knee + about_y @ about_thigh @ [0, 0, -6]
    np.testing.assert_allclose(ends["thigh"][1], knee * UNIT, atol=1e-12)
    np.testing.assert_allclose(ends["shin"][1], ankle * UNIT, atol=1e-12)
    # Frame 3. A quarter turn about z, which the axis (also about z) leaves as it is.
    np.testing.assert_allclose(ends["thigh"][2], np.array([7, 0, 0]) * UNIT, atol=1e-12)
    np.testing.assert_allclose(ends["shin"][2], np.array([13, 0, 0]) * UNIT, atol=1e-12)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("two.amc", "shin 90", "shin 90 4", r"two\.amc: frame 2: 'shin' has 2 values, its ASF says 1"),
        ("two.amc", "thigh 0 90\n", "", r"two\.amc: frame 3: 'thigh' has 0 values"),
        ("two.amc", "thigh 90 0", "thigh 90 zero", r"two\.amc: line 10 is not a bone of a frame"),
        ("two.asf", "length 0.45", "", r"two\.asf: field ':units length' is missing"),
        ("two.asf", "length 6", "", r"two\.asf: bone 'shin': length is missing, wanted a number"),
        ("two.asf", "0 0 30 XYZ", "0 0 30 ZYX", r"bone 'thigh': axis order ZYX is not read"),
        ("two.asf", "thigh shin\n", "hip shin\n", r"hierarchy names 'shin' before its bone or parent"),
        ("two.asf", "name shin", "name", r"hierarchy names 'shin' before its bone or parent"),
        ("two.asf", "dof rx rz", "dof rx l", r"bone 'thigh': dof is 'rx l', only rx, ry and rz are read"),
        ("two.asf", "length 6", "length six", r"bone 'shin': length is 'six', wanted a number; correct it"),
        ("two.asf", "0 0 30 XYZ", "0 30", r"bone 'thigh': axis is '0 30', wanted 3 numbers; correct it"),
    ],
)
def test_a_broken_asf_or_amc_names_its_fault(
    two_bones: Path, file: str, old: str, new: str, message: str
) -> None:
    text = (two_bones / file).read_text()
    assert old in text
    (two_bones / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_asf_amc(two_bones)


def test_a_skeleton_that_is_not_cmus_is_refused_by_bone_names(two_bones: Path) -> None:
    with pytest.raises(ValueError, match="its ASF lacks the bones head, lclavicle"):
        read_asf_amc(two_bones)


def test_an_amc_needs_one_asf_that_fits(two_bones: Path) -> None:
    (two_bones / "other.asf").write_text(ASF)
    (two_bones / "two.amc").rename(two_bones / "three.amc")
    with pytest.raises(ValueError, match="2 ASF files fit it there"):
        read_asf_amc(two_bones / "three.amc")


def test_names_of_files() -> None:
    assert names_of(Path("07_05-walk.amc")) == ("07", "07_05", "walk")
    assert names_of(Path("cmu_12_01_walk.bvh")) == ("12", "12_01", "walk")
    assert names_of(Path("35/35_01.amc")) == ("35", "35_01", "unknown")
    assert names_of(Path("anna/kick.bvh")) == ("anna", "kick", "unknown")


def test_a_folder_without_such_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.bvh file there"):
        files_of(tmp_path, ".bvh")


SIDE = """
JOINT {side}UpLeg {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
 JOINT {side}Leg {{ OFFSET 0 -40 0 CHANNELS 3 Zrotation Yrotation Xrotation
  JOINT {side}Foot {{ OFFSET 0 -40 0 CHANNELS 3 Zrotation Yrotation Xrotation
   End Site {{ OFFSET 0 0 10 }} }} }} }}
"""
ARM = """
JOINT {side}Shoulder {{ OFFSET 0 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
 JOINT {side}Arm {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
  JOINT {side}ForeArm {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
   JOINT {side}Hand {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
    End Site {{ OFFSET {x} 0 0 }} }} }} }} }}
"""


def write_bvh(path: Path) -> Path:
    """A figure with 40 cm leg bones and 20 cm arm bones; frame 1 the rest pose, 2 bends, 3 turns it."""
    joints = [SIDE.format(side="Left", x=10), SIDE.format(side="Right", x=-10)]
    trunk = "JOINT Spine { OFFSET 0 20 0 CHANNELS 3 Zrotation Yrotation Xrotation\n"
    trunk += ARM.format(side="Left", x=20) + ARM.format(side="Right", x=-20)
    trunk += "JOINT Neck { OFFSET 0 30 0 CHANNELS 3 Zrotation Yrotation Xrotation\n"
    trunk += "JOINT Head { OFFSET 0 10 0 CHANNELS 3 Zrotation Yrotation Xrotation\n"
    trunk += "End Site { OFFSET 0 15 0 } } } }\n"
    hips = "ROOT Hips { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
    text = "HIERARCHY\n" + hips + "".join(joints) + trunk + "}\n"
    count = text.count("CHANNELS 3")
    rest = [0.0] * (6 + 3 * count)
    bend, turn = list(rest), list(rest)
    bend[:3], bend[9 + 2] = [5.0, 90.0, 0.0], 90.0  # left knee about x
    turn[:3], turn[4] = [0.0, 90.0, 0.0], 90.0  # hips about y
    text = text.replace("{", "\n{\n").replace("}", "\n}\n").replace(" CHANNELS", "\nCHANNELS")
    motion = "\n".join(" ".join(f"{v:g}" for v in frame) for frame in (rest, bend, turn, turn))
    path.write_text(f"{text}MOTION\nFrames: 4\nFrame Time: 0.01\n{motion}\n")
    return path


def test_bvh_positions_are_closed_form_in_metres_and_z_up(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    folder.mkdir()
    data = read_bvh(write_bvh(folder / "kick.bvh"))
    joints = data.columns["joints"]
    assert joints.shape == (3, 17, 3)  # the rest pose is left out
    assert (data.meta["fps"], data.meta["subjects"], data.meta["sequences"]) == (100, ["anna"], ["kick"])
    expected = {
        "pelvis": (0.05, 0, 0.9),
        "left_hip": (0.15, 0, 0.9),
        "left_knee": (0.15, 0, 0.5),
        "left_ankle": (0.15, 0.4, 0.5),  # (0, -40, 0) turned about x to (0, 0, -40), which is y = +0.4
        "right_ankle": (-0.05, 0, 0.1),
        "thorax": (0.05, 0, 1.4),
        "head": (0.05, 0, 1.65),
        "left_wrist": (0.65, 0, 1.1),
        "right_elbow": (-0.35, 0, 1.1),
    }
    for name, place in expected.items():
        np.testing.assert_allclose(joints[0, H36M.index(name)], place, atol=1e-6, err_msg=name)
    # A quarter turn about the vertical takes x to -z of the file, which is +y here.
    np.testing.assert_allclose(joints[1, H36M.index("left_hip")], (0, 0.1, 0.9), atol=1e-6)


def test_bvh_units_and_rates(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    folder.mkdir()
    file = write_bvh(folder / "kick.bvh")
    assert len(read_bvh(file, fps=50).columns["joints"]) == 2
    with pytest.raises(ValueError, match="cannot keep 30 by skipping"):
        read_bvh(file, fps=30)
    in_mm = read_bvh(file, unit="mm").columns["joints"]
    np.testing.assert_allclose(in_mm * 10, read_bvh(file).columns["joints"], atol=1e-6)
    with pytest.raises(ValueError, match="unit 'ell' is not known"):
        read_bvh(file, unit="ell")
    file.write_text(file.read_text().replace("LeftForeArm", "LeftSleeve"))
    with pytest.raises(ValueError, match=r"kick\.bvh: no node for left_elbow"):
        read_bvh(file)
    whole = file.read_text()
    file.write_text(whole[: whole.index("Frame Time")] + "Frame Time: 0.01\n")
    with pytest.raises(ValueError, match=r"kick\.bvh: is not a BVH file"):
        read_bvh(file)
    file.write_text("HIERARCHY\nROOT")
    with pytest.raises(ValueError, match=r"kick\.bvh: is not a BVH file"):
        read_bvh(file)


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    with np.load(DATA / "mocap/open_joints.npz", allow_pickle=False) as file:
        names, seq, joints = file["seq_names"].tolist(), file["seq"], file["joints"]
    wanted = ("07_05", "09_06", "131_04", "35_01", "35_07", "12_01")
    return {name: joints[seq == names.index(name)] for name in wanted}


@needs_motion
def test_cmu_clips_coincide_with_the_same_clips_prepared_elsewhere(
    tmp_path: Path, known: dict[str, np.ndarray]
) -> None:
    store = PoseStore.open(prepare("asf_amc", MOTION, tmp_path / "store", fps=30))
    assert store.names("subject") == ["07", "09", "131", "35"]
    assert store.names("action") == ["dance", "run", "unknown", "walk"]
    for sequence in store.names("sequence"):
        joints = store.column("joints")[store.rows(sequences=[sequence])]
        assert joints.shape == known[sequence].shape
        np.testing.assert_allclose(joints, known[sequence], atol=1e-5, err_msg=sequence)


@needs_motion
def test_cmu_bvh_has_the_legs_of_its_asf_and_the_short_trunk_it_is_known_for(
    known: dict[str, np.ndarray],
) -> None:
    data = read_bvh(MOTION / "cmu_12_01_walk.bvh", fps=30)
    joints, true = data.columns["joints"], known["12_01"]
    assert joints.shape == true.shape
    assert (data.meta["subjects"], data.meta["sequences"]) == (["12"], ["12_01"])
    error = np.linalg.norm(joints - true, axis=-1).max(axis=0) * 1000
    legs = [H36M.index(n) for n in H36M if n.split("_")[-1] in ("hip", "knee", "ankle", "pelvis", "spine")]
    assert error[legs].max() < 0.05
    thorax = H36M.index("thorax")
    shorter = np.linalg.norm(true[:, thorax] - true[:, 0], axis=-1)
    shorter -= np.linalg.norm(joints[:, thorax] - joints[:, 0], axis=-1)
    assert 80 < shorter.mean() * 1000 < 130
