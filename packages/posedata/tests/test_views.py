"""Rigs, cameras that see the whole person, detector noise, and stores of views."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.inspection.report import inspect_store
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.views import RIGS, Rig, add_views, get_rig, sample_cameras
from posedata.views.noise import DetectorNoise

H36M = get_skeleton("h36m17")
META = {"skeleton": "h36m17", "fps": 50, "source": "test", "licence": "none", "subjects": ["a", "b"]}


def poses(count: int, seed: int = 0) -> torch.Tensor:
    """Person-sized boxes of joints somewhere in a hall."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([0.6, 0.6, 1.7])
    place = torch.rand(count, 1, 3, generator=generator) * torch.tensor([20.0, 20.0, 0.5])
    return torch.rand(count, 17, 3, generator=generator) * size + place


@pytest.mark.parametrize("name", RIGS)
def test_cameras_keep_to_the_rig_and_see_everyone_whole(name: str) -> None:
    rig, joints = RIGS[name], poses(2000)
    camera = sample_cameras(joints, rig, torch.Generator().manual_seed(1))
    pixels = camera.project(joints)
    assert bool(camera.in_front(joints).all())
    assert float(pixels.min()) > 0
    assert float(pixels.max()) < 999
    middle = (joints.amax(1) + joints.amin(1)) / 2
    away = camera.position - middle
    # the target lies up to the jitter off the middle, which turns the view by at most that over the distance
    slack = rig.target_jitter * math.sqrt(3) / rig.distance[0]
    elevation = torch.atan2(away[:, 2], away[:, :2].norm(dim=-1))
    assert rig.elevation[0] - slack <= float(elevation.min())
    assert float(elevation.max()) <= rig.elevation[1] + slack
    assert float(away.norm(dim=-1).min()) >= rig.distance[0] - rig.target_jitter * math.sqrt(3)
    assert rig.focal[0] <= float(camera.focal.min()) <= float(camera.focal.max()) <= rig.focal[1]
    assert camera.size.unique().tolist() == [1000]


def test_mocap_rig_looks_from_all_sides_evenly() -> None:
    joints = poses(1, seed=5).expand(8000, 17, 3)
    rig = Rig(elevation=RIGS["mocap"].elevation)
    camera = sample_cameras(joints, rig, torch.Generator().manual_seed(2))
    away = camera.position - (joints.amax(1) + joints.amin(1)) / 2
    azimuth = torch.atan2(away[:, 1], away[:, 0])
    counts = torch.histc(azimuth, bins=8, min=-math.pi, max=math.pi)
    assert float((counts - 1000).abs().max()) < 150  # 5 standard deviations
    elevation = torch.asin(away[:, 2] / away.norm(dim=-1))
    assert math.degrees(float(elevation.mean())) == pytest.approx(8, abs=0.5)  # -7..23, uniform


def test_the_least_distance_is_the_closed_form() -> None:
    # Two joints 2 m apart in height, camera level: at distance D with focal f the upper one is f / D pixels
    # above the middle; with 0.15 m of flesh the half frame of 500 px asks for D = 1.15 f / 500 + 0.15.
    joints = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]])
    rig = Rig(distance=(1.0, 1.0), focal=(1000.0, 1000.0))
    camera = sample_cameras(joints, rig, torch.Generator().manual_seed(0))
    away = camera.position[0] - torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(away.norm(), torch.tensor(2.3 + 0.15))
    torch.testing.assert_close(
        camera.project(joints)[0, 1], torch.tensor([499.5, 499.5 - 1000 / 2.45]), atol=1e-3, rtol=0
    )


def test_cameras_are_a_function_of_the_generator() -> None:
    joints = poses(5)
    first, again, other = (
        sample_cameras(joints, RIGS["mocap"], torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    torch.testing.assert_close(first.rotation, again.rotation, rtol=0, atol=0)
    assert not torch.allclose(first.rotation, other.rotation)


def test_stations_are_taken_in_turn() -> None:
    joints = poses(1).expand(4, 17, 3)
    station = torch.arange(4)
    camera = sample_cameras(joints, RIGS["h36m"], torch.Generator().manual_seed(0), station=station)
    away = camera.position - (joints.amax(1) + joints.amin(1)) / 2
    azimuth = torch.rad2deg(torch.atan2(away[:, 1], away[:, 0])) % 360
    assert float((azimuth - torch.tensor([45.0, 135.0, 225.0, 315.0])).abs().max()) < 12 + 4


def test_unknown_rig_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="rig 'moccap' is not known; use one of mocap, anywhere, h36m"):
        get_rig("moccap")


QUIET = {"outlier": 0.0, "inversion": 0.0, "flip": 0.0, "miss": 0.0}


def observed(
    noise: DetectorNoise, count: int = 4000, size: float = 400.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True keypoints, noisy ones and confidence; a box of size x size / 4, so sqrt(area) is size / 2."""
    generator = torch.Generator().manual_seed(7)
    box = torch.tensor([100.0, 50.0, 100 + size, 50 + size / 4]).expand(count, 4)
    true = box[:, None, :2] + torch.rand(count, 17, 2, generator=generator) * torch.tensor([size, size / 4])
    seen, confidence = noise.apply(true, box, generator)
    return true, seen, confidence


@pytest.mark.parametrize("size", [200.0, 800.0])
def test_jitter_has_the_stated_deviation_per_joint_and_box(size: float) -> None:
    true, seen, confidence = observed(DetectorNoise(jitter=0.02, **QUIET), count=20_000, size=size)
    rms = (seen - true).square().mean(dim=(0, 2)).sqrt() / (size / 2)
    factors = {"wrist": 1.6, "ankle": 1.5, "elbow": 1.3, "knee": 1.2, "hip": 1.1}
    expected = [0.02 * factors.get(name.split("_")[-1], 1.0) for name in H36M.joints]
    torch.testing.assert_close(rms, torch.tensor(expected), rtol=0.03, atol=0)
    error = (seen - true).norm(dim=-1)
    low, high = confidence < confidence.quantile(0.2), confidence > confidence.quantile(0.8)
    assert float(error[low].mean()) > 2 * float(error[high].mean())  # heteroscedastic, and it is told


def test_no_noise_is_the_identity() -> None:
    true, seen, confidence = observed(DetectorNoise(jitter=0.0, spread=0.0, **QUIET))
    torch.testing.assert_close(seen, true)
    torch.testing.assert_close(confidence[:, 0], torch.full((4000,), math.exp(-1 / 18)))


def test_inversions_exchange_a_pair_and_flips_the_whole_person() -> None:
    exact = {"jitter": 0.0} | QUIET
    true, seen, _ = observed(DetectorNoise(**exact | {"inversion": 0.3}))
    mirrored = true[:, list(H36M.mirror)]
    same, swapped = (seen == true).all(-1), (seen == mirrored).all(-1)
    assert bool((same | swapped).all())
    left, right = H36M.index("left_wrist"), H36M.index("right_wrist")
    assert torch.equal(swapped[:, left], swapped[:, right])
    assert float(swapped[:, left].float().mean()) == pytest.approx(0.3, abs=0.04)
    both = swapped[:, left] & swapped[:, H36M.index("left_knee")]
    assert float(both.float().mean()) == pytest.approx(0.09, abs=0.03)  # pairs are independent
    true, seen, _ = observed(DetectorNoise(**exact | {"flip": 0.5}))
    flipped = (seen == true[:, list(H36M.mirror)]).all(-1).all(-1)
    assert float(flipped.float().mean()) == pytest.approx(0.5, abs=0.04)
    assert bool(((seen == true).all(-1).all(-1) ^ flipped).all())


def test_misses_lie_anywhere_in_the_box_at_low_confidence() -> None:
    true, seen, confidence = observed(DetectorNoise(**{"jitter": 0.0, "spread": 0.0} | QUIET | {"miss": 0.2}))
    missed = (seen != true).any(-1)
    assert float(missed.float().mean()) == pytest.approx(0.2, abs=0.01)
    assert float(confidence[missed].max()) < 0.2 < float(confidence[~missed].min())
    torch.testing.assert_close(seen[missed].mean(0), torch.tensor([300.0, 100.0]), rtol=0.02, atol=0)


def test_outliers_are_far_off_at_the_stated_rate() -> None:
    true, seen, confidence = observed(
        DetectorNoise(**{"jitter": 0.0} | QUIET | {"outlier": 0.1, "outlier_scale": 0.5})
    )
    far = (seen != true).any(-1)
    assert float(far.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((seen - true)[far].std()) == pytest.approx(0.5 * 200, rel=0.05)
    assert 0.2 <= float(confidence[far].min()) <= float(confidence[far].max()) <= 0.7


@pytest.fixture
def source(tmp_path: Path) -> Path:
    joints = poses(6).numpy()
    valid = np.ones((6, 17), dtype=bool)
    valid[2, 13], joints[2, 13] = False, np.nan
    columns = {"joints": joints, "valid": valid, "subject": np.arange(6) % 2, "frame": np.arange(6)}
    return write_store(tmp_path / "poses", columns, META)


def test_add_views_writes_cameras_whose_projections_are_the_keypoints(source: Path, tmp_path: Path) -> None:
    out = add_views(source, tmp_path / "views", RIGS["h36m"], 4, DetectorNoise(), seed=5)
    store = PoseStore.open(out, verify=True)
    assert len(store) == 24
    assert store.column("frame").tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4
    keypoints, valid = store.column("keypoints_true"), store.column("valid")
    pixels = store.camera().project(torch.tensor(store.column("joints"))).numpy()
    np.testing.assert_allclose(keypoints[valid][:, :2], pixels[valid], atol=2e-3)
    np.testing.assert_array_equal(keypoints[..., 2], valid)
    x0, y0, x1, y1 = store.column("boxes").T
    np.testing.assert_allclose((x1 - x0) / (y1 - y0), 0.75, rtol=1e-4)
    xy = keypoints[valid][:, :2]
    row = np.nonzero(valid)[0]
    assert (xy[:, 0] > x0[row]).all()
    assert (xy[:, 1] < y1[row]).all()
    seen = store.column("keypoints_detector")
    assert seen[2 * 4 : 3 * 4, 13, 2].tolist() == [0] * 4  # an invalid joint has no confidence
    assert 0 < np.abs(seen[..., :2] - keypoints[..., :2]).mean() < 20
    made = store.meta["views"]
    assert (made["seed"], made["per_frame"], made["noise"]["jitter"]) == (5, 4, 0.01)
    assert made["of"] == PoseStore.open(source).fingerprint


def test_add_views_is_deterministic_by_seed(source: Path, tmp_path: Path) -> None:
    prints = [
        PoseStore.open(
            add_views(source, tmp_path / f"v{i}", RIGS["mocap"], 2, DetectorNoise(), seed)
        ).fingerprint
        for i, seed in enumerate((1, 1, 2))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_add_views_of_some_rows_without_noise(source: Path, tmp_path: Path) -> None:
    out = add_views(source, tmp_path / "v", RIGS["mocap"], 1, None, 0, rows=np.array([4, 1]))
    store = PoseStore.open(out)
    assert store.column("frame").tolist() == [4, 1]
    assert "keypoints_detector" not in store


def test_rows_without_a_joint_are_left_out_and_told(tmp_path: Path) -> None:
    joints, valid = poses(5).numpy(), np.ones((5, 17), dtype=bool)
    valid[[1, 3]], joints[[1, 3]] = False, np.nan
    columns = {"joints": joints, "valid": valid, "frame": np.arange(5)}
    path = write_store(tmp_path / "poses", columns, META)
    told: list[str] = []
    rows = np.array([0, 1, 4])
    out = add_views(path, tmp_path / "v", RIGS["mocap"], 2, None, 0, rows=rows, say=told.append)
    assert PoseStore.open(out).column("frame").tolist() == [0, 0, 4, 4]
    assert told == [f"{path}: 1 of 3 rows have no valid joint; left out"]
    with pytest.raises(ValueError, match="poses: no valid 3D joint in these rows; choose others"):
        add_views(path, tmp_path / "none", RIGS["mocap"], 1, None, 0, rows=np.array([1, 3]))


def test_views_leave_the_names_of_recorded_cameras_behind(source: Path, tmp_path: Path) -> None:
    recorded = PoseStore.open(add_views(source, tmp_path / "recorded", RIGS["mocap"], 1, None, 0))
    columns = {name: recorded.column(name) for name in recorded.columns}
    named = write_store(tmp_path / "named", columns, recorded.meta | {"cameras": list("abcdef")})
    assert inspect_store(PoseStore.open(named))["cameras"]["by_name"] == dict.fromkeys("abcdef", 1)
    seen = PoseStore.open(add_views(named, tmp_path / "seen", RIGS["mocap"], 2, None, 0))
    assert inspect_store(seen)["cameras"] == {"count": 12, "rows": 12, "by_camera": [1] * 12}


def test_add_views_refuses_noise_for_another_skeleton(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="skeleton is h36m17, the noise model is for coco17"):
        add_views(source, tmp_path / "v", RIGS["mocap"], 1, DetectorNoise(skeleton="coco17"), 0)
    with pytest.raises(ValueError, match="per_frame is 0"):
        add_views(source, tmp_path / "v", RIGS["mocap"], 0, None, 0)
