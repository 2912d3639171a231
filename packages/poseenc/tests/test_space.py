"""Modalities and the space that they share: what is absent must not matter, what is there must."""

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.views.batch import Views, see
from poseenc import Embedded, Modality, Space, VonMisesFisher, drop, get_modality, register
from poseenc.modality import keypoints
from poseenc.space import Concentration
from torch import Tensor, nn

DIM = 32
ROWS = 6
ALL = ("image", "2d", "3d", "depth")


def everything() -> Views:
    """Upright people with what every modality takes; pictures of noise about them."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(ROWS, len(get_skeleton("h36m17")), 3, generator=generator) * 0.3
    joints[..., 1] += 4
    position = torch.tensor([0.0, 0.0, 0.2]).expand(ROWS, 3)
    camera = Camera.look_at(position, joints.mean(1), focal=500.0, size=(640, 480))
    views = see(joints, camera)
    depth = 3.5 + torch.rand(ROWS, 64, 48, generator=generator)
    mask = torch.ones(ROWS, 64, 48, dtype=torch.bool)
    image = torch.randint(0, 256, (ROWS, 3, 64, 48), generator=generator, dtype=torch.uint8)
    return replace(views, image=image, depth=depth, mask=mask)


@pytest.fixture(scope="module")
def space() -> Space:
    torch.manual_seed(0)
    return Space(ALL, DIM).eval()


def lacking(views: Views) -> Views:
    """Row 1 has no joints, row 2 no torso, row 3 no depth, row 4 nothing at all."""
    assert views.joints is not None
    assert views.depth is not None
    joints, seen, depth, box = (
        x.clone() for x in (views.joints, views.keypoints["true"], views.depth, views.box)
    )
    joints[1, 5] = torch.nan
    seen[2, :, 2] = 0
    depth[3] = 0
    box[4] = torch.nan
    return replace(views, joints=joints, keypoints={"true": seen}, depth=depth, box=box)


def test_every_modality_is_a_unit_vector_and_how_sure_it_is(space: Space) -> None:
    with torch.no_grad():
        found = space(everything())
    assert list(found.beliefs) == list(found.present) == list(ALL)
    for name, belief in found.beliefs.items():
        assert found.present[name].all()
        torch.testing.assert_close(belief.mean.norm(dim=1), torch.ones(ROWS))
        # as they begin, all are as sure: the width
        torch.testing.assert_close(belief.concentration, torch.full((ROWS,), float(DIM)))
        assert belief.mean.std(0).sum() > 0.01, name
    assert torch.cat([*found.sharpness().values()]).mean().item() == pytest.approx(1.0)


def test_what_a_row_lacks_is_zero_and_leaves_the_other_rows_alone(space: Space) -> None:
    views = everything()
    with torch.no_grad():
        whole, found = space(views), space(lacking(views))
    absent = {"image": [4], "2d": [2, 4], "3d": [1, 4], "depth": [3, 4]}
    for name, rows in absent.items():
        there = torch.ones(ROWS, dtype=torch.bool)
        there[rows] = False
        assert torch.equal(found.present[name], there)
        assert (found.beliefs[name].mean[~there] == 0).all()
        assert (found.beliefs[name].concentration[~there] == 0).all()
        torch.testing.assert_close(found.beliefs[name].mean[there], whole.beliefs[name].mean[there])
    fused = found.fused()
    assert fused.concentration[4] == 0
    assert (fused.concentration[[0, 1, 2, 3, 5]] > 0).all()
    one = space(replace(views, image=None, depth=None, mask=None, joints=None))
    assert not one.present["image"].any()
    assert not one.present["depth"].any()
    torch.testing.assert_close(one.fused().mean, one.beliefs["2d"].mean)
    torch.testing.assert_close(one.fused().concentration, one.beliefs["2d"].concentration)


def test_absent_rows_do_not_count_in_batch_statistics() -> None:
    torch.manual_seed(1)
    space, views = Space(["image"], DIM), everything()
    gone = torch.arange(ROWS) >= 3
    box = torch.where(gone[:, None], torch.nan, views.box)
    some = space(replace(views, box=box)).beliefs["image"].mean[:3]
    torch.testing.assert_close(some, space(views[:3]).beliefs["image"].mean)


def test_a_loss_of_what_is_fused_teaches_encoders_and_heads(space: Space) -> None:
    found = space(lacking(everything()))
    target = torch.nn.functional.normalize(torch.randn(ROWS, DIM), dim=1)
    fused = found.fused()
    fused.nll(target)[fused.concentration > 0].mean().backward()
    for name in ALL:
        for part in (space.encoders[name], space.heads[name].out):
            grads = [p.grad for p in part.parameters() if p.grad is not None]
            assert any(grad.any() for grad in grads), name
            assert all(grad.isfinite().all() for grad in grads), name
    space.zero_grad()


def test_kept_modalities_alone_are_fused() -> None:
    eye = torch.eye(16)
    beliefs = {
        name: VonMisesFisher(eye[i : i + 1].repeat(2, 1), torch.full((2,), 2.0))
        for i, name in enumerate("abc")
    }
    yes, no = torch.tensor([True, False]), torch.tensor([False, True])
    found = Embedded(beliefs, dict.fromkeys("abc", yes | no)).fused({"a": yes, "b": yes, "c": no})
    assert found.mean[0, :3].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    assert found.mean[1, :3].tolist() == [0, 0, 1]
    assert found.concentration.tolist() == pytest.approx([8**0.5, 2])


def test_rows_of_two_kinds_are_joined(space: Space) -> None:
    views = everything()
    with torch.no_grad():
        whole = space(views)
        some, plain = space(views[:4]), space(replace(views[4:], image=None, depth=None, mask=None))
    joined = Embedded.cat([some, plain])
    for name in ALL:
        there = torch.ones(ROWS, dtype=torch.bool)
        there[4:] = name in ("2d", "3d")
        assert torch.equal(joined.present[name], there)
        expected = torch.where(there[:, None], whole.beliefs[name].mean, 0)
        torch.testing.assert_close(joined.beliefs[name].mean, expected)
        assert (joined.beliefs[name].concentration[~there] == 0).all()
    torch.testing.assert_close(joined.fused().mean[4:], plain.fused({n: plain.present[n] for n in ALL}).mean)


def test_concentrations_are_positive_and_bounded() -> None:
    head = Concentration(DIM, most=20.0)
    with torch.no_grad():
        for bias in (-1e4, 0.0, 5.0, 1e4):
            head.out.bias.fill_(bias)
            k = head(torch.randn(4, DIM))
            assert (k > 0).all()
            assert (k <= 20 * DIM).all()
        assert k.min().item() == 20 * DIM
        head.out.bias.fill_(1.0)
        assert head(torch.zeros(1, DIM)).item() == pytest.approx(20 * DIM / (1 + 19 / math.e), rel=1e-4)


def test_augmentation_is_drawn_from_the_generator(space: Space) -> None:
    views = everything()
    with torch.no_grad():
        plain = space(views)
        one, same, other = (space(views, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    for name in ALL:
        torch.testing.assert_close(one.beliefs[name].mean, same.beliefs[name].mean)
    for name in ("image", "2d", "depth"):
        assert not torch.equal(one.beliefs[name].mean, plain.beliefs[name].mean), name
        assert not torch.equal(one.beliefs[name].mean, other.beliefs[name].mean), name
    torch.testing.assert_close(one.beliefs["3d"].mean, plain.beliefs["3d"].mean)


def test_hidden_keypoints_are_a_share_of_those_seen() -> None:
    inputs = {"present": torch.rand(2000, 17, generator=torch.Generator().manual_seed(0)) < 0.8}
    changed = keypoints(hide=0.25).augment(inputs, torch.Generator().manual_seed(1))["present"]
    assert not (changed & ~inputs["present"]).any()
    assert changed.sum() / inputs["present"].sum() == pytest.approx(0.75, abs=0.01)


class Outline(nn.Module):
    """A sixth sense, as a user would add it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out = nn.Linear(64 * 48, dim)

    def forward(self, masks: Tensor) -> Tensor:
        return self.out(masks.flatten(1))


def test_a_modality_is_added_by_registering_it() -> None:
    outline = Modality(
        "outline",
        take=lambda views: {"masks": views.mask.float()},  # type: ignore[union-attr]
        present=lambda views: views.mask.flatten(1).any(1),  # type: ignore[union-attr]
        encoder=Outline,
    )
    assert register(outline) is outline
    assert register(outline) is get_modality("outline") is outline
    views = everything()
    assert views.mask is not None
    views.mask[2] = False
    found = Space(["2d", "outline"], DIM)(views)
    assert found.present["outline"].tolist() == [True, True, False, True, True, True]
    torch.testing.assert_close(found.fused().mean[2], found.beliefs["2d"].mean[2])
    with pytest.raises(ValueError, match="'outline' already; choose another name"):
        register(replace(outline, encoder=nn.Linear))


def test_errors_name_what_there_is(space: Space) -> None:
    with pytest.raises(ValueError, match=r"no modality is called 'sonar'; there are image, 2d, 3d, depth"):
        Space(["sonar"], DIM)
    for names in ([], ["2d", "2d"]):
        with pytest.raises(ValueError, match="give one or more, each once"):
            Space(names, DIM)
    with pytest.raises(ValueError, match="this space has no 'sonar'; it has image, 2d, 3d, depth"):
        space.embed("sonar", everything(), torch.ones(ROWS, dtype=torch.bool))


def test_dropped_subsets_are_even_in_size_and_then_in_members() -> None:
    rows = 12000
    there = {name: torch.ones(rows, dtype=torch.bool) for name in "abcd"}
    kept = torch.stack([*drop(there, torch.Generator().manual_seed(0)).values()], dim=1)
    sizes = Counter(kept.sum(1).tolist())
    assert set(sizes) == {1, 2, 3}
    assert all(abs(count - rows / 3) < 250 for count in sizes.values())
    for size in sizes:
        members = Counter(tuple(row.nonzero()[:, 0].tolist()) for row in kept[kept.sum(1) == size])
        subsets = list(combinations(range(4), size))
        assert set(members) == set(subsets)
        assert all(abs(members[s] - rows / 3 / len(subsets)) < 200 for s in subsets)


def test_dropped_subsets_are_of_what_is_there() -> None:
    generator = torch.Generator().manual_seed(1)
    there = torch.rand(3000, 5, generator=generator) < 0.5
    named = dict(zip("abcde", there.unbind(1), strict=True))
    kept = torch.stack([*drop(named, generator).values()], dim=1)
    count = there.sum(1)
    assert not (kept & ~there).any()
    assert (kept.sum(1)[count > 1] >= 1).all()
    assert (kept.sum(1) < count)[count > 1].all()
    assert torch.equal(kept[count == 1], there[count == 1])
    assert set(kept.sum(1)[count == 5].tolist()) == {1, 2, 3, 4}
    assert torch.equal(kept, torch.stack([*drop(named, _after(generator)).values()], dim=1))


def _after(generator: torch.Generator) -> torch.Generator:
    """One in the state that this had before its last draw."""
    again = torch.Generator().manual_seed(1)
    torch.rand(3000, 5, generator=again)
    return again


def beliefs(*rows: tuple[list[float], float]) -> Embedded:
    """One row, a modality for each direction and how sure it is."""
    found = {
        str(i): VonMisesFisher(torch.tensor([mean]), torch.tensor([k])) for i, (mean, k) in enumerate(rows)
    }
    return Embedded(found, {name: belief.concentration > 0 for name, belief in found.items()})


def test_who_is_at_fault_among_three_loses_its_weight() -> None:
    east, north = [1.0] + [0.0] * 15, [0.0] * 15 + [1.0]
    found = beliefs((east, 200.0), (east, 100.0), (north, 400.0)).agreeing()
    # 0 and 1 agree and each contradicts 2: medians of (1, 0), (1, 0) and (0, 0)
    assert [float(b.concentration) for b in found.beliefs.values()] == pytest.approx([100.0, 50.0, 8.0])
    four = beliefs((east, 200.0), (east, 100.0), (north, 400.0), (east, 50.0)).agreeing()
    assert [float(b.concentration) for b in four.beliefs.values()] == pytest.approx([200.0, 100.0, 8.0, 50.0])


def test_agreement_is_the_share_of_the_cosine_that_two_should_reach() -> None:
    half = [0.5, math.sqrt(0.75)] + [0.0] * 14
    found = beliefs(([1.0] + [0.0] * 15, 40.0), (half, 30.0))
    said = math.prod(float(belief.mean_cosine()) for belief in found.beliefs.values())
    assert said > 0.5
    weighed = [float(belief.concentration) for belief in found.agreeing().beliefs.values()]
    assert weighed == pytest.approx([40.0 * 0.5 / said, 30.0 * 0.5 / said])


def test_what_has_nobody_to_agree_with_stays_as_sure() -> None:
    east = [1.0] + [0.0] * 15
    found = beliefs((east, 40.0), ([0.0] * 16, 0.0)).agreeing()
    assert [float(b.concentration) for b in found.beliefs.values()] == [40.0, 0.0]
    found = beliefs((east, 40.0)).agreeing()
    assert float(found.beliefs["0"].concentration) == 40.0


def test_a_bound_below_where_concentrations_begin_is_refused() -> None:
    with pytest.raises(ValueError, match="above 1"):
        Concentration(DIM, most=1.0)


def test_sureness_may_be_held() -> None:
    mean = torch.nn.functional.normalize(torch.randn(2, ROWS, DIM), dim=2).requires_grad_()
    k = torch.rand(2, ROWS).requires_grad_()
    present = dict.fromkeys("ab", torch.ones(ROWS, dtype=torch.bool))
    found = Embedded({name: VonMisesFisher(mean[i], k[i]) for i, name in enumerate("ab")}, present)
    held = found.sureness_held().fused()
    torch.testing.assert_close(held, found.fused())
    by_mean, by_sureness = torch.autograd.grad(held.mean[:, 0].sum(), (mean, k), allow_unused=True)
    assert by_mean.any()
    assert by_sureness is None
    assert torch.autograd.grad(found.fused().mean[:, 0].sum(), k)[0].any()
