"""Views: what is seen, mixed, mirrored and joined, and the rows of a store as views."""

from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.views import RIGS, Rig, add_views, sample_cameras
from posedata.views.batch import Track, Views, given, see
from posedata.views.bodies import Bodies
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import RecordedViews
from posedata.views.virtual import VirtualViews

H36M, SMPL = get_skeleton("h36m17"), get_skeleton("smpl24")


def people(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 17, 3, generator=generator, dtype=torch.float64) * 1.5


def lens(count: int, seed: int = 1) -> Camera:
    """Cameras with every kind of distortion and uneven focal lengths."""
    generator = torch.Generator().manual_seed(seed)
    camera = sample_cameras(people(count), RIGS["mocap"], generator)
    bent = torch.tensor([-0.2, 0.1, 0.01, -0.02, 0.03], dtype=torch.float64)
    return camera.replace(focal=camera.focal * torch.tensor([1.0, 1.1]), distortion=bent.expand(count, 5))


def test_a_mirrored_view_is_the_mirrored_world_seen_by_the_mirrored_camera() -> None:
    views = see(people(6), lens(6)).detected(DetectorNoise(), torch.Generator().manual_seed(2))
    which = torch.tensor([True, False] * 3)
    got = views.mirrored(which)
    assert got.joints is not None
    assert views.joints is not None
    projected = got.camera.project(got.joints)
    torch.testing.assert_close(got.keypoints["true"][..., :2], projected)
    assert not torch.allclose(projected[0], views.keypoints["true"][0, ..., :2])
    # left is right: the left wrist of the mirrored body is where the mirror shows the right one
    left, right = H36M.index("left_wrist"), H36M.index("right_wrist")
    for points in ("true", "detector"):
        x = 2 * views.camera.centre[0, 0] - views.keypoints[points][0, right, 0]
        torch.testing.assert_close(got.keypoints[points][0, left, 0], x)
    tight = bounding_box(projected, margin=0.1, aspect=0.75)
    torch.testing.assert_close(got.box, tight)
    for name in ("box", "joints"):
        assert torch.equal(getattr(got, name)[~which], getattr(views, name)[~which])
    torch.testing.assert_close(
        got.local[which], views.local[which][:, list(H36M.mirror)] * torch.tensor([-1, 1, 1])
    )
    twice = got.mirrored(which)
    torch.testing.assert_close(twice.camera.distortion, views.camera.distortion)
    torch.testing.assert_close(twice.joints, views.joints)
    torch.testing.assert_close(twice.keypoints["detector"], views.keypoints["detector"])


def test_pictures_and_points_are_mirrored_with_the_view() -> None:
    """A bright pixel stays on the joint that it marks, as the crop's camera projects it."""
    joints, camera = people(2), lens(2)
    views = see(joints, camera)
    size = (40, 53)
    crop = views.camera.crop(views.box, size)
    wrist = H36M.index("left_wrist")
    u, v = crop.project(joints)[:, wrist].round().long().unbind(-1)
    image = torch.zeros(2, 3, size[1], size[0], dtype=torch.uint8)
    image[torch.arange(2), 0, v, u] = 255
    marked = Views(**{**vars(views), "image": image, "mask": image[:, 0] > 0, "points": views.local})
    got = marked.mirrored(torch.tensor([True, True]))
    assert got.joints is not None
    assert got.image is not None
    assert got.mask is not None
    shown = got.camera.crop(got.box, size).project(got.joints)[:, H36M.index("right_wrist")].round().long()
    for i, (x, y) in enumerate(shown.tolist()):
        assert got.image[i, 0, y, x] == 255
        assert bool(got.mask[i, y, x])
    torch.testing.assert_close(got.points, got.local[:, list(H36M.mirror)])


def test_an_unseen_keypoint_stays_unseen_in_noise_and_in_the_mirror() -> None:
    points = torch.cat([people(3)[..., :2] * 300, torch.ones(3, 17, 1, dtype=torch.float64)], -1)
    points[0, 4] = 0
    views = given(points, lens(3)[0])
    exact = Views(views.camera, views.box, {"true": points})
    noisy = exact.detected(DetectorNoise(), torch.Generator().manual_seed(0)).keypoints["detector"]
    assert noisy[0, 4, 2] == 0
    assert (noisy[1:, :, 2] > 0).all()
    turned = exact.mirrored(torch.ones(3, dtype=torch.bool)).keypoints["true"]
    assert turned[0, H36M.mirror[4]].tolist() == [0, 0, 0]
    seen = bounding_box(points[..., :2], points[..., 2] > 0, margin=0.1, aspect=0.75)
    torch.testing.assert_close(views.box, seen)


def test_a_share_of_the_views_has_the_detectors_keypoints() -> None:
    views = see(people(2000), lens(2000)).detected(DetectorNoise(), torch.Generator().manual_seed(0))
    mixed = views.mixed("detector", 0.3, torch.Generator().manual_seed(1)).keypoints["mixed"]
    taken = (mixed == views.keypoints["detector"]).all(-1).all(-1)
    kept = (mixed == views.keypoints["true"]).all(-1).all(-1)
    assert (taken | kept).all()
    assert float(taken.double().mean()) == pytest.approx(0.3, abs=0.05)  # 5 standard deviations
    generator = torch.Generator().manual_seed(1)
    none = views.mixed("detector", 0.0, generator)
    assert torch.equal(none.keypoints["mixed"], views.keypoints["true"])
    assert torch.equal(
        generator.get_state(), torch.Generator().manual_seed(1).get_state()
    )  # nothing was drawn
    with pytest.raises(ValueError, match=r"no keypoints of 'cpn'; they have: true, detector"):
        views.mixed("cpn", 0.5, generator)


def test_views_are_joined_with_what_all_of_them_have() -> None:
    track = Track(torch.tensor([3, 3]), torch.tensor([0, 1]), torch.tensor([7, 8]))
    first = see(people(2), lens(2), track=track).detected(DetectorNoise(), torch.Generator().manual_seed(0))
    second = see(people(3, seed=5), lens(3, seed=6), track=Track(*torch.arange(9).view(3, 3)))
    both = Views.cat([first, second])
    assert len(both) == 5
    assert set(both.keypoints) == {"true"}
    assert both.track is not None
    assert both.track.frame.tolist() == [7, 8, 6, 7, 8]
    torch.testing.assert_close(both.camera.project(both.joints), both.keypoints["true"][..., :2])
    part = both[torch.tensor([4, 0])]
    assert part.track is not None
    assert part.track.recording.tolist() == [2, 3]
    torch.testing.assert_close(part.local[0], second.local[2])
    other = Views(first.camera, first.box, skeleton=SMPL)
    with pytest.raises(ValueError, match=r"views of h36m17 and of smpl24; convert one"):
        Views.cat([first, other])


def test_virtual_views_draw_the_same_scene_of_the_same_seed() -> None:
    joints = people(5).float()
    source = VirtualViews(joints, H36M, (RIGS["mocap"],), DetectorNoise(), Bodies(mirror=0.5, stature=0.1))
    one, two = (source.draw(64, torch.Generator().manual_seed(4), noise=0.5, augment=True) for _ in range(2))
    assert torch.equal(one.keypoints["mixed"], two.keypoints["mixed"])
    assert one.joints is not None
    torch.testing.assert_close(one.camera.project(one.joints), one.keypoints["true"][..., :2])
    plain = source.draw(64, torch.Generator().manual_seed(4))
    assert plain.joints is not None
    found = (plain.joints[:, None] == joints).all(-1).all(-1)
    assert (found.sum(1) == 1).all()  # as recorded, each
    assert torch.equal(plain.keypoints["mixed"], plain.keypoints["true"])
    thigh = (one.joints[:, H36M.index("left_knee")] - one.joints[:, H36M.index("left_hip")]).norm(dim=-1)
    known = (joints[:, H36M.index("left_knee")] - joints[:, H36M.index("left_hip")]).norm(dim=-1)
    other = (joints[:, H36M.index("right_knee")] - joints[:, H36M.index("right_hip")]).norm(dim=-1)
    ratio = thigh[:, None] / torch.cat([known, other])
    assert ((ratio > 0.9 - 1e-5) & (ratio < 1.1 + 1e-5)).any(1).all()


def test_virtual_views_of_several_rigs_are_drawn_in_equal_shares() -> None:
    up, down = Rig(elevation=(0.5, 0.6)), Rig(elevation=(-0.6, -0.5))
    source = VirtualViews(people(5).float(), H36M, (up, down), DetectorNoise())
    views = source.draw(9, torch.Generator().manual_seed(4))
    assert views.joints is not None
    above = views.camera.position[:, 2] > views.joints.mean(1)[:, 2]
    assert above.tolist() == [True] * 5 + [False] * 4
    torch.testing.assert_close(views.camera.project(views.joints), views.keypoints["true"][..., :2])


META = {"skeleton": "h36m17", "fps": 50, "source": "test", "licence": "none", "subjects": ["a", "b"]}


@pytest.fixture
def store(tmp_path: Path) -> PoseStore:
    """Six poses by two cameras of a rig, one joint not valid; without the exact keypoints."""
    valid = np.ones((6, 17), bool)
    valid[2, 5] = False
    columns = {
        "joints": people(6).float().numpy(),
        "valid": valid,
        "subject": np.repeat([0, 1], 3).astype(np.int32),
        "frame": np.arange(6, dtype=np.int32),
    }
    poses = write_store(tmp_path / "poses", columns, META)
    views = PoseStore.open(add_views(poses, tmp_path / "views", RIGS["h36m"], 2, DetectorNoise(), seed=3))
    kept = {name: np.array(views.column(name)) for name in views.columns if name != "keypoints_true"}
    kept["keypoints_cpn"] = kept.pop("keypoints_detector")
    return PoseStore.open(write_store(tmp_path / "recorded", kept, META))


def test_a_stores_rows_are_views_with_their_own_cameras_and_keypoints(store: PoseStore) -> None:
    rows = np.array([1, 4, 5, 11])
    recorded = RecordedViews(store, H36M, rows, detectors=["cpn"])
    views = recorded.views(torch.tensor([0, 3]))
    assert views.joints is not None
    assert views.track is not None
    joints = torch.from_numpy(np.array(store.column("joints")[[1, 11]]))
    torch.testing.assert_close(views.local, store.camera(np.array([1, 11])).world_to_camera(joints))
    torch.testing.assert_close(
        views.keypoints["true"][..., :2], store.camera(np.array([1, 11])).project(joints)
    )
    assert torch.equal(
        views.keypoints["cpn"], torch.from_numpy(np.array(store.column("keypoints_cpn")[[1, 11]]))
    )
    assert torch.equal(views.box, torch.from_numpy(np.array(store.column("boxes")[[1, 11]])))
    assert views.track.frame.tolist() == store.column("frame")[[1, 11]].tolist()
    assert views.track.camera.tolist() == store.column("camera")[[1, 11]].tolist()


def test_a_joint_that_is_not_valid_is_not_known_and_not_seen(store: PoseStore) -> None:
    recorded = RecordedViews(store, H36M, np.array([4, 5, 6]), detectors=["cpn"])  # rows 4 and 5 show pose 2
    views = recorded.views()
    assert views.joints is not None
    assert torch.isnan(views.joints[:2, 5]).all()
    assert views.joints.isfinite().sum() == (3 * 17 - 2) * 3
    assert views.keypoints["true"][:2, 5].tolist() == [[0, 0, 0]] * 2
    assert recorded.whole().tolist() == [False, False, True]


def test_what_a_store_lacks_is_named(store: PoseStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column keypoints_hrnet; name one of: cpn"):
        RecordedViews(store, H36M, detectors=["hrnet"])
    poses = write_store(tmp_path / "bare", {"joints": people(2).float().numpy()}, META)
    with pytest.raises(ValueError, match=r"bare: row 0 has no camera; prepare the data with its cameras"):
        RecordedViews(PoseStore.open(poses), H36M)
    with pytest.raises(ValueError, match=r"convert"):
        RecordedViews(store, SMPL)
