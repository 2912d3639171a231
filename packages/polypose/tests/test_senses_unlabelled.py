"""Pictures without 3D labels: what is not known is not learnt of, and 3D still comes out of every sense."""

from dataclasses import replace

import pytest
import torch
from polypose.config import ModelConfig
from polypose.samples import Sample
from polypose.senses.config import SpaceConfig
from polypose.senses.network import Fused, Senses, subset_names, without_labels
from posedata.geometry.camera import Camera
from posedata.views.batch import MIXED, TRUE, Views, see
from posedata.views.noise import DetectorNoise
from poseenc import Embedded, VonMisesFisher
from poseenc.vmf import mean_cosine
from torch.nn.functional import normalize

NAMES = ("image", "2d", "3d", "depth")
ROWS, DIM = 8, 32
PICTURED = torch.arange(ROWS) < 5
SMALL = ModelConfig(dim=DIM, hidden=32, decoder_hidden=32, pose_encoder="mlp", norm="layer", regression=True)


@pytest.fixture(scope="module")
def network() -> Senses:
    torch.manual_seed(0)
    return Senses(SMALL, SpaceConfig(NAMES, labels=False)).eval()


def views(joints: torch.Tensor | None = None) -> Views:
    """With a detector's keypoints, whatever the pose is said to be."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(ROWS, 17, 3, generator=generator) * 0.3 + torch.tensor([0.0, 4.0, 0.0])
    camera = Camera.look_at(torch.zeros(ROWS, 3), true.mean(1), focal=500.0, size=(640, 480))
    found = see(true, camera).detected(DetectorNoise(), generator).mixed("detector", 1.0, generator)
    if joints is None:
        return found
    said = see(joints, camera, box=found.box)
    return replace(found, joints=joints, keypoints={**found.keypoints, TRUE: said.keypoints[TRUE]})


def beliefs() -> Embedded:
    """Pictured rows lack the 3D, the others lack pictures."""
    generator = torch.Generator().manual_seed(3)
    present = {"image": PICTURED, "2d": torch.ones_like(PICTURED), "3d": ~PICTURED, "depth": PICTURED}
    found = {}
    for name, there in present.items():
        mean = normalize(torch.randn(ROWS, DIM, generator=generator), dim=1) * there[:, None]
        found[name] = VonMisesFisher(mean, DIM * (0.5 + torch.rand(ROWS, generator=generator)) * there)
    return Embedded(found, present)


def leaves(found: Embedded) -> Embedded:
    """The same, to take gradients by."""
    made = {n: VonMisesFisher(*(x.clone().requires_grad_() for x in b)) for n, b in found.beliefs.items()}
    return found._replace(beliefs=made)


def truth() -> Sample:
    whole = Sample.of(views())
    hidden = Sample.of(without_labels(views()))
    return Sample.cat([hidden[PICTURED], whole[~PICTURED]])


def test_nothing_but_what_the_detector_found_is_left() -> None:
    other = views(torch.randn(ROWS, 17, 3) * 0.2 + torch.tensor([0.0, 4.0, 0.0]))
    assert not torch.equal(other.keypoints[TRUE], views().keypoints[TRUE])
    one, same = without_labels(views()), without_labels(other)
    assert one.joints is not None
    assert one.joints.isnan().all()
    assert set(one.keypoints) == set(same.keypoints) == {TRUE, MIXED}
    for name in (TRUE, MIXED):
        assert torch.equal(one.keypoints[name], views().keypoints["detector"])
        assert torch.equal(one.keypoints[name], same.keypoints[name])


def test_rows_without_labels_teach_no_3d(network: Senses) -> None:
    found = leaves(beliefs())
    loss, residual = network.decoder_terms(
        "3d", truth(), network.fuse(found), torch.Generator().manual_seed(0), None
    )
    loss.backward()
    for name in NAMES:
        for value in found.beliefs[name]:
            assert value.grad is not None
            assert not value.grad[PICTURED].any(), name
    assert found.beliefs["3d"].mean.grad[~PICTURED].any()
    network.zero_grad()
    alone = network.fuse(beliefs(), dict.fromkeys(NAMES, PICTURED))  # pictured rows and no others
    loss, none = network.decoder_terms("3d", truth(), alone, torch.Generator().manual_seed(0), None)
    loss.backward()
    assert loss.item() == 0
    assert not none.any()
    assert not any(p.grad.any() for p in network.decoders["3d"].parameters() if p.grad is not None)
    assert residual[1, 1].eq(3).all()  # the weights of the three rows, with the pose's token


def test_the_mean_is_that_of_rows_with_labels(network: Senses) -> None:
    fused, sample = network.fuse(beliefs()), truth()
    loss, _ = network.decoder_terms("3d", sample, fused, torch.Generator().manual_seed(0), None)
    poses, weight = sample.joints.nan_to_num(), (~PICTURED).float()
    decoder = network.decoder("3d")
    asked = fused.belief.mean * DIM**0.5, (~PICTURED).long()
    each = decoder.terms(poses, *asked, generator=torch.Generator().manual_seed(0), weight=weight).loss
    assert loss.item() == pytest.approx(each[~PICTURED].mean().item(), rel=1e-5)
    half, _ = network.decoder_terms(  # of two processes, each of which holds as many
        "3d", sample, fused, torch.Generator().manual_seed(0), None, lambda rows: 2 * rows
    )
    assert half.item() == pytest.approx(loss.item() / 2)


def test_keypoints_count_as_the_detector_was_sure(network: Senses) -> None:
    fused, sample = network.fuse(beliefs()), truth()
    sure = torch.ones_like(sample.confidence)
    sure[0, 3] = 0
    sample = replace(sample, confidence=sure)
    wild = replace(sample, keypoints=sample.keypoints.clone())
    wild.keypoints[0, 3] = 100
    terms = [
        network.decoder_terms("2d", s, fused, torch.Generator().manual_seed(0), None) for s in (sample, wild)
    ]
    assert terms[0][0].item() == pytest.approx(terms[1][0].item())
    decoder = network.decoder("2d")
    asked = fused.belief.mean * DIM**0.5, fused.subset
    how = {"generator": torch.Generator().manual_seed(0), "weight": sure}
    each = decoder.terms(sample.keypoints, *asked, **how).loss
    assert terms[0][0].item() == pytest.approx((each.sum() / (ROWS - 1 / 17)).item(), rel=1e-5)


def test_3d_comes_of_senses_that_it_was_never_taught_by_as_of_keypoints(network: Senses) -> None:
    names = subset_names(NAMES)
    belief = VonMisesFisher(normalize(torch.randn(len(names), DIM), dim=1), torch.ones(len(names)))
    fused = Fused(belief, torch.arange(len(names)), torch.ones(len(names), dtype=torch.bool))
    decoder = network.decoder("3d")
    token = torch.tensor([int("3d" in name.split("+")) for name in names])
    assert decoder.modalities == ("2d", "3d")
    torch.testing.assert_close(network.decode("3d", fused), decoder.mean(belief.mean * DIM**0.5, token))
    with torch.no_grad():
        decoder.spread.copy_(torch.tensor([0.5, 0.25]))
    sd = network.deviation(fused)
    assert sd[names.index("depth"), 3].tolist() == pytest.approx([0.5 * float(decoder.std)] * 3)
    assert sd[names.index("2d+3d"), 3].tolist() == pytest.approx([0.25 * float(decoder.std)] * 3)
    labelled = Senses(SMALL, SpaceConfig(NAMES))
    assert labelled.decoder("3d").modalities == names


def test_keypoints_stand_for_the_pose_that_is_not_known(network: Senses) -> None:
    found = leaves(beliefs())
    everything = dict.fromkeys(NAMES, torch.ones(ROWS, dtype=torch.bool))
    network.zero_grad()
    network.surprise(found, everything).backward()
    k, keypoints = beliefs().beliefs["depth"].concentration, beliefs().beliefs["2d"].mean
    met = (beliefs().beliefs["depth"].mean * keypoints).sum(-1)
    expected = torch.where(PICTURED, mean_cosine(k, DIM) - met, 0) / PICTURED.sum() / 5 / DIM
    torch.testing.assert_close(found.beliefs["depth"].concentration.grad, expected)
    assert not found.beliefs["2d"].concentration.grad[PICTURED].any()
    assert found.beliefs["2d"].concentration.grad[~PICTURED].all()
    # image and depth fused are held against the keypoints too, which are no part of what is compared
    assert network.discount.grad is not None
    fused = network.fuse(beliefs(), {"image": PICTURED, "depth": PICTURED})
    said, met = fused.belief.mean_cosine(), (fused.belief.mean * keypoints).sum(-1)
    by_factor = torch.where(PICTURED, fused.belief.concentration * (said - met), 0).sum() / ROWS / 5 / DIM
    assert network.discount.grad[1].item() == pytest.approx(by_factor.item(), rel=1e-4)
    network.zero_grad()


def test_what_joins_pictures_to_poses_is_needed() -> None:
    with pytest.raises(ValueError, match=r"space\.modalities: lacks 2d, which join pictures without labels"):
        SpaceConfig(("image", "3d"), labels=False)
