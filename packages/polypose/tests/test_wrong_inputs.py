"""What users get wrong, and what they are told: the table of docs/pages/polypose.md, line by line."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import polypose
import pytest
import torch
from people import COCO, H36M, INTRINSICS, SIZE, people
from polypose import InputWarning, Model, Poses

LEFT_RIGHT = list(COCO.mirror)


def lift(model: Model, points: object, **more: object) -> Poses:
    return model.lift(points, **{"intrinsics": INTRINSICS, "size": SIZE, "skeleton": "coco17", **more})


def refused(model: Model, points: object, message: str, **more: object) -> None:
    with pytest.raises(ValueError, match=message) as told:
        lift(model, points, **more)
    assert "\n" not in str(told.value)


def many() -> np.ndarray:
    """Enough frames that nobody would stay on their head for so long."""
    return np.tile(people().coco, (5, 1, 1))


def test_another_skeleton_of_as_many_joints_is_noticed(model: Model) -> None:
    refused(model, people().pixels, "look like h36m17, not coco17.*; give skeleton h36m17")


def test_a_skeleton_that_is_not_said_is_taken_where_it_can_be_only_one(model: Model) -> None:
    halpe = np.concatenate([people().coco, np.repeat(people().coco[:, :1], 9, axis=1)], axis=1)
    poses = lift(model, halpe, skeleton=None, say=lambda text: None)
    assert poses.valid.all()
    refused(
        model,
        people().coco,
        "17 joints have h36m17 and coco17: name the skeleton; these look like coco17",
        skeleton=None,
    )
    refused(model, people().pixels, "these look like h36m17", skeleton=None)
    refused(model, np.ones((3, 21, 2)), r"shape is \(3, 21, 2\); give .* coco17 \(17\)", skeleton=None)


def test_left_and_right_exchanged_in_part_are_told(model: Model) -> None:
    points = people().coco.copy()
    lower = [i for i, name in enumerate(COCO.joints) if name.endswith(("_hip", "_knee", "_ankle"))]
    points[:, lower] = points[:, [LEFT_RIGHT[i] for i in lower]]
    with pytest.warns(InputWarning, match="left and right of hips and shoulders are opposite") as told:
        lift(model, points)
    assert [warning.filename for warning in told] == [__file__]


def test_y_up_is_told(model: Model) -> None:
    points = many()
    points[..., 1] = SIZE[1] - points[..., 1]
    with pytest.warns(InputWarning, match="heads are below knees in 100% of frames: does y point up"):
        lift(model, points)


def test_normalised_pixels_are_refused(model: Model) -> None:
    refused(model, people().coco / np.array(SIZE), "they look scaled; give pixels, x times the image's width")
    centred = people().coco / np.array(SIZE) * 2 - 1
    refused(model, centred, r"they look scaled; give pixels, \(x \+ 1\) / 2 times")


def test_metres_for_pixels_are_refused(model: Model) -> None:
    flat = people().joints[..., :2]
    refused(model, flat, "they look scaled; give pixels", skeleton="h36m17")
    refused(model, people().joints, "as z of 3D joints does", skeleton="h36m17")


def test_several_people_in_an_array_are_refused(model: Model) -> None:
    refused(
        model, np.stack([people().coco] * 2, axis=1), r"several people give one at a time, array\[:, person\]"
    )
    refused(model, people().coco[0], r"of one frame give array\[None\]")


def test_nan_is_not_seen_or_refused(model: Model) -> None:
    points = people().coco.copy()
    points[2, 9] = np.nan
    assert lift(model, points).valid.all()
    points[3] = np.nan
    assert np.flatnonzero(~lift(model, points).valid).tolist() == [3]
    sure = np.concatenate([points, np.ones((len(points), 17, 1))], -1)
    refused(model, sure, r"frame 2, left_wrist: is at \(nan, nan\).*give it confidence 0")


def test_what_is_masked_is_not_seen(model: Model) -> None:
    points = people().coco.copy()
    points[2, 9] = np.nan
    masked = np.ma.MaskedArray(np.nan_to_num(points, nan=7.0), np.isnan(points))
    np.testing.assert_array_equal(lift(model, masked).joints, lift(model, points).joints)
    assert not np.array_equal(lift(model, masked.data).joints, lift(model, points).joints)


def test_empty_is_refused(model: Model) -> None:
    refused(model, np.empty((0, 17, 2)), "has no frame; give one at least")
    refused(model, [], r"shape is \(0,\)")


def test_intrinsics_of_another_size_are_told(model: Model) -> None:
    half = INTRINSICS / 2
    with pytest.warns(InputWarning, match=r"centre \(250, 200\) is not about the middle of 1000x800.*by 2"):
        lift(model, people().coco, intrinsics=half)
    with pytest.warns(InputWarning, match="people are at .*; are they of these images"):
        lift(model, people().coco + 400, intrinsics=half, size=None)
    with pytest.warns(InputWarning, match="by 0.5"):
        lift(model, people().coco, intrinsics=2 * INTRINSICS)


def test_a_focal_length_off_by_two_moves_people_more_than_their_pose() -> None:
    """Nothing in keypoints tells it, so nothing is said; with less perspective people come out smaller."""
    model = polypose.load()
    right = lift(model, people().coco)
    wrong = lift(model, people().coco, intrinsics=INTRINSICS * (2, 2, 1, 1))
    ratio = wrong.translation[:, 2] / right.translation[:, 2]
    assert ((ratio > 1.4) & (ratio < 2.2)).all()
    size = [np.linalg.norm(poses.joints, axis=-1).mean() for poses in (right, wrong)]
    assert 0.75 < size[1] / size[0] < 1
    away = np.linalg.norm(wrong.joints - right.joints, axis=-1).mean()
    apart = np.linalg.norm(right.joints - right.joints[::-1], axis=-1).mean()
    assert away < 0.3 * apart


def test_float16_is_taken_and_told_where_it_is_too_coarse(model: Model) -> None:
    exact, coarse = lift(model, people().coco), lift(model, people().coco.astype(np.float16))
    np.testing.assert_allclose(coarse.joints, exact.joints, atol=0.02)
    assert coarse.joints.dtype == np.float32
    far = (people().coco * 4).astype(np.float16)
    with pytest.warns(InputWarning, match="float16 tells pixels above 2048 in steps of 2") as told:
        lift(model, far, intrinsics=4 * INTRINSICS, size=(4000, 3200))
    assert [warning.filename for warning in told] == [__file__]


def test_a_list_is_taken_and_a_ragged_one_refused(model: Model) -> None:
    listed = people().coco.tolist()
    poses = lift(model, listed)
    np.testing.assert_allclose(poses.joints, lift(model, people().coco).joints, atol=1e-6)
    assert isinstance(poses.joints, np.ndarray)
    refused(model, [*listed, listed[0][:5]], "holds lists of unequal length, or no numbers")
    refused(model, ["left_hip"], "give an array of numbers")


def test_a_table_is_refused_with_the_way_to_an_array(model: Model) -> None:
    table = pd.DataFrame(people().coco.reshape(len(people().coco), -1))
    refused(model, table, r"is a table; give table\.to_numpy\(\)\.reshape\(rows, joints, 2 or 3\)")
    assert lift(model, table.to_numpy().reshape(-1, 17, 2)).valid.all()


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (lambda p: p[:, :16], r"shape is \(24, 16, 3\), want \(N, 17, 3\) of h36m17"),
        (lambda p: p[0], r"of one pose give pose\[None\]"),
        (lambda p: 1000 * p, r"give metres \(divide by 1000\)"),
        (lambda p: p / 100, r"give metres \(bring them to metres\)"),
    ],
)
def test_poses_that_are_none_are_refused(
    pose: Callable[[np.ndarray], np.ndarray], message: str, model: Model
) -> None:
    with pytest.raises(ValueError, match=message):
        model.embed(pose=pose(people().joints))


def test_poses_with_y_up_are_told(model: Model) -> None:
    with pytest.warns(InputWarning, match="heads are below hips in 100% of poses; does y point up"):
        model.embed(pose=people().joints * np.array([1, -1, 1]))


def test_a_tensor_that_needs_gradients_is_taken(model: Model) -> None:
    points = torch.from_numpy(people().coco).requires_grad_()
    assert not lift(model, points).joints.requires_grad
    assert len(H36M) == lift(model, points).joints.shape[1]


def test_coarse_tensors_and_frames_without_anybody_are_told_apart(model: Model) -> None:
    nobody = lift(model, np.full((3, 17, 2), np.nan, np.float16))
    assert not nobody.valid.any()
    with pytest.raises(ValueError, match="bfloat16 tells numbers above 256 in steps of 2; give float32"):
        lift(model, torch.from_numpy(people().coco).bfloat16())
    with pytest.raises(ValueError, match="pose: holds bool values, want numbers"):
        model.embed(pose=torch.ones(2, 17, 3, dtype=torch.bool))


@pytest.mark.parametrize("size", [(math.inf, 3), (10**400, 3), (1e9, 1e9)])
def test_a_size_beyond_any_image_is_refused(size: tuple[int, int], model: Model) -> None:
    with pytest.raises(ValueError, match=r"size: .* give \(width, height\) in pixels"):
        lift(model, people().coco, intrinsics=None, size=size)


@pytest.mark.parametrize("count", [0, 2.5])
def test_a_count_of_draws_is_a_whole_number(count: int, model: Model) -> None:
    with pytest.raises(ValueError, match=f"count is {count}; draw one pose at least, a whole number"):
        lift(model, people().coco).sample(count)


def test_every_focal_length_is_looked_at(model: Model) -> None:
    each = np.tile(INTRINSICS, (len(people().coco), 1))
    each[-1, :2] = 35
    refused(model, people().coco, "a focal length of 35 pixels .* lens in millimetres", intrinsics=each)
    refused(model, people().coco, "a focal length of 35 pixels", intrinsics=[900, 35, 499.5, 399.5])
