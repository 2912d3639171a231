"""The losses against twins that are written out triplet by triplet."""

from itertools import permutations, product

import pytest
import torch
from contrastive import (
    Cosines,
    Temperature,
    info_nce,
    joint_info_nce,
    pairwise_info_nce,
    supervised_info_nce,
    triplet_info_nce,
)
from contrastive.negatives import paper_sample, sample

B = 6
LABELS = torch.tensor([0, 1, 1, 2, 2, 2])
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]).bool()
CASES = {
    "plain": {},
    "labels": {"positives": LABELS},
    "mask": {"positives": LABELS[:, None] == LABELS},
    "missing": {"present": PRESENT},
    "both": {"present": list(PRESENT.unbind(1)), "positives": LABELS},
}


def unit(
    rows: int, dimensions: int = 8, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, rows, dimensions, generator=generator, dtype=dtype)
    return [part.requires_grad_() for part in x / x.norm(dim=-1, keepdim=True)]


def case(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    same = LABELS[:, None] == LABELS if "positives" in CASES[name] else torch.eye(B, dtype=torch.bool)
    return same, PRESENT if "present" in CASES[name] else torch.ones(B, 3, dtype=torch.bool)


def naive_triplet(x: list[torch.Tensor], tau: float, name: str) -> torch.Tensor:
    same, present = case(name)

    def score(i: int, j: int, k: int) -> torch.Tensor:
        m = torch.stack((x[0][i], x[1][j], x[2][k]))
        return torch.linalg.svdvals(m)[0] ** 2 / tau

    terms = []
    for n in range(B):
        if not present[n].all():
            continue
        scores = [score(n, n, n)]
        for i, j, k in product(range(B), repeat=3):
            there = present[i, 0] and present[j, 1] and present[k, 2]
            if n in (i, j, k) and there and not (same[i, j] and same[i, k] and same[j, k]):
                scores.append(score(i, j, k))
        if name == "plain":
            assert len(scores) == 3 * B * B - 3 * B + 1
        terms.append(torch.stack(scores).logsumexp(0) - scores[0])
    return torch.stack(terms).mean()


def naive_pairs(x: list[torch.Tensor], tau: float, name: str) -> torch.Tensor:
    same, present = case(name)
    total = torch.zeros((), dtype=torch.float64)
    for m, n in permutations(range(3), 2):
        terms = []
        for r in range(B):
            if present[r, m] and present[r, n]:
                columns = [c for c in range(B) if c == r or (present[c, n] and not same[r, c])]
                scores = torch.stack([x[m][r] @ x[n][c] / tau for c in columns])
                terms.append(scores.logsumexp(0) - x[m][r] @ x[n][r] / tau)
        total = total + torch.stack(terms).mean() / 2
    return total


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_negatives_are_exactly_all(name: str, dtype: torch.dtype) -> None:
    x = unit(B)
    # Cosines know nothing of the norms, the twin's matrices do: compare along the sphere.
    spheres = [part / part.norm(dim=1, keepdim=True) for part in x]
    true = naive_triplet(spheres, 0.2, name)
    truth = torch.autograd.grad(true, x, retain_graph=True)
    ours = triplet_info_nce([part.to(dtype) for part in spheres], 0.2, **CASES[name])
    assert ours.item() == pytest.approx(true.item(), rel=1e-12 if dtype == torch.float64 else 2e-6)
    for mine, theirs in zip(torch.autograd.grad(ours, x), truth, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10 if dtype == torch.float64 else 2e-5)


@pytest.mark.parametrize("name", CASES)
def test_pairs(name: str) -> None:
    x = unit(B)
    ours = pairwise_info_nce(x, 0.2, **CASES[name])
    assert ours.item() == pytest.approx(naive_pairs(x, 0.2, name).item(), rel=1e-12)


@pytest.mark.parametrize("negatives", ["all", "sampled", "paper_sampled"])
@pytest.mark.parametrize("name", CASES)
def test_gradcheck_with_temperature(name: str, negatives: str) -> None:
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        return joint_info_nce([x, y, z], tau, negatives, generator, weight=0.7, **CASES[name])

    assert torch.autograd.gradcheck(loss, (*unit(B, 3), tau))


def test_two_modalities_by_hand() -> None:
    x = torch.eye(2, dtype=torch.float64)
    expected = torch.log1p(torch.exp(torch.tensor(-1 / 0.5, dtype=torch.float64)))
    assert info_nce(x, x, 0.5).item() == pytest.approx(expected.item(), rel=1e-12)


def test_sampled_value_is_the_papers_algorithm_on_the_same_indices() -> None:
    x, tau = unit(20), 0.2
    second, third = paper_sample(20, torch.Generator().manual_seed(5), torch.device("cpu"))
    rows = torch.arange(20)[:, None].expand(20, 20)
    stacked = torch.stack((x[0][rows], x[1][second], x[2][third]), 2)
    logits = torch.linalg.eigvalsh(stacked @ stacked.mT)[..., -1] / tau
    true = torch.nn.functional.cross_entropy(logits, torch.zeros(20, dtype=torch.long))
    ours = triplet_info_nce(x, tau, "paper_sampled", torch.Generator().manual_seed(5))
    assert ours.item() == pytest.approx(true.item(), rel=1e-12)
    again = triplet_info_nce([p.float() for p in x], tau, "paper_sampled", torch.Generator().manual_seed(5))
    assert again.item() == pytest.approx(true.item(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("negatives", ["sampled", "paper_sampled"])
def test_sampled_leaves_out_what_is_absent_or_alike(negatives: str, name: str) -> None:
    x, tau = unit(B), 0.2
    same, present = case(name)
    draw = sample if negatives == "sampled" else paper_sample
    second, third = draw(B, torch.Generator().manual_seed(6), torch.device("cpu"))
    terms = []
    for n in range(B):
        if not present[n].all():
            continue
        scores = []
        for k in range(B):
            i, j = int(second[n, k]), int(third[n, k])
            there = present[i, 1] and present[j, 2]
            alike = (
                name != "plain" and "positives" in CASES[name] and same[n, i] and same[n, j] and same[i, j]
            )
            if k == 0 or (there and not alike):
                stacked = torch.stack((x[0][n], x[1][i], x[2][j]))
                scores.append(torch.linalg.svdvals(stacked)[0] ** 2 / tau)
        terms.append(torch.stack(scores).logsumexp(0) - scores[0])
    ours = triplet_info_nce(x, tau, negatives, torch.Generator().manual_seed(6), **CASES[name])  # type: ignore[arg-type]
    assert ours.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-9)


def test_one_sample_that_has_everything_is_the_mean() -> None:
    x, present = [part.detach() for part in unit(3)], torch.zeros(3, 3, dtype=torch.bool)
    present[1] = True
    present[0, 0] = True
    first = pairwise_info_nce(x, 0.2, present=present)
    # As an anchor it meets row 0 of the first modality alone, in the two directions towards it.
    scores = [torch.stack([x[m][1] @ x[0][1], x[m][1] @ x[0][0]]) / 0.2 for m in (1, 2)]
    expected = sum((s.logsumexp(0) - s[0]).item() for s in scores) / 2
    assert first.item() == pytest.approx(expected, rel=1e-12)


def test_cosines_of_one_party_that_learns_are_not_kept_without_gradients() -> None:
    x = unit(B)
    features = [x[0], x[1].detach(), x[2].detach()]
    shared = Cosines.of(features)
    with torch.no_grad():
        pairwise_info_nce(shared, 0.2)
    (ours,) = torch.autograd.grad(pairwise_info_nce(shared, 0.2), x[:1])
    (theirs,) = torch.autograd.grad(pairwise_info_nce(features, 0.2), x[:1])
    assert torch.equal(ours, theirs)


def test_sample_never_holds_the_positive_and_is_even() -> None:
    generator, size = torch.Generator().manual_seed(0), 5
    counts = torch.zeros(size, size, size)
    for _ in range(3000):
        second, third = sample(size, generator, torch.device("cpu"))
        rows = torch.arange(size)[:, None]
        assert (second[:, 0] == rows[:, 0]).all()
        assert (third[:, 0] == rows[:, 0]).all()
        flat = (rows * size * size + second * size + third)[:, 1:].flatten()
        counts += torch.bincount(flat, minlength=size**3).view(size, size, size)
    own = torch.arange(size)
    assert counts[own, own, own].sum() == 0
    expected = 3000 * (size - 1) / (size * size - 1)
    counts[own, own, own] = expected
    assert (counts - expected).abs().max() < 5 * expected**0.5


def test_paper_sample_shuffles_and_hits_the_positive_at_the_expected_rate() -> None:
    second, third = paper_sample(100, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert (second.sort(0).values == torch.arange(100)[:, None]).all()
    own = torch.arange(100)[:, None]
    assert (second[:, 0] == own[:, 0]).all()
    hits = ((second == own) & (third == own))[:, 1:].sum().item()
    assert abs(hits - 0.99) < 4  # 100 x 99 draws, each with chance 1 / 100²


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tau", [0.01, 0.2, 1e4])
def test_finite_where_features_degenerate(dtype: torch.dtype, tau: float) -> None:
    eye = torch.eye(12, dtype=dtype)
    star = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], dtype=dtype)
    inputs = {
        "identical": [eye[:1].expand(4, 12)] * 3,
        "aligned": [eye[:4]] * 3,
        "orthogonal": [eye[:4], eye[4:8], eye[8:]],
        "antipodal": [eye[:4], -eye[:4], eye[:4]],
        "star": [star[m].expand(4, 2) for m in range(3)],
    }
    for name, x in inputs.items():
        leaves = [part.clone().requires_grad_() for part in x]
        for negatives in ("all", "sampled", "paper_sampled"):
            loss = joint_info_nce(leaves, tau, negatives, torch.Generator().manual_seed(0))
            grads = torch.autograd.grad(loss, leaves)
            assert loss.isfinite(), name
            assert all(grad.isfinite().all() for grad in grads), name


def test_small_temperatures_are_exact_or_refused() -> None:
    x = unit(B)
    true = triplet_info_nce(x, 0.01).item()
    assert triplet_info_nce([part.float() for part in x], 0.01).item() == pytest.approx(true, rel=1e-5)
    with pytest.raises(ValueError, match="underflows float32"):
        triplet_info_nce([torch.eye(4)] * 3, 1e-3)


def test_half_precision_accumulates_in_float32() -> None:
    x = unit(64, 512, torch.float32)
    half = [part.detach().bfloat16() for part in x]
    true = joint_info_nce([part.double() for part in half], 0.2).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = joint_info_nce(half, 0.2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(true, rel=1e-5)


def test_missing_rows_may_hold_nan_and_get_no_gradient() -> None:
    x = unit(B)
    spoiled = [
        torch.where(on[:, None], p, torch.nan).detach().requires_grad_()
        for on, p in zip(PRESENT.T, x, strict=True)
    ]
    for negatives in ("all", "sampled"):
        loss = joint_info_nce(spoiled, 0.2, negatives, torch.Generator().manual_seed(0), present=PRESENT)
        whole = joint_info_nce(x, 0.2, negatives, torch.Generator().manual_seed(0), present=PRESENT)
        assert loss.item() == pytest.approx(whole.item(), rel=1e-12)
        for on, grad in zip(PRESENT.T, torch.autograd.grad(loss, spoiled), strict=True):
            assert grad.isfinite().all()
            assert (grad[~on] == 0).all()


def test_no_complete_sample_gives_zero() -> None:
    present = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()
    x = unit(2)
    for negatives in ("all", "sampled", "paper_sampled"):
        loss = triplet_info_nce(x, 0.2, negatives, present=present)
        assert loss.item() == 0
        assert all((grad == 0).all() for grad in torch.autograd.grad(loss, x))


def test_supervised_pulls_all_positives() -> None:
    x, tau = unit(B), 0.2
    total = 0.0
    for m, n in permutations(range(3), 2):
        log_p = (x[m] @ x[n].T / tau).log_softmax(1)
        rows = [log_p[r, LABELS[r] == LABELS].mean() for r in range(B)]
        total -= torch.stack(rows).mean().item() / 2
    assert supervised_info_nce(x, tau, positives=LABELS).item() == pytest.approx(total, rel=1e-12)
    unique = torch.arange(B)
    plain = pairwise_info_nce(x, tau).item()
    assert supervised_info_nce(x, tau, positives=unique).item() == pytest.approx(plain, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda *x: supervised_info_nce(x, tau, positives=LABELS, present=PRESENT), unit(B, 4)
    )


@pytest.mark.parametrize("name", CASES)
def test_joint_is_the_sum_of_both_terms(name: str) -> None:
    x = [part.detach() for part in unit(B)]
    pair, triplet = naive_pairs(x, 0.2, name).item(), naive_triplet(x, 0.2, name).item()
    assert joint_info_nce(x, 0.2, **CASES[name]).item() == pytest.approx(pair + triplet, rel=1e-9)
    weighted = joint_info_nce(x, 0.2, weight=0.3, **CASES[name]).item()
    assert weighted == pytest.approx(pair + 0.3 * triplet, rel=1e-9)
    two = {**CASES[name]}
    if "present" in two:
        two["present"] = PRESENT[:, :2]
    pairwise = pairwise_info_nce(x[:2], 0.2, **two).item()
    assert info_nce(x[0], x[1], 0.2, **two).item() == pairwise
    if name != "plain":
        assert pairwise != info_nce(x[0], x[1], 0.2).item()


def test_supervised_means_are_over_samples_that_are_there() -> None:
    x, tau = unit(B), 0.2
    total = 0.0
    for m, n in permutations(range(3), 2):
        rows = []
        for r in range(B):
            wanted = PRESENT[:, n] & (LABELS[r] == LABELS)
            if PRESENT[r, m] and wanted.any():
                log_p = (x[m][r] @ x[n][PRESENT[:, n]].T / tau).log_softmax(0)
                rows.append(log_p[wanted[PRESENT[:, n]]].mean())
        total -= torch.stack(rows).mean().item() / 2
    ours = supervised_info_nce(x, tau, positives=LABELS, present=PRESENT)
    assert ours.item() == pytest.approx(total, rel=1e-12)


def test_triplets_do_not_see_signs_and_pairs_do() -> None:
    x, *_ = unit(B)
    assert triplet_info_nce([x, -x, x], 0.2).item() == pytest.approx(triplet_info_nce([x, x, x], 0.2).item())
    assert pairwise_info_nce([x, -x, x], 0.2) > pairwise_info_nce([x, x, x], 0.2) + 1


def test_shared_cosines_give_the_same_and_are_made_once() -> None:
    x = unit(B)
    shared = Cosines(x)
    assert shared.full(0, 1) is shared.full(0, 1)
    assert shared.full(1, 0).data_ptr() == shared.full(0, 1).data_ptr()
    assert joint_info_nce(shared, 0.2).item() == joint_info_nce(x, 0.2).item()


def test_cosines_read_without_gradients_have_them_later() -> None:
    """A loss that is only logged, under no_grad, must not cut the encoders off from the next."""
    x = unit(B)
    shared = Cosines(x)
    with torch.no_grad():
        logged = joint_info_nce(shared, 0.2)
    loss = joint_info_nce(shared, 0.2)
    assert loss.item() == logged.item()
    grads = torch.autograd.grad(loss, x)
    for ours, theirs in zip(grads, torch.autograd.grad(joint_info_nce(x, 0.2), x), strict=True):
        assert torch.equal(ours, theirs)


def test_a_sample_is_its_own_positive_whatever_the_mask_says() -> None:
    x, same = unit(B), LABELS[:, None] == LABELS
    others = same & ~torch.eye(B, dtype=torch.bool)
    for loss in (pairwise_info_nce, triplet_info_nce, supervised_info_nce):
        assert loss(x, 0.2, positives=others).item() == loss(x, 0.2, positives=same).item()


def test_a_row_without_any_member_leaves_the_temperature_its_gradient() -> None:
    """At a low temperature its own sum underflows; it does not count, in the gradient either."""
    x = unit(1, 8, torch.float32)[0].detach().expand(3, 4, 8)
    present = torch.ones(4, 3, dtype=torch.bool)
    present[2] = False
    grads = []
    for rows in ([0, 1, 2, 3], [0, 1, 3]):
        tau = torch.tensor(0.009, requires_grad=True)
        triplet_info_nce(list(x[:, rows]), tau, present=present[rows]).backward()
        grads.append(tau.grad.item())
    assert grads[0] == pytest.approx(grads[1], abs=1e-3)


def test_temperature_stays_in_range_and_comes_back() -> None:
    tau = Temperature(1 / 5, 1 / 10, 1e4)
    assert tau().item() == pytest.approx(0.2)
    with torch.no_grad():
        tau.log.fill_(-9.0)
    value = tau()
    assert value.item() == pytest.approx(0.1)
    value.backward()
    assert tau.log.grad is not None
    assert tau.log.grad.item() > 0
    tau.clamp_()
    assert tau.log.item() == pytest.approx(torch.tensor(0.1).log().item())
    for wrong in ((1.0, 2.0, 3.0), (4.0, 2.0, 3.0), (1.0, 0.0, 3.0), (-1.0, -2.0, 3.0)):
        with pytest.raises(ValueError, match="outside"):
            Temperature(*wrong)
    for edge in (2.0, 3.0):
        assert Temperature(edge, 2.0, 3.0)().item() == pytest.approx(edge)
    high = Temperature(2.5, 2.0, 3.0)
    with torch.no_grad():
        high.log.fill_(9.0)
    assert high().item() == pytest.approx(3.0)
    high.clamp_()
    assert high.log.item() == pytest.approx(torch.tensor(3.0).log().item())
    assert (Temperature(1.0).minimum, Temperature(1.0).maximum) == (0.01, 1e4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: triplet_info_nce(x[:2], 0.2), "takes 3"),
        (lambda x: triplet_info_nce(x, 0.2, "some"), "choose all, sampled or paper_sampled"),  # type: ignore[arg-type]
        (lambda x: pairwise_info_nce([x[0], x[1][:2]], 0.2), "of one shape"),
        (lambda x: pairwise_info_nce(x, 0.2, present=PRESENT[:, :2]), "present"),
        (lambda x: pairwise_info_nce(x, 0.2, positives=PRESENT), "positives"),
        (lambda x: pairwise_info_nce(Cosines(x), 0.2, positives=LABELS), "belong to the Cosines"),
        (lambda x: supervised_info_nce(x, 0.2), "positives: none given"),
        (
            lambda x: pairwise_info_nce([x[0], 2 * x[1]], 0.2),
            r"features\[1\]: row 0 has norm 2; apply normalize",
        ),
    ],
)
def test_errors_name_the_field(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call(unit(B))
