"""`examine`: people as they are pass, whatever they do; each kind of fault is found, and its cure named."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from posedata.cli import app
from posedata.inspection.bodies import Poses, collapsed, equal_sides, knees, proportions
from posedata.inspection.checks import is_fault
from posedata.inspection.continuity import check_motion
from posedata.inspection.cures import axis_cure
from posedata.inspection.examine import Findings, examine
from posedata.inspection.pictures import check_keypoints
from posedata.inspection.report import check_units
from posedata.inspection.upright import check_upright
from posedata.prepare.run import prepare
from posedata.skeleton import SKELETONS
from posedata.store import PoseStore, StoreWriter, write_store
from posedata.synthetic.hands import build_hands
from posedata.synthetic.people.build import build_synthetic
from posedata.synthetic.rendering import render_store
from posedata.views import RIGS, add_views
from typer.testing import CliRunner

H36M, COCO = SKELETONS["h36m17"], SKELETONS["coco17"]
SHARED = Path(__file__).resolve().parents[3] / "../shared"
CASES, MOTION = SHARED / "cases", SHARED / "data/motion"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
needs_motion = pytest.mark.skipif(not MOTION.is_dir(), reason="needs ../shared/data/motion")
META = {"skeleton": "h36m17", "fps": 30, "source": "test", "licence": "none"}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PoseStore:
    """Three people, eight kinds of motion."""
    folder = tmp_path_factory.mktemp("people")
    return PoseStore.open(build_synthetic(folder / "store", subjects=3, clips=8, frames=20, seed=1))


def changed(people: PoseStore, folder: Path, joints: np.ndarray, **meta: Any) -> PoseStore:
    """The same rows with other joints."""
    rows = {name: np.array(people.column(name)) for name in ("subject", "sequence", "action", "frame")}
    known = {name: people.meta[name] for name in ("subjects", "sequences", "actions")}
    return PoseStore.open(write_store(folder / "store", {"joints": joints, **rows}, META | known | meta))


def joints_of(people: PoseStore) -> np.ndarray:
    return np.array(people.column("joints"))


def poses_of(joints: np.ndarray) -> Poses:
    none = np.zeros(len(joints), dtype=np.int64)
    return Poses(H36M, joints.astype(np.float64), none, none, ("all",))


def quiet(found: Findings) -> bool:
    return found.faults == () == found.warnings


def test_synthetic_people_pass_without_a_word(people: PoseStore, tmp_path: Path) -> None:
    assert quiet(examine(people))
    assert quiet(examine(people, sample=50, sequences=5))
    views = add_views(people.path, tmp_path / "views", RIGS["mocap"], 2, None, 1, rows=np.arange(0, 480, 20))
    assert quiet(examine(PoseStore.open(views)))
    for kinect in (False, True):
        out = tmp_path / f"rendered{kinect}"
        seen = PoseStore.open(render_store(views, out, size=(48, 64), seed=0, kinect=kinect))
        found = examine(seen)
        assert quiet(found)
        depth = found.report["depth"]
        known = seen.images(np.arange(len(seen)), "depth")
        assert depth["median_m"] == pytest.approx(np.median(known[known > 0]) / 1000, abs=0.05)
    hands = PoseStore.open(build_hands(tmp_path / "hands", 4, seed=0, size=32, workers=1))
    assert quiet(examine(hands))
    columns = {"joints": 1000 * np.array(hands.column("joints"))}
    wrong = write_store(tmp_path / "mm", columns, META | {"skeleton": "interhand42"})
    (fault,) = examine(PoseStore.open(wrong)).faults
    assert fault.startswith("units: a palm of ")
    assert "these look like millimetres" in fault


def test_steps_are_judged_across_the_views_of_a_frame(people: PoseStore, tmp_path: Path) -> None:
    views = add_views(people.path, tmp_path / "views", RIGS["mocap"], 2, None, 1, rows=np.arange(40))
    assert check_motion(PoseStore.open(views))["steps"] == 38  # two sequences of 20 frames


TURNED = {
    "x": lambda j: j[..., [2, 0, 1]],
    "y": lambda j: np.stack([j[..., 0], j[..., 2], -j[..., 1]], -1),
    "-y": lambda j: np.stack([j[..., 0], -j[..., 2], j[..., 1]], -1),
    "-x": lambda j: np.stack([-j[..., 2], j[..., 1], j[..., 0]], -1),
    "-z": lambda j: j * [1, -1, -1],
}


@pytest.mark.parametrize("axis", TURNED)
def test_the_cure_of_another_axis_turns_it_up(people: PoseStore, tmp_path: Path, axis: str) -> None:
    joints = joints_of(people)
    found = check_units(changed(people, tmp_path, TURNED[axis](joints)))
    assert found["along"] == axis
    said = "z, not along z upwards" if axis == "-z" else f"{axis}, not along z"
    assert found["verdict"].startswith(f"people stand along {said}")
    formula = found["verdict"].partition("(")[2].partition(")")[0]
    again = eval(formula, {"joints": TURNED[axis](joints)})  # what the message says to do
    apart, before = (np.linalg.norm(j - j[:, :1], axis=-1) for j in (again, joints))
    np.testing.assert_allclose(apart, before, atol=1e-5)
    assert check_upright(people, poses_of(again))["along"] == "z"
    assert knees(poses_of(again))["verdict"] == "ok"  # turned, not mirrored


@pytest.mark.parametrize(
    ("form", "options", "along", "cure"),
    [
        ("bvh", {"up": "y"}, "-y", "prepare the store again with --up z"),
        ("bvh", {"up": "z"}, "y", "prepare the store again with --up y"),
        ("bvh", {"up": "y"}, "y", "turn z up (joints"),  # y was down: no option helps
        (
            "3dpw",
            {"up": "auto"},
            "y",
            "prepare the store again with --up and the recording's own vertical axis",
        ),
        ("joints", {}, "y", "turn z up (joints[..., [0, 2, 1]] * [1, -1, 1])"),
    ],
)
def test_the_cure_is_the_formats_own(
    tmp_path: Path, form: str, options: dict[str, str], along: str, cure: str
) -> None:
    with StoreWriter(tmp_path / "s", META | {"format": form}) as writer:
        writer.add_columns({"joints": np.ones((1, 17, 3))})
        writer.add_json("sources.json", {"options": options, "notes": []})
    assert axis_cure(PoseStore.open(tmp_path / "s"), along).startswith(cure)


def lying(joints: np.ndarray) -> np.ndarray:
    """On their backs on a floor, along y, at rest."""
    across = joints[0, H36M.index("left_hip")] - joints[0, H36M.index("right_hip")]
    turn = np.pi / 2 - np.arctan2(across[1], across[0])
    about = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return ((joints - joints[:, :1]) @ about.T)[..., [1, 2, 0]] + np.array([0.0, 3.0, 0.15])


def test_who_lies_on_the_floor_is_no_fault(people: PoseStore, tmp_path: Path) -> None:
    joints = joints_of(people)
    some = joints.copy()
    some[:160] = lying(joints[:160])  # the first of three people
    assert examine(changed(people, tmp_path, some)).faults == ()
    straight = next(
        rows for rows in np.split(np.arange(480), 24) if not knees(poses_of(joints[rows]))["bent"]
    )
    one = check_upright(people, poses_of(lying(joints[straight])))
    assert not is_fault(one["verdict"])
    assert one["warning"].startswith("people lie along y; if they should stand: turn z up")


@pytest.mark.parametrize(
    ("scale", "unit"), [(1000, "millimetres"), (100, "centimetres"), (39.37, "inches"), (3.281, "feet")]
)
def test_another_unit_is_one_fault_and_other_faults_are_seen_through_it(
    people: PoseStore, tmp_path: Path, scale: float, unit: str
) -> None:
    (fault,) = examine(changed(people, tmp_path, joints_of(people) * scale)).faults
    assert f"these look like {unit}; divide the joints by {scale:g} and prepare the store again" in fault
    both = TURNED["y"](joints_of(people)) * scale
    (fault,) = examine(changed(people, tmp_path / "y", both)).faults
    assert f"these look like {unit}" in fault
    assert "people stand along y, not along z" in fault


def test_joints_in_the_order_of_another_skeleton_are_named(people: PoseStore, tmp_path: Path) -> None:
    joints = coco(people)
    found = examine(changed(people, tmp_path, joints))
    assert any(
        "the order of coco17; put the joints in the order of h36m17" in fault for fault in found.faults
    )
    found = examine(changed(people, tmp_path / "mm", joints * 1000))
    assert any("millimetres in the order of coco17" in fault for fault in found.faults)


def coco(people: PoseStore) -> np.ndarray:
    """Limbs where they are, the face around the head."""
    joints = joints_of(people)
    face = joints[:, H36M.index("neck")]
    near = {"nose": (0, 0), "left_eye": (-0.03, 0.03), "right_eye": (0.03, 0.03), "left_ear": (-0.07, 0.02)}
    out = np.zeros_like(joints)
    for i, name in enumerate(COCO.joints):
        if name in H36M.joints:
            out[:, i] = joints[:, H36M.index(name)]
        else:
            x, z = near.get(name, (0.07, 0.02))
            out[:, i] = face + np.array([x, 0, z])
    return out


def shortened(joints: np.ndarray, side: str, factor: float) -> np.ndarray:
    out = joints.copy()
    elbow, wrist = H36M.index(f"{side}_elbow"), H36M.index(f"{side}_wrist")
    out[:, wrist] = out[:, elbow] + factor * (joints[:, wrist] - joints[:, elbow])
    return out


def test_proportions_of_nobody_are_a_fault_and_uneven_sides_are_told(
    people: PoseStore, tmp_path: Path
) -> None:
    joints = joints_of(people)
    both = shortened(shortened(joints, "left", 0.55), "right", 0.55)
    verdict = proportions(poses_of(both))["verdict"]
    assert verdict.startswith("all's forearms have ")
    assert verdict.endswith("no human has such proportions")
    found = examine(changed(people, tmp_path, both))
    assert [fault for fault in found.faults if fault.startswith("proportions: ")]
    uneven = equal_sides(poses_of(shortened(joints, "left", 0.95)))
    assert uneven["verdict"] == "ok"
    left, right = (int(word) for word in uneven["warning"].partition("forearms ")[2].split()[:3:2])
    assert left / right == pytest.approx(0.95, abs=0.01)
    assert equal_sides(poses_of(shortened(joints, "left", 0.7)))["verdict"].endswith("nobody is so uneven")


def test_a_few_odd_people_of_many_are_a_warning(people: PoseStore) -> None:
    joints = joints_of(people)
    poses = poses_of(joints)
    subject = np.zeros(len(joints), dtype=np.int64)
    subject[:30] = 1  # of 480
    joints[:30] = shortened(shortened(joints[:30], "left", 0.5), "right", 0.5)
    poses = dataclasses.replace(poses_of(joints), subject=subject, names=("most", "few"))
    found = proportions(poses)
    assert found["verdict"] == "ok"
    assert found["warning"].startswith("few's forearms")


def test_joints_in_one_place_are_named(people: PoseStore, tmp_path: Path) -> None:
    joints = joints_of(people)
    joints[:, H36M.index("head")] = joints[:, H36M.index("neck")]
    assert collapsed(poses_of(joints))["verdict"] == "neck and head (a bone of 0 mm) lie in one place"
    assert (
        "joints: neck and head (a bone of 0 mm) lie in one place"
        in examine(changed(people, tmp_path, joints)).faults
    )
    joints = joints_of(people)
    joints[:24, H36M.index("left_wrist")] = joints[:24, H36M.index("right_wrist")]
    found = collapsed(poses_of(joints))
    assert found["verdict"] == "ok"
    assert found["warning"] == "left_wrist and right_wrist lie in one place in 5.0% of frames"


@pytest.mark.parametrize("what", ["swapped", "mirrored"])
def test_knees_tell_left_from_right_without_a_step(people: PoseStore, what: str) -> None:
    joints = joints_of(people)
    assert knees(poses_of(joints))["forward"] == 1.0
    wrong = joints[:, list(H36M.mirror)] if what == "swapped" else joints * [1, -1, 1]
    found = knees(poses_of(wrong))
    assert found["forward"] == 0.0
    assert found["verdict"] == (
        "100% of bent knees bend backwards: left and right are swapped, or axes mirrored"
    )
    half = np.concatenate([joints, wrong])
    assert "warning" in knees(poses_of(half))


def test_jumps_and_frozen_sequences_are_told(people: PoseStore, tmp_path: Path) -> None:
    joints = joints_of(people)
    joints[30:] += [0, 3.0, 0]  # half-way through the second sequence
    joints[40:60] = joints[40]
    found = check_motion(changed(people, tmp_path, joints))
    assert (found["steps"], found["jumps"], found["frozen"]) == (24 * 19, 1, 1)
    assert found["verdict"] == "ok"
    name = people.names("sequence")
    assert "1 of 456 steps are jumps, first" in found["warning"]
    assert f"pelvis by 3 m in 0.033 s ({name[1]})" in found["warning"]
    assert f"1 of 24 sequences stand still to the last bit, first {name[2]}" in found["warning"]
    mixed = joints_of(people)
    mixed[::2] += [0, 3.0, 0]
    verdict = check_motion(changed(people, tmp_path / "mixed", mixed))["verdict"]
    assert verdict.startswith("456 of 456 steps are jumps")


def seen(count: int = 8) -> dict[str, Any]:
    """Keypoints of a 100x80 image, camera and box, without 3D."""
    pixels = np.random.default_rng(0).uniform([5, 5], [95, 75], (count, 17, 2))
    return {
        "joints": np.zeros((count, 17, 3)),
        "valid": np.zeros((count, 17), bool),
        "keypoints_found": np.concatenate([pixels, np.full((count, 17, 1), 0.9)], -1),
        "camera": np.zeros(count, int),
        "camera_focal": np.full((1, 2), 100.0),
        "camera_centre": np.array([[50.0, 40.0]]),
        "camera_rotation": np.eye(3)[None],
        "camera_translation": np.zeros((1, 3)),
        "camera_distortion": np.zeros((1, 5)),
        "camera_size": np.array([[100, 80]]),
    }


def outside(content: dict[str, Any]) -> None:
    content["keypoints_found"][2, 3, :2] = (-500, 9000)


def percent(content: dict[str, Any]) -> None:
    content["keypoints_found"][..., 2] *= 100


def scaled(content: dict[str, Any]) -> None:
    content["keypoints_found"][..., :2] /= 100


def unseen(content: dict[str, Any]) -> None:
    content["keypoints_found"][:, :2, :2] = 0


def large(content: dict[str, Any]) -> None:
    content["keypoints_found"][..., :2] *= 10


def flat(content: dict[str, Any]) -> None:
    content["boxes"] = np.tile([10.0, 10.0, 10.0, 50.0], (8, 1))


PIXELS = {
    "outside": (outside, "warning", "keypoints_found: 1 keypoints lie far outside their images, farthest"
                " {joint} of row 2 at (-500, 9000)"),
    "percent": (percent, "fault", "confidences run from 90 to 90, not 0 to 1; divide them by 100"),
    "scaled": (scaled, "fault", "all keypoints lie within 2 pixels of (0, 0): they are scaled"),
    "unseen": (unseen, "fault", "11.8% of known keypoints lie at (0, 0); give confidence 0 where"),
    "large": (large, "fault", "of keypoints lie outside their images"),
    "flat": (flat, "fault", "boxes: 8 of 8 are empty, first 10 10 10 50 of row 0; give x0 < x1 and y0 < y1"),
}  # fmt: skip


@pytest.mark.parametrize("case", PIXELS)
def test_keypoints_that_are_no_pixels_of_their_image_are_told(tmp_path: Path, case: str) -> None:
    assert quiet(examine(PoseStore.open(write_store(tmp_path / "right", seen(), META))))
    change, kind, message = PIXELS[case]
    content = seen()
    change(content)
    found = examine(PoseStore.open(write_store(tmp_path / "wrong", content, META)))
    told = {"fault": found.faults, "warning": found.warnings}[kind]
    assert any(message.format(joint=H36M.joints[3]) in text for text in told), told


def test_without_a_camera_keypoints_are_held_against_their_box(tmp_path: Path) -> None:
    content = {name: values for name, values in seen().items() if not name.startswith("camera")}
    content["boxes"] = np.tile([0.0, 0.0, 100.0, 80.0], (8, 1))
    outside(content)
    store = PoseStore.open(write_store(tmp_path / "s", content, META))
    assert "far outside their boxes" in check_keypoints(store, np.arange(8))["keypoints_found"]["warning"]


def test_depth_of_nothing_and_of_no_camera_is_a_fault(tmp_path: Path) -> None:
    for name, values, said in (
        ("none", (0, 0), "all of 2 images looked at are empty (0 everywhere)"),
        ("half", (0, 3000), "1 of 2 images looked at are empty"),
        ("tum", (24_000, 12_000), "values of 12 to 24 m are not a depth camera's; give --depth-scale"),
    ):
        with StoreWriter(tmp_path / name, META) as writer:
            writer.add_images(depth=np.stack([np.full((8, 6), value, np.uint16) for value in values]))
            writer.add_columns({"joints": np.zeros((2, 17, 3)), "valid": np.zeros((2, 17), bool)})
            writer.add_columns({"image": np.arange(2), "boxes": np.tile([0.0, 0, 6, 8], (2, 1))})
        found = examine(PoseStore.open(tmp_path / name))
        told = found.warnings if name == "half" else found.faults
        assert any(said in text for text in told), (name, found)


def test_inspect_prints_what_is_odd_and_does_not_fail_for_it(people: PoseStore, tmp_path: Path) -> None:
    store = changed(people, tmp_path, shortened(joints_of(people), "left", 0.95))
    result = CliRunner().invoke(app, ["inspect", str(store.path), "--json", str(tmp_path / "r.json")])
    assert result.exit_code == 0
    assert "odd left and right limbs: " in result.stdout
    assert "nothing else wrong was found" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["warnings"][0].startswith("left and right limbs: ")


@needs_motion
def test_cmus_bvh_is_found_and_its_asf_passes(tmp_path: Path) -> None:
    bvh = examine(PoseStore.open(prepare("bvh", MOTION / "cmu_12_01_walk.bvh", tmp_path / "bvh")))
    (fault,) = bvh.faults
    assert fault.startswith("proportions: 12's forearms have 156 mm, upper arms 270")
    assert fault.endswith("take the original, for CMU its ASF and AMC")
    (odd,) = bvh.warnings
    assert "thighs 336 and 345 mm" in odd
    assert examine(PoseStore.open(prepare("asf_amc", MOTION, tmp_path / "asf"))).faults == ()


@needs_cases
def test_a_z_up_bvh_read_as_y_up_names_its_option(tmp_path: Path) -> None:
    store = PoseStore.open(prepare("bvh", CASES / "bvh_ok", tmp_path / "s", up="z"))
    assert examine(store).faults == (
        "units: people stand along y, not along z; prepare the store again with --up y",
    )
    store = PoseStore.open(prepare("bvh", CASES / "bvh_ok", tmp_path / "m", unit="m"))
    (fault,) = examine(store).faults
    assert "these look like centimetres; prepare the store again with --unit cm" in fault


@pytest.mark.skipif(not (SHARED / "data/mocap").is_dir(), reason="needs ../shared/data/mocap")
def test_no_sequence_of_real_motion_capture_is_at_fault(people: PoseStore) -> None:
    with np.load(SHARED / "data/mocap/open_joints.npz") as held:
        joints, sequence = held["joints"][::3], held["seq"][::3]
    for rows in np.split(np.arange(len(sequence)), np.flatnonzero(np.diff(sequence)) + 1)[::8]:
        poses = poses_of(joints[rows])
        found = [check(poses) for check in (proportions, equal_sides, collapsed, knees)]
        found.append(check_units(people, poses))
        assert not [one for one in found if is_fault(one["verdict"])]
        assert check_units(people, poses_of(TURNED["-y"](joints[rows])))["along"] == "-y"
