"""What no loss takes, and that each says so by name: before this, most of it trained, silently or to NaN."""

import math
from collections.abc import Callable

import pytest
import torch
from contrastive import (
    info_nce,
    joint_info_nce,
    margin_triplet,
    mine,
    multimodal_info_nce,
    pairwise_info_nce,
    pmrl,
    supervised_info_nce,
    symile,
    triplet_info_nce,
    tuple_info_nce,
)
from contrastive.euclidean import distance_info_nce
from torch import Tensor
from torch.nn.functional import normalize

Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "info_nce": lambda x, tau, **more: info_nce(x[0], x[1], tau, **more),
    "pairwise": pairwise_info_nce,
    "triplet": triplet_info_nce,
    "triplet sampled": lambda x, tau, **more: triplet_info_nce(x, tau, "sampled", **more),
    "triplet paper_sampled": lambda x, tau, **more: triplet_info_nce(x, tau, "paper_sampled", **more),
    "joint": joint_info_nce,
    "supervised": lambda x, tau, **more: supervised_info_nce(
        x, tau, positives=torch.zeros(len(x[0])).long(), **more
    ),
    "gram": lambda x, tau, **more: tuple_info_nce(x, tau, "gram", **more),
    "symile": symile,
    "pmrl": pmrl,
    "distance": distance_info_nce,
}
UNIT = [name for name in LOSSES if name != "distance"]


def unit(rows: int = 8, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [normalize(torch.randn(rows, 16, generator=generator, dtype=dtype), dim=-1) for _ in range(3)]


def spoiled(value: float, row: int = 3) -> list[Tensor]:
    x = unit()
    x[0][row] = value
    return x


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=r"^features\[0\]: row 3 is not finite$"):
        LOSSES[name](spoiled(value), 0.07)
    one = unit()
    one[1][5, 2] = value
    with pytest.raises(ValueError, match=r"^features\[1\]: row 5 is not finite$"):
        LOSSES[name](one, 0.07)


@pytest.mark.parametrize("name", UNIT)
def test_a_zero_row_is_absent_only_where_it_is_said_to_be(name: str) -> None:
    with pytest.raises(ValueError, match=r"features\[0\]: row 3 has norm 0; leave it out, or say so"):
        LOSSES[name](spoiled(0.0), 0.07)
    with pytest.raises(ValueError, match=r"features\[0\]: row 3 has norm 8; apply normalize"):
        LOSSES[name](spoiled(2.0), 0.07)
    present = torch.ones(8, 2 if name == "info_nce" else 3, dtype=torch.bool)
    present[3, 0] = False
    for value in (0.0, float("nan")):
        assert LOSSES[name](spoiled(value), 0.07, present=present).isfinite()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan"), float("inf")])
def test_temperature_is_positive_and_finite(name: str, temperature: float) -> None:
    for tau in (temperature, torch.tensor(temperature), torch.tensor([temperature], requires_grad=True)):
        with pytest.raises(ValueError, match=r"temperature: .*it must be positive and finite"):
            LOSSES[name](unit(), tau)


@pytest.mark.parametrize("name", LOSSES)
def test_temperature_is_one_number(name: str) -> None:
    for tau in (torch.full((8,), 0.1), torch.tensor(1), torch.empty(0)):
        with pytest.raises(ValueError, match=r"temperature: .*pass one positive number"):
            LOSSES[name](unit(), tau)
    one = LOSSES[name](unit(), torch.tensor([0.5]), **_seeded(name)).squeeze()
    torch.testing.assert_close(one, LOSSES[name](unit(), 0.5, **_seeded(name)))


def _seeded(name: str) -> dict[str, torch.Generator]:
    return {"generator": torch.Generator().manual_seed(0)} if "sampled" in name or name == "symile" else {}


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="features: the batch is empty"):
        LOSSES[name]([x[:0] for x in unit()], 0.07)
    with pytest.raises(ValueError, match="rows of no numbers"):
        LOSSES[name]([x[:, :0] for x in unit()], 0.07)


@pytest.mark.parametrize("name", LOSSES)
def test_features_are_of_one_shape_kind_and_precision(name: str) -> None:
    x = unit()
    for wrong, message in (
        ([x[0], x[1][:5], x[2]], "of one shape"),
        ([x[0], x[1][:, :5], x[2]], "of one shape"),
        ([x[0][0], x[1][0], x[2][0]], r"\(B, D\)"),
        ([x[0], x[1].double(), x[2]], "torch.float64 on cpu.* one dtype and device"),
        ([v.long() for v in x], r"features\[0\]: torch.int64; pass floating-point numbers"),
        ([x[0], x[1].to(torch.complex64), x[2]], r"features\[1\]: torch.complex64"),
        ([x[0], x[1] > 0, x[2]], r"features\[1\]: torch.bool"),
        ([x[0], x[1].to("meta"), x[2]], "on meta.* one dtype and device"),
    ):
        with pytest.raises(ValueError, match=message):
            LOSSES[name](wrong, 0.07)
    half = [x[0], x[1].bfloat16(), x[2].half()]  # their products are float32 alike
    half = [normalize(v.float(), dim=1).to(v.dtype) for v in half]
    assert LOSSES[name](half, 0.07).dtype == torch.float32


def test_sampling_needs_two_rows() -> None:
    for negatives in ("sampled", "paper_sampled"):
        with pytest.raises(ValueError, match="a batch of 1 row has no triplet to sample"):
            triplet_info_nce(unit(1), 0.07, negatives)  # type: ignore[arg-type]
    assert triplet_info_nce(unit(1), 0.07).item() == 0


def test_labels_are_whole_numbers_and_masks_are_symmetric() -> None:
    x = unit(4)
    for positives, message in (
        (torch.tensor([0.0, 1.0, 1.0, 2.0]), r"\(4,\) torch.float32; pass integer labels"),
        (torch.tensor([True, False, True, False]), r"\(4,\) torch.bool; pass integer labels"),
        (torch.tensor([0, 1, 1]), r"\(3,\) torch.int64; pass integer labels"),
        (torch.ones(4, 4), r"\(4, 4\) torch.float32"),
        (torch.ones(4, 4).triu(1).bool(), r"not symmetric; use mask \| mask.T"),
    ):
        with pytest.raises(ValueError, match=message):
            pairwise_info_nce(x, 0.1, positives=positives)


DISTANCES = (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs()


def test_margin_triplets_name_what_does_not_fit() -> None:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    nan = x.clone()
    nan[2] = float("nan")
    off = DISTANCES.clone()
    off[1, 3] = float("nan")
    for call, message in (
        (lambda: margin_triplet(nan, DISTANCES), r"^embeddings: row 2 is not finite$"),
        (lambda: margin_triplet(x, DISTANCES, others=nan), r"^others: row 2 is not finite$"),
        (lambda: margin_triplet(x, off), "distances: NaN between 1 and 3"),
        (lambda: margin_triplet(x, DISTANCES[:3, :3]), r"distances: \(3, 3\) for 4 embeddings"),
        (lambda: margin_triplet(x, DISTANCES, others=x[:3]), "of one shape"),
        (lambda: margin_triplet(x[:0], DISTANCES[:0, :0]), "the batch is empty"),
        (lambda: margin_triplet(x.long(), DISTANCES), "pass floating-point numbers"),
        (lambda: mine(DISTANCES[:3]), r"distances: \(3, 4\); pass \(B, B\)"),
        (lambda: mine(DISTANCES[:0, :0]), r"distances: \(0, 0\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    own = DISTANCES.clone().fill_diagonal_(float("nan"))  # the diagonal is not read
    assert margin_triplet(x, own).item() == margin_triplet(x, DISTANCES).item()


def test_alike_is_a_mask_of_the_batch() -> None:
    for alike in (torch.ones(8, 8), torch.ones(7, 7, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"alike: .* pass a boolean mask \(8, 8\)"):
            distance_info_nce(unit(), 0.1, alike=alike)
    with pytest.raises(ValueError, match=r"features\[1\]: row 2 is too large to be squared"):
        distance_info_nce([unit()[0], unit()[0].index_fill(0, torch.tensor(2), 1e30)], 0.1)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_weights_and_margins_are_finite_and_not_negative(value: float) -> None:
    x = [
        normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)), dim=1) for seed in (0, 1)
    ]
    given, told = dict(zip("ab", x, strict=True)), rf": {value:.3g}; it must be 0 or above, and finite"
    with pytest.raises(ValueError, match=rf"terms\['gram'\]{told}"):
        multimodal_info_nce(given, None, 0.1, {"pairwise": 1.0, "gram": value})
    with pytest.raises(ValueError, match=f"weight{told}"):
        joint_info_nce([*x, x[0]], 0.1, weight=value)
    with pytest.raises(ValueError, match=f"margin{told}"):
        margin_triplet(x[0], torch.cdist(x[1], x[1]), margin=value)
    with pytest.raises(ValueError, match=f"apart{told}"):
        margin_triplet(x[0], torch.cdist(x[1], x[1]), apart=value)
