"""The embedding index against a sort of the whole similarity matrix."""

import numpy as np
import pytest
import torch
from poseenc import EmbeddingIndex, FaissIndex


def naive(gallery, queries, k):
    g = gallery.double() / gallery.double().norm(dim=1, keepdim=True)
    q = queries.double() / queries.double().norm(dim=1, keepdim=True)
    values, rows = (q @ g.T).sort(dim=1, descending=True, stable=True)
    return values[:, :k].float(), rows[:, :k]


@pytest.mark.parametrize("tile", [1, 7, 64, 1000])
def test_equals_a_full_sort_whatever_the_tile(tile):
    generator = torch.Generator().manual_seed(0)
    gallery, queries = torch.randn(101, 16, generator=generator), torch.randn(9, 16, generator=generator)
    found = EmbeddingIndex(gallery).search(queries * 3, 5, tile=tile)
    values, rows = naive(gallery, queries, 5)
    assert torch.equal(found.row, rows)
    torch.testing.assert_close(found.similarity, values)


@pytest.mark.parametrize("tile", [2, 3, 50])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_ties_go_to_the_lower_row(tile, k):
    gallery = torch.eye(2).repeat(6, 1)  # rows alternate between two axes: every cosine is 0 or 1
    found = EmbeddingIndex(gallery).search(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), k, tile=tile)
    expected = torch.tensor([[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]])[:, :k]
    assert torch.equal(found.row, expected)
    assert torch.equal(found.similarity, torch.ones(2, k))


def test_more_neighbours_than_rows_and_an_empty_gallery():
    queries = torch.tensor([[1.0, 0.0]])
    found = EmbeddingIndex(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).search(queries, 3)
    assert found.row.tolist() == [[1, 0, -1]]
    assert found.similarity.tolist() == [[1.0, 0.0, -torch.inf]]
    nothing = EmbeddingIndex(torch.zeros(0, 2)).search(queries, 2)
    assert nothing.row.tolist() == [[-1, -1]]
    assert EmbeddingIndex(torch.eye(2)).search(torch.zeros(0, 2)).row.shape == (0, 1)


def test_zero_vectors_have_cosine_zero():
    found = EmbeddingIndex(torch.tensor([[-1.0, 0.0], [0.0, 0.0]])).search(torch.tensor([[1.0, 0.0]]), 2)
    assert found.row.tolist() == [[1, 0]]
    assert found.similarity.tolist() == [[0.0, -1.0]]


@pytest.mark.parametrize("tile", [3, 64])
def test_left_out_rows_are_never_found(tile):
    gallery = torch.randn(20, 8, generator=torch.Generator().manual_seed(2))
    rows = torch.arange(20)
    leave_out = torch.stack([(rows - 2).clamp(min=0), rows + 3], dim=1)
    found = EmbeddingIndex(gallery).search(gallery, 4, leave_out=leave_out, tile=tile)
    unit = torch.nn.functional.normalize(gallery, dim=1)
    cosine = unit @ unit.T
    cosine[(rows[:, None] - rows).abs() <= 2] = -torch.inf
    assert torch.equal(found.row, cosine.sort(dim=1, descending=True).indices[:, :4])
    all_out = torch.tensor([[0, 20]]).expand(20, 2)
    assert (EmbeddingIndex(gallery).search(gallery, 1, leave_out=all_out).row == -1).all()


def test_saved_index_is_mapped_and_answers_the_same(tmp_path):
    gallery = torch.randn(50, 8, generator=torch.Generator().manual_seed(3))
    index = EmbeddingIndex(gallery)
    index.save(tmp_path / "gallery.npy")
    loaded = EmbeddingIndex.load(tmp_path / "gallery.npy")
    assert isinstance(loaded._vectors, np.memmap)
    assert [p.name for p in tmp_path.iterdir()] == ["gallery.npy"]
    assert (len(loaded), loaded.dim) == (50, 8)
    for ours, theirs in zip(
        index.search(gallery, 3, tile=16), loaded.search(gallery, 3, tile=16), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_errors_name_file_row_and_size(tmp_path):
    gallery = torch.eye(3)
    gallery[1, 1] = torch.nan
    with pytest.raises(ValueError, match=r"embeddings\[1\] is not finite"):
        EmbeddingIndex(gallery)
    with pytest.raises(ValueError, match="queries have 2 dimensions, the gallery has 3"):
        EmbeddingIndex(torch.eye(3)).search(torch.eye(2))
    with pytest.raises(ValueError, match="k is 0"):
        EmbeddingIndex(torch.eye(3)).search(torch.eye(3), 0)
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such index"):
        EmbeddingIndex.load(tmp_path / "none.npy")
    EmbeddingIndex(torch.eye(64)).save(tmp_path / "cut.npy")
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.npy: damaged or cut short; save the index again"):
        EmbeddingIndex.load(tmp_path / "cut.npy")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"flat\.npy: holds float64 \(3,\)"):
        EmbeddingIndex.load(tmp_path / "flat.npy")


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
def test_long_galleries_whose_runs_are_judged_by_their_greatest(order):
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(5, 4, generator=generator)
    gallery = torch.randn(2300, 4, generator=generator)
    if order == "equal":
        gallery = gallery[:3].repeat(767, 1)
    elif order != "random":
        rank = (gallery / gallery.norm(dim=1, keepdim=True)) @ queries[0]
        gallery = gallery[rank.argsort(descending=order == "descending")]
    found = EmbeddingIndex(gallery).search(queries, 7, tile=512)
    values, rows = naive(gallery, queries, 7)
    torch.testing.assert_close(found.similarity, values)
    if order == "equal":
        nearest = naive(gallery[:3], queries, 1)[1]
        assert torch.equal(found.row, nearest + 3 * torch.arange(7))
    else:
        assert torch.equal(found.row, rows)


def test_faiss_finds_the_same():
    generator = torch.Generator().manual_seed(2)
    gallery, queries = torch.randn(300, 8, generator=generator), torch.randn(6, 8, generator=generator)
    exact = EmbeddingIndex(gallery)
    ours, theirs = exact.search(queries, 5), FaissIndex(exact).search(queries, 5)
    assert torch.equal(ours.row, theirs.row)
    torch.testing.assert_close(ours.similarity, theirs.similarity)
    few = FaissIndex(EmbeddingIndex(gallery[:2])).search(queries, 3)
    assert (few.row[:, 2] == -1).all()
    assert few.similarity[:, 2].isneginf().all()
    graph = FaissIndex(exact, "HNSW16").search(gallery[:50])
    assert (graph.row[:, 0] == torch.arange(50)).float().mean() > 0.9
    with pytest.raises(ValueError, match="factory 'Flatt'"):
        FaissIndex(exact, "Flatt")


GALLERY = np.random.default_rng(0).normal(size=(20, 6)) * 50


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, ">f8", np.int64, np.int8])
def test_numpy_arrays_are_taken_as_their_numbers(kind):
    array = GALLERY.astype(kind)
    exact = array.astype(np.float64)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    index = EmbeddingIndex(array)
    np.testing.assert_allclose(index.vectors(), unit, atol=1e-6)
    found = index.search(array[::-3], 2, leave_out=np.array([[0, 2]] * 7))
    cosine = unit[::-3] @ unit.T
    cosine[:, :2] = -np.inf
    assert found.row.tolist() == np.argsort(-cosine, axis=1)[:, :2].tolist()
    assert FaissIndex(index).search(array[::-3], 1).row.tolist() == [[row] for row in range(19, -1, -3)]
    whole = torch.from_numpy(exact).to(torch.float16 if kind == np.float16 else torch.float64)
    torch.testing.assert_close(EmbeddingIndex(whole).search(array[::-3], 3), index.search(array[::-3], 3))


@pytest.mark.parametrize("of", [EmbeddingIndex, lambda e: EmbeddingIndex(np.eye(6)).search(e)])
def test_arrays_that_are_no_embeddings_are_refused_by_name(of):
    name = "embeddings" if of is EmbeddingIndex else "queries"
    nan = GALLERY.copy()
    nan[4, 2] = np.nan
    for wrong, message in (
        (nan, rf"{name}\[4\] is not finite \(1 such rows\)"),
        (np.full((3, 6), np.inf), rf"{name}\[0\] is not finite \(3 such rows\)"),
        (GALLERY + 1j, rf"{name}: complex128 \(20, 6\); pass real numbers"),
        (torch.from_numpy(GALLERY + 1j), rf"{name}: torch.complex128"),
        (GALLERY > 0, rf"{name}: bool"),
        (torch.from_numpy(GALLERY > 0), rf"{name}: torch.bool"),
        (GALLERY.astype(str), rf"{name}: <U"),
        (GALLERY.astype(object), rf"{name}: object"),
        (GALLERY[0], rf"{name}: \(6,\); pass \(rows, width\), one embedding also as \(1, width\)"),
        (GALLERY[:, :0], rf"{name}: \(20, 0\)"),
        (GALLERY[None], rf"{name}: \(1, 20, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            of(wrong)


def test_faiss_refuses_as_the_exact_index_does():
    graph = FaissIndex(EmbeddingIndex(GALLERY))
    with pytest.raises(ValueError, match="queries have 5 dimensions, the gallery has 6"):
        graph.search(GALLERY[:, :5])
    with pytest.raises(ValueError, match="queries: complex128"):
        graph.search(GALLERY + 1j)
    with pytest.raises(ValueError, match="k is 0"):
        graph.search(GALLERY, 0)


def test_wrong_numbers_of_a_search_are_named():
    index = EmbeddingIndex(GALLERY)
    for options, message in (
        ({"k": True}, "k is True"),
        ({"tile": 0}, "tile is 0"),
        ({"leave_out": np.zeros((19, 2), int)}, r"leave_out: \(19, 2\) .* each of 20 queries"),
        ({"leave_out": torch.zeros(20, 2)}, r"leave_out: \(20, 2\) torch.float32"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(GALLERY, **options)


def test_very_large_and_very_small_embeddings_keep_their_direction():
    for scale in (1e30, 1e-30):
        index = EmbeddingIndex(torch.eye(3) * scale)
        assert torch.equal(torch.from_numpy(index.vectors()), torch.eye(3))
    half = EmbeddingIndex(torch.full((1, 4), 60_000.0, dtype=torch.float16))
    assert half.vectors().tolist() == [[0.5, 0.5, 0.5, 0.5]]


def test_any_flipped_bit_of_a_saved_index_is_noticed(tmp_path):
    path = tmp_path / "gallery.npy"
    EmbeddingIndex(GALLERY).save(path)
    whole = path.read_bytes()
    np.testing.assert_array_equal(np.load(path), EmbeddingIndex(GALLERY).vectors())
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(
            ValueError, match=r"gallery\.npy: damaged or cut short; save the index again from"
        ):
            EmbeddingIndex.load(path)
    array = len(whole) - 64 - len("polypose-index-sha256:")
    for length in (0, 5, 60, 200, array - 1, array + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"gallery\.npy: damaged or cut short"):
            EmbeddingIndex.load(path)
    path.write_bytes(whole)
    assert len(EmbeddingIndex.load(path)) == 20


def test_what_is_said_of_an_index_comes_back_and_is_guarded_as_its_rows_are(tmp_path):
    path = tmp_path / "gallery.npy"
    about = {"run": "runs/größte", "skeleton": "h36m17"}
    EmbeddingIndex(GALLERY).save(path, about)
    index = EmbeddingIndex.load(path)
    assert index.about == about
    np.testing.assert_array_equal(np.load(path), index.vectors())
    whole = path.read_bytes()
    at = whole.index(b"h36m17")
    path.write_bytes(whole[:at] + b"coco17" + whole[at + 6 :])
    with pytest.raises(ValueError, match=r"gallery\.npy: damaged or cut short"):
        EmbeddingIndex.load(path)
    EmbeddingIndex(GALLERY).save(path)
    assert EmbeddingIndex.load(path).about == EmbeddingIndex(GALLERY).about == {}


def test_an_index_without_a_digest_opens_where_its_rows_are_of_unit_length(tmp_path):
    path = tmp_path / "old.npy"
    vectors = EmbeddingIndex(np.concatenate([GALLERY, np.zeros((1, 6))])).vectors()
    np.save(path, vectors)
    assert len(EmbeddingIndex.load(path)) == 21
    for wrong in (2.0, np.nan):
        spoiled = vectors.copy()
        spoiled[7] *= wrong
        np.save(path, spoiled)
        with pytest.raises(ValueError, match=r"old\.npy: row 7 is not of unit length; save the index again"):
            EmbeddingIndex.load(path)


def test_an_index_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="there"):
        EmbeddingIndex(GALLERY).save(tmp_path / "there")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]
