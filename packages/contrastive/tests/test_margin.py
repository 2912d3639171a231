import pytest
import torch
from contrastive import margin_triplet, mine

# Poses on a line at 0, 1, 1.05, 3: distances are known by eye.
AT = torch.tensor([0.0, 1.0, 1.05, 3.0], dtype=torch.float64)
DISTANCES = (AT[:, None] - AT).abs()


def test_mining_takes_the_closest_and_the_next_that_is_apart() -> None:
    mined = mine(DISTANCES, apart=0.1)
    assert mined.positive.tolist() == [1, 2, 1, 2]
    # From 0, pose 2 is only 0.05 further than the positive: pose 3 instead. From 3, pose 1 likewise.
    assert mined.negative.tolist() == [3, 0, 0, 0]
    assert mined.found.all()
    assert mine(DISTANCES, apart=0.01).negative.tolist() == [2, 0, 0, 1]


def test_anchor_without_a_negative_does_not_count() -> None:
    mined = mine(DISTANCES, apart=1.96)
    assert mined.found.tolist() == [True, False, False, False]
    none = mine(DISTANCES, apart=10.0)
    assert not none.found.any()
    x = torch.randn(4, 2, requires_grad=True)
    loss = margin_triplet(x, DISTANCES, apart=10.0)
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, x)[0] == 0).all()


def test_a_negative_exactly_that_far_is_apart_enough() -> None:
    at = torch.tensor([0.0, 1.0, 2.0, 4.0])
    assert mine((at[:, None] - at).abs(), apart=1.0).negative.tolist() == [2, 3, 0, 1]


def test_the_mean_is_over_anchors_that_have_a_triplet() -> None:
    x = torch.tensor([[0.0], [0.5], [2.0], [0.1]], dtype=torch.float64)
    assert margin_triplet(x, DISTANCES, apart=1.96).item() == pytest.approx(0.5 - 0.1 + 1)
    same = torch.ones(4, 2, dtype=torch.float64)
    assert margin_triplet(same, DISTANCES, margin=0.7).item() == pytest.approx(0.7)
    apart = torch.tensor([[0.0], [0.0], [5.0], [3.0]], dtype=torch.float64)  # 0 lies on its positive
    assert margin_triplet(apart, DISTANCES, apart=1.96, margin=4.0).item() == pytest.approx(0.0 - 3.0 + 4.0)


def test_loss_by_hand() -> None:
    x = torch.tensor([[0.0], [0.5], [2.0], [0.1]], dtype=torch.float64)
    # anchor (positive, negative): 0 (1, 3), 1 (2, 0), 2 (1, 0), 3 (2, 0), margin 1
    terms = [0.5 - 0.1 + 1, 1.5 - 0.5 + 1, max(0.0, 1.5 - 2.0 + 1), 1.9 - 0.1 + 1]
    assert margin_triplet(x, DISTANCES).item() == pytest.approx(sum(terms) / 4)


def test_positives_from_another_encoder_and_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    p, n, _ = mine(DISTANCES)
    true = ((x - y[p]).norm(dim=1) - (x - y[n]).norm(dim=1) + 1).clamp_min(0).mean()
    assert margin_triplet(x, DISTANCES, others=y).item() == pytest.approx(true.item())
    assert torch.autograd.gradcheck(lambda x, y: margin_triplet(x, DISTANCES, others=y), (x, y))


def test_equal_embeddings_have_finite_gradients() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    assert torch.autograd.grad(margin_triplet(x, DISTANCES), x)[0].isfinite().all()
