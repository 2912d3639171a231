"""COCO's keypoints: a store without 3D, and the real photograph where it is at hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_photo import coco_annotations, write_coco
from PIL import Image
from posedata.inspection.report import inspect_store
from posedata.prepare import prepare
from posedata.readers.files.safe_text import read_json, read_xml
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

CASES = Path(__file__).resolve().parents[3] / "../shared/cases"
REAL = Path(__file__).resolve().parents[3] / "../shared/data/coco"


@pytest.fixture
def data() -> dict[str, Any]:
    return coco_annotations(np.random.default_rng(6))


def test_round_trip_without_3d(tmp_path: Path, data: dict[str, Any]) -> None:
    write_coco(tmp_path / "raw", "val2017", data)
    store = PoseStore.open(prepare("coco", tmp_path / "raw", tmp_path / "out", strict=True))
    people = sorted(data["annotations"][:6], key=lambda person: (person["image_id"], person["id"]))
    assert len(store) == 6
    assert store.meta["skeleton"] == "coco17"
    assert np.isnan(store.column("joints")).all()
    assert not store.column("valid").any()
    assert store.column("frame").tolist() == [person["image_id"] for person in people]
    for row, person in enumerate(people):
        given = np.array(person["keypoints"], float).reshape(17, 3)
        expected = np.where(given[:, 2:] > 0, np.concatenate([given[:, :2], np.ones((17, 1))], 1), 0)
        np.testing.assert_array_equal(store.column("keypoints_annotated")[row], expected)
        np.testing.assert_array_equal(store.column("visible_true")[row], given[:, 2] == 2)
        x, y, width, height = person["bbox"]
        np.testing.assert_allclose(
            store.column("boxes")[row], [x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5], rtol=1e-6
        )
    assert inspect_store(store)["rows"] == 6


def test_images_become_crops_and_a_missing_one_is_told(tmp_path: Path, data: dict[str, Any]) -> None:
    write_coco(tmp_path / "raw", "val2017", data)
    (tmp_path / "raw" / "val2017").mkdir()
    for image, shade in zip(data["images"][:2], (60, 180), strict=True):
        Image.new("RGB", (640, 480), (shade,) * 3).save(tmp_path / "raw" / "val2017" / image["file_name"])
    told: list[str] = []
    out = prepare("coco", tmp_path / "raw", tmp_path / "out", size="12x16", say=told.append)
    store = PoseStore.open(out)
    assert [text for text in told if "000000000114.jpg: is missing" in text]
    assert store.column("image").tolist() == [0, 1, 2, 3, -1, -1]
    shades = store.images(np.arange(4)).reshape(4, -1).max(axis=1)
    np.testing.assert_allclose(shades, [60, 60, 180, 180], atol=2)
    box = store.column("boxes")[0]
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(12 / 16, rel=1e-4)


def test_names_that_lead_outside_are_not_followed(tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "raw" / "val2017").mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(tmp_path / "secret.jpg")
    data["images"][0]["file_name"] = "../../secret.jpg"
    write_coco(tmp_path / "raw", "val2017", data)
    with pytest.raises(ValueError, match="leads outside"):
        prepare("coco", tmp_path / "raw", tmp_path / "out", size="12x16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["categories"][0].update(keypoints=["nose"]), "categories list other keypoints"),
        (lambda d: d["categories"][0].update(keypoints="nose"), "keypoints is not a list of names"),
        (
            lambda d: d["categories"][0].update(name="horse"),
            "no category is called 'person', there are horse",
        ),
        (lambda d: d.update(annotations={}), "annotations is not a list of objects"),
        (lambda d: d.update(images=None), "images is not a list of objects"),
        (lambda d: d["annotations"].clear(), "its list of annotations is empty"),
        (
            lambda d: d["images"].clear(),
            "has no person .* 6 annotations .* are of an image that is not listed",
        ),
        (lambda d: _scale(d, 1 / 640), "all keypoints lie between .*, so they are not pixels"),
    ],
)
def test_faults_of_the_whole_file_are_named(
    tmp_path: Path, data: dict[str, Any], change: Callable[[Any], Any], message: str
) -> None:
    change(data)
    path = write_coco(tmp_path, "train2017", data)
    with pytest.raises(ValueError, match=message) as caught:
        get_format("coco").plan(tmp_path, Context(tmp_path, lambda text: None))
    assert str(caught.value).startswith(str(path))


def _scale(data: dict[str, Any], factor: float) -> None:
    for person in data["annotations"]:
        points = np.array(person["keypoints"], float).reshape(-1, 3) * [factor, factor, 1]
        person["keypoints"] = points.ravel().tolist()


CASE_ROWS = {
    "coco_animals": (1, "are of other categories than people"),
    "coco_float_vis": (2, "other than 0, 1, 2"),
    "coco_no_bbox": (2, "have no box"),
    "coco_outside": (1, "far outside their image"),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
@pytest.mark.parametrize("name", CASE_ROWS)
def test_the_cases(tmp_path: Path, name: str) -> None:
    told: list[str] = []
    store = PoseStore.open(prepare("coco", CASES / name, tmp_path / "out", say=told.append))
    rows, text = CASE_ROWS[name]
    assert len(store) == rows
    assert len(told) == 1
    assert text in told[0]


def test_text_of_strangers_is_bounded(tmp_path: Path) -> None:
    for name, text, message in (
        ("deep.json", "[" * 100_000, "is nested too deep"),
        ("nan.json", '{"a": NaN}', "NaN is not a number"),
        ("list.json", "[1]", "holds a list, wanted a dict"),
        ("cut.json", '{"a": [1, 2', "is not JSON"),
        ("digits.json", '{"a": ' + "9" * 10_000 + "}", "is not JSON"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_json(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not text"):
        read_json(tmp_path / "bytes.json")
    laughs = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>'
    (tmp_path / "laughs.xml").write_text(laughs)
    with pytest.raises(ValueError, match="declares a document type"):
        read_xml(tmp_path / "laughs.xml")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_photograph(tmp_path: Path) -> None:
    file = REAL / "person_keypoints_one_image.json"
    store = PoseStore.open(prepare("coco", file, tmp_path / "out", size="96x128", strict=True))
    assert len(store) == 1
    keypoints, skeleton = store.column("keypoints_annotated")[0], get_skeleton("coco17")
    # a skier seen from the front: the left shoulder is on the right of the picture
    assert keypoints[skeleton.index("left_shoulder"), 0] > keypoints[skeleton.index("right_shoulder"), 0]
    assert store.column("image").tolist() == [0]
    assert store.images(np.array([0])).std() > 20
    # the crop holds the person where the keypoints are: the nose is skin, the corners are not black padding
    box = store.column("boxes")[0]
    inside = keypoints[keypoints[:, 2] > 0, :2]
    assert (inside > box[:2]).all()
    assert (inside < box[2:]).all()
