"""From the owners' layouts to stores with images, boxes, cameras and keypoints, against the known truth."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import write_layout
from layouts import Truth, write_3dhp, write_3dpw, write_h36m
from posedata.prepare import prepare
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

SIZE = (96, 128)
H36M = get_skeleton("h36m17").joints
LEFT_WRIST, RIGHT_WRIST, HEAD = (H36M.index(name) for name in ("left_wrist", "right_wrist", "head"))
CPN = "data_2d_h36m_cpn_ft_h36m_dbb.npz"


@pytest.fixture(scope="module")
def human36m(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, PoseStore]:
    folder = tmp_path_factory.mktemp("h36m")
    truth = write_h36m(
        folder / "in", subjects=("S1", "S9", "S11"), actions=("Directions", "Photo 1"), frames=6, pace=4
    )
    given = (f"cpn={folder / 'in' / CPN}",)
    told: list[str] = []
    out = prepare(
        "h36m", folder / "in", folder / "out", strict=True, size="96x128", keypoints=given, say=told.append
    )
    assert told == [
        f"{folder / 'in' / CPN}: lacks S11 Directions, as published; there keypoints_cpn has confidence 0"
    ]
    return truth, PoseStore.open(out, verify=True)


@pytest.fixture(scope="module")
def threedpw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, PoseStore]:
    folder = tmp_path_factory.mktemp("3dpw")
    truth = write_3dpw(folder / "in", frames=8, pace=3)
    out = prepare("3dpw", folder / "in", folder / "out", strict=True, size="96x128", joints="h36m17")
    return truth, PoseStore.open(out, verify=True)


@pytest.fixture(scope="module")
def threedhp(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, PoseStore]:
    folder = tmp_path_factory.mktemp("3dhp")
    truth = write_3dhp(folder / "in", frames=8, pace=3)
    out = prepare("mpi_inf_3dhp", folder / "in", folder / "out", strict=True, size="96x128", cameras="0,4,8")
    return truth, PoseStore.open(out, verify=True)


def clips(store: PoseStore) -> Iterator[tuple[str, str, np.ndarray]]:
    """Sequence, camera and rows, in the store's order."""
    sequences, cameras = store.names("sequence"), store.meta["cameras"]
    pairs = list(zip(store.column("sequence").tolist(), store.column("camera").tolist(), strict=True))
    named = [(sequences[sequence], cameras[camera]) for sequence, camera in pairs]
    for key in dict.fromkeys(named):
        yield *key, np.flatnonzero([other == key for other in named])


def frames_in_file(store: PoseStore, rows: np.ndarray, every: int = 1) -> np.ndarray:
    return store.column("frame")[rows] * every


def test_human36m_joints_pixels_and_detections_are_those_that_were_written(
    human36m: tuple[Truth, PoseStore],
) -> None:
    truth, store = human36m
    assert store.meta["fps"] == 50
    assert (store.names("subject"), store.names("action")) == (["S1", "S11", "S9"], ["Directions", "Photo"])
    assert store.meta["split"] == {"train": ["S1", "S5", "S6", "S7", "S8"], "test": ["S9", "S11"]}
    assert len(list(clips(store))) == len(truth.pixels) == 24
    for sequence, camera, rows in clips(store):
        assert store.column("frame")[rows].tolist() == list(range(6))
        np.testing.assert_allclose(store.column("joints")[rows], truth.joints[sequence], atol=1e-4)
        exact = truth.pixels[sequence, camera]
        np.testing.assert_allclose(store.column("keypoints_true")[rows, :, :2], exact, atol=1e-3)
        projected = store.camera(rows).project(torch.from_numpy(store.column("joints")[rows]))
        np.testing.assert_allclose(projected, exact, atol=0.3)
        seen = store.column("keypoints_cpn")[rows]
        np.testing.assert_allclose(seen, truth.detected[sequence, camera], atol=1e-3)
        lost = sequence == "S11 Directions"
        assert (seen[..., 2] == (0 if lost else 1)).all()
        off = np.linalg.norm(seen[..., :2] - exact, axis=-1)
        assert lost or 1 < np.median(off) < 15  # noise was added, around these very joints
        filmed = store.column("image")[rows] >= 0
        assert filmed.all() != (lost and camera == "54138969")


def test_3dpw_joints_pixels_and_detections_are_those_that_were_written(
    threedpw: tuple[Truth, PoseStore], tmp_path: Path
) -> None:
    truth, store = threedpw
    assert store.meta["fps"] == 30
    assert {part: len(names) for part, names in store.meta["split"].items()} == {
        "train": 2, "validation": 1, "test": 2
    }  # fmt: skip
    assert len(list(clips(store))) == len(truth.joints) == 7
    openpose = [i for i, name in enumerate(H36M) if name.partition("_")[2]]  # limbs, which COCO-18 has too
    for sequence, camera, rows in clips(store):
        frames = [0, 1, 2, 3, 4, 6, 7]  # the camera of 5 is not known
        assert store.column("frame")[rows].tolist() == frames
        joints, expected = store.column("joints")[rows], truth.joints[sequence][frames]
        kept = np.arange(17) != HEAD
        np.testing.assert_allclose(joints[:, kept], expected[:, kept], atol=1e-4)
        exact = truth.pixels[sequence, camera][frames]
        np.testing.assert_allclose(
            store.column("keypoints_true")[rows][:, kept, :2], exact[:, kept], atol=0.02
        )
        seen = store.column("keypoints_openpose")[rows][:, openpose]
        np.testing.assert_allclose(seen, truth.detected[sequence, camera][frames][:, openpose], atol=1e-3)
    whole = PoseStore.open(prepare("3dpw", truth.folder, tmp_path / "smpl", frames="all"))
    for sequence in truth.joints:
        rows = whole.rows(sequences=[sequence])
        own = [whole.skeleton.index(name) for name in H36M if name in whole.skeleton.joints]
        theirs = [H36M.index(whole.skeleton.joints[i]) for i in own]
        assert len(own) == 15  # all but Human3.6M's spine and top of the head
        np.testing.assert_allclose(
            whole.column("joints")[rows][:, own], truth.joints[sequence][:, theirs], atol=1e-4
        )


def test_3dhp_joints_and_pixels_are_those_that_were_written(threedhp: tuple[Truth, PoseStore]) -> None:
    truth, store = threedhp
    assert store.meta["fps"] == 25
    assert store.meta["split"] == {"train": ["S1", "S2"], "test": ["TS1", "TS3"]}
    assert len(list(clips(store))) == 4 * 3 + 2
    for sequence, camera, rows in clips(store):
        every = 2 if sequence == "S1 Seq2" else 1  # recorded at 50 frames a second
        frames = frames_in_file(store, rows, every)
        first = 1 if sequence.startswith("TS") else 0  # the first frame of a test sequence is not valid
        assert frames.tolist() == list(range(first, 8, every))
        np.testing.assert_allclose(store.column("joints")[rows], truth.joints[sequence][frames], atol=1e-4)
        exact = truth.pixels[sequence, camera][frames]
        np.testing.assert_allclose(store.column("keypoints_true")[rows, :, :2], exact, atol=0.01)
        projected = store.camera(rows).project(torch.from_numpy(store.column("joints")[rows]))
        np.testing.assert_allclose(projected, exact, atol=0.01)
        assert store.camera(rows).size.tolist() == [[256, 256]] * len(rows)
    activities = [store.names("action")[i] for i in store.column("action")[store.rows(subjects=["TS3"])]]
    assert activities == ["Sit On Chair"] * 3 + ["Crouch-Reach"] * 4


@pytest.mark.parametrize(
    ("name", "every"), [("human36m", {}), ("threedpw", {}), ("threedhp", {"S1 Seq2": 2})]
)
def test_joints_fall_on_the_persons_own_pixels_left_on_the_left(
    name: str, every: dict[str, int], request: pytest.FixtureRequest
) -> None:
    """The store's camera, cropped as the picture was, puts a wrist that can be seen on its own colour."""
    truth, store = request.getfixturevalue(name)
    assert store.image_size == SIZE
    counts = {"left": [], "right": [], "body": []}
    for sequence, camera, rows in clips(store):
        rows = rows[store.column("image")[rows] >= 0]
        if not len(rows):
            continue
        frames = frames_in_file(store, rows, every.get(sequence, 1))
        boxes = torch.from_numpy(store.column("boxes")[rows])
        places = store.camera(rows).crop(boxes, SIZE).project(torch.from_numpy(store.column("joints")[rows]))
        x, y = places.round().long().clamp(min=0).numpy().transpose(2, 0, 1)
        picture = store.images(rows).astype(int)
        red, green, blue = picture[np.arange(len(rows))[:, None], y.clip(max=127), x.clip(max=95)].transpose(
            2, 0, 1
        )
        visible = truth.visible[sequence, camera][frames]
        counts["left"] += (green > np.maximum(red, blue))[:, LEFT_WRIST][visible[:, LEFT_WRIST]].tolist()
        counts["right"] += (green < np.minimum(red, blue))[:, RIGHT_WRIST][visible[:, RIGHT_WRIST]].tolist()
        spread = np.ptp(np.stack([red, green, blue]), axis=0)  # the studio is grey
        counts["body"] += (spread > 12)[visible].tolist()
    for kind, hit in counts.items():
        assert len(hit) > 30, kind
        assert np.mean(hit) > (0.9 if kind == "body" else 0.97), kind  # some clothes are grey too


def test_the_same_arguments_write_the_same_and_another_seed_other_people(tmp_path: Path) -> None:
    def fingerprint(name: str, write: Callable[..., Truth], number: int, **options: object) -> str:
        folder = tmp_path / f"{name}-{number}"
        write(folder / "in", frames=2, **options)
        return PoseStore.open(prepare(name, folder / "in", folder / "out", size="24x32")).fingerprint

    one = {"subjects": ("S9",), "actions": ("Walking",)}
    assert fingerprint("h36m", write_h36m, 0, **one) == fingerprint("h36m", write_h36m, 1, **one)
    few = {"sequences": {"test": ("downtown_walking_00",)}}
    prints = [fingerprint("3dpw", write_3dpw, i, seed=seed, **few) for i, seed in enumerate((0, 0, 1))]
    assert prints[0] == prints[1] != prints[2]


def test_the_command_writes_what_the_function_does(tmp_path: Path) -> None:
    words = ["h36m", str(tmp_path / "a"), "--frames", "3", "--subjects", "S1", "--actions", "Walking"]
    write_layout.main(words)
    write_h36m(tmp_path / "b", subjects=["S1"], actions=["Walking"], frames=3, pace=6)
    one, other = (PoseStore.open(prepare("h36m", tmp_path / n, tmp_path / f"{n}.store")) for n in "ab")
    assert len(one) == 3 * 4
    assert one.fingerprint == other.fingerprint
