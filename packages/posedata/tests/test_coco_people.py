"""COCO's people one by one: what is left out or mended of each is told, and the others are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_photo import COCO_NAMES, coco_annotations, write_coco
from posedata.prepare import prepare
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.store import PoseStore


@pytest.fixture
def data() -> dict[str, Any]:
    return coco_annotations(np.random.default_rng(6))


def rows_of(
    tmp_path: Path, data: dict[str, Any], **options: Any
) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Keypoints, boxes, notes, remarks."""
    path = write_coco(tmp_path, "train2017", data)
    notes: list[str] = []
    remarks: list[str] = []
    context = Context(tmp_path, notes.append, remarks.append)
    form = get_format("coco", **options)
    clips = [clip for unit in form.plan(path, context).units for clip in form.read(unit, context)]
    shorter = [[text.replace(f"{path}: ", "") for text in texts] for texts in (notes, remarks)]
    columns = clips[0].columns
    return columns["keypoints_annotated"], columns["boxes"], shorter[0], shorter[1]


CROWDS = [
    "1 annotations (first annotations[6]) have no keypoint that is annotated; left out",
    "1 annotations (first annotations[7]) are crowds; left out",
]

LEFT_OUT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no list": (lambda p: p.update(keypoints={"x": 1}), "have keypoints that are not a list of"),
    "text": (lambda p: p["keypoints"].__setitem__(0, "1"), "have keypoints that are not a list of"),
    "nan": (lambda p: p["keypoints"].__setitem__(0, float("nan")), "have keypoints that are not a list of"),
    "infinite": (lambda p: p["keypoints"].__setitem__(1, 1e999), "have keypoints that are not a list of"),
    "null inside": (lambda p: p["keypoints"].__setitem__(1, None), "have keypoints that are not a list of"),
    "short": (lambda p: p["keypoints"].pop(), "have 50 numbers as keypoints, wanted 51"),
    "16": (lambda p: p.update(keypoints=p["keypoints"][:48]), "have 48 numbers as keypoints, wanted 51"),
    "long": (lambda p: p["keypoints"].extend([1, 1, 1]), "have 54 numbers as keypoints, wanted 51"),
    "visibility 3": (lambda p: p["keypoints"].__setitem__(2, 3), "have a visibility that is none of"),
    "visibility -1": (lambda p: p["keypoints"].__setitem__(2, -1), "have a visibility that is none of"),
    "huge": (lambda p: p["keypoints"].__setitem__(9, 10**400), "have keypoints that are not a list of"),
    "no pixels": (lambda p: p["keypoints"].__setitem__(9, 1e9), "have keypoints that are not pixels"),
    "another image": (lambda p: p.update(image_id=5), "are of an image that is not listed, or listed twice"),
    "no image": (lambda p: p.pop("image_id"), "are of an image that is not listed, or listed twice"),
    "another category": (lambda p: p.update(category_id=9), "are of a category that is not listed"),
    "no category": (lambda p: p.pop("category_id"), "are of a category that is not listed"),
    "all far outside": (
        lambda p: p.update(keypoints=[900, -70, 2] * 17, num_keypoints=17), "have keypoints far outside"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", LEFT_OUT)
def test_one_damaged_person_is_left_out_and_told(tmp_path: Path, data: dict[str, Any], fault: str) -> None:
    expected, _, _, remarks = rows_of(tmp_path, data)
    assert remarks == CROWDS
    change, told = LEFT_OUT[fault]
    change(data["annotations"][1])  # the second of image 114, which is the last
    keypoints, _, notes, remarks = rows_of(tmp_path, data)
    assert remarks == CROWDS
    assert notes[0].startswith(f"1 annotations (first annotations[1]) {told}")
    np.testing.assert_array_equal(keypoints, np.delete(expected, 5, axis=0))


@pytest.mark.parametrize(
    "change", [{"keypoints": None}, {"keypoints": []}, {"keypoints": [0] * 51}, "missing"]
)
def test_people_without_keypoints_are_counted(tmp_path: Path, data: dict[str, Any], change: Any) -> None:
    person = data["annotations"][1]
    person.pop("keypoints") if change == "missing" else person.update(change)
    keypoints, _, notes, remarks = rows_of(tmp_path, data)
    assert (len(keypoints), notes) == (5, [])
    assert "annotations[1]) have no keypoint" in remarks[0]


@pytest.mark.parametrize(
    "box", [None, [], [1, 2, 3], [1, 2, "x", 3], [50, 60, -20, 30], [50, 60, 20, 0], [0, 0, 0, 0], "x",
            [1, float("nan"), 2, 3], [1, 2, 1e999, 3], [900, 10, 20, 20], [-90, 10, 20, 20]],
)  # fmt: skip
def test_a_box_that_is_none_is_made_of_the_keypoints(tmp_path: Path, data: dict[str, Any], box: Any) -> None:
    _, expected, _, _ = rows_of(tmp_path, data)
    data["annotations"][1]["bbox"] = box
    keypoints, boxes, notes, _ = rows_of(tmp_path, data)
    known = keypoints[5, keypoints[5, :, 2] > 0, :2]
    np.testing.assert_array_equal(boxes[5], [*(known.min(0) - 0.5), *(known.max(0) - 0.5)])
    np.testing.assert_array_equal(boxes[:5], expected[:5])
    assert notes == [
        "1 annotations (first annotations[1]) have no box, or one that is none; it is made of their"
        " keypoints, correct it"
    ]


def test_a_keypoint_far_outside_its_image_is_not_annotated(tmp_path: Path, data: dict[str, Any]) -> None:
    expected, *_ = rows_of(tmp_path, data)
    points = data["annotations"][1]["keypoints"]
    points[:9] = [-500, 9000, 2, 650, 490, 2, 640, 540, 1]  # 640 x 480: only the second is near
    data["annotations"][1]["num_keypoints"] = sum(v > 0 for v in points[2::3])
    keypoints, _, notes, _ = rows_of(tmp_path, data)
    np.testing.assert_array_equal(keypoints[5, :3], [[0, 0, 0], [650, 490, 1], [0, 0, 0]])
    np.testing.assert_array_equal(keypoints[5, 3:], expected[5, 3:])
    assert notes == [
        "1 annotations (first annotations[1]) have keypoints far outside their image; these are not taken,"
        " correct them"
    ]


def test_visibilities_and_num_keypoints_are_reconciled_with_what_is_there(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    person = data["annotations"][1]
    person["keypoints"][2:9:3] = [0.73, 0.01, 1.5]
    person["keypoints"][11] = 2
    person["num_keypoints"] = 0
    keypoints, _, notes, remarks = rows_of(tmp_path, data)
    assert len(keypoints) == 6
    assert (keypoints[5, :4, 2] == 1).all()
    assert "a num_keypoints that their keypoints contradict" in notes[0]
    assert "visibilities other than 0, 1, 2" in remarks[0]


def test_ids_may_be_text_or_fractions_of_one_or_missing(tmp_path: Path, data: dict[str, Any]) -> None:
    expected, boxes, *_ = rows_of(tmp_path, data)
    for person in data["annotations"]:
        person.update(image_id=str(person["image_id"]), category_id=1.0, id=None)
        person.pop("area", None)
    keypoints, again, notes, _ = rows_of(tmp_path, data)
    np.testing.assert_array_equal(keypoints, expected)
    np.testing.assert_array_equal(again, boxes)
    assert notes == []
    for image in data["images"]:
        image["id"] = f"image-{image['id']}"
    for person in data["annotations"]:
        person["image_id"] = f"image-{person['image_id']}"
    keypoints, _, notes, remarks = rows_of(tmp_path, data)
    np.testing.assert_array_equal(keypoints, expected)
    assert "frames are numbered as listed" in remarks[0]


def test_ids_that_stand_twice_are_told(tmp_path: Path, data: dict[str, Any]) -> None:
    data["annotations"].append(dict(data["annotations"][1]))
    data["annotations"][2]["id"] = data["annotations"][3]["id"]
    keypoints, _, notes, _ = rows_of(tmp_path, data)
    assert len(keypoints) == 6
    assert [text.split(";")[0] for text in notes] == [
        "1 annotations (first annotations[3]) have the id of another",
        "1 annotations (first annotations[8]) are there twice",
    ]
    data["images"].append({**data["images"][0], "file_name": "other.jpg"})
    keypoints, _, notes, _ = rows_of(tmp_path, data)
    assert len(keypoints) == 4  # image 100's two are left out
    assert "images[3]) have the id of another" in notes[0]


def test_other_categories_are_counted_and_keypoints_found_by_name(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    expected, *_ = rows_of(tmp_path, data)
    order = np.random.default_rng(0).permutation(17)
    words = [COCO_NAMES[i].replace("left_", "L ").replace("right_", "R").title() for i in order]
    data["categories"] = [{"id": 3, "name": "Person", "keypoints": words}, {"id": 1, "name": "horse"}]
    for person in data["annotations"][1:]:
        points = np.array(person["keypoints"]).reshape(17, 3)[order]
        person.update(keypoints=points.ravel().tolist(), category_id=3)
    keypoints, _, notes, remarks = rows_of(tmp_path, data)
    np.testing.assert_array_equal(keypoints, np.delete(expected, 4, axis=0))
    assert remarks[0] == "1 annotations (first annotations[0]) are of other categories than people; left out"
    assert notes == []
    with pytest.raises(ValueError, match="no category is called 'rider', there are Person, horse"):
        rows_of(tmp_path, data, category="rider")


def test_crowdpose_and_larger_sets_are_read_as_far_as_they_are_coco(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    expected, *_ = rows_of(tmp_path, data)
    for person in data["annotations"]:
        person["keypoints"] = person["keypoints"] + [1, 2, 2] * 116
    keypoints, _, notes, remarks = rows_of(tmp_path, data)  # COCO-WholeBody's 133 under COCO's names
    np.testing.assert_array_equal(keypoints, expected)
    assert notes == []
    assert (
        remarks[0]
        == "6 annotations (first annotations[0]) have more keypoints than COCO's 17; the rest is left out"
    )
    for person in data["annotations"]:  # CrowdPose: twelve limbs, head and neck
        person["keypoints"] = [*person["keypoints"][15:51], 9, 9, 2, 8, 8, 2]
    data["categories"][0]["keypoints"] = [*COCO_NAMES[5:], "top_head", "neck"]
    keypoints, *_ = rows_of(tmp_path, data)
    assert (keypoints[:, :5] == 0).all()
    np.testing.assert_array_equal(keypoints[:, 5:], expected[:, 5:])


def test_more_names_than_keypoints_and_counts_of_other_joints(tmp_path: Path, data: dict[str, Any]) -> None:
    """Human-Art lists 21 names and has 17; PoseTrack counts its head among num_keypoints."""
    expected, *_ = rows_of(tmp_path, data)
    data["categories"][0]["keypoints"] = [*COCO_NAMES, "left_finger", "left_toe", "right_finger", "right_toe"]
    keypoints, _, notes, _ = rows_of(tmp_path, data)
    np.testing.assert_array_equal(keypoints, expected)
    assert notes == []
    data["categories"][0]["keypoints"] = ["nose", "head_bottom", "head_top", *COCO_NAMES[3:]]
    keypoints, _, notes, _ = rows_of(tmp_path, data)
    assert notes == []
    assert (keypoints[:, 1:3] == 0).all()


def test_files_of_the_same_name_keep_apart(tmp_path: Path, data: dict[str, Any]) -> None:
    """Tools export each task as person_keypoints_default.json."""
    other = coco_annotations(np.random.default_rng(7), images=2)
    write_coco(tmp_path / "raw" / "a", "default", data)
    write_coco(tmp_path / "raw" / "b", "default", other)
    store = PoseStore.open(prepare("coco", tmp_path / "raw", tmp_path / "out", strict=True))
    assert store.names("sequence") == ["a/annotations/default", "b/annotations/default"]
    assert [len(store.rows(sequences=[name])) for name in store.names("sequence")] == [6, 4]
    first = sorted(other["annotations"][:4], key=lambda person: (person["image_id"], person["id"]))[0]
    row = store.rows(sequences=["b/annotations/default"])[0]
    assert store.column("boxes")[row, 0] == pytest.approx(first["bbox"][0] - 0.5)
