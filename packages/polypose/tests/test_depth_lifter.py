"""Depth images to 3D: the way from pixels to the camera's frame, the file, and what is refused."""

from pathlib import Path

import numpy as np
import polypose
import pytest
import torch
from polypose.config import AnchorConfig, DepthSettings
from polypose.depth import DepthLifter, DepthNetwork, anchor_network, name_sides
from polypose.depth_measuring import LEVELS, fitted_sd, measure
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from torch import Tensor, nn

SMALL = AnchorConfig(dim=32, hidden=32, heads=2, decoder_layers=1, points=2)
CAMERA = (200.0, 210.0, 79.5, 59.5)


def small(seed: int = 0) -> DepthLifter:
    torch.manual_seed(seed)
    network = DepthNetwork(anchor_network(SMALL, "itop15", 32), 15)
    network.sd.copy_(torch.linspace(0.01, 0.15, 15))
    return DepthLifter(network, SMALL, DepthSettings(size=32, data="some"))


class Middle(nn.Module):
    """Says that every joint lies in the middle of what is nearer than nothing, 10 cm beneath its median."""

    def __init__(self, like: DepthNetwork) -> None:
        super().__init__()
        self.sd = like.sd
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, pictures: Tensor) -> Tensor:
        person = (pictures[:, 0] < 1).float()
        rows, columns = (torch.arange(n, dtype=torch.float32) for n in person.shape[1:])
        count = person.sum((1, 2))
        x, y = ((person.sum(axis) * at).sum(1) / count for axis, at in ((1, columns), (2, rows)))
        return torch.stack([x, y, torch.full_like(x, 0.1)], -1)[:, None].expand(-1, 15, 3)


def disc(x: float, y: float, radius: float, depth: float) -> np.ndarray:
    """(120, 160) metres: a disc before nothing."""
    rows, columns = np.mgrid[:120, :160]
    return np.where((rows - y) ** 2 + (columns - x) ** 2 <= radius**2, depth, 0).astype(np.float32)


def test_what_is_seen_comes_back_to_where_it_is_in_the_camera() -> None:
    """A disc about (x, y) at depth z: joints 10 cm behind its middle, x = (u - cx) z / fx."""
    model = small()
    model.network = Middle(model.network)  # type: ignore[assignment]
    places = ((60.0, 40.0, 20.0, 2.0), (90.0, 70.0, 35.0, 3.5), (30.0, 90.0, 28.0, 1.0))
    depth = np.stack([disc(*place) for place in places])
    depth[0, 100:, 100:] = 2.2  # somebody else
    mask = np.stack([disc(*place) > 0 for place in places])
    poses = model.lift(depth, CAMERA, mask)
    assert poses.skeleton.name == "itop15"
    for found, (x, y, _, z) in zip(poses.placed, places, strict=True):
        far = z + 0.1
        wanted = [(x - CAMERA[2]) * far / CAMERA[0], (y - CAMERA[3]) * far / CAMERA[1], far]
        # half a pixel of a square of 32 that is some 50 wide
        np.testing.assert_allclose(found, np.tile(wanted, (15, 1)), atol=0.012 * far)
    assert np.all(poses.joints[:, model.skeleton.root] == 0)
    model.settings = DepthSettings(size=32, batch=2)  # in two parts, each picture with its own camera
    wider = np.array([[200.0, 210.0, 79.5, 59.5]] * 3) * np.array([[1], [2], [1]])
    own = model.lift(depth, wider, mask, say=lambda text: None).placed
    np.testing.assert_allclose(own[[0, 2]], poses.placed[[0, 2]], atol=1e-5)
    far = places[1][3] + 0.1
    np.testing.assert_allclose(own[1, :, 0], (places[1][0] - 159) * far / 400, atol=0.006 * far)
    matrix = np.array([[200.0, 0, 79.5], [0, 210.0, 59.5], [0, 0, 1]])
    millimetres = (depth * 1000).astype(np.uint16)
    again = model.lift(torch.from_numpy(millimetres.astype(np.int32)), matrix, torch.from_numpy(mask))
    assert isinstance(again.joints, Tensor)
    np.testing.assert_allclose(again.placed.numpy(), poses.placed, atol=2e-3)


def test_keypoints_tell_left_from_right() -> None:
    """A wide T pose seen from before and from behind: names follow the keypoints, places stay."""
    skeleton, coco = get_skeleton("itop15"), get_skeleton("coco17")
    focal, centre = torch.tensor([[200.0, 210.0]]), torch.tensor([[79.5, 59.5]])
    camera = Camera(focal, centre, torch.eye(3), torch.zeros(3), size=(160, 120))
    across = {"left": 0.3, "right": -0.3}
    joints = torch.zeros(3, 15, 3)
    for at, name in enumerate(skeleton.joints):
        joints[:, at] = torch.tensor([across.get(name.partition("_")[0], 0.0), 0.1 * at, 2.5])
    points = torch.zeros(3, 17, 3)
    for at, name in enumerate(coco.joints):
        side = across.get(name.partition("_")[0], 0.0)
        points[:, at] = torch.tensor([79.5 + 200 * side / 2.5, 70.0, 0.9])
    points[1, :, 0] = 159 - points[1, :, 0]  # seen from behind
    points[2, :, 2] = 0  # nobody was detected
    named = name_sides(joints, camera, points, skeleton)
    left, right = skeleton.index("left_hand"), skeleton.index("right_hand")
    assert named[:, left, 0].tolist() == pytest.approx([0.3, -0.3, 0.3])
    assert named[:, right, 0].tolist() == pytest.approx([-0.3, 0.3, -0.3])
    torch.testing.assert_close(named[1, list(skeleton.mirror)], joints[1])

    model, depth = small(), disc(80, 60, 30, 2.0)[None]
    plain = model.lift(depth, CAMERA)
    pixels = camera.project_camera(torch.from_numpy(plain.placed))[0]
    told = np.zeros((1, 17, 3), np.float32)
    for side in ("left", "right"):
        for part in ("shoulder", "elbow", "hip", "knee"):
            other = "left" if side == "right" else "right"
            told[0, coco.index(f"{side}_{part}"), :2] = pixels[skeleton.index(f"{other}_{part}")]
            told[0, coco.index(f"{side}_{part}"), 2] = 1
    turned = model.lift(depth, CAMERA, keypoints=told)
    np.testing.assert_array_equal(turned.placed[:, list(skeleton.mirror)], plain.placed)
    with pytest.raises(ValueError, match=r"keypoints: shape is \(17, 3\); give \(1, 17, 3\)"):
        model.lift(depth, CAMERA, keypoints=told[0])


def test_nobody_is_no_pose_and_draws_spread_as_is_said() -> None:
    model = small()
    depth = np.stack([disc(80, 60, 30, 2.0), np.zeros((120, 160), np.float32)])
    depth[1, 0, :5] = 1.0
    poses = model.lift(depth, CAMERA)
    assert poses.valid.tolist() == [True, False]
    assert np.isnan(poses.joints[1]).all()
    assert np.isnan(poses.translation[1]).all()
    drawn = poses.sample(4000)
    np.testing.assert_allclose(drawn[:, 0].std(0).mean(-1), model.network.sd.numpy(), rtol=0.05)
    np.testing.assert_allclose(drawn[:, 0].mean(0), poses.joints[0], atol=0.01)
    assert "1 person, itop15, camera frame" in repr(poses)


def test_the_file_holds_all_of_it(tmp_path: Path) -> None:
    model, depth = small(), disc(80, 60, 30, 2.0)[None]
    again = polypose.load(model.save(tmp_path / "depth.safetensors"))
    assert isinstance(again, DepthLifter)
    assert (again.config, again.settings) == (model.config, model.settings)
    first, second = (m.lift(depth, CAMERA) for m in (model, again))
    np.testing.assert_array_equal(first.placed, second.placed)
    np.testing.assert_array_equal(first.sd, second.sd)
    half = polypose.load(model.save(tmp_path / "half.safetensors", half=True))
    np.testing.assert_allclose(half.lift(depth, CAMERA).placed, first.placed, atol=5e-3)


@pytest.mark.parametrize(
    ("depth", "mask", "message"),
    [
        (np.ones((120, 160)), None, r"give \(N, H, W\), depth\[None\] of one image"),
        (np.full((1, 120, 160), 2000.0), None, "divide by 1000: they look like millimetres"),
        (np.full((1, 120, 160), 60_000, np.uint16), None, "beyond 60 m"),
        (np.full((1, 120, 160), -1.0), None, "-1.00 m is behind the camera"),
        ([["a"]], None, "depth: holds"),
        (np.ones((1, 120, 160)), np.ones((1, 120, 80), bool), "as large as the depth"),
        (np.ones((1, 120, 160)), np.ones((1, 120, 160)), "mask: is float64"),
    ],
)
def test_what_is_no_depth_is_refused(depth: object, mask: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().lift(depth, CAMERA, mask)


def test_intrinsics_of_another_size_are_told() -> None:
    told: list[str] = []
    small().lift(disc(80, 60, 30, 2.0)[None], (400.0, 400.0, 319.5, 239.5), say=told.append)
    assert "are they of these images?" in " ".join(told)


def test_errors_of_a_known_law_are_measured_as_it_says() -> None:
    """The truth is what the model says, moved by a normal law of its own deviations."""
    model = small()
    model.network = Middle(model.network)  # type: ignore[assignment]
    count = 400
    person = torch.from_numpy(disc(80, 60, 30, 2.0)).expand(count, -1, -1)
    focal, centre = torch.tensor([CAMERA[:2]]), torch.tensor([CAMERA[2:]])
    one = Camera(focal, centre, torch.eye(3)[None], torch.zeros(1, 3), size=(160, 120))
    camera = one[torch.zeros(count, dtype=torch.long)]
    said = model.lift(person[:1], torch.cat([focal, centre], dim=1)).placed
    noise = torch.randn(count, 15, 3, generator=torch.Generator().manual_seed(0))
    off = model.network.sd[:, None] * noise
    truth = said - off
    torch.testing.assert_close(fitted_sd(off), model.network.sd, rtol=0.1, atol=0)
    truth[-1, 3] = torch.nan  # is left out, and with it its person
    people = torch.arange(count) // 100
    people[-1] = 7
    row = measure(model, person, camera, truth, people)
    assert (row["views"], row["people"]) == (399, 4)
    assert row["mpjpe_mm"] == pytest.approx(1000 * float(off[:-1].norm(dim=-1).mean()), rel=1e-4)
    assert row["low_mm"] < row["mpjpe_mm"] < row["high_mm"]
    for level in LEVELS:
        assert row[f"inside_{level}"] == pytest.approx(level / 100, abs=0.01)
    assert fitted_sd(torch.cat([off, torch.full_like(off, torch.nan)])).equal(fitted_sd(off))
