"""Several senses in one space: what is fused is what is said, and what is measured is what happened."""

from dataclasses import replace

import pytest
import torch
from polypose.config import ModelConfig
from polypose.samples import Sample
from polypose.senses import measuring
from polypose.senses.config import SpaceConfig
from polypose.senses.faults import faulty
from polypose.senses.measuring import HeldOut
from polypose.senses.network import Senses, estimating, shown, subset_names
from posedata.geometry.camera import Camera
from posedata.views.batch import MIXED, TRUE, Views, see
from poseenc import Embedded, VonMisesFisher, fuse
from poseenc.vmf import mean_cosine
from torch.nn.functional import normalize

NAMES = ("image", "2d", "3d", "depth")
ROWS, DIM = 6, 32
SMALL = ModelConfig(dim=DIM, hidden=32, decoder_hidden=32, pose_encoder="mlp", norm="layer", regression=True)


@pytest.fixture(scope="module")
def network() -> Senses:
    torch.manual_seed(0)
    made = Senses(SMALL, SpaceConfig(NAMES)).eval()
    with torch.no_grad():
        made.discount.copy_(torch.tensor([5.0, -0.5, -1.0, -1.5]))
    return made


@pytest.fixture(scope="module")
def views() -> Views:
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(ROWS, 17, 3, generator=generator) * 0.3
    joints[..., 1] += 4
    camera = Camera.look_at(torch.zeros(ROWS, 3), joints.mean(1), focal=500.0, size=(640, 480))
    seen = shown(see(joints, camera), TRUE)
    depth = 3.5 + torch.rand(ROWS, 64, 48, generator=generator)
    image = torch.randint(0, 256, (ROWS, 3, 64, 48), generator=generator, dtype=torch.uint8)
    return replace(seen, image=image, depth=depth, mask=torch.ones(ROWS, 64, 48, dtype=torch.bool))


def beliefs(rows: int = ROWS) -> Embedded:
    """Four senses of known directions and concentrations; row 1 lacks depth, row 2 has nothing at all."""
    generator = torch.Generator().manual_seed(3)
    found = {}
    present = {name: torch.ones(rows, dtype=torch.bool) for name in NAMES}
    present["depth"][1] = False
    for name in NAMES:
        present[name][2] = False
        mean = normalize(torch.randn(rows, DIM, generator=generator), dim=1)
        k = DIM * (0.5 + torch.rand(rows, generator=generator))
        found[name] = VonMisesFisher(mean * present[name][:, None], k * present[name])
    return Embedded(found, present)


def test_what_is_fused_is_the_product_discounted_and_named(network: Senses) -> None:
    found = beliefs()
    kept = {"image": torch.arange(ROWS) < 4, "depth": torch.ones(ROWS, dtype=torch.bool)}
    fused, names = network.fuse(found, kept), subset_names(NAMES)
    for row in range(ROWS):
        there = [n for n in kept if bool(kept[n][row] & found.present[n][row])]
        assert bool(fused.there[row]) == bool(there)
        if not there:
            continue
        assert names[fused.subset[row]] == "+".join(there)
        alone = fuse([VonMisesFisher(*(x[row : row + 1] for x in found.beliefs[n])) for n in there])
        torch.testing.assert_close(fused.belief.mean[row], alone.mean[0])
        factor = torch.tensor([0.0, -0.5])[len(there) - 1].exp()  # one alone is itself, whatever was learnt
        torch.testing.assert_close(fused.belief.concentration[row], alone.concentration[0] * factor)
    assert fused.there.tolist() == [True, True, False, True, True, True]


def test_subsets_have_numbers_of_their_own() -> None:
    names = subset_names(NAMES)
    assert len(set(names)) == 15
    assert names[0b1001 - 1] == "image+depth"
    assert estimating(NAMES) == [
        *[("image",), ("2d",), ("depth",)],
        *[("image", "2d"), ("image", "depth"), ("2d", "depth")],
        ("image", "2d", "depth"),
    ]


def test_nothing_seen_is_no_pose_and_no_gradient(network: Senses, views: Views) -> None:
    found = beliefs()
    fused = network.fuse(found)
    poses = network.decode("3d", fused)
    assert poses[2].isnan().all()
    assert poses[[0, 1, 3, 4, 5]].isfinite().all()
    sample = Sample.of(replace(views, image=None))
    how = (torch.Generator().manual_seed(0), None)
    loss, residual = network.decoder_terms("3d", sample, fused, *how)
    wild = replace(sample, joints=sample.joints.clone())
    wild.joints[2] = torch.nan  # what stands in a row that nothing saw does not matter
    same, again = network.decoder_terms("3d", wild, fused, torch.Generator().manual_seed(0), None)
    assert loss.item() == pytest.approx(same.item())
    torch.testing.assert_close(residual, again)


def test_concentrations_learn_what_cosines_they_meet(network: Senses) -> None:
    found = beliefs()
    leaves = {n: VonMisesFisher(*(x.clone().requires_grad_() for x in b)) for n, b in found.beliefs.items()}
    everything = {name: torch.ones(ROWS, dtype=torch.bool) for name in NAMES}
    network.zero_grad()
    network.surprise(Embedded(leaves, found.present), everything).backward()
    pose = found.beliefs["3d"].mean
    for name in ("image", "depth"):
        k, rows = found.beliefs[name].concentration, found.present[name]
        met = (found.beliefs[name].mean * pose).sum(-1)
        expected = torch.where(rows, mean_cosine(k, DIM) - met, 0) / rows.sum() / 5 / DIM
        torch.testing.assert_close(leaves[name].concentration.grad, expected)
        assert leaves[name].mean.grad is None
    assert network.discount.grad is not None
    assert network.discount.grad[2] != 0  # of three that are fused, the pose left out
    assert network.discount.grad[[0, 3]].tolist() == [0, 0]
    network.zero_grad()


def test_retrieval_finds_what_is_nearest(views: Views) -> None:
    eye = torch.eye(DIM)[:ROWS]
    order = torch.tensor([0, 2, 1, 3, 4, 5])  # 1 and 2 are taken for each other
    k = torch.ones(ROWS)
    there = {name: torch.ones(ROWS, dtype=torch.bool) for name in ("2d", "3d")}
    found = Embedded({"2d": VonMisesFisher(eye, k), "3d": VonMisesFisher(eye[order], k)}, there)
    test = HeldOut(views, torch.arange(ROWS) // 3, TRUE)
    there_, back = measuring.retrieval(found, test)
    joints = test.joints
    wrong = 2000 / ROWS * (joints[1] - joints[2]).norm(dim=-1).mean().item()
    for row, name in ((there_, "2d"), (back, "3d")):
        assert (row["from"], row["gallery"]) == (name, ROWS)
        assert row["top1"] == pytest.approx(4 / 6)
        assert "top10" not in row  # of a gallery of six
        assert row["mpjpe_mm"] == pytest.approx(wrong, rel=1e-4)
        assert row["low_mm"] <= row["mpjpe_mm"] <= row["high_mm"]


def test_errors_are_of_the_rows_that_have_all_senses(network: Senses, views: Views) -> None:
    found, test = beliefs(), HeldOut(views, torch.arange(ROWS) // 3, TRUE)
    row = measuring.estimate(network, found, test, ("2d", "depth"), {"hypotheses": 2, "steps": 2})
    assert row["views"] == 4
    kept = {name: torch.ones(ROWS, dtype=torch.bool) for name in ("2d", "depth")}
    poses = network.decode("3d", network.fuse(found.kept(kept).agreeing()))
    rows = torch.tensor([0, 3, 4, 5])
    away = (poses - poses[:, :1] - test.joints)[rows].norm(dim=-1).mean().item()
    assert row["mpjpe_mm"] == pytest.approx(1000 * away, rel=1e-4)
    assert row["pa_mpjpe_mm"] < row["mpjpe_mm"]
    assert 0 <= row["inside_50"] <= row["inside_90"] <= 1


def test_a_swapped_sense_is_anothers(network: Senses, views: Views) -> None:
    found, test = beliefs(), HeldOut(views, torch.arange(ROWS) // 3, TRUE)
    rows = {(r["sense"], r["how"]): r for r in measuring.corrupted(network, found, test, 4)}
    assert len(rows) == 6
    swapped = VonMisesFisher(*(x.roll(3, 0) for x in found.beliefs["2d"]))
    there = [0, 3, 4]  # row 5 would get the nothing of row 2
    parts = [found.beliefs["image"], swapped, found.beliefs["depth"]]

    def error(parts: list[VonMisesFisher]) -> float:
        fused = network.fuse(found)._replace(belief=fuse(parts), subset=torch.full((ROWS,), 0b1011 - 1))
        poses = network.decode("3d", fused)
        return 1000 * (poses - poses[:, :1] - test.joints)[there].norm(dim=-1).mean().item()

    assert rows["2d", "swapped"]["trusting_mm"] == pytest.approx(error(parts), rel=1e-4)
    named = dict(zip(("image", "2d", "depth"), parts, strict=True))
    agreed = Embedded(named, {name: part.concentration > 0 for name, part in named.items()}).agreeing()
    assert rows["2d", "swapped"]["mpjpe_mm"] == pytest.approx(error([*agreed.beliefs.values()]), rel=1e-4)
    even = [part._replace(concentration=(part.concentration > 0).float()) for part in parts]
    assert rows["2d", "swapped"]["even_mm"] == pytest.approx(error(even), rel=1e-4)
    assert rows["2d", "swapped"]["sound_mm"] == rows["image", "noise"]["sound_mm"]


def test_faults_are_of_one_sense(network: Senses, views: Views) -> None:
    with torch.no_grad():
        sound = network(views)
        for name in ("image", "2d", "depth"):
            found = network(faulty(views, name, torch.Generator().manual_seed(0)))
            for other in NAMES:
                same = torch.equal(found.beliefs[other].mean, sound.beliefs[other].mean)
                assert same == (other != name), (name, other)
    loud = faulty(views, "2d", torch.Generator().manual_seed(0)).keypoints[MIXED]
    height = (views.box[:, 3] - views.box[:, 1])[:, None, None]
    moved = ((loud - views.keypoints[MIXED])[..., :2] / height).std().item()
    assert moved == pytest.approx(0.1, abs=0.01)
    with pytest.raises(ValueError, match="3d: there is no noise"):
        faulty(views, "3d", torch.Generator())


def test_calibration_is_what_is_said_and_what_is_met(network: Senses) -> None:
    found = beliefs(40)
    rows = [row for row in measuring.calibration(network, found) if row["senses"] == "2d"]
    assert [row["bin"] for row in rows] == list(range(10))
    assert sum(row["views"] for row in rows) == 39
    said = mean_cosine(found.beliefs["2d"].concentration, DIM)[found.present["2d"]]
    met = (found.beliefs["2d"].mean * found.beliefs["3d"].mean).sum(-1)[found.present["2d"]]
    first = said.argsort()[:4]
    assert rows[0]["said_cosine"] == pytest.approx(said[first].mean().item(), rel=1e-4)
    assert rows[0]["cosine"] == pytest.approx(met[first].mean().item(), rel=1e-4)
    assert rows[0]["said_cosine"] < rows[9]["said_cosine"]


def test_a_decoder_without_a_mean_of_its_own_is_refused() -> None:
    for wrong in (replace(SMALL, regression=False), replace(SMALL, decoder="mlp")):
        with pytest.raises(ValueError, match=r"set model\.regression=true"):
            Senses(wrong)
