"""What UniPose trains on: filmed clips against the camera, 2D from its sources, squares, turns, targets."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.synthetic.people.build import build_synthetic
from unipose.baselines import depth_lookup, torso_depth
from unipose.clips import Clips, open_clips, windows
from unipose.film import choose_clips, facing_x, film
from unipose.model import Turn, depth_picture, median_depth
from unipose.pictures import Frames, vary
from unipose.recipe import DataConfig, NoiseConfig
from unipose.square import square

SIZE = 64
ITOP = get_skeleton("itop15")
EXACT = NoiseConfig(jitter=0.0, outlier=0.0, inversion=0.0, flip=0.0, miss=0.0)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    cache = tmp_path_factory.mktemp("clips")
    return DataConfig(
        cache=cache, image_size=SIZE, noise=EXACT, kinect=False, points=64, stored_points=128, workers=1
    )


@pytest.fixture(scope="module")
def store(config: DataConfig) -> PoseStore:
    poses = PoseStore.open(build_synthetic(config.cache / "poses", subjects=2, clips=2, frames=20, seed=1))
    chosen = choose_clips(poses, poses.rows(), 3, 4, 6, seed=0)
    sequence, frame = (np.asarray(poses.column(name))[chosen] for name in ("sequence", "frame"))
    assert (sequence == sequence[:, :1]).all()
    assert (np.diff(frame, axis=1) == 4).all()
    assert len(np.unique(chosen[:, 0])) == 6
    with pytest.raises(ValueError, match="no sequence has 41 frames"):
        choose_clips(poses, poses.rows(), 3, 20, 6, seed=0)
    return film(poses, chosen, config, "train", 3, say=lambda text: None)


@pytest.fixture(scope="module")
def clips(store: PoseStore, config: DataConfig) -> Clips:
    found = windows(store, store.rows(), 3, 99)
    assert found.tolist() == np.arange(18).reshape(6, 3).tolist()
    return open_clips(store, found, config, "train", 0, say=lambda text: None)


def test_everything_in_a_clip_agrees_with_its_camera(clips: Clips) -> None:
    assert clips.dropped == 0
    truth = clips.truth()
    # exact 2D joints lie on the true ones' rays, joints that are midpoints up to perspective
    rays = truth / truth[..., 2:]
    off = (rays - clips.rays).norm(dim=-1) * truth[..., 2]
    assert off.max() < 0.03
    limbs = [ITOP.index(name) for name in ITOP.joints if "knee" in name or "elbow" in name]
    assert off[:, :, limbs].max() < 1e-3
    # the points are the person's: every joint has some near, and none is far from the joints
    near = torch.cdist(truth.flatten(0, 1), clips.points.flatten(0, 1))
    assert near.amin(2).quantile(0.9) < 0.25
    assert near.amin(1).max() < 0.4
    true = torch.from_numpy(clips.store.images(clips.rows, "mask") > 0).view_as(clips.mask)
    assert (clips.mask & true).sum() / (clips.mask | true).sum() > 0.93
    # and they lie in the isolated pixels
    pixels = clips.camera.project_camera(clips.points.flatten(1, 2)).round().long().view(6, 3, -1, 2)
    assert clips.mask[0, 1][pixels[0, 1, :, 1], pixels[0, 1, :, 0]].all()


def test_recorded_frames_are_cut_to_squares_around_the_person(store: PoseStore, config: DataConfig) -> None:
    """Frames of another size than the squares: cut and resampled, with the camera to match."""
    smaller = replace(config, image_size=48)
    clips = open_clips(store, windows(store, store.rows(), 3, 2), smaller, "train", 0, say=lambda text: None)
    assert clips.depth.shape[2:] == clips.rgb.shape[2:4] == (48, 48)
    truth = clips.truth()
    limbs = [ITOP.index(name) for name in ITOP.joints if "knee" in name or "elbow" in name]
    off = (truth / truth[..., 2:] - clips.rays).norm(dim=-1) * truth[..., 2]
    assert off[:, :, limbs].max() < 1e-3
    pixels = clips.camera.project_camera(clips.points.flatten(1, 2)).round().long()
    assert (pixels >= 0).all()
    assert (pixels < 48).all()
    near = torch.cdist(truth.flatten(0, 1), clips.points.flatten(0, 1)).amin(2)
    assert near.quantile(0.9) < 0.25


def test_skin_lies_in_front_of_the_joints(clips: Clips) -> None:
    truth = clips.truth()
    valid = clips.surface.valid
    deep = (truth[..., 2] - clips.surface.depth)[valid]
    assert valid.float().mean() > 0.5
    assert 0.03 < deep.median() < 0.15
    plain = (depth_lookup(clips, skin=False) - truth).norm(dim=-1)[valid].mean()
    assert (depth_lookup(clips, skin=True) - truth).norm(dim=-1)[valid].mean() < plain
    flat = torso_depth(clips)
    torch.testing.assert_close(flat[:, :, ITOP.root], truth[:, :, ITOP.root])
    assert flat[..., 2].std(dim=2).max() < 1e-5


def test_cameras_stand_before_the_person(store: PoseStore, config: DataConfig) -> None:
    """The way to the camera and the way the person faces are within `facing` of each other."""
    skeleton = store.skeleton
    middle = np.arange(1, len(store), 3)
    joints = torch.from_numpy(np.array(store.column("joints")[middle]))
    hips = joints[:, skeleton.index("left_hip")] - joints[:, skeleton.index("right_hip")]
    shoulders = joints[:, skeleton.index("left_shoulder")] - joints[:, skeleton.index("right_shoulder")]
    front = torch.linalg.cross(hips + shoulders, torch.tensor([0.0, 0.0, 1.0]).expand(len(middle), 3))
    away = store.camera(middle).position - joints.mean(1)
    cosine = torch.cosine_similarity(front[:, :2], away[:, :2], dim=1)
    assert torch.rad2deg(cosine.acos()).max() < config.facing + 6  # they look at a point near the person
    turned = facing_x(joints[:, None], skeleton)
    torch.testing.assert_close(turned, joints[:, None], atol=1e-4, rtol=0)


def test_detections_are_drawn_once(store: PoseStore, config: DataConfig, clips: Clips) -> None:
    noisy = DataConfig(**{**vars(config), "noise": NoiseConfig()})
    found = windows(store, store.rows(), 3, 99)
    first, again = (open_clips(store, found, noisy, "train", 0, say=lambda text: None) for _ in range(2))
    assert torch.equal(first.keypoints, again.keypoints)
    error = (first.keypoints - clips.keypoints)[..., :2].norm(dim=-1)
    assert 0.2 < error.median() < 3  # about 1 % of a box of some 50 px
    one, two = (first.batch(torch.arange(2), torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(one.seen.rays, two.seen.rays)
    assert not torch.equal(one.points, two.points)


def recorded(path: Path, sequence: list[int], frame: list[int], camera: list[int]) -> PoseStore:
    columns = {
        "joints": np.zeros((len(frame), 15, 3), np.float32),
        "sequence": np.array(sequence, np.int32),
        "frame": np.array(frame, np.int32),
        "camera": np.array(camera, np.int32),
    }
    table = {
        "focal": np.ones((2, 2)), "centre": np.ones((2, 2)), "rotation": np.eye(3)[None].repeat(2, 0),
        "translation": np.zeros((2, 3)), "distortion": np.zeros((2, 5)),
    }  # fmt: skip
    columns |= {f"camera_{name}": values.astype(np.float32) for name, values in table.items()}
    columns["camera_size"] = np.full((2, 2), 4, np.int32)
    meta = {"skeleton": "itop15", "fps": 30, "source": "test", "licence": "none", "sequences": ["a", "b"]}
    return PoseStore.open(write_store(path, columns, meta))


def test_windows_want_neighbours(tmp_path: Path) -> None:
    sequence, camera = [0, 0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1, 1]
    store = recorded(tmp_path / "s", sequence, [0, 2, 4, 5, 0, 1, 2, 3, 9], camera)
    assert windows(store, np.arange(9), 3, 9).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert windows(store, np.arange(9), 2, 9, stride=2).tolist() == [[0, 2], [4, 6]]
    with pytest.raises(ValueError, match="no 5 frames follow each other"):
        windows(store, np.arange(9), 5, 9)
    with pytest.raises(ValueError, match=r"no 5 frames follow each other; set .* data\.stride lower"):
        windows(store, np.arange(9), 3, 9, stride=2)


def test_windows_with_a_stride_use_every_row_once(tmp_path: Path) -> None:
    store = recorded(tmp_path / "s", [0] * 11, list(range(11)), [0] * 11)
    assert windows(store, np.arange(11), 3, 9, stride=2).tolist() == [[0, 2, 4], [1, 3, 5], [6, 8, 10]]
    assert windows(store, np.arange(11), 3, 9).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_squares_are_the_cameras_crop() -> None:
    """A picture whose pixels say where they are: the square's pixels are those its camera says."""
    rows, columns = np.meshgrid(np.arange(40), np.arange(50), indexing="ij")
    picture = np.stack([columns, rows], -1)[None].astype(np.float32) + 1
    camera = Camera(
        torch.tensor([30.0, 30.0]), torch.tensor([24.5, 19.5]), torch.eye(3), torch.zeros(3), size=(50, 40)
    )
    box = torch.tensor([9.5, 4.5, 29.5, 24.5])
    cut = square(picture, box, 10)[0]
    rays = camera.crop(box, (10, 10)).rays(torch.tensor([[3.0, 7.0]]))
    expected = camera.project_camera(rays)[0]
    assert np.abs(cut[7, 3] - 1 - expected.numpy()).max() <= 0.5
    beyond = square(picture, torch.tensor([-10.5, -0.5, 9.5, 19.5]), 20)[0]
    assert (beyond[:, :10] == 0).all()
    assert beyond[3, 10].tolist() == [1, 4]
    whole = square(picture[:, :40, :40], torch.tensor([-0.5, -0.5, 39.5, 39.5]), 40)
    assert np.array_equal(whole, picture[:, :40, :40])


def test_turns_come_back(clips: Clips) -> None:
    generator = torch.Generator().manual_seed(0)
    turn = Turn.draw(6, 40.0, True, ITOP, generator)
    assert turn.mirrored.any()
    assert not turn.mirrored.all()
    middle = clips.points.mean((1, 2))
    turned = turn.apply(clips.points, middle)
    torch.testing.assert_close(turned.mean((1, 2)), middle, atol=1e-4, rtol=0)
    torch.testing.assert_close(turned[..., 1], clips.points[..., 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(turn.undo(turned, middle), clips.points, atol=1e-5, rtol=0)
    truth = clips.truth()
    seen = turn.apply(truth, middle)
    named = torch.where(turn.mirrored[:, None, None, None], seen[:, :, list(ITOP.mirror)], seen)
    torch.testing.assert_close(turn.undo_joints(named, middle), truth, atol=1e-5, rtol=0)


def test_targets_come_back_for_both_students(clips: Clips) -> None:
    frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
    for kind in ("rgb", "depth"):
        target = frames.targets(kind, truth)
        back = frames.joints(kind, target, frames.reference(kind, truth))
        torch.testing.assert_close(back, truth, atol=1e-4, rtol=0)
    rows = torch.arange(4)
    picture = frames.pictures("depth", rows)
    assert picture.shape == (4, 1, SIZE, SIZE)
    assert (picture[frames.person[rows][:, None] == 0] == 1).all()
    assert frames.pictures("rgb", rows).max() <= 1
    person = torch.tensor([[[0.0, 2.0], [3.0, 9.0]]])
    assert median_depth(person).item() == 3.0
    assert depth_picture(person, torch.tensor([3.0])).flatten().tolist() == [1.0, -1.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_pictures_and_their_joints_are_varied_alike(kind: str) -> None:
    """A dot painted at every joint is found where the varied target says."""
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(8, 3, 3, generator=generator) * 20 + 22
    tiny = get_skeleton("itop15")
    target = torch.cat([target, target.new_full((8, 12, 3), 32.0)], 1)  # joints 0, 1, 2 are looked at
    size, spread = 64, 1.5
    at = torch.arange(size, dtype=torch.float32)

    def dots(joints: torch.Tensor) -> torch.Tensor:
        across = torch.exp(-((at - joints[:, 0, 0, None]) ** 2) / (2 * spread**2))
        down = torch.exp(-((at - joints[:, 0, 1, None]) ** 2) / (2 * spread**2))
        return down[:, :, None] * across[:, None]

    pictures = dots(target)[:, None]
    far = 1.0 if kind == "depth" else 0.0
    varied, moved = vary(pictures + far, target, tiny, 20.0, True, generator, kind)  # type: ignore[arg-type]
    weight = (varied[:, 0] - far).clamp(min=0)
    found = (
        torch.stack([(weight * at).sum((1, 2)), (weight * at[:, None]).sum((1, 2))], -1)
        / weight.sum((1, 2))[:, None]
    )
    assert (found - moved[:, 0, :2]).norm(dim=-1).max() < 0.6
    assert torch.equal(moved[..., 2].sort(-1).values, target[..., 2].sort(-1).values)
    still, same = vary(pictures, target, tiny, 0.0, False, generator, kind)  # type: ignore[arg-type]
    assert still.shape == pictures.shape
    assert math.isclose(float((same - target)[..., 2].abs().max()), 0.0)
