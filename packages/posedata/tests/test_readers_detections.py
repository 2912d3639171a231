"""OpenPose, AlphaPose, MMPose and COCO results: what was written stands where the skeleton has it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_detections import (
    BODY_25,
    COCO_17,
    COCO_18,
    alphapose_18,
    alphapose_entry,
    mmpose_instance,
    mmpose_meta,
    people,
    write,
    write_openpose,
)
from posedata.inspection.report import inspect_store
from posedata.prepare import prepare
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

RNG = np.random.default_rng(12)
OURS = {"Neck": "shoulder_centre", "MidHip": "pelvis"}


def made(tmp_path: Path, form: str, source: Path, **options: Any) -> tuple[PoseStore, list[str]]:
    told: list[str] = []
    options = {"rate": 25.0, **options}
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    store = PoseStore.open(prepare(form, source, out, say=told.append, **options), verify=True)
    assert np.isnan(store.column("joints")).all()
    assert not store.column("valid").any()
    return store, told


def by_name(store: PoseStore, person: np.ndarray, names: list[str], column: str) -> np.ndarray:
    """What the store should have for a person, found joint by joint."""
    out = np.zeros((len(get_skeleton(store.meta["skeleton"]).joints), 3))
    for place, joint in enumerate(get_skeleton(store.meta["skeleton"]).joints):
        for row, name in enumerate(names):
            ours = (
                OURS.get(name)
                or {"L": "left_", "R": "right_"}.get(name[0], "") + name.lower()[name[0] in "LR" :]
            )
            ours = name if "_" in name or name == "nose" else ours
            ours = ours.replace("bigtoe", "big_toe").replace("smalltoe", "small_toe")
            if ours == joint:
                out[place] = person[row]
    return out


@pytest.mark.parametrize(
    ("names", "skeleton"), [(BODY_25, "openpose25"), (COCO_18, "coco17"), (COCO_17, "coco17")]
)
def test_openpose_folders_keep_frames_and_joints(tmp_path: Path, names: list[str], skeleton: str) -> None:
    seen = people(RNG, 4, len(names))
    write_openpose(tmp_path / "in" / "a", {3: [seen[0], seen[1]], 12: [], 10: [seen[2]]}, "walk")
    write_openpose(tmp_path / "in" / "b", {0: [seen[3]]}, "walk")
    store, told = made(tmp_path, "openpose", tmp_path / "in")
    assert (store.meta["skeleton"], store.meta["fps"]) == (skeleton, 25)
    assert store.names("sequence") == ["a/walk", "b/walk"]
    assert store.column("frame").tolist() == [3, 3, 10, 0]
    expected = np.stack([by_name(store, person, names, skeleton) for person in seen])
    assert (expected[..., 2] > 0).sum() > 40
    np.testing.assert_allclose(store.column("keypoints_openpose"), expected, rtol=1e-6)
    known = expected[2, expected[2, :, 2] > 0, :2]
    np.testing.assert_allclose(
        store.column("boxes")[2], [*(known.min(0) - 0.5), *(known.max(0) + 0.5)], rtol=1e-6
    )
    assert told == [f"{tmp_path}/in/a: people are not tracked; rows of a frame are in no order of persons"]
    assert inspect_store(store)["units"]["verdict"] == "not judged: the store has no 3D"


def test_tracked_people_are_clips_of_their_own_and_frames_are_skipped_by_rate(tmp_path: Path) -> None:
    seen = people(RNG, 6, 25)
    for frame in range(3):
        write_openpose(tmp_path / "in", {frame: [seen[frame]]}, "v", person_id=[7])
    data = {
        "version": 1.3,
        "people": [{"person_id": [i], "pose_keypoints_2d": seen[i].ravel().tolist()} for i in (4, 5)],
    }
    write(tmp_path / "in" / "v_000000000004_keypoints.json", data)
    store, told = made(tmp_path, "openpose", tmp_path / "in", rate=30.0, fps=15)
    assert told == []
    assert store.names("sequence") == ["v 4", "v 5", "v 7"]
    assert sorted(store.column("frame").tolist()) == [0, 1, 2, 2]
    assert store.column("keypoints_openpose")[-1, 0, 0] == pytest.approx(seen[2, 0, 0])


def test_without_a_rate_thirty_are_assumed_and_told(tmp_path: Path) -> None:
    write_openpose(tmp_path / "in", {0: [people(RNG, 1, 25)[0]]})
    store, told = made(tmp_path, "openpose", tmp_path / "in", rate=None, detector="op_v2")
    assert store.meta["fps"] == 30
    assert "tells no frames a second, 30 are assumed; give --rate" in told[0]
    assert "keypoints_op_v2" in store.meta["columns"]


@pytest.mark.parametrize("form", ["default", "cmu", "open", "sep-json", "poseflow"])
def test_alphapose_in_each_form(tmp_path: Path, form: str) -> None:
    seen = people(RNG, 3, 17)
    images = ["9.jpg", "10.jpg", "10.jpg"]
    file = tmp_path / "in" / "alphapose-results.json"
    key, inner = ("bodies", "joints") if form == "cmu" else ("people", "pose_keypoints_2d")
    frames: dict[str, list[Any]] = {}
    for image, person in zip(images, seen, strict=True):
        frames.setdefault(image, []).append({inner: alphapose_18(person)})
    if form == "default":
        write(file, [alphapose_entry(image, person) for image, person in zip(images, seen, strict=True)])
    elif form == "poseflow":
        tracked = {
            i: [{"keypoints": p.ravel().tolist(), "idx": [[k]]}]
            for k, (i, p) in enumerate(zip(images[:2], seen[:2], strict=True))
        }
        write(file, tracked)
    elif form == "sep-json":
        for image, here in frames.items():
            write(tmp_path / "in" / form / f"{image[:-4]}.json", {"version": "AlphaPose v0.3", key: here})
    else:
        write(file, {image: {"version": "AlphaPose v0.3", key: here} for image, here in frames.items()})
    store, _ = made(tmp_path, "alphapose", tmp_path / "in")
    count = 2 if form == "poseflow" else 3
    assert store.meta["skeleton"] == "coco17"
    assert store.column("frame").tolist() == [9, 10, 10][:count]
    np.testing.assert_allclose(store.column("keypoints_alphapose"), seen[:count], rtol=1e-6)
    if form == "default":
        np.testing.assert_array_equal(store.column("boxes")[0], [10, 20, 310, 420])


@pytest.mark.parametrize(("count", "skeleton"), [(26, "halpe26"), (136, "halpe26"), (133, "coco17")])
def test_larger_sets_begin_with_the_body(tmp_path: Path, count: int, skeleton: str) -> None:
    seen = people(RNG, 2, count)
    seen[0, 0, 2] = 4.5  # as AlphaPose's COCO models score
    entries = [alphapose_entry(f"frame_{i}.png", person, idx=[1]) for i, person in enumerate(seen)]
    store, told = made(tmp_path, "alphapose", write(tmp_path / "r.json", entries))
    assert store.meta["skeleton"] == skeleton
    joints = len(get_skeleton(skeleton))
    np.testing.assert_allclose(
        store.column("keypoints_alphapose"), seen[:, :joints].clip(max=[1e9, 1e9, 1]), rtol=1e-6
    )
    assert told == [f"{tmp_path}/r.json: scores reach 4.5; those above 1 count as 1"]
    assert store.names("sequence") == ["r 1"]


def test_mmpose_goes_by_the_names_of_its_keypoints(tmp_path: Path) -> None:
    seen, order = people(RNG, 3, 17), RNG.permutation(17)
    names = [COCO_17[i] for i in order]
    shown = [mmpose_instance(person[order], bbox_score=0.9) for person in seen]
    frames = [
        {"frame_id": 1, "instances": shown[:2]},
        {"frame_id": 2, "instances": []},
        {"frame_id": 5, "instances": shown[2:]},
    ]
    write(tmp_path / "in" / "results_a.json", {"meta_info": mmpose_meta(names), "instance_info": frames})
    store, _ = made(tmp_path, "mmpose", tmp_path / "in")
    assert (store.meta["skeleton"], store.column("frame").tolist()) == ("coco17", [1, 1, 5])
    np.testing.assert_allclose(store.column("keypoints_mmpose"), seen, rtol=1e-6)
    np.testing.assert_array_equal(store.column("boxes")[0], [11, 22, 333, 444])


def test_mmpose_lists_and_single_images(tmp_path: Path) -> None:
    seen = people(RNG, 3, 17)
    shown = [mmpose_instance(person) for person in seen]
    for number in range(3):  # the inferencer's predictions of a folder of images
        write(tmp_path / "images" / f"img_{number + 4:03d}.json", [shown[number]])
    old = [[{"keypoints": p.tolist(), "bbox": [1, 2, 30, 40, 0.9], "track_id": 3}] for p in seen]
    for name, value in (
        ("images", None),
        ("old.json", old),
        ("list.json", [{"frame_id": 2 * i, "instances": [s]} for i, s in enumerate(shown)]),
    ):
        source = tmp_path / name if value is None else write(tmp_path / name, value)
        store, _ = made(tmp_path, "mmpose", source)
        np.testing.assert_allclose(store.column("keypoints_mmpose"), seen, rtol=1e-6)
        expected = {"images": [4, 5, 6], "old.json": [0, 1, 2], "list.json": [0, 2, 4]}[name]
        assert store.column("frame").tolist() == expected
    human = [
        "root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine",
        "thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
        "right_elbow", "right_wrist",
    ]  # fmt: skip
    value = {"meta_info": mmpose_meta(human), "instance_info": shown}
    store, _ = made(tmp_path, "mmpose", write(tmp_path / "h36m.json", value))
    assert store.meta["skeleton"] == "h36m17"
    np.testing.assert_allclose(store.column("keypoints_mmpose"), seen, rtol=1e-6)


def test_coco_results_keep_images_and_leave_other_categories_out(tmp_path: Path) -> None:
    seen = people(RNG, 3, 17)
    entries = [
        {"image_id": image, "category_id": kind, "keypoints": person.ravel().tolist(), "score": 0.5}
        for image, kind, person in zip((785, 139, 785), (1, 1, 2), seen, strict=True)
    ]
    store, told = made(tmp_path, "coco_results", write(tmp_path / "r.json", entries), rate=None)
    assert (store.meta["fps"], store.column("frame").tolist()) == (1, [139, 785])
    np.testing.assert_allclose(store.column("keypoints_detector"), seen[[1, 0]], rtol=1e-6)
    assert told == [f"{tmp_path}/r.json: 1 results are of other categories than 1, people; left out"]
    with pytest.raises(ValueError, match=r"r\.json: is a list of results .* prepare coco_results"):
        prepare("coco", tmp_path / "r.json", tmp_path / "x")


FAULTY: dict[str, tuple[Any, str]] = {
    "normalised": (
        lambda p: p * [1 / 900, 1 / 600, 1],
        "all keypoints lie between .* so are not pixels; write pixels",
    ),
    "between -1 and 1": (lambda p: p * [2 / 900, 2 / 600, 1] - [1, 1, 0], "all keypoints lie between -"),
    "percent": (lambda p: p * [1, 1, 100], "scores reach .*, wanted 0 to 1; divide them"),
    "fifteen": (
        lambda p: p[:15],
        "a person has 15 keypoints, of which no order is known; use 17, 18, 25, 26",
    ),
    "huge": (lambda p: p * [1e9, 1, 1], "has no person with a keypoint that can be used"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_numbers_that_are_no_keypoints_are_refused(tmp_path: Path, fault: str) -> None:
    change, message = FAULTY[fault]
    write_openpose(tmp_path / "in", {0: [change(people(RNG, 1, 25)[0])]})
    with pytest.raises(ValueError, match=message) as caught:
        prepare("openpose", tmp_path / "in", tmp_path / "out", rate=25.0)
    assert str(caught.value).startswith(str(tmp_path / "in"))
    assert not (tmp_path / "out").exists()


def test_damaged_people_and_frames_are_counted_and_the_others_read(tmp_path: Path) -> None:
    seen = people(RNG, 3, 25)
    files = write_openpose(tmp_path / "in", {i: [seen[i % 3]] for i in range(3)})
    (tmp_path / "in" / "video_000000000007_keypoints.json").write_text('{"version"')
    write(tmp_path / "in" / "video_000000000008_keypoints.json", {"people": [{"pose_keypoints_2d": None}]})
    text = '{"people": [{"pose_keypoints_2d": [' + "NaN, " * 74 + "1]}, {}]}"
    (tmp_path / "in" / "video_000000000009_keypoints.json").write_text(text)
    write(tmp_path / "in" / "video_000000000010_keypoints.json", {"people": [{"pose_keypoints_2d": [1, 2]}]})
    store, told = made(tmp_path, "openpose", tmp_path / "in")
    assert store.column("frame").tolist() == [0, 1, 2]
    assert len(files) == 3
    assert told == [
        f"{tmp_path}/in/video_000000000007_keypoints.json: is not JSON (ends too early at line 1, column 11);"
        " copy it again [the frame is left out]",
        f"{tmp_path}/in: 3 people (first in frame 8) have keypoints that are not a list of finite numbers;"
        " left out",
        f"{tmp_path}/in: 1 people (first in frame 10) have 2 numbers as keypoints, wanted 75; left out",
    ]


WRONG = {
    "openpose": ({"version": 1}, "has no list people, so is none of OpenPose's"),
    "alphapose": ({"a": 1}, "holds what is none of AlphaPose's forms"),
    "mmpose": ({"meta_info": {}}, "has no list instance_info, so is none of MMPose's"),
    "coco_results": (
        {"images": []},
        "is an object and no list of results; read annotations with prepare coco",
    ),
}


@pytest.mark.parametrize("form", WRONG)
def test_files_of_another_kind_and_empty_ones_are_named(tmp_path: Path, form: str) -> None:
    value, message = WRONG[form]
    file = write(tmp_path / "in" / "r_1.json", value)
    with pytest.raises(ValueError, match=message) as caught:
        prepare(form, tmp_path / "in", tmp_path / "out", rate=25.0)
    assert str(caught.value).startswith(str(file))
    nobody = {
        "openpose": {"people": []},
        "alphapose": [],
        "mmpose": {"instance_info": []},
        "coco_results": [],
    }
    write(file, nobody[form])
    with pytest.raises(ValueError, match="nobody is in any frame; check the files"):
        prepare(form, tmp_path / "in", tmp_path / "out", rate=25.0)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"no \.json file there; it is empty"):
        prepare(form, tmp_path / "in", tmp_path / "out", rate=25.0)


def test_results_in_3d_and_mixed_skeletons_are_refused(tmp_path: Path) -> None:
    lifted = {"keypoints": [[0.1, 0.2, 0.8]] * 17, "keypoint_scores": [1.0] * 17}
    file = write(tmp_path / "r.json", {"instance_info": [{"frame_id": 1, "instances": [lifted]}]})
    with pytest.raises(ValueError, match=r"r\.json: frame 1: keypoints are 3D, no pixels"):
        prepare("mmpose", file, tmp_path / "out")
    write_openpose(tmp_path / "in", {0: [people(RNG, 1, 25)[0]]}, "a")
    write_openpose(tmp_path / "in", {0: [people(RNG, 1, 26)[0]]}, "b")
    with pytest.raises(
        ValueError, match="a has the keypoints of openpose25, b those of halpe26; prepare them apart"
    ):
        prepare("openpose", tmp_path / "in", tmp_path / "out", rate=25.0)
    with pytest.raises(ValueError, match=r"detector 'a/b': give letters, digits and _ alone"):
        prepare("openpose", tmp_path / "in", tmp_path / "out", detector="a/b")
    with pytest.raises(ValueError, match="rate is -1; give frames a second as a positive number"):
        prepare("openpose", tmp_path / "in", tmp_path / "out", rate=-1.0)
