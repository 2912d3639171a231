"""The part of a space that depends on the pose alone: which poses are one, and what is measured of it."""

import math
from dataclasses import replace

import pytest
import torch
from polypose.config import ModelConfig
from polypose.senses import invariance, measuring
from polypose.senses.config import SpaceConfig
from polypose.senses.held_out import HeldOut, embedded
from polypose.senses.network import Senses, shown
from posedata.geometry.align import procrustes
from posedata.geometry.camera import Camera
from posedata.geometry.canonical import to_body_frame
from posedata.skeleton import get_skeleton
from posedata.views.batch import TRUE, see
from poseenc.canonical import Body
from torch import Tensor

H36M = get_skeleton("h36m17")
NAMES = ("2d", "3d", "depth")
DIM, PART, ROWS = 32, 16, 12
SMALL = ModelConfig(dim=DIM, hidden=32, decoder_hidden=32, pose_encoder="mlp", norm="layer", regression=True)


def people(rows: int, seed: int = 0) -> Tensor:
    """Upright people, z up, who face -x about the origin; every other one much like the one before."""
    generator = torch.Generator().manual_seed(seed)
    joints = torch.zeros(rows, 17, 3)
    for joint, parent in enumerate(H36M.parents):
        name = H36M.joints[joint]
        side = {"left": -0.13, "right": 0.13}.get(name.split("_")[0], 0.0)
        step = {"hip": (0, side, 0), "shoulder": (0, side, 0.05), "knee": (0, 0, -0.4)}
        step |= {"ankle": (0, 0, -0.4), "elbow": (0, 0, -0.28), "wrist": (0, 0, -0.25)}
        if parent >= 0:
            usual = torch.tensor(step.get(name.split("_")[-1], (0.0, 0.0, 0.24)), dtype=torch.float32)
            bend = 0.25 * torch.randn(rows, 3, generator=generator)
            bend[1::2] = bend[::2] + 0.03 * torch.randn(rows // 2, 3, generator=generator)
            still = name.split("_")[-1] in ("hip", "spine")
            joints[:, joint] = joints[:, parent] + usual + (0 if still else bend)
    return joints


@pytest.fixture(scope="module")
def network() -> Senses:
    torch.manual_seed(0)
    return Senses(SMALL, SpaceConfig(NAMES, invariant=PART)).eval()


@pytest.fixture(scope="module")
def test() -> HeldOut:
    joints = people(ROWS) + torch.tensor([0.0, 0.0, 1.0])
    angle = torch.linspace(0, 5, ROWS)
    eye = torch.stack([4 * angle.cos(), 4 * angle.sin(), torch.full_like(angle, 1.5)], dim=-1)
    seen = see(joints, Camera.look_at(eye, joints.mean(1), focal=500.0, size=(640, 480)))
    depth = 3.5 + torch.rand(ROWS, 64, 48, generator=torch.Generator().manual_seed(0))
    views = replace(shown(seen, TRUE), depth=depth, mask=torch.ones(ROWS, 64, 48).bool())
    return HeldOut(views, torch.arange(ROWS) // 3, TRUE)


def test_poses_are_one_where_procrustes_lays_them_within_a_tenth_of_a_torso() -> None:
    joints = people(ROWS)
    turn = torch.linalg.qr(torch.randn(ROWS, 3, 3, generator=torch.Generator().manual_seed(1))).Q
    turn = turn * turn.det()[:, None, None]
    size = torch.linspace(0.8, 1.2, ROWS)[:, None, None]
    found = invariance.alike(size * joints @ turn.mT + 3.0)  # neither place, heading nor size count
    pose = Body.mean_of(size * joints).pose(joints)
    for i in range(ROWS):
        for j in range(ROWS):
            away = [
                float((procrustes(a, b).apply(a) - b).norm(dim=-1).mean())
                for a, b in ((pose[i], pose[j]), (pose[j], pose[i]))
            ]
            assert bool(found[i, j]) == (min(away) <= 0.1), (i, j, away)
    assert found[::2, 1::2].diagonal().any()
    assert not found.all()


def test_azimuth_is_where_the_camera_stands_about_the_body() -> None:
    angle = torch.tensor([0.0, 1.0, 2.5, -2.0])
    for heading in (0.0, 1.3):
        c, s = math.cos(heading), math.sin(heading)
        turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        joints = people(4) @ turn.T + torch.tensor([1.0, 2.0, 0.9])
        away = torch.stack([angle.cos(), angle.sin(), 0.2 * torch.ones(4)], dim=-1) @ turn.T
        camera = Camera.look_at(joints[:, 0] + 4 * away, joints[:, 0], focal=500.0, size=(640, 480))
        torch.testing.assert_close(invariance.azimuth(see(joints, camera)), angle, atol=1e-5, rtol=0)


def test_the_probe_finds_what_is_linear_and_nothing_else() -> None:
    count = 4000
    generator = torch.Generator().manual_seed(0)
    angle = (2 * torch.rand(count, generator=generator) - 1) * math.pi
    person, noise = torch.arange(count) % 8, torch.randn(count, 8, generator=generator)
    circle = torch.stack([angle.sin(), angle.cos()], dim=1)
    known = invariance.probe(torch.cat([circle @ noise[:2], noise], dim=1), angle, person)
    assert known["azimuth_r2"] == pytest.approx(1, abs=1e-3)
    assert known["azimuth_deg"] < 1
    unknown = invariance.probe(torch.cat([torch.eye(8)[person], noise], dim=1), angle, person)
    assert unknown["azimuth_r2"] == pytest.approx(0, abs=0.02)
    assert unknown["azimuth_deg"] == pytest.approx(90, abs=3)
    half = invariance.probe(circle + math.sqrt(0.5) * noise[:, :2], angle, person)  # signal as loud as noise
    assert half["azimuth_r2"] == pytest.approx(0.5, abs=0.03)
    alone = invariance.probe(circle, angle, torch.zeros(count))
    assert math.isnan(alone["azimuth_r2"])


def test_ridge_is_least_squares_with_a_penalty() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, n, generator=generator, dtype=torch.float64) for n in (6, 2))
    weights, bias = invariance.ridge(x, y, penalty=0.3)
    centred = x - x.mean(0)
    lifted = 0.3 * centred.square().sum(0).mean()
    rows = torch.cat([centred, lifted.sqrt() * torch.eye(6, dtype=torch.float64)])
    wanted = torch.cat([y - y.mean(0), torch.zeros(6, 2, dtype=torch.float64)])
    torch.testing.assert_close(weights, torch.linalg.lstsq(rows, wanted).solution)
    torch.testing.assert_close(x.mean(0) @ weights + bias, y.mean(0))


def test_hits_are_counted_over_pairs_of_cameras() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, gallery = (torch.randn(ROWS, c, 8, generator=generator) for c in (2, 3))
    same = torch.rand(ROWS, ROWS, generator=generator) < 0.3
    pairs = [(0, 1), (1, 2), (1, 0)]
    found = invariance.rates(queries, gallery, pairs, same, torch.arange(ROWS) // 3)
    for k in (1, 10):
        hit = 0
        for a, b in pairs:
            for row in range(ROWS):
                cosine = torch.cosine_similarity(queries[row, a], gallery[:, b], dim=1)
                hit += bool(same[row, cosine.argsort(descending=True)[:k]].any())
        assert found[f"hit{k}"] == pytest.approx(100 * hit / ROWS / len(pairs))
    assert found["low"] < found["hit1"] < found["high"]


def test_further_cameras_stand_side_by_side_about_each_pose(network: Senses, test: HeldOut) -> None:
    around = invariance.further(network, test.views, 64)
    assert len(around.present["2d"]) == 11 * ROWS
    assert not around.present["depth"].any()
    table = invariance.hits(network, embedded(network, test.views, 64), test, 64)
    rows = {(row["view"], row["from"], row["to"], row["cameras"]): row for row in table}
    assert len(rows) == 2 * (3 * 2 + 4 * 2)
    kept = rows["invariant", "3d", "3d", "own"]["gallery"]
    assert kept == ROWS  # no two within 0.02 torsos
    assert rows["invariant", "depth", "2d", "own"]["hit10"] >= rows["invariant", "depth", "2d", "own"]["hit1"]


def test_the_pose_in_the_body_is_told_by_the_pose_alone(network: Senses, test: HeldOut) -> None:
    found = embedded(network, test.views, 64)
    fused = network.fuse(found)
    changed = fused.belief.mean.clone()
    changed[:, PART:] = changed[:, PART:].roll(1, 0)
    other = fused._replace(belief=fused.belief._replace(mean=changed))
    assert torch.equal(network.decode("body", fused), network.decode("body", other))
    assert not torch.equal(network.decode("3d", fused), network.decode("3d", other))
    row = measuring.estimate(network, found, test, ("2d", "depth"), {})
    _, some = measuring.subset(found, ("2d", "depth"))
    body = network.decode("body", network.fuse(some.agreeing()))
    truth = to_body_frame(test.joints, H36M)
    away = 1000 * (body - body[:, :1] - truth).norm(dim=-1).mean().item()
    assert row["body_mpjpe_mm"] == pytest.approx(away, rel=1e-4)


def test_poses_are_compared_in_the_body_where_views_do_not_count(network: Senses, test: HeldOut) -> None:
    found = embedded(network, test.views, 64).of_pose()
    row = measuring.retrieval(found, test, body=True)[0]
    query, gallery = (found.beliefs[name].mean for name in ("2d", "3d"))
    hit = (query @ gallery.T).argmax(1)
    truth = to_body_frame(test.joints, H36M)
    assert row["mpjpe_mm"] == pytest.approx(1000 * (truth[hit] - truth).norm(dim=-1).mean().item(), rel=1e-4)
    assert row["top1"] == pytest.approx((hit == torch.arange(ROWS)).float().mean().item())


def test_leakage_is_told_of_both_parts_of_every_sense(network: Senses, test: HeldOut) -> None:
    found = embedded(network, test.views, 64)
    rows = {(row["part"], row["sense"]): row for row in invariance.leakage(network, found, test, 64)}
    assert {sense: rows["view", sense]["views"] for sense in NAMES} == {"2d": 132, "3d": 132, "depth": 12}
    angle = invariance.azimuth(test.views)
    alone = invariance.probe(found.beliefs["depth"].mean[:, :PART], angle, test.people)
    assert rows["pose", "depth"]["azimuth_r2"] == pytest.approx(alone["azimuth_r2"])


def test_without_it_nothing_is_added(test: HeldOut) -> None:
    torch.manual_seed(0)
    plain = Senses(SMALL, SpaceConfig(NAMES)).eval()
    assert plain.targets == ("3d", "2d")
    assert "body" not in plain.decoders
    found = embedded(plain, test.views, 64)
    assert found.invariant == 0
    assert "body_mpjpe_mm" not in measuring.estimate(plain, found, test, ("2d",), {})
