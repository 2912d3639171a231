"""Human3.6M as its archives unpack: written by cdflib and PyAV, read back with exact values."""

from pathlib import Path

import cdflib
import numpy as np
import pytest
import torch
from formats_h36m import CAMERAS, KEPT, H36mWriter, write_cdf
from posedata.inspection.report import inspect_store
from posedata.prepare import prepare
from posedata.readers.files.cdf import read_cdf
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.scoring.protocols import HitProtocol, get_protocol
from posedata.store import PoseStore


@pytest.fixture
def h36m(tmp_path: Path) -> H36mWriter:
    root = tmp_path / "h36m"
    root.mkdir()
    writer = H36mWriter(root)
    writer.metadata()
    return writer


def test_official_layout_round_trip(h36m: H36mWriter, tmp_path: Path) -> None:
    walk, photo = h36m.poses(6), h36m.poses(4)
    h36m.action(1, "Walking 1", walk)
    h36m.action(9, "TakingPhoto", photo)
    write_cdf(h36m.root / "S1/MyPoseFeatures/D3_Positions/_ALL.cdf", np.zeros((2, 96)))
    store = PoseStore.open(prepare("h36m", h36m.root, tmp_path / "out", strict=True))
    assert len(store) == 4 * (6 + 4)
    assert (store.meta["fps"], store.meta["skeleton"]) == (50, "h36m17")
    assert (store.names("subject"), store.names("action")) == (["S1", "S9"], ["Photo", "Walking"])
    assert store.names("sequence") == ["S1 Walking 1", "S9 Photo"]
    for subject, world in ((1, walk), (9, photo)):
        rows = store.rows(subjects=[f"S{subject}"])
        joints = store.column("joints")[rows].reshape(4, len(world), 17, 3)
        for number, camera in enumerate(CAMERAS):
            np.testing.assert_allclose(joints[number], world[:, KEPT] / 1000, atol=1e-6)
            own = rows.reshape(4, -1)[number]
            expected = h36m.project(world, subject, camera)[:, KEPT]
            found = store.column("keypoints_true")[own]
            np.testing.assert_allclose(found[..., :2], expected, atol=1e-3)
            assert (found[..., 2] == 1).all()
            # the camera that was written projects what was written to where it was seen
            pixels = store.camera(own).project(torch.from_numpy(store.column("joints")[own]))
            np.testing.assert_allclose(pixels, expected, atol=0.3)
            name = store.meta["cameras"][store.column("camera")[own[0]]]
            assert name == camera
            assert store.camera(own[:1]).size[0].tolist() == [1000, 1002 if camera in CAMERAS[::3] else 1000]


def test_moments_of_several_subjects_match_across_cameras(h36m: H36mWriter, tmp_path: Path) -> None:
    """Cameras are named by number alone; each subject's have values of their own."""
    for subject in (9, 11):
        h36m.action(subject, "Walking 1", h36m.poses(3))
    store = PoseStore.open(prepare("h36m", h36m.root, tmp_path / "out", strict=True))
    assert store.meta["cameras"] == [*CAMERAS, *CAMERAS]
    for subject, first in ((11, 0), (9, 4)):  # as their sequences are sorted
        places = np.stack([h36m.place[subject, camera] for camera in CAMERAS]) / 1000
        table = np.arange(first, first + 4)
        turns, shifts = store.column("camera_rotation")[table], store.column("camera_translation")[table]
        np.testing.assert_allclose(-np.einsum("cji,cj->ci", turns, shifts), places, atol=1e-5)
    protocol = get_protocol("prvipe-hit")
    assert isinstance(protocol, HitProtocol)
    rows = protocol.test.rows(store)
    names = np.array(store.meta["cameras"])[store.column("camera")[rows]]
    found = list(dict.fromkeys(names.tolist()))
    assert len(protocol.pairs(found)) == 12
    moments = np.stack([store.column(column)[rows] for column in ("subject", "frame")], axis=1)
    for moment in np.unique(moments, axis=0):
        assert sorted(names[(moments == moment).all(axis=1)]) == sorted(CAMERAS)
    report = inspect_store(store)
    assert report["cameras"]["by_name"] == dict.fromkeys(CAMERAS, 6)
    verdict = "24 rows where 550,644 are published; see the notes in sources.json"
    assert report["totals"][1]["verdict"] == verdict
    one = PoseStore.open(prepare("h36m", h36m.root, tmp_path / "one", subjects="S9"))
    verdict = "not judged: only part was prepared (--subjects S9)"
    assert inspect_store(one)["totals"][1]["verdict"] == verdict


def test_subjects_that_are_not_there_are_told(h36m: H36mWriter, tmp_path: Path) -> None:
    h36m.action(9, "Walking", h36m.poses(4))
    said: list[str] = []
    out = prepare("h36m", h36m.root, tmp_path / "out", subjects="S9, S12", say=said.append)
    assert PoseStore.open(out).names("subject") == ["S9"]
    assert said == [f"{h36m.root}: has no S12, which --subjects names; check it"]


def test_left_is_left(h36m: H36mWriter) -> None:
    h36m.action(5, "Greeting", h36m.poses(3))
    (clip, *_) = _clips(h36m, cameras="none")
    from posedata.skeleton import get_skeleton

    skeleton = get_skeleton("h36m17")
    for joint in ("hip", "knee", "ankle"):  # the writer's person faces -y
        assert (clip.joints[:, skeleton.index(f"left_{joint}"), 0] > 0.1).all()
        assert (clip.joints[:, skeleton.index(f"right_{joint}"), 0] < -0.1).all()


def test_world_from_camera_frame_is_the_same(h36m: H36mWriter) -> None:
    world = h36m.poses(3)
    h36m.action(6, "Waiting 2", world, kinds=("D3_Positions_mono",), pixels=False)
    clips = _clips(h36m)
    assert [clip.cameras[0].name for clip in clips] == list(CAMERAS)
    for clip, camera in zip(clips, CAMERAS, strict=True):
        np.testing.assert_allclose(clip.joints, world[:, KEPT] / 1000, atol=2e-6)
        expected = h36m.project(world, 6, camera)[:, KEPT]  # projected where no 2D is given
        np.testing.assert_allclose(clip.columns["keypoints_true"][..., :2], expected, atol=0.3)


def test_lost_frames_missing_metadata_and_unknown_choices_are_named(h36m: H36mWriter) -> None:
    h36m.action(7, "Eating", h36m.poses(5), lost=2)
    notes: list[str] = []
    clips = _clips(h36m, notes)
    assert [len(clip.joints) for clip in clips] == [3] * 4
    assert "Eating.54138969.cdf: has 3 frames for 5 poses" in notes[0]
    (h36m.root / "metadata.xml").unlink()
    notes.clear()
    (clip,) = _clips(h36m, notes)
    assert len(clip.joints) == 5
    assert not clip.cameras
    assert "has no metadata.xml" in notes[0]
    with pytest.raises(ValueError, match="cameras: '1' is not known"):
        _clips(h36m, cameras="1")
    with pytest.raises(FileNotFoundError, match="check --subjects"):
        _clips(h36m, subjects="S2")
    with pytest.raises(FileNotFoundError, match=r"unpack Poses_D3_Positions_S\*.tgz there"):
        list(
            get_format("h36m").plan(h36m.root / "S7" / "MyPoseFeatures" / "D2_Positions", _context([])).units
        )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("<w0>[", "<w0>[1 "), "w0 has 301 numbers, wanted 300"),
        (lambda text: text.replace("<w0>[", "<w0>[x "), "w0 holds what is not a number"),
        (lambda text: text.replace("55011271", "5"), "dbcameras lists 5"),
        (lambda text: "<!DOCTYPE x [<!ENTITY a 'b'>]>" + text, "declares a document type"),
        (lambda text: text[:-9], "is not XML"),
    ],
)
def test_damaged_metadata_is_named(h36m: H36mWriter, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    h36m.action(1, "Walking", h36m.poses(2))
    file = h36m.root / "metadata.xml"
    file.write_text(damage(file.read_text()))
    with pytest.raises(ValueError, match=message) as caught:
        _clips(h36m)
    assert str(caught.value).startswith(str(file))


def test_videos_become_crops_and_the_missing_one_is_known(h36m: H36mWriter, tmp_path: Path) -> None:
    pytest.importorskip("av")
    world = h36m.poses(5)
    h36m.action(11, "Directions", world)
    shades = np.array([40, 80, 120, 160, 200])
    for camera in CAMERAS[1:]:
        size = (1002, 1000) if camera == CAMERAS[3] else (1000, 1000)
        kept = shades[:4] if camera == CAMERAS[2] else shades
        h36m.video(
            11,
            "Directions",
            camera,
            np.broadcast_to(kept[:, None, None, None], (len(kept), *size, 3)).astype(np.uint8),
        )
    told: list[str] = []
    out = prepare("h36m", h36m.root, tmp_path / "out", size="24x32", fps=25, say=told.append)
    store = PoseStore.open(out)
    assert store.meta["known_faults"] == ["S11 Directions: camera 54138969 has no video"]
    assert len(told) == 1
    assert "58860488.mp4: has 4 frames for 5 poses" in told[0]
    assert store.column("image").tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, -1, 5, 6, 7]
    rows = np.flatnonzero(store.column("image") >= 0)
    seen = store.images(rows)
    assert seen.shape == (8, 32, 24, 3)
    middle = seen[:, 12:20, 8:16].reshape(8, -1).mean(axis=1)
    np.testing.assert_allclose(middle, shades[[0, 2, 4, 0, 2, 0, 2, 4]], atol=3)
    # a box is the projection's, with the crop's aspect
    box, pixels = store.column("boxes")[3], store.column("keypoints_true")[3, :, :2]
    assert (box[:2] < pixels.min(0)).all()
    assert (box[2:] > pixels.max(0)).all()
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(24 / 32, rel=1e-4)


@pytest.mark.parametrize("compress", [0, 6])
@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize(("kind", "dtype"), [(44, "f4"), (45, "f8"), (4, "i4")])
@pytest.mark.parametrize("encoding", [1, 6])
def test_cdf_variants_read_as_the_known_library_reads_them(  # type: ignore[no-untyped-def]
    tmp_path: Path, compress, majority, kind, dtype, encoding
) -> None:
    values = np.random.default_rng(0).normal(size=(7, 96)) * 1000
    for name, shape, data in (("one", [7, 96], values[None]), ("many", [96], values)):
        file = cdflib.cdfwrite.CDF(tmp_path / f"{name}.cdf", {"Majority": majority, "Encoding": encoding})
        spec = {"Variable": "Pose", "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True}
        file.write_var(spec | {"Dim_Sizes": shape, "Compress": compress}, var_data=data.astype(dtype))
        file.close()
        found = read_cdf(tmp_path / f"{name}.cdf", "Pose")
        np.testing.assert_array_equal(found, cdflib.CDF(tmp_path / f"{name}.cdf").varget("Pose"))
        if majority == "row_major":
            np.testing.assert_array_equal(found.reshape(7, 96), values.astype(dtype))


def test_a_cdf_compressed_as_a_whole_and_what_is_no_cdf(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(7, 96)).astype(np.float32)
    write_cdf(tmp_path / "all.cdf", values, Compressed=6)
    assert (tmp_path / "all.cdf").read_bytes()[4:8] == b"\xcc\xcc\x00\x01"
    np.testing.assert_array_equal(read_cdf(tmp_path / "all.cdf", "Pose")[0], values)
    with pytest.raises(
        ValueError, match=r"all\.cdf: is not a CDF file .* \(it has no variable 'Pos', only Pose"
    ):
        read_cdf(tmp_path / "all.cdf", "Pos")
    (tmp_path / "x.cdf").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"x\.cdf: is not a CDF file that can be read"):
        read_cdf(tmp_path / "x.cdf", "Pose")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_cdf(tmp_path / "y.cdf", "Pose")


def _context(notes: list[str], scratch: Path | None = None) -> Context:
    return Context(scratch or Path("unused"), notes.append)


def _clips(writer: H36mWriter, notes: list[str] | None = None, **options: object) -> list:  # type: ignore[type-arg]
    form, context = get_format("h36m", **options), _context([] if notes is None else notes)
    return [clip for unit in form.plan(writer.root, context).units for clip in form.read(unit, context)]
