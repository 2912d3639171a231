"""The sphere trick: an index of cosines finds what the distances say."""

import torch
from poseenc import EmbeddingIndex
from poseenc.euclidean import from_sphere, gallery_on_sphere, queries_for_sphere


def test_order_is_that_of_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    gallery = 1.5 * torch.randn(3000, 32, generator=generator) + 0.5
    queries = torch.randn(200, 32, generator=generator)
    found = EmbeddingIndex(gallery_on_sphere(gallery)).search(queries_for_sphere(queries), 5).row
    distances = torch.cdist(queries.double(), gallery.double())
    expected = distances.topk(5, largest=False).values
    torch.testing.assert_close(distances.gather(1, found), expected, atol=1e-5, rtol=1e-5)
    cosine = EmbeddingIndex(gallery).search(queries, 1).row[:, 0]
    assert (cosine != found[:, 0]).any()  # cosine alone is another order


def test_a_member_finds_itself_and_an_empty_gallery_nothing() -> None:
    gallery = torch.randn(500, 8, generator=torch.Generator().manual_seed(1))
    index = EmbeddingIndex(gallery_on_sphere(gallery))
    assert index.search(queries_for_sphere(gallery), 1).row[:, 0].tolist() == list(range(500))
    empty = EmbeddingIndex(gallery_on_sphere(gallery[:0]))
    assert (empty.search(queries_for_sphere(gallery[:2]), 3).row == -1).all()


def test_half_precision_does_not_overflow() -> None:
    """Squared lengths about 300 are fine in float16, their own squares are not."""
    gallery = (3 * torch.randn(500, 32, generator=torch.Generator().manual_seed(0))).half()
    index = EmbeddingIndex(gallery_on_sphere(gallery))
    found = index.search(queries_for_sphere(gallery[:50]), 2).row
    exact = torch.cdist(gallery[:50].double(), gallery.double()).topk(2, largest=False).indices
    assert torch.equal(found, exact)


def test_an_index_gives_back_what_it_was_made_of() -> None:
    gallery = 2 * torch.randn(300, 16, generator=torch.Generator().manual_seed(2))
    gallery[7] = 0
    gallery[8] *= 1e-3
    index = EmbeddingIndex(gallery_on_sphere(gallery))
    torch.testing.assert_close(from_sphere(torch.from_numpy(index.vectors())), gallery, rtol=1e-5, atol=1e-8)
