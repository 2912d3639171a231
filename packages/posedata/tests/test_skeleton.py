import re
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.skeleton import APPROXIMATIONS, MIDPOINTS, SKELETONS, Skeleton, get_skeleton

MOCAP = Path(__file__).resolve().parents[3] / "../shared/data/mocap/open_joints.npz"


def pose(skeleton: Skeleton, dims: int = 3) -> torch.Tensor:
    return torch.randn(2, len(skeleton), dims, generator=torch.Generator().manual_seed(len(skeleton)))


def at(joints: torch.Tensor, skeleton: Skeleton, name: str) -> torch.Tensor:
    return joints[..., skeleton.index(name), :]


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_has_as_many_joints_as_its_name_says_and_a_symmetric_tree(name: str) -> None:
    skeleton = get_skeleton(name)
    assert len(skeleton) == int("".join(c for c in name[3:] if c.isdigit())[-2:])
    mirror = skeleton.mirror
    assert [mirror[m] for m in mirror] == list(range(len(skeleton)))
    mirrored = [-1 if p < 0 else mirror[p] for p in skeleton.parents]
    pair = {skeleton.index("left_wrist"), skeleton.root} if name == "interhand42" else set()
    for joint, parent in enumerate(skeleton.parents):
        assert joint in pair or mirrored[mirror[joint]] == parent
    assert len(skeleton.edges) == len(skeleton) - 1
    for joint, other in enumerate(mirror):
        sided = skeleton.joints[joint].startswith(("left_", "right_"))
        assert sided == (joint != other)


def test_human36m_joints_1_to_3_are_the_right_leg() -> None:
    h36m = get_skeleton("h36m17")
    assert h36m.joints[1:4] == ("right_hip", "right_knee", "right_ankle")
    assert h36m.joints[11:14] == ("left_shoulder", "left_elbow", "left_wrist")
    assert h36m.mirror == (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13)


@pytest.mark.skipif(not MOCAP.exists(), reason="the shared motion capture is not here")
def test_real_motion_capture_agrees_on_parents_and_on_which_side_is_left() -> None:
    h36m = get_skeleton("h36m17")
    with np.load(MOCAP) as data:
        assert tuple(data["parents"].tolist()) == h36m.parents
        joints = torch.from_numpy(data["joints"][::397].astype(np.float64))
    across = at(joints, h36m, "left_hip") - at(joints, h36m, "right_hip")
    up = at(joints, h36m, "thorax") - at(joints, h36m, "pelvis")
    facing = torch.linalg.cross(across, up)
    for side in ("left", "right"):
        knee = at(joints, h36m, f"{side}_knee")
        thigh = at(joints, h36m, f"{side}_hip") - knee
        shank = at(joints, h36m, f"{side}_ankle") - knee
        # A knee bends forwards: where it leaves the middle of hip and ankle clearly, it lies ahead of it.
        ahead = -((thigh + shank) * facing).sum(-1) / facing.norm(dim=-1) / 2
        bent = ahead.abs() > 0.05
        assert bent.sum() > 50
        assert (ahead[bent] > 0).double().mean() > 0.98


def test_itop_order_and_bones_are_the_published_ones() -> None:
    itop = get_skeleton("itop15")
    bones = {(0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (1, 8), (8, 9), (8, 10), (9, 11)}
    bones |= {(10, 12), (11, 13), (12, 14)}
    assert {tuple(sorted(edge)) for edge in itop.edges} == bones
    assert itop.joints[6:8] == ("right_hand", "left_hand")


def test_ntu_and_smpl_and_3dhp_parents_are_the_published_ones() -> None:
    published = [2, 1, 21, 3, 21, 5, 6, 7, 21, 9, 10, 11, 1, 13, 14, 15, 1, 17, 18, 19, 2, 8, 8, 12, 12]
    published[0] = 0  # the file pairs joints 1 and 2 with each other; SpineBase is the root
    assert [p + 1 for p in get_skeleton("ntu25").parents] == published
    smpl = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
    assert get_skeleton("smpl24").parents == smpl
    hands = [6, 9, 10, 11, 12, 6, 14, 15, 16, 17]
    legs = [5, 19, 20, 21, 22, 5, 24, 25, 26, 27]
    dhp = [3, 1, 4, 5, 0, 2, 6, 7, *hands, *legs]
    assert [p + 1 for p in get_skeleton("mpi_inf_3dhp28").parents] == dhp


def test_panoptic15_is_the_first_fifteen_of_panoptic19() -> None:
    assert get_skeleton("panoptic19").joints[:15] == get_skeleton("panoptic15").joints
    assert get_skeleton("panoptic19").joints[15:] == ("left_eye", "left_ear", "right_eye", "right_ear")


# As the owners print them: the categories of COCO's person_keypoints files, OpenPose's
# POSE_BODY_25_BODY_PARTS (doc/02_output.md), Halpe-FullBody's README (its first 26),
# MediaPipe's PoseLandmark. NTU RGB+D's names are as its users quote them: its owner's code has bones alone.
PUBLISHED = {
    "coco17": (
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    ),
    "ntu25": (
        "spine_base spine_middle neck head left_shoulder left_elbow left_wrist left_hand right_shoulder "
        "right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip right_knee "
        "right_ankle right_foot spine left_hand_tip left_thumb right_hand_tip right_thumb"
    ),
    "openpose25": (
        "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee "
        "LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
    ),
    "halpe26": (
        "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee Rknee "
        "LAnkle RAnkle Head Neck Hip LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel"
    ),
    "mediapipe33": (
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear "
        "right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip "
        "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index"
    ),
}
OURS = {
    "neck": "shoulder_centre",
    "mid_hip": "pelvis",
    "mouth_left": "left_mouth",
    "mouth_right": "right_mouth",
}
NTU = {"spine_base": "pelvis", "spine_middle": "spine", "head": "head_centre", "spine": "thorax"}
OURS |= {f"{s}_{theirs}": f"{s}_{ours}" for s in ("left", "right") for theirs, ours in
         (("pinky", "little1"), ("index", "index1"), ("thumb", "thumb2"))}  # fmt: skip


def _ours(theirs: str, skeleton: str) -> str:
    """LBigToe -> left_big_toe; the few words that mean another joint here, by `OURS`."""
    if skeleton == "ntu25":
        return NTU.get(theirs, theirs)
    if skeleton in ("openpose25", "halpe26"):
        sided = re.fullmatch(r"([LR])([A-Zk].*)", theirs)  # "Rknee" so printed
        side = {"L": "left_", "R": "right_"}[sided[1]] if sided else ""
        theirs = side + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", sided[2] if sided else theirs).lower()
    if theirs == "hip" and skeleton == "halpe26":
        return "pelvis"
    return OURS.get(theirs, theirs)


@pytest.mark.parametrize("name", PUBLISHED)
def test_joints_stand_in_the_order_their_owner_publishes(name: str) -> None:
    skeleton = get_skeleton(name)
    assert list(skeleton.joints) == [_ours(word, name) for word in PUBLISHED[name].split()]


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [("coco17", [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]),
     ("ntu25", [4, 5, 6, 7, 12, 13, 14, 15, 21, 22], [8, 9, 10, 11, 16, 17, 18, 19, 23, 24]),
     ("openpose25", [5, 7, 12, 14, 16, 18, 19, 21], [2, 4, 9, 11, 15, 17, 22, 24]),
     ("halpe26", [1, 5, 9, 11, 15, 20, 22, 24], [2, 6, 10, 12, 16, 21, 23, 25]),
     ("mediapipe33", [1, 7, 9, 11, 15, 17, 21, 27, 31], [4, 8, 10, 12, 16, 18, 22, 28, 32])],
)  # fmt: skip
def test_mirror_pairs_published_indices(name: str, left: list[int], right: list[int]) -> None:
    assert [get_skeleton(name).mirror[i] for i in left] == right


# The lines that the owners draw: POSE_BODY_25_PAIRS_RENDER_GPU, l_pair of Halpe's and AlphaPose's vis.py,
# MediaPipe's POSE_CONNECTIONS, COCO's "skeleton" counted from 0; then the bones added here.
DRAWN = {
    "coco17": (
        "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6",
        "",
    ),
    "openpose25": (
        "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 14-19 19-20 "
        "14-21 11-22 22-23 11-24",
        "",
    ),
    "halpe26": (
        "0-1 0-2 1-3 2-4 5-18 6-18 5-7 7-9 6-8 8-10 17-18 18-19 19-11 19-12 11-13 12-14 13-15 14-16 20-24 "
        "21-25 23-25 22-24 15-24 16-25",
        "0-18",
    ),
    "mediapipe33": (
        "0-1 1-2 2-3 3-7 0-4 4-5 5-6 6-8 9-10 11-12 11-13 13-15 15-17 15-19 15-21 17-19 12-14 14-16 16-18 "
        "16-20 16-22 18-20 11-23 12-24 23-24 23-25 24-26 25-27 26-28 27-29 28-30 29-31 30-32 27-31 28-32",
        "9-0 10-0 11-7 12-8",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_bones_are_lines_that_the_owner_draws(name: str) -> None:
    drawn, added = ({tuple(sorted(map(int, pair.split("-")))) for pair in t.split()} for t in DRAWN[name])
    bones = {tuple(sorted(edge)) for edge in get_skeleton(name).edges}
    assert bones - drawn == added
    if name in ("openpose25", "halpe26"):  # trees but for what was added; the others draw rings
        assert drawn <= bones


@pytest.mark.parametrize("name", ["openpose25", "halpe26", "mediapipe33", "coco17"])
def test_detectors_sets_become_human36m(name: str) -> None:
    source, h36m = get_skeleton(name), get_skeleton("h36m17")
    joints = pose(source, dims=2)
    # A person's own points: what is a midpoint by definition is one.
    for made, parts in (("pelvis", "hip"), ("shoulder_centre", "shoulder")):
        if made in source.joints:
            joints[:, source.index(made)] = (
                at(joints, source, f"left_{parts}") + at(joints, source, f"right_{parts}")
            ) / 2
    made = source.convert(joints, h36m, lossy=True)
    hips = (at(joints, source, "left_hip") + at(joints, source, "right_hip")) / 2
    shoulders = (at(joints, source, "left_shoulder") + at(joints, source, "right_shoulder")) / 2
    eyes = (at(joints, source, "left_eye") + at(joints, source, "right_eye")) / 2
    top = at(joints, source, "head") if name == "halpe26" else eyes
    want = [hips] + [
        at(joints, source, f"{s}_{j}") for s in ("right", "left") for j in ("hip", "knee", "ankle")
    ]
    want += [(hips + shoulders) / 2, shoulders, at(joints, source, "nose"), top]
    want += [
        at(joints, source, f"{s}_{j}") for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")
    ]
    torch.testing.assert_close(made, torch.stack(want, dim=1))


def test_conversion_goes_by_name_and_knows_the_usual_17_of_3dhp() -> None:
    dhp, h36m = get_skeleton("mpi_inf_3dhp28"), get_skeleton("h36m17")
    joints = pose(dhp)
    usual = [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
    assert torch.equal(dhp.convert(joints, h36m), joints[:, usual])


def test_midpoints_are_exact() -> None:
    coco, panoptic = get_skeleton("coco17"), get_skeleton("panoptic15")
    joints = pose(coco)
    made = coco.convert(joints, panoptic)
    hips = (joints[:, 11] + joints[:, 12]) / 2
    shoulders = (joints[:, 5] + joints[:, 6]) / 2
    torch.testing.assert_close(made[:, 2], hips)
    torch.testing.assert_close(made[:, 0], shoulders)
    torch.testing.assert_close(made[:, 14], joints[:, 16])
    itop = get_skeleton("itop15")
    torso = coco.convert(joints, itop, lossy=True)[:, itop.index("torso")]
    torch.testing.assert_close(torso, (hips + shoulders) / 2)


def test_what_cannot_be_had_is_named_and_only_that() -> None:
    coco, h36m = get_skeleton("coco17"), get_skeleton("h36m17")
    with pytest.raises(ValueError, match="no spine, thorax, neck, head; lossy=True") as error:
        coco.convert(pose(coco), h36m)
    assert "pelvis" not in str(error.value)
    with pytest.raises(ValueError, match=r"no nose, left_eye, right_eye, left_ear, right_ear$"):
        h36m.convert(pose(h36m), coco, lossy=True)


def test_lossy_conversion_uses_the_declared_approximations() -> None:
    coco, h36m = get_skeleton("coco17"), get_skeleton("h36m17")
    joints = pose(coco, dims=2)
    made = coco.convert(joints, h36m, lossy=True)
    hips, shoulders = joints[:, 11:13].mean(1), joints[:, 5:7].mean(1)
    torch.testing.assert_close(at(made, h36m, "spine"), (hips + shoulders) / 2)
    torch.testing.assert_close(at(made, h36m, "thorax"), shoulders)
    torch.testing.assert_close(at(made, h36m, "neck"), joints[:, 0])
    torch.testing.assert_close(at(made, h36m, "head"), joints[:, 1:3].mean(1))
    itop = get_skeleton("itop15")
    hand = at(coco.convert(joints, itop, lossy=True), itop, "right_hand")
    torch.testing.assert_close(hand, 1.25 * joints[:, 10] - 0.25 * joints[:, 8])


@pytest.mark.parametrize("rules", [MIDPOINTS, APPROXIMATIONS])
def test_rules_are_translation_invariant_and_symmetric(rules: dict) -> None:
    def swapped(word: str) -> str:
        sides = {"left": "right", "right": "left"}
        return "_".join(sides.get(part, part) for part in word.split("_"))

    for name, alternatives in rules.items():
        for rule in alternatives:
            assert sum(share for _, share in rule) == pytest.approx(1.0)
        mirrored = [{swapped(part): share for part, share in rule} for rule in alternatives]
        assert mirrored == [dict(rule) for rule in rules[swapped(name)]]


def test_a_nan_in_a_joint_that_is_not_needed_does_no_harm_and_gradients_flow() -> None:
    ntu, itop = get_skeleton("ntu25"), get_skeleton("itop15")
    joints = pose(ntu).double()
    joints[:, ntu.index("left_thumb")] = torch.nan
    joints.requires_grad_()
    made = ntu.convert(joints, itop)
    assert made.isfinite().all()
    made.sum().backward()
    assert joints.grad is not None
    assert joints.grad[0, ntu.index("left_shoulder"), 0].item() == pytest.approx(1 + 0.5 + 0.25)


def test_flip_swaps_sides_and_is_its_own_inverse() -> None:
    h36m = get_skeleton("h36m17")
    joints = pose(h36m)
    flipped = h36m.flip(joints)
    assert torch.equal(
        at(flipped, h36m, "left_wrist"), at(joints, h36m, "right_wrist") * torch.tensor([-1, 1, 1])
    )
    assert torch.equal(h36m.flip(flipped), joints)


def test_malformed_skeletons_are_refused() -> None:
    with pytest.raises(ValueError, match="repeat: a"):
        Skeleton("x", ("a", "a"), (-1, 0))
    with pytest.raises(ValueError, match="2 joints but 1 parents"):
        Skeleton("x", ("a", "b"), (-1,))
    for parents in ((-1, -1), (-1, 1), (1, 0), (-1, 7)):
        with pytest.raises(ValueError, match="not a tree"):
            Skeleton("x", ("a", "b"), parents)
    with pytest.raises(ValueError, match="has no joint 'right_a'"):
        _ = Skeleton("x", ("left_a",), (-1,)).mirror
    with pytest.raises(ValueError, match="known are h36m17, coco17"):
        get_skeleton("h36m")
    with pytest.raises(ValueError, match="has 17 joints, the array has 16"):
        get_skeleton("h36m17").convert(torch.zeros(16, 3), get_skeleton("h36m17"))
