"""2D joints of a store's rows: a detector's noise, files of keypoints, detectors that run."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.detect import KeypointSource, live_detector
from posedata.keypoints import convert_keypoints
from posedata.readers import read_coco_keypoints
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.views.noise import DetectorNoise

ITOP = get_skeleton("itop15")
COCO = Path(__file__).resolve().parents[3] / "../shared/data/coco"
ROWS = 18


@pytest.fixture
def store(tmp_path: Path) -> PoseStore:
    """Rows of crops of 20x20 px, each from another place of its frame, at half of its size."""
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 50, (ROWS, 2))
    columns = {
        "joints": generator.normal(size=(ROWS, 15, 3)).astype(np.float32),
        "boxes": np.concatenate([corner, corner + 40], 1).astype(np.float32),
    }
    inside = generator.uniform(5, 35, (ROWS, 15, 2))
    columns["keypoints_true"] = np.concatenate([corner[:, None] + inside, np.ones((ROWS, 15, 1))], -1)
    columns["keypoints_true"] = columns["keypoints_true"].astype(np.float32)
    columns["keypoints_detector"] = columns["keypoints_true"] + np.float32([1, 2, -0.5])
    meta = {"skeleton": "itop15", "fps": 30, "source": "test", "licence": "none", "image_size": [20, 20]}
    return PoseStore.open(write_store(tmp_path / "store", columns, meta))


def test_keypoints_lie_in_the_stored_crops(store: PoseStore) -> None:
    """Without noise the true ones, in pixels of the crop; the store's own detector's beside."""
    exact = DetectorNoise(jitter=0.0, outlier=0.0, inversion=0.0, flip=0.0, miss=0.0)
    rows = np.array([3, 11])
    found = KeypointSource("noise", "itop15", exact).detect(store, rows)
    true, corner = store.column("keypoints_true")[rows], store.column("boxes")[rows][:, None, :2]
    torch.testing.assert_close(found[..., :2], torch.from_numpy((true[..., :2] - corner) / 2 - 0.5))
    assert ((found[..., 2] > 0) & (found[..., 2] <= 1)).all()
    detected = KeypointSource("store", "itop15").detect(store, rows)
    torch.testing.assert_close(detected[..., :2] - found[..., :2], torch.tensor([0.5, 1]).expand(2, 15, 2))
    assert (detected[..., 2] == 0.5).all()


def test_noise_is_drawn_by_its_seed(store: PoseStore) -> None:
    noisy = KeypointSource("noise", "itop15")
    one, again, other = (noisy.detect(store, np.arange(ROWS), seed) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    true, corner = store.column("keypoints_true"), store.column("boxes")[:, None, :2]
    exact = torch.from_numpy((true[..., :2] - corner) / 2 - 0.5)
    error = (one[..., :2] - exact).norm(dim=-1)
    assert 0.02 < error.median() < 0.5  # about 1 % of a box of some 15 px
    assert not torch.equal(one, other)


def test_coco_keypoints_take_the_largest_person(tmp_path: Path) -> None:
    def person(image: int, width: float, visibility: int) -> dict[str, object]:
        points = [[10 + width * k / 16, 20.0 + k, visibility] for k in range(17)]
        return {"image_id": image, "keypoints": [v for point in points for v in point]}

    file = tmp_path / "c.json"
    annotations = [person(9, 10, 2), person(4, 10, 1), person(4, 50, 2)]
    file.write_text(json.dumps({"images": [{"id": 9}, {"id": 4}, {"id": 5}], "annotations": annotations}))
    found = read_coco_keypoints(file)
    assert found.shape == (3, 17, 3)
    assert found[0, 16].tolist() == [60.0, 36.0, 1.0]
    assert found[1, :, 2].max() == 0
    assert found[2, 16].tolist() == [20.0, 36.0, 1.0]
    itop = convert_keypoints(found, get_skeleton("coco17"), ITOP)
    hips = found[0, 11:13].mean(0)
    torso = (found[0, 5:7].mean(0) + hips) / 2
    torch.testing.assert_close(itop[0, 8], torso)
    assert 0 <= itop[..., 2].min() <= itop[..., 2].max() <= 1
    (tmp_path / "bad.json").write_text('{"annotations": [{"keypoints": [1]}]}')
    with pytest.raises(ValueError, match="not COCO keypoints, at the list of images; see cocodataset"):
        read_coco_keypoints(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "is nested too deep"),
        ('{"images": [', r"is not JSON \(ends too early at line 1"),
        ("[" + "[],[],[],[]," * 1_600_000 + "[]]", "would take some .* MiB in memory, so it is not read"),
        ('{"images": [], "images": []}', "'images' stands twice"),
        ("\xff\xfe", "is not text in UTF-8"),
        ("3", "holds a int, wanted a dict or a list"),
        (f'[{{"image_id": 0, "keypoints": [{"9" * 400}]}}]', "not COCO keypoints, at annotation 0"),
    ],
)
def test_a_hostile_file_of_keypoints_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as refused:
        read_coco_keypoints(tmp_path / "c.json")
    assert str(tmp_path / "c.json") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("score", "message"),
    [(100, "confidence reaches 100, want 0 to 1; divide it by 100"), (1.25, "reaches 1.25.*clip it to 1")],
)
def test_scores_of_a_coco_file_are_confidences(tmp_path: Path, score: float, message: str) -> None:
    person = {"image_id": 0, "keypoints": [v for k in range(17) for v in (10.0 * k, 20.0, score)]}
    (tmp_path / "c.json").write_text(json.dumps([person]))
    with pytest.raises(ValueError, match=message):
        read_coco_keypoints(tmp_path / "c.json")


def test_keypoint_files_hold_every_row(store: PoseStore, tmp_path: Path) -> None:
    coco = KeypointSource("coco", "itop15")
    with pytest.raises(ValueError, match="keypoints is not set"):
        coco.detect(store, np.arange(2))
    person = {"image_id": 0, "keypoints": [10.0, 20.0, 2] * 17}
    images = [{"id": number} for number in range(len(store))]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": [person]}))
    one = replace(coco, files=(tmp_path / "c.json",))
    assert one.detect(store, np.arange(1))[0, 0].tolist() == [10.0, 20.0, 1.0]
    # a list of results has no frame for an image without a person, and what follows would be a row early
    (tmp_path / "c.json").write_text(json.dumps([person | {"image_id": i} for i in range(18) if i != 1]))
    with pytest.raises(ValueError, match=r"17 frames have keypoints, .* has 18 rows; .*without a person"):
        one.detect(store, np.arange(2))


def test_of_a_coco_file_only_people_are_taken(tmp_path: Path) -> None:
    def entry(category: int, scale: float, **more: int) -> dict[str, object]:
        points = [(10 + scale * k, 20 + scale * k * k / 8, 2) for k in range(17)]
        return {"image_id": 3, "category_id": category, "keypoints": [v for p in points for v in p], **more}

    annotations = [entry(7, 9), entry(5, 1), entry(5, 5, iscrowd=1)]
    categories = [{"id": 7, "name": "horse"}, {"id": 5, "name": "person"}]
    content = {"images": [{"id": 3}], "categories": categories, "annotations": annotations}
    (tmp_path / "c.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    assert read_coco_keypoints(tmp_path / "c.json")[0, 16].tolist() == [26.0, 52.0, 1.0]
    (tmp_path / "c.json").write_text(json.dumps(content | {"categories": categories[:1]}))
    with pytest.raises(ValueError, match=r"c\.json: no category is called 'person', there are horse"):
        read_coco_keypoints(tmp_path / "c.json")
    (tmp_path / "c.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"c\.json: is nested too deep"):
        read_coco_keypoints(tmp_path / "c.json")


def test_real_coco_annotation_is_read() -> None:
    files = sorted(COCO.glob("*.json")) if COCO.is_dir() else []
    if not files:
        pytest.skip("../shared/data/coco is not here")
    found = read_coco_keypoints(files[0])
    assert found.shape[1:] == (17, 3)
    assert (found[..., 2] > 0).any()


def test_a_detector_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="take one of mediapipe, rtmlib"):
        live_detector("openpose")
    for name in ("mediapipe", "rtmlib"):
        if importlib.util.find_spec(name) is None:
            with pytest.raises(ValueError, match="pip install"):
                live_detector(name)
