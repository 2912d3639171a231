"""InterHand2.6M: a real sample read and cut, targets there and back, the protocol by hand."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from posedata.geometry.camera import Camera
from posedata.readers.files.interhand import cut, read_interhand, write_interhand
from posedata.scoring.hands import hand_errors, swapped_hands
from posedata.store import PoseStore
from posedata.views.hand_augment import augment_hands
from posedata.views.hand_ranges import HandAugmentation
from posedata.views.hands import WRISTS, decode, encode

FOLDER = Path(__file__).resolve().parents[3] / "../shared/data/interhand"
SAMPLE = FOLDER / "test_interhand2.6m_data.json"
needs_interhand = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the shared InterHand2.6M sample is not here"
)


@needs_interhand
def test_real_joints_project_into_their_annotated_boxes() -> None:
    split = read_interhand(SAMPLE)
    assert len(split) == 4
    assert split.kind.tolist() == [2, 2, 1, 0]
    assert split.valid.sum(1).tolist() == [42, 42, 21, 21]
    assert split.sequence[0] == "0390_dh_touchROM"
    pixels = split.camera.project(split.joints)
    for i in range(4):
        seen = pixels[i, split.valid[i]]
        tight = torch.cat([seen.amin(0), seen.amax(0)])
        grown = torch.cat(
            [tight[:2] - 0.1 * (tight[2:] - tight[:2]), tight[2:] + 0.1 * (tight[2:] - tight[:2])]
        )
        torch.testing.assert_close(split.boxes[i], grown, rtol=0, atol=0.05)  # annotated 1.2 times as large
    depth = split.camera.world_to_camera(split.joints)[..., 2][split.valid]
    assert 0.5 < depth.min() < depth.max() < 1.5


@needs_interhand
def test_real_pictures_are_cut_into_a_store_whose_cameras_fit(tmp_path) -> None:
    """A crop's pixel shows what the whole picture shows where the crop's camera says."""
    split = read_interhand(SAMPLE)
    store = PoseStore.open(write_interhand(split, FOLDER, tmp_path / "store", size=256), verify=True)
    columns = store.tensors(["joints", "valid", "boxes", "action"])
    torch.testing.assert_close(columns["joints"], split.joints)
    assert store.names("subject") == ["0", "2", "3", "6"]
    camera = store.camera().crop(columns["boxes"], store.image_size)
    images = store.images(np.arange(4)).astype(float)
    for i, name in enumerate(split.files):
        whole = np.asarray(Image.open(FOLDER / name).convert("RGB")).astype(float)
        differences = []
        for j in split.valid[i].nonzero()[:, 0].tolist():
            (u, v), (x, y) = (
                c[i].project(split.joints[i, j : j + 1])[0].tolist() for c in (camera, split.camera)
            )
            differences.append(_sample(images[i], u, v) - _sample(whole, x, y))
        assert np.abs(differences).mean() < 3  # of 255; half a pixel off: 6 and more
    with pytest.raises(FileNotFoundError, match="no such picture"):
        write_interhand(split, tmp_path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def _sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    column, row = math.floor(x), math.floor(y)
    a, b = x - column, y - row
    top = (1 - a) * image[row, column] + a * image[row, column + 1]
    return (1 - b) * top + b * ((1 - a) * image[row + 1, column] + a * image[row + 1, column + 1])


@needs_interhand
def test_a_damaged_split_is_named(tmp_path) -> None:
    for file in FOLDER.glob("*.json"):
        shutil.copy(file, tmp_path)
    joints = tmp_path / "test_interhand2.6m_joint_3d.json"
    found = json.loads(joints.read_text())
    del found["3"]["69148"]
    joints.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"_data\.json: no entry '69148'"):
        read_interhand(tmp_path / SAMPLE.name)
    joints.write_text('{"3": {')
    with pytest.raises(ValueError, match=r"joint_3d\.json: is not JSON"):
        read_interhand(tmp_path / SAMPLE.name)
    joints.unlink()
    with pytest.raises(FileNotFoundError, match=r"joint_3d\.json: no such file"):
        read_interhand(tmp_path / SAMPLE.name)
    with pytest.raises(ValueError, match=r"whose name ends in _data\.json"):
        read_interhand(joints)


def test_cutting_beyond_a_picture_is_black_and_inside_it_exact(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    found = cut(tmp_path / "p.png", (-2.5, 1.5, 5.5, 9.5), 8)
    assert np.array_equal(found[:4, 2:], pixels[2:, :6])
    assert not found[:, :2].any()
    assert not found[4:].any()
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"no\.png: not a readable picture"):
        cut(tmp_path / "no.png", (0.0, 0.0, 4.0, 4.0), 4)


def test_hands_are_exchanged_where_the_other_one_lies_nearer() -> None:
    """Two hands exchanged; a lone right hand said as the left one; two that are right, one in few joints."""
    true = torch.rand(4, 42, 2, generator=torch.Generator().manual_seed(0))
    true[:, 21:] += 3
    mirror = [*range(21, 42), *range(21)]
    predicted = true + 0.01
    predicted[0] = true[0, mirror]
    predicted[1, 21:], predicted[1, :21] = true[1, :21], 9.0
    valid = torch.ones(4, 42, dtype=torch.bool)
    valid[1, 21:] = False
    predicted[3, :5], valid[3, :5] = 1e6, False
    assert swapped_hands(predicted, true, valid).tolist() == [True, True, False, False]


def scene(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, Camera]:
    generator = torch.Generator().manual_seed(0)
    joints = 0.1 * torch.randn(count, 42, 3, generator=generator) + torch.tensor([0.0, 0.0, 1.0])
    camera = Camera(
        torch.tensor([600.0, 620.0]),
        torch.tensor([127.0, 120.0]),
        torch.eye(3),
        torch.zeros(3),
        size=(256, 256),
    )
    return joints, torch.ones(count, 42, dtype=torch.bool), Camera.stack([camera] * count)


def test_targets_decode_to_the_joints() -> None:
    joints, valid, camera = scene()
    targets, trained = encode(joints, valid, camera)
    torch.testing.assert_close(
        decode(targets, joints[:, list(WRISTS), 2], camera), joints, rtol=1e-4, atol=1e-5
    )
    assert (targets[:, list(WRISTS), 2] == 0).all()
    pixels = camera.project_camera(joints)
    inside = ((pixels >= -0.5) & (pixels < 255.5)).all(-1)
    near = targets[..., 2].abs() < 0.2
    assert torch.equal(trained, inside & near)
    assert 0.3 < trained.float().mean() < 1
    valid[0, 20] = False  # without its wrist a hand has no depth to be relative to
    assert not encode(joints, valid, camera)[1][0, :21].any()
    assert torch.equal(encode(joints, valid, camera)[1][0, 21:], trained[0, 21:])


def test_the_protocol_by_hand() -> None:
    """Right hands off by (3, 4, 0) mm but for their wrists, left hands moved as a whole by 10 mm in depth."""
    _, valid, _ = scene()
    true = torch.zeros(3, 42, 3)
    predicted = true.clone()
    predicted[:, :20] += torch.tensor([0.003, 0.004, 0.0])
    predicted[:, 21:] += torch.tensor([0.0, 0.0, 0.010])
    interacting = torch.tensor([True, True, False])
    valid[2, 21:] = False
    valid[1, 0] = False
    found = hand_errors(predicted, true, valid, interacting)
    assert found["single_mpjpe_mm"] == pytest.approx(5 * 20 / 21)
    assert found["two_mpjpe_mm"] == pytest.approx(5 * 20 / 42)
    assert found["all_mpjpe_mm"] == pytest.approx(5 * 20 / 42)
    assert found["mrrpe_mm"] == pytest.approx(10.0)
    valid[:, 20] = False  # without the wrist nothing of the right hand counts
    assert hand_errors(predicted, true, valid, interacting)["all_mpjpe_mm"] == pytest.approx(0, abs=1e-4)


def test_joints_average_over_scenes_before_they_average() -> None:
    """One joint wrong by 42 mm, valid in one scene of two: as much as if it were wrong in both."""
    true = torch.zeros(2, 42, 3)
    predicted, valid = true.clone(), torch.ones(2, 42, dtype=torch.bool)
    predicted[0, 5, 0] = 0.042
    valid[1, 5] = False
    both = torch.ones(2, dtype=torch.bool)
    assert hand_errors(predicted, true, valid, both)["all_mpjpe_mm"] == pytest.approx(1.0, rel=1e-5)
    assert math.isnan(hand_errors(predicted, true, valid, both)["single_mpjpe_mm"])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_augmentation_moves_pictures_and_targets_alike(flip) -> None:
    """Pictures that hold their own coordinates hold, at the moved targets, the targets as they were."""
    generator = torch.Generator().manual_seed(1)
    side, count = 48, 12
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = (torch.stack([x, y, torch.full_like(x, side)]) / side).expand(count, -1, -1, -1)
    targets = torch.cat(
        [(side - 1) * torch.rand(count, 42, 2, generator=generator), torch.randn(count, 42, 1)], -1
    )
    valid = torch.rand(count, 42, generator=generator) < 0.9
    ranges = HandAugmentation(flip=flip, colour=0.0)
    moved, placed, kept = augment_hands(images, targets, valid, generator, ranges)
    order = [*range(21, 42), *range(21)] if flip else list(range(42))
    torch.testing.assert_close(placed[..., 2], targets[:, order, 2])
    grid = (placed[:, :, None, :2] + 0.5) / side * 2 - 1
    held = torch.nn.functional.grid_sample(moved, grid, align_corners=False)[..., 0].mT
    whole = kept & (held[..., 2] > 0.999)  # not blended with what lies outside the picture
    assert whole.float().mean() > 0.5
    torch.testing.assert_close(held[..., :2][whole] * side, targets[:, order, :2][whole], rtol=0, atol=0.05)
    assert not (kept & ~valid[:, order]).any()
    assert torch.equal(
        kept, valid[:, order] & ((placed[..., :2] >= -0.5) & (placed[..., :2] < side - 0.5)).all(-1)
    )


def test_blur_spreads_a_point_by_its_deviation_and_noise_has_its_own() -> None:
    """A point of light becomes a Gaussian of as much light in all; each direction has its own width."""
    side, count, still = 41, 60, {"shift": 0.0, "scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}
    point = torch.zeros(count, 3, side, side)
    point[:, :, 20, 20] = 1
    targets, valid = torch.zeros(count, 42, 3), torch.ones(count, 42, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    blurred, placed, _ = augment_hands(point, targets, valid, generator, HandAugmentation(**still, blur=3.0))
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(count, 3), rtol=1e-3, atol=0)
    torch.testing.assert_close(placed, targets)
    at = torch.arange(side) - 20.0
    wide = torch.stack([(blurred[:, 0].sum(axis) * at**2).sum(-1).sqrt() for axis in (1, 2)])
    assert wide.max() < 3.0
    assert wide.mean() == pytest.approx(1.5, abs=0.2)  # uniform from 0 to 3
    assert (wide[0] - wide[1]).abs().mean() > 0.5
    torch.testing.assert_close(blurred[:, 0], blurred[:, 2])
    grey = torch.full((count, 3, 32, 32), 0.5)
    noisy = augment_hands(grey, targets, valid, generator, HandAugmentation(**still, noise=0.1))[0]
    spread = noisy[:, :, 8:-8, 8:-8].std((1, 2, 3))
    assert spread.max() < 0.11
    assert spread.mean() == pytest.approx(0.05, abs=0.01)
