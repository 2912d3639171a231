"""What is found: as a naive search finds it, by filters, in stretches, and approximately in a large index."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polypose.search.index
import pytest
import torch
from libraries import embedder, movement, quiet, write_joints
from polypose.search import exact, scattered
from polypose.search.adding import add, remove
from polypose.search.asking import ask, ask_index
from polypose.search.exact import Gallery, nearest, penalties, told
from polypose.search.finding import search
from polypose.search.index import PoseIndex
from polypose.search.ivf import build, open_approximate
from polypose.search.manifest import SEGMENTS, Manifest
from polypose.search.reading import Options
from polypose.search.rows import Rows
from polypose.search.segments import SegmentWriter
from polypose.search.where import Where

pytest.importorskip("pyarrow", reason="polypose[search]")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PoseIndex:
    """Four recordings in two files, seen by two virtual cameras."""
    folder = tmp_path_factory.mktemp("library")
    write_joints(folder / "one.npz", 0, 1)
    write_joints(folder / "two.npz", 2, 3)
    add(folder / "index", [folder / "one.npz", folder / "two.npz"], embedder(), Options(cameras=2), say=quiet)
    return PoseIndex.open(folder / "index")


def made(path: Path, *stretches: np.ndarray, gap: float = 5.0) -> PoseIndex:
    """An index of one source whose recordings are these places, 30 a second."""
    folder = path / SEGMENTS / "made"
    folder.mkdir(parents=True)
    writer = SegmentWriter(folder, "made")
    for number, places in enumerate(stretches):
        frame = np.arange(len(places))
        writer.add(Rows(frame / 30, frame, recording=str(number)), {"invariant": places.astype(np.float32)})
    count, files = writer.rows, writer.close()
    from polypose.search.manifest import Entry

    entry = Entry("made", "/made", "motion", "made", "", (0, 0), "made", count, len(stretches), gap, files)
    Manifest({}, (entry,)).write(path)
    return PoseIndex.open(path)


@pytest.mark.parametrize("view", ["invariant", "camera"])
def test_exact_search_is_the_naive_one(view: str) -> None:
    generator = np.random.default_rng(0)
    places = generator.standard_normal((700, 6)).astype(np.float32)
    if view == "camera":
        places /= np.linalg.norm(places, axis=1, keepdims=True)
        places[::7] = 0
    queries = torch.from_numpy(generator.standard_normal((5, 6)).astype(np.float32))
    keep = generator.random(300) < 0.5
    parts = [places[:400], places[400:]]
    galleries = [
        Gallery(0, parts[0], penalties(parts[0], view)),
        Gallery(400, parts[1], penalties(parts[1], view), keep),
    ]
    found = nearest(galleries, queries, 9).row
    every = torch.from_numpy(places)
    if view == "invariant":
        score = -torch.cdist(queries.double(), every.double())
    else:
        score = (queries.double() @ every.double().T).masked_fill(~every.any(1), -torch.inf)
    score[:, 400:][:, ~torch.from_numpy(keep)] = -torch.inf
    np.testing.assert_array_equal(found, score.topk(9).indices)
    near = told(queries, every[found], view)
    torch.testing.assert_close(near.double(), score.topk(9).values, atol=1e-5, rtol=0)


def test_a_row_finds_itself_and_its_twins_in_both_views(index: PoseIndex) -> None:
    row = 80 + 13  # of the second recording, as the first camera sees it
    query = ask_index(index, row)
    found = index.search(torch.from_numpy(query.places["invariant"]), 2)
    assert found.row.tolist() == [[row, row + 40]]  # the other camera's is the same pose
    assert found.similarity.tolist() == [[0.0, 0.0]]
    seen = index.search(torch.from_numpy(query.places["camera"]), 1, "camera")
    assert seen.row.tolist() == [[row]]
    assert seen.similarity.item() == pytest.approx(1, abs=1e-5)


def test_a_pose_is_found_where_it_is(index: PoseIndex, tmp_path: Path) -> None:
    np.save(tmp_path / "pose.npy", 1000 * movement(2)[21])  # any unit will do
    asked = ask(tmp_path / "pose.npy", embedder(), say=quiet)
    hit = search(index, asked.place("invariant"), 1)[0]
    assert (hit.place.recording, hit.place.frame) == ("two.npz/walk_02", 21)
    assert hit.near == pytest.approx(0, abs=1e-4)
    assert hit.start <= 0.7 <= hit.end


def test_filters_leave_out_what_does_not_fit(index: PoseIndex) -> None:
    place = ask_index(index, 5).place("invariant")

    def found(*terms: str) -> set[tuple[str, str]]:
        hits = search(index, place, 50, where=Where.parse(terms), gap=0.01)
        return {(hit.place.recording, hit.place.person) for hit in hits}

    assert {person for _, person in found("person=BEN")} == {"ben"}
    assert found("recording=*walk_03") == {("two.npz/walk_03", "ben")}
    assert {recording[:3] for recording, _ in found("source=two*")} == {"two"}
    assert found("source=two.npz", "source=one.npz", "person=anna") == {
        ("one.npz/walk_00", "anna"),
        ("two.npz/walk_02", "anna"),
    }
    hits = search(index, place, 50, where=Where.parse(["time=0.5..0.9", "frame=..20"]), gap=0.01)
    assert {hit.place.frame for hit in hits} <= set(range(15, 21))
    assert hits
    assert found("action=run") == set()


@pytest.mark.parametrize("term", ["person", "size=3", "time=soon", "frame=1..x", "time=1..2..3"])
def test_what_is_no_filter_is_refused(term: str) -> None:
    with pytest.raises(ValueError, match=r"--where .*give"):
        Where.parse([term])


def test_one_long_stand_does_not_fill_the_list(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    stand = generator.normal(0, 0.01, (3000, 4))
    others = [np.full((30, 4), 1.0 + number) + generator.normal(0, 0.01, (30, 4)) for number in range(4)]
    index = made(tmp_path / "index", stand, *others)
    hits = search(index, np.zeros(4), 3)
    assert [hit.place.recording for hit in hits] == ["made/0", "made/1", "made/2"]
    assert (hits[0].start, hits[0].end) == (0.0, pytest.approx(2999 / 30))
    assert hits[0].near < hits[1].near < hits[2].near


def test_what_is_seldom_found_is_told_apart_by_the_gap(tmp_path: Path) -> None:
    places = np.full((200, 3), 9.0)
    places[[20, 21, 100, 180]] = np.array([0, 0.1, 0.3, 0.2])[:, None]
    index = made(tmp_path / "index", places)
    hits = search(index, np.zeros(3), 3, gap=1.0)
    assert [(round(30 * hit.start), round(30 * hit.end)) for hit in hits] == [
        (20, 21),
        (180, 180),
        (100, 100),
    ]
    assert [hit.place.frame for hit in search(index, np.zeros(3), 2, gap=3.0)] == [20, 180]
    (one,) = search(index, np.zeros(3), 4, where=Where.parse(["frame=20..21", "time=0..1"]))
    assert (one.place.frame, one.near) == (20, 0.0)


def test_an_index_that_no_camera_saw_says_so(tmp_path: Path) -> None:
    index = made(tmp_path / "index", np.zeros((5, 3)))
    with pytest.raises(ValueError, match="no camera saw what it holds; add it with --cameras"):
        search(index, np.zeros(3), 1, "camera")
    with pytest.raises(ValueError, match=r"queries: \(1, 4\); give finite ones \(Q, 3\)"):
        index.search(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="has no row 5"):
        ask_index(index, 5)


def test_an_approximate_index_finds_the_same_what_was_added_since_and_nothing_that_is_gone(
    tmp_path: Path,
) -> None:
    pytest.importorskip("faiss", reason="polypose[search]")
    generator = np.random.default_rng(0)
    middles = generator.standard_normal((60, 8))
    places = middles[generator.integers(0, 60, 4000)] + 0.3 * generator.standard_normal((4000, 8))
    index = made(tmp_path / "index", places)
    about = build(index, factory="IVF32,PQ4x4")
    assert about.recall >= 0.99
    assert about.segments == (("made", 4000),)
    queries = torch.from_numpy(places[::100].astype(np.float32) + 0.05)
    again = PoseIndex.open(index.path)
    exact = again.search(queries, 10, exact=True)
    engine = open_approximate(index.path, "invariant")
    assert engine is not None
    found = engine.nearest(queries, 10, again)
    assert float((found.row[:, :, None] == exact.row[:, None]).any(1).float().mean()) >= 0.97
    torch.testing.assert_close(found.similarity[:, 0], exact.similarity[:, 0], atol=1e-5, rtol=0)

    entry = index.manifest.entries[0]
    new = tmp_path / "index" / SEGMENTS / "new"
    new.mkdir()
    writer = SegmentWriter(new, "new")
    frame = np.arange(40)
    writer.add(Rows(frame / 30, frame), {"invariant": queries.numpy()})
    files = writer.close()
    more = replace(entry, name="new", path="/new", folder="new", rows=40, files=files, digest="new")
    Manifest({}, (more, entry)).write(index.path)  # the rows of the old one move
    both = PoseIndex.open(index.path)
    row = both.search(queries, 2).row
    np.testing.assert_array_equal(row[:, 0], np.arange(40))
    np.testing.assert_array_equal(row[:, 1], exact.row[:, 0] + 40)
    remove(index.path, ["made"])
    left = PoseIndex.open(index.path).search(queries, 60).row
    assert set(left.flatten().tolist()) == {-1, *range(40)}


def test_crowded_places_are_found_by_their_distances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner products of float32 exchange the tenth and the eleventh here; distances of float64 do not."""
    generator = np.random.default_rng(3)
    crowd = (1 + 6e-3 * generator.standard_normal((20_050, 8))).astype(np.float32)
    places, queries = crowd[:20_000], crowd[20_000:]
    apart = np.linalg.norm(queries[:, None].astype(np.float64) - places.astype(np.float64), axis=-1)
    true = apart.argsort(1)[:, :10]
    opened = made(tmp_path / "index", places)
    for spare, same in ((exact.SPARE, True), (0, False)):
        monkeypatch.setattr(polypose.search.index, "SPARE", spare)
        found = opened.search(torch.from_numpy(queries), 10).row.numpy()
        assert np.array_equal(np.sort(found), np.sort(true)) == same


@pytest.mark.parametrize("mode", ["r", "c"])
def test_rows_of_a_large_file_are_asked_for_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Literal["r", "c"]
) -> None:
    """Of 48 bytes a row: some cross from one page to the next, and the last page is not full."""
    whole = np.arange(12.0 * 5000, dtype=np.float32).reshape(5000, 12)
    np.save(tmp_path / "places.npy", whole)
    places = np.load(tmp_path / "places.npy", mmap_mode=mode)
    rows = np.array([4999, 0, 84, 84, 3001])
    monkeypatch.setattr(scattered, "LARGE", 0)
    for some in (rows, rows[:0]):
        np.testing.assert_array_equal(scattered.take(places, some), whole[some])
    np.testing.assert_array_equal(scattered.take(places[7:], rows[1:]), whole[7 + rows[1:]])  # a part of it
    np.testing.assert_array_equal(scattered.take(whole, rows), whole[rows])
