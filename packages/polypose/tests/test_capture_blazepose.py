"""BlazePose: its decoding, its crops, and the networks themselves where they are in the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from polypose.capture import fetch
from polypose.capture.detectors import blazepose, make_detector, ssd
from polypose.capture.detectors.detector import box_around
from polypose.capture.detectors.network import Network
from posedata.skeleton import get_skeleton

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/coco"
MARKS = get_skeleton("mediapipe33")


def networks(size: str = "full"):
    """The detector; skips where its networks are not in the cache."""
    pytest.importorskip("ai_edge_litert")
    for name in (fetch.DETECTOR, fetch.landmarks(size)):
        if not (fetch.cache() / name).is_file():
            pytest.skip(f"{name} is not in the cache: polypose get blazepose --network {size}")
    return make_detector("blazepose", size)


def test_anchors_lie_in_the_middles_of_cells():
    anchors = ssd.anchors()
    assert anchors.shape == (2254, 2)
    np.testing.assert_allclose(anchors[:3], [[0.5 / 28, 0.5 / 28]] * 2 + [[1.5 / 28, 0.5 / 28]])
    np.testing.assert_allclose(anchors[2 * 28 * 28], [0.5 / 14, 0.5 / 14])
    np.testing.assert_allclose(anchors[-6:], [[6.5 / 7, 6.5 / 7]] * 6)


def test_decoding_adds_the_anchor_and_scales():
    raw, logits = np.zeros((2254, 12), np.float32), np.full(2254, -5.0, np.float32)
    raw[1000, :4], raw[1000, 4:6], logits[1000] = (22.4, -11.2, 44.8, 89.6), (2.24, 4.48), 2.0
    values, scores = ssd.decode(raw, logits)
    x, y = ssd.anchors()[1000]
    np.testing.assert_allclose(values[0, :4], [x + 0.1 - 0.1, y - 0.05 - 0.2, x + 0.2, y + 0.15], atol=1e-6)
    np.testing.assert_allclose(values[0, 4:8], [x + 0.01, y + 0.02, x, y], atol=1e-6)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2))])


def test_suppression_is_the_mean_of_what_overlaps():
    boxes = np.zeros((3, 12))
    boxes[:, :4] = [(0, 0, 0.4, 0.4), (0.1, 0, 0.5, 0.4), (0.6, 0.6, 0.9, 0.9)]
    values, scores = ssd.suppressed(boxes, np.array([0.6, 0.9, 0.7]))
    np.testing.assert_allclose(scores, [0.9, 0.7])
    np.testing.assert_allclose(values[0, :4], (boxes[0, :4] * 0.6 + boxes[1, :4] * 0.9) / 1.5)
    np.testing.assert_allclose(values[1], boxes[2])
    assert ssd.suppressed(np.zeros((0, 12)), np.zeros(0))[0].shape == (0, 12)


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.5])
@pytest.mark.parametrize("side", [100.0, 700.0])
def test_what_is_found_in_a_crop_comes_back_to_its_place(turn, side):
    """A spot in the picture is found in the crop, and `_back` brings it to within half a sample."""
    image = np.zeros((400, 600, 3), np.uint8)
    y, x = np.mgrid[:400, :600]
    spot = np.array([310.0, 190.0])
    image[np.hypot(x - spot[0], y - spot[1]) < max(3, side / 60)] = 255
    region = blazepose.Region(300.0, 200.0, side, turn)
    crop = blazepose.cut(image, region, 256)
    row, column = (axis.mean() for axis in np.nonzero(crop[..., 0] > 100))
    place = (np.array([column, row]) + 0.5) / 256
    np.testing.assert_allclose(blazepose._back(place[None], region)[0], spot, atol=0.5 * side / 256 + 0.2)


def test_a_crop_beyond_the_picture_is_black():
    image = np.full((50, 60, 3), 200, np.uint8)
    assert not blazepose.cut(image, blazepose.Region(500.0, -300.0, 40.0, 0.3), 64).any()
    half = blazepose.cut(image, blazepose.Region(0.0, 25.0, 40.0, 0.0), 64)
    assert half[:, :30].max() == 0
    assert half[:, 34:].min() == 200


def test_a_region_stands_on_its_hips():
    region = blazepose._region(np.array([10.0, 20.0]), np.array([10.0, -80.0]))
    assert region == blazepose.Region(10.0, 20.0, 250.0, 0.0)
    lying = blazepose._region(np.array([0.0, 0.0]), np.array([100.0, 0.0]))
    assert lying.turn == pytest.approx(np.pi / 2)
    top = blazepose._back(np.array([[0.5, 0.1]]), lying)[0]
    np.testing.assert_allclose(top, [100, 0], atol=1e-9)


def test_tiles_cover_the_picture():
    assert blazepose._tiles((500, 520, 3)) == [(0.0, -10.0, 520.0)]
    whole, *parts = blazepose._tiles((1920, 1080, 3))
    assert whole == (-420.0, 0.0, 1920.0)
    assert parts == [(0.0, 0.0, 1080.0), (0.0, 420.0, 1080.0), (0.0, 840.0, 1080.0)]


def refined_naive(places, heat, kernel=7, least=0.5):
    out = places.copy()
    height, width, _ = heat.shape
    for k, (x, y) in enumerate(places):
        column, row = int(x * width), int(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        total = sum_x = sum_y = best = 0.0
        for r in range(max(0, row - kernel // 2), min(height, row + kernel // 2 + 1)):
            for c in range(max(0, column - kernel // 2), min(width, column + kernel // 2 + 1)):
                sure = 1 / (1 + np.exp(-heat[r, c, k]))
                total, best = total + sure, max(best, sure)
                sum_x, sum_y = sum_x + sure * c, sum_y + sure * r
        if best >= least:
            out[k] = sum_x / width / total, sum_y / height / total
    return out


def test_landmarks_move_to_their_heat():
    rng = np.random.default_rng(0)
    places = rng.uniform(-0.1, 1.1, (39, 2))
    heat = rng.normal(-2, 2, (64, 64, 39))
    heat[..., 5] = -9.0
    found = blazepose._refined(places, heat)
    np.testing.assert_allclose(found, refined_naive(places, heat), atol=1e-9)
    np.testing.assert_array_equal(found[5], places[5])


def test_boxes_are_of_what_was_seen():
    points = np.zeros((2, 4, 3))
    points[0] = [(10, 20, 0.9), (50, 80, 0.8), (-30, 500, 0.9), (900, 900, 0.1)]
    boxes = box_around(points, (100, 200, 3))
    np.testing.assert_allclose(boxes[0], [0, 20, 50, 79])
    assert np.isnan(boxes[1]).all()


@pytest.fixture(scope="module")
def skier():
    """COCO's photograph and the 17 joints that a person marked."""
    if not (SHARED / "000000000785.jpg").is_file():
        pytest.skip("COCO's photograph is not here")
    image = np.asarray(Image.open(SHARED / "000000000785.jpg").convert("RGB"))
    values = json.loads((SHARED / "person_keypoints_one_image.json").read_text())
    return image, np.array(values["annotations"][0]["keypoints"], float).reshape(17, 3)


@pytest.mark.parametrize("size", ["lite", "full", "heavy"])
def test_the_skier_is_found_where_a_person_marked_them(skier, size):
    detector = networks(size)
    image, marked = skier
    found = detector.detect(image)
    assert len(found.keypoints) == 1
    joints = [MARKS.index(joint) for joint in get_skeleton("coco17").joints]
    apart = np.linalg.norm(found.keypoints[0, joints, :2] - marked[:, :2], axis=1)[marked[:, 2] > 0]
    height = np.ptp(marked[marked[:, 2] > 0, 1])
    assert np.median(apart) < 0.04 * height
    assert len(detector.detect(image).keypoints) == 1  # followed by its own landmarks


def test_two_people_side_by_side_and_nobody(skier):
    detector = networks()
    image, _ = skier
    both = np.concatenate([image, image[:, ::-1]], axis=1)
    found = detector.detect(both)
    assert len(found.keypoints) == 2
    hips = np.sort(found.keypoints[:, MARKS.index("left_hip"), 0])
    assert hips[0] < image.shape[1] < hips[1]
    assert len(detector.detect(np.zeros_like(both)).keypoints) == 0
    assert len(detector.detect(both).keypoints) == 2


def test_with_its_memory_it_goes_on_alike(skier):
    image, _ = skier
    one, other = networks(), networks()
    frames = [np.roll(image, 3 * n, axis=1) for n in range(8)]
    for frame in frames[:4]:
        one.detect(frame)
    other.memory = one.memory
    for frame in frames[4:]:
        np.testing.assert_array_equal(one.detect(frame).keypoints, other.detect(frame).keypoints)
    assert one.memory.shape == (2, 5)


def person(points, region, then):
    marks = np.concatenate([points, np.ones((33, 1))], axis=1)
    return blazepose._Person(1.0, blazepose.Region(*region, 0.0), marks, blazepose.Region(*then, 0.0))


def test_one_person_read_twice_and_two_who_share_limbs():
    """Of two crops on one person the one that jumped there goes; whose hips are elsewhere stays."""
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 400, (33, 2))
    stayed, jumped = (200.0, 200, 500), (280.0, 200, 500)
    own = person(body, stayed, (202.0, 200, 500))
    other = person(body + rng.normal(0, 5, (33, 2)), jumped, (204.0, 200, 500))
    assert blazepose._mistaken([own, other]) == {1}
    assert blazepose._mistaken([other, own]) == {0}
    assert blazepose._mistaken([own, other, other]) == {1, 2}
    shared = body.copy()
    shared[:17] += 60  # his arms and her legs
    mixed = person(shared, jumped, (280.0, 200, 500))
    apart = np.linalg.norm(shared - body, axis=1).mean() / 500
    assert apart < blazepose._CLOSE
    assert blazepose._mistaken([own, mixed]) == set()
    behind = person(body + 100, stayed, (202.0, 200, 500))
    assert blazepose._mistaken([own, behind]) == set()


def test_who_was_read_for_another_is_looked_for_where_they_were(skier):
    detector = networks()
    image, _ = skier
    both = np.concatenate([image, image[:, ::-1]], axis=1)
    detector.detect(both)
    _, *rows = detector.memory
    left, right = sorted(rows, key=lambda row: row[0])
    waits = [*right[:4], blazepose._EVERY]
    detector.memory = np.array([[0, 0, 0, 0, 0], left, waits])  # in this picture no newcomer is looked for
    assert len(detector.detect(both).keypoints) == 2
    np.testing.assert_allclose(sorted(detector.memory[1:, 0]), [left[0], right[0]], atol=3)
    assert (detector.memory[1:, 4] == 0).all()
    detector.memory = np.array([[0, 0, 0, 0, 0], left, [*left[:4], 1]])
    assert len(detector.detect(both).keypoints) == 1
    assert len(detector.memory) == 2  # and does not wait for good


def test_a_network_that_is_none(tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "net.tflite").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"net.tflite: is no whole network; polypose get blazepose"):
        blazepose.BlazePose(tmp_path / "net.tflite", tmp_path / "net.tflite")


@pytest.mark.parametrize("size", ["lite", "full"])
def test_without_the_silhouette_a_network_says_the_same(size):
    networks(size)
    path = fetch.cache() / fetch.landmarks(size)
    picture = np.random.default_rng(0).random((256, 256, 3), np.float32)
    whole, some = Network(path, 1)(picture), Network(path, 1, (3, 0))(picture)
    assert [values.shape for values in some] == [(1, 64, 64, 39), (1, 195)]
    np.testing.assert_array_equal(some[0], whole[3])
    np.testing.assert_array_equal(some[1], whole[0])
