"""What teachers and students train on: filmed clips against the camera, turns, targets, pictures."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pointcloud_weak.baselines import depth_lookup, torso_depth
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames, vary
from pointcloud_weak.isolated import open_clips
from pointcloud_weak.pseudo import Labels
from pointcloud_weak.turn import Turn
from posedata.detect import KeypointSource
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.synthetic import film
from posedata.synthetic.people.build import build_synthetic
from posedata.views import choose_clips, windows
from posedata.views.noise import DetectorNoise
from poseenc.anchor.depth import depth_picture

SIZE = 64
ITOP = get_skeleton("itop15")
EXACT = KeypointSource(
    "noise", "itop15", DetectorNoise(jitter=0.0, outlier=0.0, inversion=0.0, flip=0.0, miss=0.0)
)


def opened(
    store: PoseStore, clips: np.ndarray, cache: Path, source: KeypointSource = EXACT, size: int = SIZE
) -> Clips:
    sizes: dict[str, Any] = {"image_size": size, "points": 64, "stored_points": 128}
    return open_clips(store, clips, source, cache, "people", **sizes, say=lambda text: None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def store(cache: Path) -> PoseStore:
    poses = PoseStore.open(build_synthetic(cache / "poses", subjects=2, clips=2, frames=20, seed=1))
    chosen = choose_clips(poses, poses.rows(), 3, 4, 6, seed=0)
    return film(poses, chosen, cache, "train", size=SIZE, kinect=False, seed=3, say=lambda text: None)


@pytest.fixture(scope="module")
def clips(store: PoseStore, cache: Path) -> Clips:
    return opened(store, windows(store, store.rows(), 3, 99), cache)


def test_everything_in_a_clip_agrees_with_its_camera(store: PoseStore, clips: Clips) -> None:
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
    true = torch.from_numpy(store.images(store.rows(), "mask") > 0).view_as(clips.mask)
    assert (clips.mask & true).sum() / (clips.mask | true).sum() > 0.93
    # and they lie in the isolated pixels
    pixels = clips.camera.project_camera(clips.points.flatten(1, 2)).round().long().view(6, 3, -1, 2)
    assert clips.mask[0, 1][pixels[0, 1, :, 1], pixels[0, 1, :, 0]].all()


def test_clips_of_depth_alone_are_the_same_without_pictures(
    store: PoseStore, clips: Clips, cache: Path
) -> None:
    rows = windows(store, store.rows(), 3, 99)
    given: dict[str, Any] = {"image_size": SIZE, "points": 64, "stored_points": 128, "rgb": False}
    bare = open_clips(store, rows, EXACT, cache, "bare", **given, say=lambda text: None)
    assert bare.store.image_kinds == ("depth", "mask")
    assert torch.equal(bare.points, clips.points)
    assert torch.equal(bare.depth, clips.depth)
    some = torch.arange(2)
    assert bare.batch(some).images is None
    frames, shown = Frames.of(bare), Frames.of(clips)
    assert torch.equal(frames[some].pictures("depth", some), shown.pictures("depth", some))
    with pytest.raises(ValueError, match=r"an RGB student needs pictures, set data\.rgb=false"):
        frames.pictures("rgb", some)


def test_recorded_frames_are_cut_to_squares_around_the_person(store: PoseStore, cache: Path) -> None:
    """Frames of another size than the squares: cut and resampled, with the camera to match."""
    clips = opened(store, windows(store, store.rows(), 3, 2), cache, size=48)
    assert clips.depth.shape[2:] == clips.image.shape[3:] == (48, 48)
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


def test_detections_are_drawn_once(store: PoseStore, cache: Path, clips: Clips) -> None:
    found = windows(store, store.rows(), 3, 99)
    first, again = (opened(store, found, cache, KeypointSource("noise", "itop15")) for _ in range(2))
    assert torch.equal(first.keypoints, again.keypoints)
    error = (first.keypoints - clips.keypoints)[..., :2].norm(dim=-1)
    assert 0.2 < error.median() < 3  # about 1 % of a box of some 50 px
    one, two = (first.batch(torch.arange(2), torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(one.seen.rays, two.seen.rays)
    assert not torch.equal(one.points, two.points)


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


def test_true_labels_are_of_poses_that_are_known_whole(clips: Clips) -> None:
    truth = clips.truth()
    labels = Labels.true(clips)
    torch.testing.assert_close(labels.joints, truth.flatten(0, 1))
    assert (labels.weight == 1).all()
    assert labels.kept == 1
    weight = labels.weight.clone()
    weight[: len(weight) // 3] = 0
    assert Labels(labels.joints, weight).kept == pytest.approx(2 / 3)
