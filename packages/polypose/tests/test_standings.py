"""What is said of lifters whose errors and spread are known."""

import pytest
import torch
from polypose.network import POSE_SKELETON
from polypose.peer import JOINTS, Peer
from polypose.samples import Sample
from polypose.standings import (
    breakdown,
    cost,
    errors,
    measured,
    parts,
    refinement,
    step_seconds,
    unseen_views,
)
from posedata.views import sample_cameras
from posedata.views.batch import see
from posedata.views.rigs import STEEP
from torch import Tensor, nn


def views(count: int, seed: int) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    joints = 0.1 * torch.randn(count, JOINTS, 3, generator=generator)
    joints[:, 0] = 0
    eye = torch.eye(3).expand(count, 3, 3)
    return Sample(joints[..., :2], torch.ones(count, JOINTS), torch.zeros(count, 3), joints, eye)


class Nothing(Peer):
    """Always 0, about which it draws half as far as poses lie."""

    def forward(self, sample: Sample) -> Tensor:
        return torch.zeros_like(sample.joints)

    def draw(self, sample: Sample, count: int, generator: torch.Generator) -> Tensor:
        drawn = 0.05 * torch.randn(count, *sample.joints.shape, generator=generator)
        drawn[:, :, 0] = 0
        return drawn


def test_spread_is_fitted_on_validation_people_and_measured_on_the_test() -> None:
    sample = views(200, 0)
    found = measured(Nothing(), {"test": sample}, views(200, 1), 100, 150)
    length = 1000 * sample.joints.norm(dim=-1).mean(-1)
    assert found["test"]["mpjpe_mm"] == pytest.approx(float(length.mean()), rel=1e-5)
    assert found["errors_mm"]["test"] == pytest.approx(length.tolist(), abs=0.006)
    assert found["calibrated"]["stretch"] == pytest.approx(2, rel=0.04)
    assert found["hypotheses"]["inside_90"] == pytest.approx(0.589, abs=0.02)  # of a normal of half the width
    assert found["calibrated"]["inside_90"] == pytest.approx(0.9, abs=0.02)
    assert found["calibrated"]["ellipsoids_80"] == pytest.approx(0.8, abs=0.03)
    assert found["calibrated"]["energy_score_mm"] < found["hypotheses"]["energy_score_mm"]
    wider = found["calibrated"]["sharpness_mm"] / found["hypotheses"]["sharpness_mm"]
    assert wider == pytest.approx(found["calibrated"]["stretch"], rel=1e-4)


def test_refinement_is_told_where_it_is_asked_for() -> None:
    sample = views(40, 0)
    sample.token[:] = torch.tensor([0, 0, 0.5])
    found = measured(Nothing(), {"test": sample}, sample, 50, 30, refine=True)["refined"]
    some = sample[torch.linspace(0, 39, 30).long()]
    assert found["mean_mpjpe_mm"] == pytest.approx(1000 * float(some.joints.norm(dim=-1).mean()), rel=1e-5)
    assert found["weighted_mpjpe_mm"] <= found["draws_mpjpe_mm"] + 1e-3  # it was fitted on the same views
    seeds = [{"refined": found}, {"refined": found | {"noise": None, "weighted_mpjpe_mm": 0.0}}]
    (told,) = refinement("normal", seeds)
    assert told["noise"] == found["noise"]
    assert told["weighted_mpjpe_mm"] == pytest.approx(found["weighted_mpjpe_mm"] / 2)
    assert list(refinement("normal", [{}])) == []


class Sliding(Nothing):
    """Its one weight has a gradient of 1 in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.steps = nn.Parameter(torch.zeros(())), 0

    def loss(self, sample: Sample, generator: torch.Generator) -> Tensor:
        return self.weight

    def after_step(self) -> None:
        self.steps += 1


def test_a_step_that_is_timed_is_one_of_training() -> None:
    lifter, drawn = Sliding(), []

    def draw(step: int, generator: torch.Generator) -> Sample:
        drawn.append(step)
        return views(2, step)

    assert step_seconds(lifter, draw, 0.01, torch.Generator(), steps=4) >= 0
    assert drawn == [0, 1, 2, 3, 4]  # the first is not counted
    assert lifter.steps == 5
    assert lifter.weight.item() == pytest.approx(-0.05, rel=1e-5)  # Adam goes by the rate where it is sure


class Off(Peer):
    """Right but for one joint, 17 mm away."""

    def forward(self, sample: Sample) -> Tensor:
        lifted = sample.joints.clone()
        lifted[:, 5, 1] += 0.017
        return lifted


def test_where_a_lifter_errs() -> None:
    world = views(80, 0).joints + torch.tensor([0, 0, 1.0])
    seen = see(world, sample_cameras(world, STEEP, torch.Generator().manual_seed(0)), POSE_SKELETON)
    found = breakdown(Off(), Sample.of(seen), seen, ["walk"] * 30 + ["sit"] * 50)
    by = {
        kind: [r for r in found if r["by"] == kind] for kind in ("joint", "action", "elevation", "distance")
    }
    assert sum(map(len, by.values())) == len(found)
    worst, *others = by["joint"]
    assert worst["range"] == POSE_SKELETON.joints[5]
    assert worst["mpjpe_mm"] == pytest.approx(17, abs=0.01)
    assert max(r["mpjpe_mm"] for r in others) < 0.01
    assert {r["range"]: r["views"] for r in by["action"]} == {"walk": 30, "sit": 50}
    for kind in ("action", "elevation", "distance"):
        assert sum(r["views"] for r in by[kind]) == 80
        assert [r["mpjpe_mm"] for r in by[kind]] == pytest.approx([1.0] * len(by[kind]), abs=0.01)
    again = [r | {"mpjpe_mm": 3 * r["mpjpe_mm"]} for r in found]
    told = list(parts("semgcn", [{"breakdown": found}, {"breakdown": again}]))
    assert told[0] == {"lifter": "semgcn", "method": "SemGCN", **worst, "mpjpe_mm": 2 * worst["mpjpe_mm"]}


class Twice(Peer):
    """One linear map of known size."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 3, bias=False)

    def forward(self, sample: Sample) -> Tensor:
        return self.linear(sample.keypoints)


class Middle(Peer):
    """Lifts clips of three to what it is told of their middle frame, 10 mm off."""

    frames = 3

    def forward(self, sample: Sample) -> Tensor:
        assert len(sample) % 3 == 0
        return sample.joints.unflatten(0, (-1, 3))[:, 1] + torch.tensor([0.01, 0, 0])


def test_clips_are_measured_at_their_middle() -> None:
    found = measured(Middle(), {"test": views(60, 0)}, views(6, 1), 10, 10)
    assert found["errors_mm"]["test"] == pytest.approx([10.0] * 20, abs=0.01)
    assert "hypotheses" not in found
    assert errors(Middle(), views(60, 0), batch=7)[0].shape == (20,)


def test_costs_are_counted() -> None:
    found = cost(Twice(), views(300, 0))
    assert found["parameters"] == 6
    assert found["mflops"] == pytest.approx(2 * 6 * JOINTS / 1e6)
    assert found["poses_per_second"] > 0


def test_unseen_cameras_see_the_same_poses_from_elsewhere() -> None:
    joints = views(64, 0).joints + torch.tensor([0, 0, 1.0])
    exact = unseen_views(joints[:, None], "aimed", False, 0)
    noisy = unseen_views(joints[:, None], "aimed", True, 0)
    assert list(exact) == ["anywhere", "steep", "chest"]
    for name, sample in exact.items():
        torch.testing.assert_close(sample.joints, noisy[name].joints)
        lengths = (joints - joints[:, :1]).norm(dim=-1)
        torch.testing.assert_close(sample.joints.norm(dim=-1), lengths, atol=1e-4, rtol=1e-4)
        assert bool((sample.confidence == 1).all())
        assert float((sample.keypoints - noisy[name].keypoints).abs().max()) > 0.05
    assert float((exact["steep"].joints - exact["chest"].joints).abs().max()) > 0.1
    for found, batched in zip(
        errors(Nothing(), exact["steep"]), errors(Nothing(), exact["steep"], 7), strict=True
    ):
        torch.testing.assert_close(found, batched)
