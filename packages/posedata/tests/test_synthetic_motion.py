"""What the generated motion promises: rigid bones, natural ranges, planted feet, no limb in another."""

import math

import numpy as np
import pytest
import torch
from posedata.skeleton import get_skeleton
from posedata.synthetic import generate_motion
from posedata.synthetic.people.actions import ACTIONS
from posedata.synthetic.people.body import body_of, limits, sample_bodies
from posedata.synthetic.people.collision import ARM_PAIRS, LEG_PAIRS, penetration
from posedata.synthetic.people.curves import WALK, minimum_jerk, periodic
from posedata.synthetic.people.motion import TOLERANCE

H36M = get_skeleton("h36m17")
J = {name: H36M.index(name) for name in H36M.joints}
ANKLES = [J["left_ankle"], J["right_ankle"]]
SUBJECTS, FRAMES = 6, 90


@pytest.fixture(scope="module")
def motion():
    return generate_motion(SUBJECTS, len(ACTIONS), FRAMES, seed=7)


@pytest.fixture(scope="module")
def clips(motion):
    return motion.joints.reshape(-1, FRAMES, 17, 3)


def action_of(motion, name):
    return motion.action.reshape(-1, FRAMES)[:, 0] == motion.action_names.index(name)


def test_same_seed_same_bytes_other_seed_other_motion(motion):
    again = generate_motion(SUBJECTS, len(ACTIONS), FRAMES, seed=7)
    assert again.joints.tobytes() == motion.joints.tobytes()
    assert again.sequence_names == motion.sequence_names
    other = generate_motion(1, 2, FRAMES, seed=8)
    assert np.abs(other.joints - motion.joints[: 2 * FRAMES]).max() > 0.1


@pytest.mark.parametrize("frames", [2, 5])
def test_short_clips_are_finite(frames):
    """Of seed 2, some runners are never in flight in so short a time, and others are."""
    joints = generate_motion(3, 9, frames, seed=2).joints
    assert np.isfinite(joints).all()
    assert np.abs(joints[..., 2]).max() < 3


def test_columns_name_every_frame(motion):
    assert len(motion.joints) == SUBJECTS * len(ACTIONS) * FRAMES
    assert (np.bincount(motion.subject) == len(ACTIONS) * FRAMES).all()
    assert (np.bincount(motion.action) == SUBJECTS * FRAMES).all()
    for row in (0, 1234, len(motion.joints) - 1):
        name = motion.sequence_names[motion.sequence[row]]
        subject = motion.subject_names[motion.subject[row]]
        assert name.startswith(f"{subject}_{motion.action_names[motion.action[row]]}_")
        assert motion.frame[row] == row % FRAMES


def test_bones_are_rigid_alike_on_both_sides_and_of_their_body(motion, clips):
    for child, parent in H36M.edges:
        length = np.linalg.norm(clips[:, :, child] - clips[:, :, parent], axis=-1)
        length = length.reshape(SUBJECTS, -1)
        assert np.ptp(length, axis=1).max() < 2e-5, H36M.joints[child]
    thigh = np.linalg.norm(motion.joints[:, J["left_knee"]] - motion.joints[:, J["left_hip"]], axis=-1)
    expected = motion.bodies.length("thigh").numpy()[motion.subject]
    np.testing.assert_allclose(thigh, expected, atol=2e-5)


def test_angles_stay_within_limits_and_move_smoothly(motion, clips):
    low, high = limits().numpy().T
    assert max((low - motion.angles).max(), (motion.angles - high).max()) <= 1e-6
    speed = np.linalg.norm(np.diff(clips, axis=1), axis=-1) * motion.fps
    assert np.percentile(speed, 99.9) < 9
    assert speed.max() < 16


def test_no_limb_runs_through_another(motion):
    joints = torch.from_numpy(motion.joints)
    assert penetration(joints, ARM_PAIRS + LEG_PAIRS).max() <= TOLERANCE + 1e-4


def test_penetration_is_that_of_capsules():
    body = body_of(torch.tensor([1]), torch.tensor([1.75]))
    still = ACTIONS["wave"](body, 2, 30.0, torch.Generator().manual_seed(0)).joints(body)[0, 0]
    crossed = still.clone()
    crossed[J["left_elbow"]] = still[J["spine"]] + torch.tensor([0.3, 0.0, 0.0])
    crossed[J["left_wrist"]] = still[J["spine"]] - torch.tensor([0.3, 0.0, 0.0])
    depth = penetration(crossed, (("left_fore", "trunk"),))
    assert depth.item() == pytest.approx(0.135, abs=1e-5)


def test_feet_stand_on_the_floor(motion, clips):
    sole = motion.bodies.length("ankle").numpy()[motion.subject].reshape(-1, FRAMES)
    lowest = clips[:, :, ANKLES, 2].min(-1) - sole
    assert lowest.min() > -TOLERANCE - 1e-4
    airborne = action_of(motion, "jump") | action_of(motion, "run")
    assert lowest[~airborne].max() < 0.01
    assert lowest[action_of(motion, "jump")].max() > 0.1


def stance_speed(clips, fps):
    """Speed (m/s) of the lower ankle at each step of time."""
    feet = clips[:, :, ANKLES]
    speed = np.linalg.norm(np.diff(feet, axis=1), axis=-1) * fps
    lower = (feet[:, 1:, :, 2] + feet[:, :-1, :, 2]).argmin(-1)
    return np.take_along_axis(speed, lower[..., None], -1)[..., 0]


def test_feet_do_not_slide(motion, clips):
    walking = stance_speed(clips[action_of(motion, "walk")], motion.fps)
    assert np.median(walking) < 0.06
    assert np.percentile(walking, 90) < 0.35
    for name in ("wave", "reach", "sit", "squat", "bend", "lunge", "free"):
        assert np.percentile(stance_speed(clips[action_of(motion, name)], motion.fps), 99) < 0.05, name


def test_walkers_go_forward_with_the_left_foot_on_the_left():
    body = sample_bodies(30, torch.Generator().manual_seed(1))
    joints = ACTIONS["walk"](body, 120, 30.0, torch.Generator().manual_seed(2)).joints(body)
    step = joints[:, 30:, 0, :2] - joints[:, :-30, 0, :2]
    speed = torch.linalg.vector_norm(step, dim=-1)
    assert 0.6 < speed.mean() < 1.7
    apart = joints[:, 15:-15, J["left_ankle"], :2] - joints[:, 15:-15, J["right_ankle"], :2]
    leftness = (step[..., 0] * apart[..., 1] - step[..., 1] * apart[..., 0]) / speed
    assert (leftness.mean(1) > 0.08).all()


def test_arms_swing_against_the_legs():
    body = sample_bodies(40, torch.Generator().manual_seed(3))
    gait = ACTIONS["walk"](body, 90, 30.0, torch.Generator().manual_seed(4))
    joints = gait.joints(body)
    forward = gait.rotation[..., 0]
    leg = ((joints[:, :, J["left_ankle"]] - joints[:, :, 0]) * forward).sum(-1)
    arm = ((joints[:, :, J["left_wrist"]] - joints[:, :, J["left_shoulder"]]) * forward).sum(-1)
    correlation = [float(np.corrcoef(x, y)[0, 1]) for x, y in zip(leg.numpy(), arm.numpy(), strict=True)]
    assert np.median(correlation) < -0.6


def test_sitters_sit_and_squatters_go_low(motion, clips):
    height = clips[:, :, 0, 2]
    assert height[action_of(motion, "sit")].min(1).mean() == pytest.approx(0.48, abs=0.1)
    assert height[action_of(motion, "squat")].min() < 0.6
    assert height[action_of(motion, "wave")].min() > 0.7


def test_poses_vary_so_that_the_mean_pose_is_a_poor_guess():
    joints = torch.from_numpy(generate_motion(12, len(ACTIONS), 20, seed=0).joints)
    relative = joints - joints[:, :1]
    assert 200 < 1000 * torch.linalg.vector_norm(relative - relative.mean(0), dim=-1).mean() < 300


def test_heading_and_place_are_random():
    hips = generate_motion(20, 5, 2, seed=3).joints[::2]
    left = hips[:, J["left_hip"]] - hips[:, J["right_hip"]]
    quadrant = np.floor(np.arctan2(left[:, 1], left[:, 0]) / (math.pi / 2)).astype(int)
    assert (np.unique(quadrant, return_counts=True)[1] > 10).all()
    assert hips[:, 0, :2].std(0).min() > 0.8


def test_gait_curve_passes_through_its_table():
    phase = torch.arange(20, dtype=torch.float64) / 20
    knee = periodic(WALK["knee"], phase)
    assert (knee - torch.tensor(WALK["knee"], dtype=torch.float64)).abs().max() < 3
    torch.testing.assert_close(periodic(WALK["knee"], phase + 3), knee)


def test_minimum_jerk_starts_and_ends_at_rest():
    s = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    value = minimum_jerk(s)
    (slope,) = torch.autograd.grad(value.sum(), s)
    assert value.tolist() == [0.0, 0.5, 1.0]
    assert slope.tolist() == [0.0, 1.875, 0.0]


@pytest.mark.parametrize("wrong", [(0, 1, 10), (1, 0, 10), (1, 1, 1)])
def test_impossible_counts_are_refused(wrong):
    with pytest.raises(ValueError, match="generate_motion"):
        generate_motion(*wrong, seed=0)
