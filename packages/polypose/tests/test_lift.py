"""Lifting: shapes, units and kinds of what comes out, against the network asked directly."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from people import COCO, INTRINSICS, SIZE, people
from polypose import Model
from polypose.config import ModelConfig
from polypose.inputs import Like
from polypose.lifting import place
from polypose.network import MODALITIES, POSE_SKELETON
from polypose.samples import Sample
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.views.batch import GIVEN, given
from small_model import SMALL, small

MATRIX = np.array([[900.0, 0, 499.5], [0, 900.0, 399.5], [0, 0, 1]])


@pytest.mark.parametrize("frame", ["aimed", "crop"])
def test_lifting_is_encode_decode_and_turn_back(frame: str) -> None:
    model, seen = small(frame=frame), people()
    poses = model.lift(seen.pixels, INTRINSICS, skeleton="h36m17")
    points = torch.cat([torch.from_numpy(seen.pixels), torch.ones(len(seen.pixels), 17, 1)], -1)
    focal, centre = torch.tensor(INTRINSICS, dtype=torch.float32).split(2)
    camera = Camera(focal, centre, torch.eye(3), torch.zeros(3), size=SIZE)
    sample = Sample.of(given(points, camera), frame, GIVEN)
    with torch.no_grad():
        wanted = model.network.decode("3d", model.network.embed("2d", sample), "2d") @ sample.rotation
    np.testing.assert_allclose(poses.joints, (wanted - wanted[:, :1]).numpy(), atol=1e-5)
    assert poses.joints.dtype == poses.sd.dtype == poses.translation.dtype == np.float32
    assert (poses.joints[:, 0] == 0).all()
    assert poses.valid.all()


def test_a_camera_can_be_said_in_several_ways(model: Model) -> None:
    pixels = people().pixels
    one = model.lift(pixels, INTRINSICS, skeleton="h36m17")
    for intrinsics in (
        MATRIX,
        INTRINSICS.tolist(),
        np.tile(INTRINSICS, (len(pixels), 1)),
        torch.tensor(MATRIX),
    ):
        other = model.lift(pixels, intrinsics, skeleton="h36m17")
        np.testing.assert_allclose(other.joints, one.joints, atol=1e-6)
        np.testing.assert_allclose(other.translation, one.translation, rtol=1e-5)
    wide = model.lift(pixels, size=SIZE, skeleton="h36m17")
    focal = SIZE[0] / 2 / np.tan(np.pi / 6)
    same = model.lift(pixels, (focal, focal, 499.5, 399.5), skeleton="h36m17")
    np.testing.assert_allclose(wide.joints, same.joints, atol=1e-6)


def test_true_poses_are_placed_where_they_stand() -> None:
    seen = people()
    focal, centre = torch.tensor(INTRINSICS, dtype=torch.float32).split(2)
    camera = Camera(focal, centre, torch.eye(3), torch.zeros(3), size=SIZE)
    joints = torch.from_numpy(seen.joints)
    points = torch.cat([torch.from_numpy(seen.pixels), torch.ones(len(joints), 17, 1)], -1)
    points[:, 3] = torch.tensor([900.0, 3.0, 0.0])  # not seen, and nowhere near
    found = place(joints - joints[:, :1], points, camera)
    torch.testing.assert_close(found, joints[:, 0], atol=2e-3, rtol=0)


def test_sd_is_what_the_decoder_learnt_in_metres() -> None:
    model = small()
    decoder, index = model.network.decoders["3d"], MODALITIES.index("2d")
    decoder.std.fill_(0.25)
    decoder.spread[index] = 0.2
    decoder.profile[index, 5] = torch.tensor([1.0, 2.0, 2.0])
    poses = model.lift(people().pixels, INTRINSICS, skeleton="h36m17")
    assert poses.sd[:, 5] == pytest.approx(0.25 * 0.2 * np.sqrt(3.0))
    assert poses.sd[:, 6] == pytest.approx(0.05)
    assert "median sd 50 mm" in repr(poses)
    plain = small(config=ModelConfig(**{**vars(SMALL), "decoder": "mlp"}))
    assert np.isnan(plain.lift(people().pixels, INTRINSICS, skeleton="h36m17").sd).all()


def test_drawn_poses_are_as_wide_as_sd_says() -> None:
    """A network of zeros is the exact denoiser of normal data: draws then have the learnt spread."""
    model = small(steps=30)
    decoder, index = model.network.decoders["3d"], MODALITIES.index("2d")
    for parameter in decoder.network.parameters():
        parameter.data.zero_()
    decoder.std.fill_(1.0)
    decoder.spread.fill_(0.1)
    decoder.profile[index] = 1.0
    decoder.profile[index, 0] = 1e-6  # the root does not move
    poses = model.lift(people(8).pixels, INTRINSICS, skeleton="h36m17")
    drawn = poses.sample(400, seed=1)
    assert drawn.shape == (400, 8, 17, 3)
    assert drawn[:, :, 1:].std(0).mean() == pytest.approx(poses.sd[0, 1:].mean(), rel=0.05)
    np.testing.assert_array_equal(drawn, poses.sample(400, seed=1))
    assert not np.array_equal(drawn, poses.sample(400, seed=2))


def test_poses_of_a_model_with_a_spread_are_drawn_as_wide_as_their_own_sd() -> None:
    """The less the wrist's confidence, the wider; the root never moves."""
    model = small(steps=30)
    decoder, index = model.network.decoders["3d"], MODALITIES.index("2d")
    for parameter in decoder.network.parameters():
        parameter.data.zero_()
    decoder.std.fill_(1.0)
    decoder.spread.fill_(0.3)
    decoder.profile[index] = 1.0
    spread = model.network.make_spread().eval()
    spread.usual[index, 1:] = 0.02
    first, last = spread.networks["2d"][1], spread.networks["2d"][-1]
    for parameter in (first.weight, first.bias):
        parameter.data.zero_()
    wrist = POSE_SKELETON.index("left_wrist")
    first.weight.data[0, SMALL.dim + wrist] = -50.0
    first.bias.data[0] = 50.0  # SiLU(50 (1 - confidence))
    last.weight.data[:, 0] = np.log(3) / 25.0
    pixels = people(8).pixels
    points = np.concatenate([pixels, np.ones((8, 17, 1), np.float32)], -1)
    points[4:, wrist, 2] = 0.5
    poses = model.lift(points, INTRINSICS, skeleton="h36m17")
    assert poses.sd[:4, 1:] == pytest.approx(0.02, rel=1e-4)
    assert poses.sd[4:, 1:] == pytest.approx(0.06, rel=1e-4)
    assert (poses.sd[:, 0] == 0).all()
    drawn = poses.sample(400, seed=1)
    assert drawn[:, :4, 1:].std(0).mean() == pytest.approx(0.02, rel=0.05)
    assert drawn[:, 4:, 1:].std(0).mean() == pytest.approx(0.06, rel=0.05)
    assert np.abs(drawn.mean(0) - poses.joints).max() < 0.02
    spread.stretch[index] = 2.0
    assert poses.sample(400, seed=1)[:, :4, 1:].std(0).mean() == pytest.approx(0.04, rel=0.05)


def test_coco_is_converted_by_name(model: Model) -> None:
    coco = np.concatenate([people().coco, np.ones((len(people().coco), 17, 1))], -1).astype(np.float32)
    converted = convert_keypoints(torch.from_numpy(coco), COCO, model.skeleton)
    wanted = model.lift(converted.numpy(), INTRINSICS, skeleton="h36m17", say=lambda text: None)
    found = model.lift(coco, INTRINSICS, skeleton="coco17")
    np.testing.assert_allclose(found.joints, wanted.joints, atol=1e-6)


def test_a_confidence_beside_is_a_third_channel(model: Model) -> None:
    pixels = people().pixels
    sure = np.random.default_rng(0).uniform(0.1, 1, pixels.shape[:2])
    joined = np.concatenate([pixels, sure[..., None]], -1)
    beside = model.lift(pixels, INTRINSICS, skeleton="h36m17", confidence=sure)
    np.testing.assert_array_equal(beside.joints, model.lift(joined, INTRINSICS, skeleton="h36m17").joints)


def test_nobody_is_nan_and_told_apart(model: Model) -> None:
    points = np.concatenate([people().pixels, np.ones((len(people().pixels), 17, 1))], -1)
    whole = model.lift(points, INTRINSICS, skeleton="h36m17")
    points[3, :, 2] = 0
    poses = model.lift(points, INTRINSICS, skeleton="h36m17")
    assert np.flatnonzero(~poses.valid).tolist() == [3]
    for values in (poses.joints, poses.sd, poses.translation, poses.placed):
        assert np.isnan(values[3]).all()
    assert np.isnan(poses.sample(2)[:, 3]).all()
    others = np.arange(len(points)) != 3
    np.testing.assert_allclose(poses.joints[others], whole.joints[others], atol=1e-6)
    assert repr(poses).startswith("Poses(23 people, h36m17, camera frame, median sd ")
    assert repr(poses).endswith(", 1 without a person)")


def test_all_without_a_person_is_an_answer_too(model: Model) -> None:
    poses = model.lift(np.zeros((2, 17, 3)), INTRINSICS, skeleton="h36m17")
    assert not poses.valid.any()
    assert repr(poses) == "Poses(0 people, h36m17, camera frame, 2 without a person)"
    assert np.isnan(poses.sample(3)).all()


def test_tensors_come_back_as_tensors(model: Model) -> None:
    poses = model.lift(torch.from_numpy(people().pixels), INTRINSICS, skeleton="h36m17")
    assert all(isinstance(x, torch.Tensor) for x in (poses.joints, poses.sd, poses.valid, poses.translation))
    assert isinstance(poses.sample(2), torch.Tensor)
    like = Like.of(torch.zeros(1, device="meta"))
    assert like.device == torch.device("meta")


def test_what_is_saved_says_what_it_is(model: Model, tmp_path) -> None:  # type: ignore[no-untyped-def]
    poses = model.lift(people().pixels, INTRINSICS, skeleton="h36m17")
    with np.load(poses.save(tmp_path / "p.npz")) as file:
        np.testing.assert_array_equal(file["joints"], poses.joints)
        np.testing.assert_array_equal(file["sd"], poses.sd)
        assert (str(file["unit"]), str(file["skeleton"])) == ("metre", "h36m17")
    header, first, *_ = poses.save(tmp_path / "p.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(row["left_wrist_z_m"]) == pytest.approx(poses.joints[0, 13, 2], rel=1e-5)
    assert float(row["left_wrist_sd_m"]) == pytest.approx(poses.sd[0, 13], rel=1e-5)
    assert float(row["translation_z_m"]) == pytest.approx(poses.translation[0, 2], rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m, p: m.lift(p, (900, 900, -1e9, 500), skeleton="h36m17"),
            r"intrinsics: 1e\+09 is no number of pixels; give fx, fy, cx, cy",
        ),
        (lambda m, p: m.lift(p, skeleton="h36m17"), r"intrinsics: give fx, fy, cx, cy in pixels, or size="),
        (lambda m, p: m.lift(p, (1, 2, 3), skeleton="h36m17"), r"shape is \(3,\); give fx, fy, cx, cy"),
        (lambda m, p: m.lift(p, MATRIX.T, skeleton="h36m17"), "last row is not 0 0 1"),
        (lambda m, p: m.lift(p, (0, 9, 3, 4), skeleton="h36m17"), "focal lengths above 0"),
        (lambda m, p: m.lift(p, np.ones((3, 4)), skeleton="h36m17"), "3 of 24 people; give one for all"),
        (lambda m, p: m.lift(p, size=(0, 9), skeleton="h36m17"), "size: 0 x 9; give"),
        (lambda m, p: m.lift(p, size=7, skeleton="h36m17"), "size: 7 is no size"),
        (lambda m, p: m.lift(p, (35, 35, 499, 399), SIZE, "h36m17"), "looks like a lens in millimetres"),
        (lambda m, p: m.lift(p, size=SIZE, skeleton="coco"), "unknown skeleton 'coco'; known are h36m17"),
        (lambda m, p: m.lift(p, INTRINSICS, skeleton="h36m17").sample(0), "count is 0; draw one pose"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(
    call: Callable[[Model, np.ndarray], object], message: str, model: Model
) -> None:
    with pytest.raises(ValueError, match=message):
        call(model, people().pixels)


def test_numpy_s_whole_numbers_draw_as_python_s(model: Model) -> None:
    poses = model.lift(people().coco, size=SIZE, skeleton="coco17")
    drawn = poses.sample(np.int32(2), seed=np.int64(3))  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn, poses.sample(2, seed=3))
