"""Body frame, universal skeleton, torso units: closed forms, invariances and what must not change."""

import math

import pytest
import torch
from posedata import get_skeleton
from posedata.geometry.camera import Camera
from posedata.geometry.canonical import (
    body_rotation,
    bone_lengths,
    facing_x,
    in_torsos,
    normalise_on_torso,
    to_body_frame,
    torso_across,
    torso_length,
    torso_seen,
    universal_lengths,
    with_bone_lengths,
)

H36M, COCO = get_skeleton("h36m17"), get_skeleton("coco17")


def poses(count: int = 6) -> torch.Tensor:
    """People of random limbs about an upright body, double precision."""
    generator = torch.Generator().manual_seed(3)
    upright = torch.zeros(17, 3, dtype=torch.float64)
    for name, place in {
        "right_hip": (0.0, 0.1, 0.0), "left_hip": (0.0, -0.1, 0.0), "spine": (0.0, 0.0, 0.25),
        "thorax": (0.0, 0.0, 0.5), "neck": (0.0, 0.0, 0.6), "head": (0.0, 0.0, 0.7),
        "right_knee": (0.0, 0.1, -0.4), "left_knee": (0.0, -0.1, -0.4),
        "right_ankle": (0.0, 0.1, -0.8), "left_ankle": (0.0, -0.1, -0.8),
        "right_shoulder": (0.0, 0.2, 0.5), "left_shoulder": (0.0, -0.2, 0.5),
        "right_elbow": (0.0, 0.5, 0.5), "left_elbow": (0.0, -0.5, 0.5),
        "right_wrist": (0.0, 0.7, 0.5), "left_wrist": (0.0, -0.7, 0.5),
    }.items():  # fmt: skip
        upright[H36M.index(name)] = torch.tensor(place, dtype=torch.float64)
    return upright + 0.05 * torch.randn(count, 17, 3, generator=generator, dtype=torch.float64)


def rotation(*angles: float) -> torch.Tensor:
    turned = torch.eye(3, dtype=torch.float64)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3, dtype=torch.float64)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        turned = turn @ turned
    return turned


def test_a_pose_that_stands_right_is_not_turned() -> None:
    pose = poses(1)[0]
    for name, place in (("pelvis", (0, 0, 0)), ("left_hip", (0, -0.13, 0)), ("right_hip", (0, 0.13, 0)),
                        ("spine", (0, 0, 0.3))):  # fmt: skip
        pose[H36M.index(name)] = torch.tensor(place, dtype=torch.float64)
    torch.testing.assert_close(body_rotation(pose, H36M), torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("angles", [(0.4, -1.1, 2.5), (3.1, 0.0, 0.0), (0.0, 1.57, -2.0)])
def test_the_body_frame_forgets_where_the_person_stood(angles: tuple[float, ...]) -> None:
    pose = poses()
    moved = pose @ rotation(*angles).mT + torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(to_body_frame(moved, H36M), to_body_frame(pose, H36M))


def test_a_mirrored_pose_is_not_turned_into_itself() -> None:
    """Proper rotations only: a raised left hand must stay a left hand's."""
    pose = poses(1)
    mirrored = H36M.flip(pose)
    rotations = body_rotation(mirrored, H36M)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(1, dtype=torch.float64))
    assert (to_body_frame(mirrored, H36M) - to_body_frame(pose, H36M)).norm() > 0.1


def test_no_rotation_on_a_grid_holds_the_hips_and_spine_better() -> None:
    pose = to_body_frame(poses(1), H36M)[0]
    held = pose[[H36M.index(n) for n in ("left_hip", "right_hip", "spine")]]
    where = torch.tensor([[0, -1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    best = (held - where).square().sum()
    for x in torch.linspace(-0.3, 0.3, 5).tolist():
        for y in torch.linspace(-0.3, 0.3, 5).tolist():
            for z in torch.linspace(-0.3, 0.3, 5).tolist():
                assert (held @ rotation(x, y, z).mT - where).square().sum() >= best - 1e-12


def test_universal_lengths_are_symmetric_and_taken_on() -> None:
    pose = poses()
    lengths = universal_lengths(pose, H36M)
    torch.testing.assert_close(lengths, lengths[list(H36M.mirror)])
    same = with_bone_lengths(pose, H36M, lengths)
    torch.testing.assert_close(bone_lengths(same, H36M), lengths.expand(6, -1))
    torch.testing.assert_close(same[:, 0], pose[:, 0])
    bones = [pose[:, c] - pose[:, p] for c, p in H36M.edges]
    kept = [same[:, c] - same[:, p] for c, p in H36M.edges]
    for a, b in zip(bones, kept, strict=True):
        torch.testing.assert_close(torch.cosine_similarity(a, b), torch.ones(6, dtype=torch.float64))


def test_own_lengths_change_nothing_even_where_a_bone_has_none() -> None:
    pose = poses(1)
    pose[:, H36M.index("head")] = pose[:, H36M.index("neck")]
    again = with_bone_lengths(pose, H36M, bone_lengths(pose, H36M)[0])
    torch.testing.assert_close(again, pose)


def test_the_unit_is_the_torso() -> None:
    pose = poses()
    torch.testing.assert_close(torso_length(in_torsos(7.5 * pose + 3, H36M), H36M), torch.ones(6).double())
    torch.testing.assert_close(in_torsos(7.5 * pose + 3, H36M), in_torsos(pose, H36M))


def test_normalised_keypoints_do_not_know_place_zoom_or_shape() -> None:
    camera = Camera.look_at(torch.tensor([-4.0, 0.3, 1.0]), torch.zeros(3), 1100.0, (1000, 1000))
    pixels = camera.project(poses().float()[:, :, :])
    normal = normalise_on_torso(pixels, H36M)
    torch.testing.assert_close(normal, normalise_on_torso(3 * pixels + 40, H36M), atol=1e-5, rtol=1e-4)
    hips = [H36M.index("left_hip"), H36M.index("right_hip")]
    torch.testing.assert_close(normal[:, hips].mean(1), torch.zeros(6, 2), atol=1e-6, rtol=0)
    corners = normal[:, [*hips, H36M.index("left_shoulder"), H36M.index("right_shoulder")]]
    torch.testing.assert_close(torch.cdist(corners, corners).amax((1, 2)), torch.full((6,), 0.5))


def test_keypoints_on_one_point_have_no_scale() -> None:
    points, everywhere = torch.full((1, 17, 2), 5.0), torch.ones(1, 17, dtype=torch.bool)
    assert torso_across(points, COCO, everywhere).isnan().all()
    assert normalise_on_torso(points, COCO).isnan().all()
    points[:, COCO.index("left_wrist")] += 40  # which is no part of the torso
    assert normalise_on_torso(points, COCO).isnan().all()


def test_a_torso_is_seen_where_it_has_an_extent() -> None:
    """Against the distances themselves, with corners unseen, at one place, and nowhere."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(0, 2, (500, 17, 2), generator=generator).float()
    seen = torch.rand(500, 17, generator=generator) < 0.6
    points[::5, COCO.index("left_hip")] = torch.nan
    points[1::5, COCO.index("right_shoulder"), 0] = torch.inf
    wanted = torso_across(points, COCO, seen).isfinite()
    assert 100 < int(wanted.sum()) < 400
    assert torch.equal(torso_seen(points, COCO, seen), wanted)


def test_the_torso_in_2d_is_the_largest_distance_among_its_seen_corners() -> None:
    for unseen, size in (
        ((), (32**2 + 50**2) ** 0.5),
        (("right_hip", "left_hip"), math.nan),
        (("right_shoulder", "left_shoulder"), math.nan),
        (("left_hip", "left_shoulder"), (8**2 + 50**2) ** 0.5),
        (("left_hip", "right_shoulder"), (32**2 + 50**2) ** 0.5),
    ):
        found = torso_across(*_wrapped(unseen))
        torch.testing.assert_close(found, torch.tensor([size]), equal_nan=True)
    with pytest.raises(ValueError, match="left_shoulder"):
        torso_across(torch.zeros(1, 42, 2), get_skeleton("interhand42"), torch.ones(1, 42, dtype=torch.bool))


def _corners(*unseen: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A person from the front: shoulders 40 wide, hips 24, a torso of 50, a wrist; and which were seen."""
    points = torch.zeros(1, 17, 2)
    for name, place in {
        "left_shoulder": (120, 100),
        "right_shoulder": (80, 100),
        "left_hip": (112, 150),
        "right_hip": (88, 150),
        "left_wrist": (130, 160),
    }.items():
        points[0, COCO.index(name)] = torch.tensor(place)
    seen = (points != 0).any(-1)
    for name in unseen:
        points[0, COCO.index(name)] = torch.tensor([9e3, -9e3])
        seen[0, COCO.index(name)] = False
    return points, seen


def test_centre_and_scale_come_from_what_was_seen() -> None:
    diagonal = (32**2 + 50**2) ** 0.5  # left shoulder to right hip, and the reverse
    wrist = COCO.index("left_wrist")
    for unseen in ((), ("left_hip",), ("right_hip",), ("left_shoulder",)):
        normal = normalise_on_torso(*_wrapped(unseen))
        want = torch.tensor([30.0, 10.0]) / (2 * diagonal)
        torch.testing.assert_close(normal[0, wrist], want)
        for name in unseen:
            assert normal[0, COCO.index(name)].tolist() == [0, 0]
    one_side = normalise_on_torso(*_wrapped(("left_hip", "left_shoulder")))
    torso = (8**2 + 50**2) ** 0.5
    torch.testing.assert_close(one_side[0, wrist], torch.tensor([42.0, 10.0]) / (2 * torso))


def _wrapped(unseen: tuple[str, ...]) -> tuple:
    points, seen = _corners(*unseen)
    return points, COCO, seen


def test_without_hips_or_without_shoulders_there_is_neither_centre_nor_scale() -> None:
    for part in ("hip", "shoulder"):
        assert normalise_on_torso(*_wrapped((f"left_{part}", f"right_{part}"))).isnan().all()


def test_a_turned_clip_faces_x() -> None:
    """By the middle frame, about the vertical alone; the clip stays one motion."""
    upright = poses(3)
    upright[:] = upright.mean(0)
    upright[..., 2] += 1.0
    facing = torch.stack([upright @ rotation(0.0, 0.0, angle).mT for angle in (0.0, 0.9, -2.2)])
    found = facing_x(facing, H36M)
    torch.testing.assert_close(found[..., 2], facing[..., 2])
    torch.testing.assert_close(found, found[:1].expand_as(found))
    side = (found[0, 1, H36M.index("left_hip")] - found[0, 1, H36M.index("right_hip")]) + (
        found[0, 1, H36M.index("left_shoulder")] - found[0, 1, H36M.index("right_shoulder")]
    )
    assert side[0].abs() < 1e-12
    assert side[1] > 0  # the left side lies along y: up is z, so the person faces x
    moving = torch.cat([facing[:, :1] @ rotation(0.0, 0.0, 0.3).mT, facing[:, 1:]], 1)
    torch.testing.assert_close(facing_x(moving, H36M)[:, 1:], found[:, 1:])
