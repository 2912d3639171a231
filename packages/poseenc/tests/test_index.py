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
    with pytest.raises(ValueError, match=r"cut\.npy: not a whole"):
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
