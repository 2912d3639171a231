import pytest
import torch
from contrastive import Cosines, pmrl, symile, tuple_info_nce
from torch import Tensor

B = 5


def unit(n: int, rows: int = B, dimensions: int = 6) -> list[Tensor]:
    x = torch.randn(n, rows, dimensions, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return [part.requires_grad_() for part in x / x.norm(dim=-1, keepdim=True)]


def volume(m: Tensor) -> Tensor:
    return -torch.linalg.svdvals(m).prod()


def eigenvalue(m: Tensor) -> Tensor:
    return torch.linalg.svdvals(m)[0] ** 2


def area(m: Tensor) -> Tensor:
    u, v = m[1] - m[0], m[2] - m[0]
    return -((u @ u) * (v @ v) - (u @ v) ** 2).sqrt() / 2


def naive(x: list[Tensor], tau: float, score, keep: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Row i of the first modality against tuple k of the others, both ways, over complete samples."""
    table = torch.stack(
        [
            torch.stack([score(torch.stack([x[0][i], *(y[k] for y in x[1:])])) for k in range(B)])
            for i in range(B)
        ]
    )
    table = table[keep][:, keep] / tau
    target = torch.arange(len(table))
    forth = torch.nn.functional.cross_entropy(table, target)
    return (forth + torch.nn.functional.cross_entropy(table.mT, target)) / 2


@pytest.mark.parametrize(
    ("name", "score", "n"),
    [
        ("gram", volume, 3),
        ("gram", volume, 4),
        ("triangle", area, 3),
        ("eigenvalue", eigenvalue, 3),
        ("eigenvalue", eigenvalue, 4),
    ],
)
def test_tuples_against_tuples(name: str, score, n: int) -> None:  # type: ignore[no-untyped-def]
    x, everyone = unit(n), torch.ones(B, dtype=torch.bool)
    assert tuple_info_nce(x, 0.2, name).item() == pytest.approx(
        naive(x, 0.2, score, everyone).item(), rel=1e-9
    )
    present = torch.ones(B, n, dtype=torch.bool)
    present[2] = False
    masked = tuple_info_nce(x, 0.2, name, present=present)
    assert masked.item() == pytest.approx(naive(x, 0.2, score, present[:, 0]).item(), rel=1e-9)
    assert torch.autograd.gradcheck(lambda *x: tuple_info_nce(x, 0.2, name, present=present), unit(n, B, 5))


def test_own_similarity() -> None:
    x = unit(3)
    weakest = tuple_info_nce(x, 0.2, lambda edges: torch.minimum(torch.minimum(edges[0], edges[1]), edges[2]))
    true = naive(
        x, 0.2, lambda m: torch.stack([m[0] @ m[1], m[0] @ m[2], m[1] @ m[2]]).min(), torch.ones(B).bool()
    )
    assert weakest.item() == pytest.approx(true.item(), rel=1e-9)
    with pytest.raises(ValueError, match="choose eigenvalue, gram"):
        tuple_info_nce(x, 0.2, "volume")


def test_symile_by_its_definition() -> None:
    x, tau = unit(3), 0.1
    generator = torch.Generator().manual_seed(4)
    terms = []
    for anchor in range(3):
        others = [(m, torch.randperm(B, generator=generator)) for m in range(3) if m != anchor]
        for n in range(B):
            scores = [(x[0][n] * x[1][n] * x[2][n]).sum() / tau]
            for k in range(B):
                if k != n and any(order[k] != n for _, order in others):
                    product = x[anchor][n].clone()
                    for m, order in others:
                        product = product * x[m][order[k]]
                    scores.append(product.sum() / tau)
            terms.append(torch.stack(scores).logsumexp(0) - scores[0])
    ours = symile(x, tau, torch.Generator().manual_seed(4))
    assert ours.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda *x: symile(x, tau, torch.Generator().manual_seed(4)), unit(3, 4, 4)
    )


PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]]).bool()
LABELS = torch.tensor([0, 1, 0, 0, 2])


@pytest.mark.parametrize("labels", [None, LABELS, "mask"])
@pytest.mark.parametrize("present", [None, PRESENT])
def test_symile_leaves_out_what_is_absent_or_alike(
    present: Tensor | None, labels: Tensor | str | None
) -> None:
    """A complete sample against shuffled tuples of present members that are not all positives."""
    x, tau = unit(3), 0.1
    there = torch.ones(B, 3, dtype=torch.bool) if present is None else present
    if labels == "mask":  # one that is no grouping: 2 is like 0 and 1, which are not alike
        labels = torch.eye(B, dtype=torch.bool)
        labels[2, :2] = labels[:2, 2] = True
    same = labels if labels is None or labels.ndim == 2 else labels[:, None] == labels
    generator = torch.Generator().manual_seed(4)
    means = []
    for anchor in range(3):
        others = [(m, torch.randperm(B, generator=generator)) for m in range(3) if m != anchor]
        terms = []
        for n in range(B):
            if not there[n].all():
                continue
            scores = [(x[0][n] * x[1][n] * x[2][n]).sum() / tau]
            for k in range(B):
                members = [(m, int(order[k])) for m, order in others]
                whole = [n, *(row for _, row in members)]
                alike = all(i == j if same is None else same[i, j] for i in whole for j in whole)
                if k != n and all(there[row, m] for m, row in members) and not alike:
                    product = x[anchor][n].clone()
                    for m, row in members:
                        product = product * x[m][row]
                    scores.append(product.sum() / tau)
            terms.append(torch.stack(scores).logsumexp(0) - scores[0])
        means.append(torch.stack(terms).mean())
    given = {"present": present, "positives": labels}
    spoiled = (
        x
        if present is None
        else [
            torch.where(on[:, None], part, torch.nan) for on, part in zip(present.unbind(1), x, strict=True)
        ]
    )
    ours = symile(spoiled, tau, torch.Generator().manual_seed(4), **given)
    assert ours.item() == pytest.approx(torch.stack(means).mean().item(), rel=1e-12)
    shared = symile(Cosines(spoiled, **given), tau, torch.Generator().manual_seed(4))
    assert shared.item() == ours.item()
    for on, grad in zip(there.unbind(1), torch.autograd.grad(ours, x), strict=True):
        assert grad.isfinite().all()
        assert (grad[~on] == 0).all()


def test_tuples_leave_out_lacking_members_and_positives() -> None:
    """Rows that lack the first modality are no longer candidates of it, but the rest of them still are."""
    x, tau = unit(3), 0.2
    same = LABELS[:, None] == LABELS
    whole = PRESENT.all(1)
    others = PRESENT[:, 1] & PRESENT[:, 2]
    forth, back = [], []
    for i in range(B):
        if not whole[i]:
            continue
        for found, candidates in ((forth, others), (back, PRESENT[:, 0])):
            columns = [k for k in range(B) if k == i or (candidates[k] and not same[i, k])]
            scores = []
            for k in columns:
                first, rest = (i, k) if found is forth else (k, i)
                scores.append(volume(torch.stack([x[0][first], x[1][rest], x[2][rest]])) / tau)
            own = columns.index(i)
            found.append(torch.stack(scores).logsumexp(0) - scores[own])
    true = (torch.stack(forth).mean() + torch.stack(back).mean()) / 2
    ours = tuple_info_nce(x, tau, "gram", present=PRESENT, positives=LABELS)
    assert ours.item() == pytest.approx(true.item(), rel=1e-9)


def test_pmrl_counts_complete_tuples() -> None:
    x, whole = unit(3), PRESENT.all(1)
    values = torch.linalg.svdvals(torch.stack(x, 1))[whole] / 0.2
    true = torch.nn.functional.cross_entropy(values, torch.zeros(len(values), dtype=torch.long))
    assert pmrl(x, 0.2, present=PRESENT).item() == pytest.approx(true.item(), rel=1e-9)


@pytest.mark.parametrize("n", [3, 4])
def test_pmrl_by_svd(n: int) -> None:
    x, tau = unit(n), 0.2
    values = torch.linalg.svdvals(torch.stack(x, 1)) / tau
    true = torch.nn.functional.cross_entropy(values, torch.zeros(B, dtype=torch.long))
    assert pmrl(x, tau).item() == pytest.approx(true.item(), rel=1e-9)
    same = [x[0].detach().requires_grad_() for _ in range(n)]
    grads = torch.autograd.grad(pmrl(same, tau), same)
    assert all(grad.isfinite().all() for grad in grads)
