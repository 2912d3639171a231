"""Synthetic hands: real bones, limits, no hand through another, and pictures that show what they say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.readers.files.interhand import read_interhand
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.synthetic.hands import HAND_RIG, HandRenderer, build_hands, sample_scenes
from posedata.synthetic.hands.flesh import WRIST_DEGREES, Arm, forearm, sample_arm
from posedata.synthetic.hands.hand import (
    FINGERS,
    LENGTHS_MM,
    forward_kinematics,
    limits,
    penetration,
    sample_angles,
    sample_hands,
    sample_lengths,
    segments,
    self_collides,
)
from posedata.synthetic.hands.scene import touch

SAMPLE = Path(__file__).resolve().parents[3] / "../shared/data/interhand/test_interhand2.6m_data.json"
needs_interhand = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the shared InterHand2.6M sample is not here"
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_interhand_order_is_the_published_one() -> None:
    skeleton = get_skeleton("interhand42")
    assert skeleton.joints[:5] == (*(f"right_thumb{k}" for k in (4, 3, 2, 1)), "right_index4")
    assert (skeleton.index("right_wrist"), skeleton.index("left_wrist")) == (20, 41)
    assert skeleton.mirror == (*range(21, 42), *range(21))


def test_kinematics_keep_lengths_and_bend_by_the_angles() -> None:
    lengths, angles = sample_lengths(50, generator()), sample_angles(50, generator(1))
    bones = segments(forward_kinematics(lengths, angles))
    along = bones[:, :, 1] - bones[:, :, 0]
    torch.testing.assert_close(along.norm(dim=-1).view(50, 5, 4), lengths, rtol=1e-4, atol=1e-6)
    unit = torch.nn.functional.normalize(along, dim=-1).view(50, 5, 4, 3)
    bend = (unit[:, :, 2:] * unit[:, :, 1:-1]).sum(-1).clamp(-1, 1).acos()
    torch.testing.assert_close(bend, angles[..., 2:].abs(), rtol=0, atol=2e-3)


def test_a_flat_hand_lies_flat_and_a_bent_finger_points_into_the_palm() -> None:
    lengths = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS]) / 1000
    flat = forward_kinematics(lengths, torch.zeros(5, 4))
    middle = sum(LENGTHS_MM["middle"]) / 1000
    torch.testing.assert_close(flat[8], torch.tensor([middle, 0.0, 0.0]))
    assert flat[4:20, 2].abs().max() < 0.01
    assert flat[0, 1] > 0.06  # the thumb on its side
    bent = torch.zeros(5, 4)
    bent[2, 0] = math.pi / 2
    tip = forward_kinematics(lengths, bent)[8]
    torch.testing.assert_close(tip, torch.tensor([0.0836, 0.0, -(middle - 0.0836)]), rtol=0, atol=1e-6)


def test_angles_keep_their_limits_and_reach_into_them() -> None:
    angles = sample_angles(4000, generator())
    low, high = limits().unbind(-1)
    assert (angles >= low - 1e-6).all()
    assert (angles <= high + 1e-6).all()
    reached = (angles.amax(0) - angles.amin(0)) / (high - low)
    assert reached.min() > 0.9
    coupled = angles[:, 1:, 3] / angles[:, 1:, 2].clamp(min=0.5)
    assert coupled[angles[:, 1:, 2] > 0.6].median() == pytest.approx(2 / 3, abs=0.02)


@needs_interhand
def test_real_hands_have_the_synthetic_ones_bones() -> None:
    """The six hands of four real pictures: every segment within three spreads and the wrist's vagueness."""
    split = read_interhand(SAMPLE)
    hands = split.joints.view(-1, 21, 3)[split.valid.view(-1, 21).all(1)]
    assert len(hands) == 6
    bones = segments(hands)
    length = (bones[:, :, 1] - bones[:, :, 0]).norm(dim=-1).view(6, 5, 4).mean(0) * 1000
    expected = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS])
    ratio = length / expected
    assert ratio.min() > 0.75
    assert ratio.max() < 1.3
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert not self_collides(sample_hands(50, generator())).any()


def test_hands_of_a_pair_meet_and_do_not_run_through_each_other() -> None:
    scenes = sample_scenes(300, generator())
    both = scenes.kind == 2
    depth = penetration(scenes.joints[both, :21], scenes.joints[both, 21:])
    assert depth.max() < 0.0025
    assert depth.min() > -0.025
    assert both.float().mean() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(scenes.valid[:, 20], scenes.kind != 1)
    assert torch.equal(scenes.valid[:, 41], scenes.kind != 0)
    assert (scenes.joints[~scenes.valid] == 0).all()


def test_hands_that_touch_give_by_two_millimetres_and_keep_bones_and_limits() -> None:
    """At most 2.2 mm of overlap; the right hand is the one that was given, the left one moved as it is."""
    right, left = sample_hands(200, generator()), sample_hands(200, generator(1)) * torch.tensor([1.0, -1, 1])
    pairs = touch(right, left, generator(2))
    depth = penetration(pairs[:, :21], pairs[:, 21:])
    assert depth.max() <= 0.0022 + 1e-6
    touching = depth > 0.0015
    assert touching.float().mean() > 0.9  # the others were put where nothing meets
    assert torch.equal(pairs[:, :21], right)
    torch.testing.assert_close(
        torch.cdist(pairs[:, 21:], pairs[:, 21:]), torch.cdist(left, left), atol=1e-5, rtol=0
    )
    scenes = sample_scenes(300, generator(), interacting=1.0, touching=1.0)
    bones = segments(scenes.joints.view(300, 2, 21, 3))
    length = (bones[..., 1, :] - bones[..., 0, :]).norm(dim=-1).view(600, 5, 4).mean(0) * 1000
    expected = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS])
    torch.testing.assert_close(length, expected, rtol=0.02, atol=0)


def test_touching_pairs_meet_in_more_ways() -> None:
    """Palm on back as well as palm to palm."""

    def backs(share: float) -> torch.Tensor:
        hands = sample_scenes(400, generator(), interacting=1.0, touching=share).joints.view(400, 2, 21, 3)
        forward, across = hands[:, :, 11] - hands[:, :, 20], hands[:, :, 7] - hands[:, :, 19]
        out = torch.linalg.cross(forward, across) * torch.tensor([1.0, -1.0])[:, None]
        out = torch.nn.functional.normalize(out, dim=-1)
        return (out[:, 0] * out[:, 1]).sum(-1)

    assert (backs(0.0) > 0).float().mean() < 0.02
    assert 0.4 < (backs(1.0) > 0).float().mean() < 0.6


@pytest.mark.parametrize("left", [False, True])
def test_a_forearm_leaves_the_wrist_by_its_angles(left: bool) -> None:
    """Straight: along -x; flexed by 30 degrees: towards the palm (-z); deviated: towards the thumb."""
    lengths = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS]) / 1000
    thumb = -1.0 if left else 1.0
    hand = (forward_kinematics(lengths, torch.zeros(5, 4)) * torch.tensor([1.0, thumb, 1.0])).numpy()
    hand[19, 2] = hand[7, 2]  # knuckles in one plane
    angle = math.radians(30)
    for arm, expected in (
        (Arm(), (-1, 0, 0)),
        (Arm(flexion=angle), (-math.cos(angle), 0, -math.sin(angle))),
        (Arm(deviation=angle), (-math.cos(angle), thumb * math.sin(angle), 0)),
    ):
        found = forearm(hand, arm, left=left)
        np.testing.assert_allclose(found / 0.0836, expected, atol=1e-5)
    arms = [sample_arm(np.random.default_rng(seed)) for seed in range(300)]
    bends = np.rad2deg([(arm.flexion, arm.deviation) for arm in arms])
    low, high = np.array(WRIST_DEGREES).T
    assert (bends >= low).all()
    assert (bends <= high).all()
    assert bends.std(0) == pytest.approx([25, 10], rel=0.15)


def test_arms_are_drawn_where_they_are_asked_for() -> None:
    """A forearm to the elbow covers more of the picture than a short sleeve."""
    joints, valid = flat_hand(), torch.arange(42) < 21
    camera = Camera.look_at(torch.tensor([0.0, 0.0, 0.8]), torch.zeros(3), 200.0, (160, 160))
    short, long = (
        HandRenderer((160, 160), arms=arms).render(
            joints, valid, camera, generator=generator(), background="noise"
        ).mask.sum()
        for arms in (False, True)
    )  # fmt: skip
    assert long > 1.15 * short


def test_left_hands_are_mirrored_right_hands() -> None:
    """The thumb lies on the other side of (knuckles, back of the hand)."""
    scenes = sample_scenes(200, generator(3))

    def handedness(hand: torch.Tensor) -> torch.Tensor:
        forward, across = hand[:, 11] - hand[:, 20], hand[:, 7] - hand[:, 19]
        into_palm = (hand[:, [5, 9, 13]] - hand[:, [7, 11, 15]]).mean(1)  # middle joints of bent fingers
        return (torch.linalg.cross(forward, across) * into_palm).sum(-1)

    right = handedness(scenes.joints[scenes.kind != 1, :21])
    left = handedness(scenes.joints[scenes.kind != 0, 21:])
    assert (right < 0).float().mean() > 0.9
    assert (left > 0).float().mean() > 0.9


def flat_hand() -> torch.Tensor:
    lengths = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS]) / 1000
    hand = forward_kinematics(lengths, torch.zeros(5, 4))
    return torch.cat([hand - hand[11], torch.zeros(21, 3)])


def test_a_picture_shows_the_hand_at_its_joints_pixels_and_depth() -> None:
    """A flat right hand from behind: its joints lie on the mask, and flesh hides them by its thickness."""
    joints, valid = flat_hand(), torch.arange(42) < 21
    camera = Camera.look_at(torch.tensor([0.0, 0.0, 0.6]), torch.zeros(3), 500.0, (160, 160))
    made = HandRenderer((160, 160)).render(joints, valid, camera, generator=generator(), background="noise")
    pixels = camera.project(joints)[:20].round().long()
    assert made.mask[pixels[:, 1], pixels[:, 0]].all()
    assert made.visible[:20].all()
    assert not made.visible[21:].any()
    depth = made.depth[pixels[:, 1], pixels[:, 0]] / 1000
    thick = camera.world_to_camera(joints)[:20, 2].numpy() - depth
    assert (thick > 0.004).all()
    assert (thick < 0.016).all()
    with pytest.raises(ValueError, match="neither hand has all of its 21 joints"):
        HandRenderer((160, 160)).render(joints, valid & (torch.arange(42) > 0), camera, generator=generator())


def test_palm_and_back_can_be_told_apart() -> None:
    """From either side of one hand the same pixel has another colour, light alike; nails show on one only."""
    joints, valid = flat_hand(), torch.arange(42) < 21
    colours = []
    for z in (0.6, -0.6):
        camera = Camera.look_at(torch.tensor([0.0, 0.0, z]), torch.zeros(3), 500.0, (160, 160))
        made = HandRenderer((160, 160)).render(
            joints, valid, camera, generator=generator(), background="noise"
        )
        x, y = camera.project(joints)[10].round().long().tolist()
        colours.append(made.rgb[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0))
    back, palm = (colour / np.linalg.norm(colour) for colour in colours)
    assert np.linalg.norm(back - palm) > 0.02


def test_a_store_of_hands_is_whole_and_the_same_again(tmp_path) -> None:
    first = build_hands(tmp_path / "a", 6, seed=4, size=48, kinds=("rgb", "depth"))
    store = PoseStore.open(first, verify=True)
    again = PoseStore.open(build_hands(tmp_path / "b", 6, seed=4, size=48, kinds=("rgb", "depth")))
    assert store.fingerprint == again.fingerprint
    columns = store.tensors(["joints", "valid", "boxes", "keypoints_true", "action"])
    pixels = store.camera().project(columns["joints"])
    torch.testing.assert_close(pixels[columns["valid"]], columns["keypoints_true"][..., :2][columns["valid"]])
    assert torch.equal(columns["keypoints_true"][..., 2] > 0, columns["valid"])
    tight = bounding_box(pixels, columns["valid"], margin=0.0)
    side = (tight[:, 2:] - tight[:, :2]).amax(-1, keepdim=True).expand(-1, 2)
    torch.testing.assert_close(columns["boxes"][:, 2:] - columns["boxes"][:, :2], 1.25 * side)
    distance = store.camera().world_to_camera(columns["joints"])[..., 2][columns["valid"]]
    assert distance.min() > HAND_RIG.distance[0] - 0.25
    with pytest.raises(FileExistsError):
        build_hands(tmp_path / "a", 6, size=48)
