"""Bodies and their kinematics against published lengths and hand-worked poses."""

import math

import pytest
import torch
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.body import (
    DOF,
    LIMITS_DEGREES,
    body_of,
    clamp_to_limits,
    limits,
    sample_bodies,
)
from posedata.synthetic.people.collision import segment_distance
from posedata.synthetic.people.kinematics import (
    ball,
    forward_kinematics,
    leg_angles,
    mean_bones,
    root_rotation,
    unball,
)

H36M = get_skeleton("h36m17")


def pose(body, **degrees):
    angles = torch.zeros(len(body.stature), 1, len(DOF))
    for name, value in degrees.items():
        angles[..., DOF[name]] = math.radians(value)
    origin = torch.zeros(len(body.stature), 1, 3)
    joints = forward_kinematics(body, angles, torch.eye(3).expand(len(body.stature), 1, 3, 3), origin)
    return {name: joints[0, 0, H36M.index(name)] for name in H36M.joints}


@pytest.mark.parametrize(
    ("name", "measured"), [("thigh", 0.39), ("shank", 0.43), ("upper_arm", 0.29), ("forearm", 0.27)]
)
def test_mean_lengths_are_those_measured_by_motion_capture(name, measured):
    people = sample_bodies(2000, torch.Generator().manual_seed(0))
    assert people.length(name).mean() == pytest.approx(measured, abs=0.03)
    assert 0.01 < people.length(name).std() < 0.04


def test_the_mean_body_has_the_lengths_of_the_table():
    """Thighs and shanks by hand; a hand lies a quarter of the forearm beyond the wrist."""
    itop = get_skeleton("itop15")
    found = dict(zip([itop.joints[child] for child, _ in itop.edges], mean_bones(itop).tolist(), strict=True))
    woman, man = 1.629, 1.756
    thigh = (woman * (0.3685 / 1.735 + 0.245) + man * (0.4222 / 1.741 + 0.245)) / 4
    shank = (woman * 0.4323 / 1.735 + man * 0.4340 / 1.741) / 2
    forearm = (woman * 0.2643 / 1.735 + man * 0.2689 / 1.741) / 2
    for side in ("left", "right"):
        assert found[f"{side}_knee"] == pytest.approx(thigh, abs=1e-4)
        assert found[f"{side}_foot"] == pytest.approx(shank, abs=1e-4)
        assert found[f"{side}_hand"] == pytest.approx(1.25 * forearm, abs=1e-4)


def test_statures_follow_ansur():
    people = sample_bodies(4000, torch.Generator().manual_seed(1))
    assert people.stature.min() >= 1.5
    assert people.stature.max() <= 2.0
    assert people.stature[people.male == 1].mean() == pytest.approx(1.756, abs=0.006)
    assert people.stature[people.male == 0].mean() == pytest.approx(1.632, abs=0.006)


@pytest.mark.parametrize("male", [0, 1])
def test_standing_height_is_the_stature(male):
    body = body_of(torch.tensor([male]), torch.tensor([1.7]))
    joints = pose(body)
    height = joints["head"][2] - joints["left_ankle"][2] + body.length("ankle")[0]
    assert height == pytest.approx(1.7, rel=0.03)


def test_signs_of_the_angles():
    body = body_of(torch.tensor([1]), torch.tensor([1.75]))
    rest = pose(body)
    assert rest["left_wrist"][1] > 0.1 > -0.1 > rest["right_wrist"][1]
    for side, sign in (("left", 1), ("right", -1)):
        up = pose(body, **{f"{side}_shoulder_flexion": 90})
        torch.testing.assert_close(
            up[f"{side}_wrist"] - up[f"{side}_shoulder"],
            torch.tensor([float(body.length("upper_arm") + body.length("forearm")), 0, 0]),
            atol=1e-5, rtol=0,
        )  # fmt: skip
        out = pose(body, **{f"{side}_hip_abduction": 40})
        assert sign * (out[f"{side}_ankle"] - out[f"{side}_hip"])[1] > 0.4
        curled = pose(body, **{f"{side}_knee_flexion": 90})
        assert (curled[f"{side}_ankle"] - curled[f"{side}_knee"])[0] < -0.3
        inward = pose(body, **{f"{side}_elbow_flexion": 90, f"{side}_shoulder_rotation": 60})
        assert sign * (inward[f"{side}_wrist"] - inward[f"{side}_elbow"])[1] < -0.2
    assert pose(body, lumbar_flexion=40)["head"][0] > rest["head"][0] + 0.3
    assert pose(body, lumbar_bend=20)["head"][1] < -0.1


def test_unball_inverts_ball():
    generator = torch.Generator().manual_seed(2)
    flexion, abduction, twist = (2 * torch.rand(3, 200, generator=generator, dtype=torch.float64) - 1) * 2
    twist[0] = flexion[1] = 0
    found = unball(ball(flexion, abduction, twist))
    torch.testing.assert_close(found, torch.stack([flexion, abduction, twist], -1), atol=1e-9, rtol=0)


def test_leg_angles_reach_the_ankle():
    generator = torch.Generator().manual_seed(3)
    body = sample_bodies(50, generator)
    rotation = root_rotation(*(0.4 * torch.randn(3, 50, 1, generator=generator)))
    position = torch.tensor([0.0, 0.0, 0.65]).expand(50, 1, 3)
    for side in ("left", "right"):
        ankle = torch.tensor([0.1, 0.0, 0.15]) + 0.1 * torch.randn(50, 1, 3, generator=generator)
        angles = torch.zeros(50, 1, len(DOF))
        first = DOF[f"{side}_hip_flexion"]
        toes = torch.tensor([1.0, 0.0, 0.0]).expand(50, 1, 3)
        angles[..., first : first + 4] = leg_angles(body, side, rotation, position, ankle, toes)
        joints = forward_kinematics(body, angles, rotation, position)
        torch.testing.assert_close(joints[:, :, H36M.index(f"{side}_ankle")], ankle, atol=2e-5, rtol=0)
        hip, knee = joints[:, :, H36M.index(f"{side}_hip")], joints[:, :, H36M.index(f"{side}_knee")]
        assert ((knee - (hip + ankle) / 2)[..., 0] > 0).all()


def test_limits_are_kept_by_clamping():
    wild = 10 * torch.randn(100, len(DOF), generator=torch.Generator().manual_seed(4))
    low, high = limits().unbind(-1)
    assert (wild - high).max() > 1
    kept = clamp_to_limits(wild)
    assert ((low <= kept) & (kept <= high)).all()
    bend = clamp_to_limits(torch.full((len(DOF),), 9.0))[DOF["left_knee_flexion"]]
    assert math.degrees(bend) == pytest.approx(LIMITS_DEGREES["left_knee_flexion"][1], abs=1e-4)


def test_segment_distance_against_a_dense_search():
    generator = torch.Generator().manual_seed(5)
    a, b = torch.randn(2, 40, 2, 3, generator=generator, dtype=torch.float64)
    a[0, 1] = a[0, 0]
    b[1] = a[1] + 0.3
    s = torch.linspace(0, 1, 401, dtype=torch.float64)[:, None]
    along = [x[:, None, 0] * (1 - s) + x[:, None, 1] * s for x in (a, b)]
    searched = torch.cdist(*along).flatten(1).amin(1)
    torch.testing.assert_close(segment_distance(a, b), searched, atol=2e-3, rtol=0)
