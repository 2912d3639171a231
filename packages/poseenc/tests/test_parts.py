"""A space in two parts: each a direction of its own, fused by itself, and P indifferent to what makes V."""

import math
from dataclasses import replace

import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.views.batch import Views, see
from poseenc import Embedded, Space, VonMisesFisher, fuse
from poseenc.parts import pose_part, unit
from poseenc.space import of_pose
from poseenc.vmf import mean_cosine
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

DIM, D, ROWS = 32, 12, 5


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def beliefs(seed: int) -> VonMisesFisher:
    k = DIM * (0.5 + torch.rand(ROWS, generator=torch.Generator().manual_seed(seed)))
    return VonMisesFisher(unit(random(ROWS, DIM, seed=seed), D), k)


def test_cosines_of_the_parts_add_by_their_share_of_the_numbers() -> None:
    x, y = random(ROWS, DIM), random(ROWS, DIM, seed=1)
    one, other = unit(x, D), unit(y, D)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(ROWS))
    torch.testing.assert_close(one[:, :D].norm(dim=1), torch.full((ROWS,), math.sqrt(D / DIM)))
    pose, view = (cosine_similarity(x[:, part], y[:, part]) for part in (slice(D), slice(D, None)))
    torch.testing.assert_close((one * other).sum(1), D / DIM * pose + (1 - D / DIM) * view)
    torch.testing.assert_close(pose_part(one, D), normalize(x[:, :D], dim=1))
    assert torch.equal(unit(x), normalize(x, dim=1))  # without P to the last digit


def test_each_part_is_fused_by_itself() -> None:
    parts = [beliefs(seed) for seed in (1, 2, 3)]
    found = fuse(parts, D)
    for row in range(ROWS):
        along = 0.0
        for where, width in ((slice(D), D), (slice(D, None), DIM - D)):
            total = sum(float(p.concentration[row]) * p.mean[row, where] for p in parts)
            assert isinstance(total, Tensor)
            expected = total / total.norm() * math.sqrt(width / DIM)
            torch.testing.assert_close(found.mean[row, where], expected)
            along += float(total @ expected)
        assert found.concentration[row].item() == pytest.approx(along, rel=1e-5)
    one = fuse(parts[:1], D)
    torch.testing.assert_close(one.mean, parts[0].mean)
    torch.testing.assert_close(one.concentration, parts[0].concentration)
    torch.testing.assert_close(fuse([parts[0]] * 3, D).concentration, 3 * parts[0].concentration)


def test_a_part_that_cancels_leaves_nothing() -> None:
    one = beliefs(1)
    against = torch.cat([-one.mean[:, :D], one.mean[:, D:]], dim=1)
    k = one.concentration.clone().requires_grad_()
    found = fuse([one._replace(concentration=k), VonMisesFisher(against, one.concentration)], D)
    assert (found.mean == 0).all()
    assert (found.concentration == 0).all()
    found.concentration.sum().backward()
    assert k.grad is not None
    assert k.grad.isfinite().all()


def test_the_pose_has_its_share_of_the_concentration() -> None:
    found = Embedded({"a": beliefs(1), "b": beliefs(2)}, dict.fromkeys("ab", torch.ones(ROWS).bool()), D)
    pose = found.of_pose()
    assert pose.invariant == 0
    torch.testing.assert_close(pose.beliefs["a"].concentration, found.beliefs["a"].concentration * D / DIM)
    # fused and then cut is cut and then fused
    torch.testing.assert_close(of_pose(found.fused(), D).mean, pose.fused().mean)
    with pytest.raises(ValueError, match=r"no view-invariant part; train one with senses\.space\.invariant"):
        found._replace(invariant=0).of_pose()


def test_rows_and_joined_rows_stay_in_two_parts() -> None:
    found = Embedded({"a": beliefs(1), "b": beliefs(2)}, dict.fromkeys("ab", torch.ones(ROWS).bool()), D)
    halves = [found.at(slice(2)), found.at(torch.arange(ROWS) >= 2)]
    assert [len(half.present["a"]) for half in halves] == [2, 3]
    again = Embedded.cat(halves)
    torch.testing.assert_close(again.fused().mean, found.fused().mean)
    assert again.agreeing().kept({"a": torch.ones(ROWS).bool()}).invariant == D


@pytest.mark.parametrize(("width", "part"), [(32, 16), (64, 16), (256, 64)])
def test_one_density_of_the_whole_predicts_what_two_of_the_parts_do(width: int, part: int) -> None:
    k = torch.logspace(-2, 1.3, 40, dtype=torch.float64)
    whole = mean_cosine(k * width, width)
    shares = (part / width, 1 - part / width)
    parts = sum(share * mean_cosine(k * w, w) for share, w in zip(shares, (part, width - part), strict=True))
    torch.testing.assert_close(whole, parts, rtol=0.01, atol=0)


def people() -> Views:
    joints = random(ROWS, 17, 3) * 0.3 + torch.tensor([0.0, 4.0, 0.0])
    camera = Camera.look_at(torch.zeros(ROWS, 3), joints.mean(1), focal=500.0, size=(640, 480))
    seen = see(joints, camera)
    return replace(seen, depth=3.5 + random(ROWS, 64, 48).abs(), mask=torch.ones(ROWS, 64, 48).bool())


def test_what_makes_the_view_does_not_move_the_pose() -> None:
    torch.manual_seed(0)
    space = Space(["2d", "3d", "depth"], DIM, invariant=D).eval()
    with torch.no_grad():
        before = space(people())
        for name, encoder in space.encoders.items():
            *_, last = (module for module in encoder.modules() if getattr(module, "out_features", 0) == DIM)
            last.weight[D:] += random(DIM - D, last.in_features, seed=len(name))
        after = space(people())
    assert before.invariant == D
    for name in space.modalities:
        one, two = before.beliefs[name].mean, after.beliefs[name].mean
        torch.testing.assert_close(one[:, :D], two[:, :D])
        assert ((one - two)[:, D:].norm(dim=1) > 0.1).all(), name


def test_some_numbers_are_left_for_the_view() -> None:
    with pytest.raises(ValueError, match="invariant: 32 of 32 numbers; leave some for the view"):
        Space(["2d", "3d"], 32, invariant=32)


def test_what_is_held_is_the_same_without_a_gradient_by_the_pose() -> None:
    means = {name: unit(random(ROWS, DIM, seed=seed), D).requires_grad_() for seed, name in enumerate("ab")}
    k = torch.ones(ROWS)
    found = Embedded({n: VonMisesFisher(m, k) for n, m in means.items()}, dict.fromkeys("ab", k > 0), D)
    held = found.pose_held(["a"])
    assert torch.equal(held.fused().mean, found.fused().mean)
    (held.fused().mean * random(ROWS, DIM, seed=5)).sum().backward()
    for name, mean in means.items():
        assert mean.grad is not None
        assert bool(mean.grad[:, :D].any()) == (name == "b")
        assert mean.grad[:, D:].any()
