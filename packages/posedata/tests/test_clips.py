"""Clips and squares: which rows follow each other, and what is cut out of their pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.views import choose_clips, square, windows
from posedata.views.bodies import Bodies
from posedata.views.clips import around
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import RIGS
from posedata.views.virtual import VirtualViews


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
    with pytest.raises(ValueError, match=r"no 5 frames follow each other; set frames or stride lower"):
        windows(store, np.arange(9), 3, 9, stride=2)


def test_windows_with_a_stride_use_every_row_once(tmp_path: Path) -> None:
    store = recorded(tmp_path / "s", [0] * 11, list(range(11)), [0] * 11)
    assert windows(store, np.arange(11), 3, 9, stride=2).tolist() == [[0, 2, 4], [1, 3, 5], [6, 8, 10]]
    assert windows(store, np.arange(11), 3, 9).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_clips_are_drawn_or_spread(tmp_path: Path) -> None:
    """Frames 0 to 9 of one sequence and 0 to 3 of another; a clip spans 5 rows, all of the first."""
    frame = [*range(10), *range(4)]
    store = recorded(tmp_path / "s", [0] * 10 + [1] * 4, frame, [0] * 14)
    spread = choose_clips(store, np.arange(14), 3, 2, 3, seed=None)
    assert spread.tolist() == [[0, 2, 4], [2, 4, 6], [5, 7, 9]]
    drawn = choose_clips(store, np.arange(14), 3, 2, 4, seed=1)
    assert (np.diff(drawn, axis=1) == 2).all()
    assert len(np.unique(drawn[:, 0])) == 4
    assert drawn.max() <= 9
    assert drawn.tolist() != choose_clips(store, np.arange(14), 3, 2, 4, seed=2).tolist()
    with pytest.raises(ValueError, match="no sequence has 11 frames; set frames or stride lower"):
        choose_clips(store, np.arange(14), 3, 5, 4, seed=1)


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


def test_clips_around_rows_end_where_their_sequence_does():
    sequence = np.array([4, 4, 4, 4, 2, 2, 4])
    found = around(sequence, np.array([0, 2, 3, 4, 6]), 3)
    assert found.tolist() == [[0, 0, 1], [1, 2, 3], [2, 3, 3], [4, 4, 5], [6, 6, 6]]
    assert around(sequence, np.array([1]), 1).tolist() == [[1]]


def test_virtual_clips_are_one_person_before_one_camera():
    generator = torch.Generator().manual_seed(0)
    body = torch.randn(17, 3, generator=generator)
    joints = body + 0.02 * torch.arange(40.0)[:, None, None] * torch.tensor([1.0, 0, 0])  # walks along x
    bodies = Bodies(mirror=0.5, stature=0.3, bones=0.2)
    sequence = np.arange(40) // 20
    source = VirtualViews(joints, get_skeleton("h36m17"), (RIGS["mocap"],), DetectorNoise(), bodies, sequence)
    views = source.draw(8, generator, augment=True, frames=5)
    assert len(views) == 40
    bones = (views.joints[:, 1:] - views.joints[:, :1]).norm(dim=-1).unflatten(0, (8, 5))
    torch.testing.assert_close(bones, bones[:, :1].expand_as(bones), atol=1e-4, rtol=1e-4)
    assert float(bones.std(0).min()) > 0.01
    turned = views.camera.rotation.unflatten(0, (8, 5))
    assert torch.equal(turned, turned[:, :1].expand_as(turned))
    seen = views.camera.project(views.joints)
    torch.testing.assert_close(views.keypoints["true"][..., :2], seen)
    moved = views.joints[:, 0].unflatten(0, (8, 5)).diff(dim=1)
    assert float(moved[..., 0].abs().max()) == pytest.approx(0.02, abs=1e-3)
    alone = source.draw(8, torch.Generator().manual_seed(3))
    again = VirtualViews(joints, source.skeleton, source.rigs, source.noise).draw(
        8, torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(alone.joints, again.joints)
    with pytest.raises(ValueError, match="no sequence"):
        VirtualViews(joints, source.skeleton, source.rigs, source.noise).draw(2, generator, frames=3)
