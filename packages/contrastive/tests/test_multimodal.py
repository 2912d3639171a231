"""The one call against twins that are written out row by row, under random masks, whole and in tiles."""

import math
from itertools import combinations, product

import pytest
import torch
from contrastive import info_nce, joint_info_nce, multimodal_info_nce, multimodal_terms, tiles
from torch import Tensor
from torch.nn.functional import normalize

B, TAU = 5, 0.3
NAMES = ("image", "2d", "3d", "depth", "cloud", "sound", "text", "touch")
SEED = 4
Rows = list[Tensor]


@pytest.fixture(params=["whole", "tiles"])
def split(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at once, or tiles of two rows and two columns."""
    if request.param == "tiles":
        monkeypatch.setitem(tiles.CELLS, "cpu", 4)
        monkeypatch.setattr(tiles, "ROWS", 2)


def embeddings(modalities: int, rows: int = B, width: int = 6) -> Rows:
    generator = torch.Generator().manual_seed(modalities)
    x = torch.randn(modalities, rows, width, generator=generator, dtype=torch.float64)
    return [part.requires_grad_() for part in normalize(x, dim=-1)]


def masks(modalities: int, rows: int = B) -> Tensor:
    """(rows, modalities): most are there, in every row another choice; one row has all."""
    there = torch.rand(rows, modalities, generator=torch.Generator().manual_seed(9)) < 0.7
    there[0] = there[-1] = True
    return there


def concentrations(modalities: int) -> Rows:
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(B, generator=generator, dtype=torch.float64) + 0.5 for _ in range(modalities)]


def both_ways(table: Tensor, anchor: Tensor, rest: Tensor, sharp: Rows | None = None) -> Tensor:
    """Means of -log softmax of a table's own cells among the cells of its row, and of its column."""
    a, b = sharp or [torch.ones(B, dtype=torch.float64)] * 2
    own = [n for n in range(B) if anchor[n] and rest[n]]
    if not own:
        return table.sum() * 0
    forth = [torch.stack([a[n] * table[n, k] for k in range(B) if rest[k]]).logsumexp(0) for n in own]
    back = [torch.stack([b[n] * table[i, n] for i in range(B) if anchor[i]]).logsumexp(0) for n in own]
    forth = [value - a[n] * table[n, n] for n, value in zip(own, forth, strict=True)]
    back = [value - b[n] * table[n, n] for n, value in zip(own, back, strict=True)]
    return (torch.stack(forth).mean() + torch.stack(back).mean()) / 2


def table(anchor: Tensor, rest: Rows, score) -> Tensor:  # type: ignore[no-untyped-def]
    cells = [[score(anchor[i], *(y[k] for y in rest)) / TAU for k in range(B)] for i in range(B)]
    return torch.stack([torch.stack(line) for line in cells])


def dot(x: Tensor, y: Tensor) -> Tensor:
    return x @ y


def volume(*x: Tensor) -> Tensor:
    return -torch.linalg.svdvals(torch.stack(x)).prod()


def area(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    a, b, c = (x - y).norm(), (y - z).norm(), (z - x).norm()
    half = (a + b + c) / 2
    return -(half * (half - a) * (half - b) * (half - c)).sqrt()


def pairwise(x: Rows, there: Tensor) -> Tensor:
    pairs = combinations(range(len(x)), 2)
    return torch.stack(
        [both_ways(table(x[m], [x[n]], dot), there[:, m], there[:, n]) for m, n in pairs]
    ).sum()


def sharpened(x: Rows, there: Tensor) -> Tensor:
    k = concentrations(len(x))
    found = [
        both_ways(table(x[m], [x[n]], dot), there[:, m], there[:, n], [k[m], k[n]])
        for m, n in combinations(range(len(x)), 2)
    ]
    return torch.stack(found).sum()


def triplet(x: Rows, there: Tensor) -> Tensor:
    total = x[0].sum() * 0
    for m in combinations(range(len(x)), 3):
        whole, has = there[:, m].all(1), there[:, m]
        terms = []
        for n in (n for n in range(B) if whole[n]):
            cells = [(n, n, n)]
            cells += [
                cell
                for cell in product(range(B), repeat=3)
                if n in cell and set(cell) != {n} and all(has[row, at] for at, row in enumerate(cell))
            ]
            stacked = torch.stack(
                [torch.stack([x[at][row] for at, row in zip(m, c, strict=True)]) for c in cells]
            )
            logits = torch.linalg.svdvals(stacked)[:, 0] ** 2 / TAU
            terms.append(logits.logsumexp(0) - logits[0])
        if terms:
            total = total + torch.stack(terms).mean()
    return total


def triangle(x: Rows, there: Tensor) -> Tensor:
    found = [
        both_ways(table(x[a], [x[b], x[c]], area), there[:, a], there[:, b] & there[:, c])
        for a, b, c in combinations(range(len(x)), 3)
    ]
    return torch.stack(found).sum()


def fused(x: Rows, there: Tensor) -> Tensor:
    k, found = concentrations(len(x)), []
    for m, n in combinations(range(len(x)), 2):
        pair = normalize(k[m][:, None] * x[m] + k[n][:, None] * x[n], dim=1)
        both = there[:, m] & there[:, n]
        others = [other for other in range(len(x)) if other not in (m, n)]
        found += [both_ways(table(pair, [x[other]], dot), both, there[:, other]) for other in others]
    return torch.stack(found).sum()


def gram(x: Rows, there: Tensor) -> Tensor:
    return both_ways(table(x[0], x[1:], volume), there[:, 0], there[:, 1:].all(1))


def symile(x: Rows, there: Tensor) -> Tensor:
    generator, means = torch.Generator().manual_seed(SEED), []
    for anchor in range(len(x)):
        order = {m: torch.randperm(B, generator=generator) for m in range(len(x)) if m != anchor}
        terms = []
        for n in (n for n in range(B) if there[n].all()):
            tuples = [[n] * len(x)]
            tuples += [
                [n if m == anchor else int(order[m][k]) for m in range(len(x))] for k in range(B) if k != n
            ]
            kept = [
                t
                for at, t in enumerate(tuples)
                if all(there[row, m] for m, row in enumerate(t)) and (at == 0 or set(t) != {n})
            ]
            logits = torch.stack(
                [torch.stack([x[m][row] for m, row in enumerate(t)]).prod(0).sum() / TAU for t in kept]
            )
            terms.append(logits.logsumexp(0) - logits[0])
        means.append(torch.stack(terms).mean())
    return torch.stack(means).mean()


TWINS = {f.__name__: f for f in (pairwise, sharpened, triplet, triangle, fused, gram, symile)}
CASES = [
    (name, n) for name in TWINS for n in (2, 3, 4) if n > 2 or name not in ("triplet", "triangle", "fused")
]


def ours(name: str, x: Rows, there: Tensor, tau: float | Tensor = TAU) -> Tensor:
    named = dict(zip(NAMES, x, strict=False))
    return multimodal_info_nce(
        named,
        dict(zip(named, there.unbind(1), strict=True)),
        tau,
        {name: 1.0},
        concentrations=dict(zip(named, concentrations(len(x)), strict=True)) if len(x[0]) == B else None,
        generator=torch.Generator().manual_seed(SEED),
    )


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize(("name", "n"), [*CASES, ("pairwise", 8)])
def test_every_term_is_its_twin(name: str, n: int) -> None:
    x, there = embeddings(n), masks(n)
    # Cosines know nothing of the norms, some twins do: compare along the sphere.
    spheres = [normalize(part, dim=1) for part in x]
    true = TWINS[name](spheres, there)
    truth = torch.autograd.grad(true, x, retain_graph=True, allow_unused=True)
    spoiled = [
        torch.where(on[:, None], part, torch.nan) for on, part in zip(there.unbind(1), spheres, strict=True)
    ]
    value = ours(name, spoiled, there)
    assert value.item() == pytest.approx(true.item(), rel=1e-9)
    for mine, theirs, on in zip(torch.autograd.grad(value, x), truth, there.unbind(1), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)
        assert (mine[~on] == 0).all()


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("name", TWINS)
def test_slopes(name: str) -> None:
    tau = torch.tensor(TAU, dtype=torch.float64, requires_grad=True)
    there = masks(3)
    assert torch.autograd.gradcheck(
        lambda *given: ours(name, list(given[:3]), there, given[3]), (*embeddings(3), tau)
    )


def test_slopes_by_concentration() -> None:
    x = dict(zip(NAMES, embeddings(3), strict=False))
    there = dict(zip(x, masks(3).unbind(1), strict=True))

    def loss(*k: Tensor) -> Tensor:
        given = dict(zip(x, k, strict=True))
        return multimodal_info_nce(x, there, TAU, {"sharpened": 0.5, "fused": 2.0}, concentrations=given)

    assert torch.autograd.gradcheck(loss, [k.requires_grad_() for k in concentrations(3)])


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("kept", ["none", "apart", "one"])
def test_nothing_to_compare_is_zero(name: str, kept: str) -> None:
    """No row has anything; every row has one modality; one row has all and no other has any."""
    x, there = embeddings(3), torch.zeros(B, 3, dtype=torch.bool)
    if kept == "apart":
        there[torch.arange(B), torch.arange(B) % 3] = True
    if kept == "one":
        there[2] = True
    value = ours(name, [part.float() for part in x], there)
    assert value.item() == pytest.approx(0, abs=1e-5 if name == "triplet" else 0)
    assert all((grad == 0).all() for grad in torch.autograd.grad(value, x))


@pytest.mark.usefixtures("split")
def test_known_values_of_rows_that_agree() -> None:
    """Orthonormal rows, one and the same in all modalities."""
    x = dict.fromkeys(NAMES[:4], torch.eye(B, dtype=torch.float64))
    found = multimodal_terms(x, None, TAU, ["pairwise", "fused", "triplet", "gram", "triangle"])
    two = math.log1p((B - 1) * math.exp(-1 / TAU))
    # λ1 is 3 where all three agree, 2 where two do, else 1
    cube = math.exp(2 / TAU) + 6 * (B - 1) * math.exp(1 / TAU) + 3 * (B - 1) * (B - 2)
    assert found["pairwise"].item() == pytest.approx(6 * two)
    assert found["fused"].item() == pytest.approx(6 * 2 * two)
    assert found["triplet"].item() == pytest.approx(4 * (math.log(cube) - 2 / TAU))
    # two tips that agree make a flat triangle of every third, and a flat volume of any others
    assert found["gram"].item() == pytest.approx(math.log(B))
    assert found["triangle"].item() == pytest.approx(4 * math.log(B))


def test_two_and_three_are_the_losses_that_were() -> None:
    x = embeddings(3)
    two, three = dict(zip(NAMES, x[:2], strict=False)), dict(zip(NAMES, x, strict=False))
    assert multimodal_info_nce(two, None, TAU, {"pairwise": 1.0}).item() == info_nce(*x[:2], TAU).item()
    joint = joint_info_nce(x, TAU, weight=0.7).item()
    assert multimodal_info_nce(three, None, TAU, {"pairwise": 1.0, "triplet": 0.7}).item() == pytest.approx(
        joint
    )
    even = {name: torch.full((B,), 2.0, dtype=torch.float64) for name in three}
    sharp = multimodal_info_nce(three, None, 2 * TAU, {"sharpened": 1.0}, concentrations=even)
    assert sharp.item() == pytest.approx(multimodal_info_nce(three, None, TAU, {"pairwise": 1.0}).item())


def test_labels_leave_positives_out_in_tiles_as_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x = dict(zip(NAMES, embeddings(3), strict=False))
    labels, there = torch.tensor([0, 1, 0, 2, 1]), dict(zip(x, masks(3).unbind(1), strict=True))
    names, found = ["pairwise", "triplet", "symile", "gram"], []
    for positives in (labels, labels[:, None] == labels):
        for cells in (2**20, 4):
            monkeypatch.setitem(tiles.CELLS, "cpu", cells)
            monkeypatch.setattr(tiles, "ROWS", 2)
            seeded = torch.Generator().manual_seed(SEED)
            found.append(multimodal_terms(x, there, TAU, names, positives=positives, generator=seeded))
    for name in names:
        assert {round(terms[name].item(), 9) for terms in found} == {round(found[0][name].item(), 9)}
        assert (
            found[0][name].item()
            < multimodal_terms(x, there, TAU, [name], generator=torch.Generator().manual_seed(SEED))[
                name
            ].item()
            or name == "symile"
        )


def test_no_matrix_is_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, width = 64, 4
    monkeypatch.setitem(tiles.CELLS, "cpu", 16)
    monkeypatch.setattr(tiles, "ROWS", 4)
    x = dict(zip(NAMES, embeddings(3, rows, width), strict=False))
    sizes = []

    def note(saved: Tensor) -> Tensor:
        sizes.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        terms = multimodal_terms(x, None, TAU, [name for name in TWINS if name != "sharpened"])
    assert 0 < max(sizes) <= 16 * 64  # log-sum-exps of the 16 tiles along a side, not 64 x 64 x 3
    torch.stack(list(terms.values())).sum().backward()


def test_opposites_have_no_direction_to_fuse() -> None:
    x = embeddings(3)
    against = [x[0], torch.cat([-x[0][:1], x[1][1:]]), x[2]]
    there = torch.ones(B, 3, dtype=torch.bool)
    named = dict(zip(NAMES, against, strict=False))
    value = multimodal_info_nce(named, None, TAU, {"fused": 1.0})
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, x))
    without = there.clone()
    without[0, 0] = False  # its pairs with the second and third modality then are missing too
    assert (
        value.item()
        != multimodal_info_nce(
            named, dict(zip(named, without.unbind(1), strict=True)), TAU, {"fused": 1.0}
        ).item()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": {"cosine": 1.0}}, "terms: 'cosine'; choose from pairwise, sharpened"),
        ({"terms": {}}, "terms: none; choose from pairwise"),
        ({"terms": {"sharpened": 1.0}}, "concentrations: none given"),
        (
            {"present": {"sonar": torch.ones(B).bool()}},
            "present: no embeddings are called 'sonar'; there are image",
        ),
        ({"present": {"2d": torch.ones(B)}}, r"present\['2d'\]: \(5,\) torch.float32; pass booleans \(5,\)"),
        ({"concentrations": {"2d": torch.zeros(B)}}, r"concentrations\['2d'\]: row 0 is 0; pass positive"),
        ({"concentrations": {"2d": torch.ones(3)}}, r"concentrations\['2d'\]: \(3,\)"),
        ({"temperature": 0.0}, "temperature: 0; it must be positive"),
    ],
)
def test_errors_name_the_field(change: dict[str, object], message: str) -> None:
    given = {"present": None, "temperature": TAU, "terms": {"pairwise": 1.0}} | change
    with pytest.raises(ValueError, match=message):
        multimodal_info_nce(dict(zip(NAMES, embeddings(3), strict=False)), **given)  # type: ignore[arg-type]


def test_errors_name_the_modality() -> None:
    x = embeddings(3)
    with pytest.raises(ValueError, match=r"^embeddings\['2d'\]: row 0 has norm 2; apply normalize"):
        multimodal_info_nce({"image": x[0], "2d": 2 * x[1]}, None, TAU, {"pairwise": 1.0})
    with pytest.raises(ValueError, match="terms: 'triplet' compares three modalities, there are 2"):
        multimodal_info_nce({"image": x[0], "2d": x[1]}, None, TAU, {"triplet": 1.0})
    with pytest.raises(ValueError, match=r"features: shapes .*of one shape"):
        multimodal_info_nce({"image": x[0], "2d": x[1][:2]}, None, TAU, {"pairwise": 1.0})
