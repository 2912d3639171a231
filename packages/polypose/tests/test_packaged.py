"""The weights that come with the package: what they are, and that they know what a person is."""

import json
from pathlib import Path

import numpy as np
import polypose
import pytest
import torch
from people import INTRINSICS, SIZE, people
from polypose.doctor import about
from polypose.loading import PACKAGED
from posedata.skeleton import get_skeleton
from torch.nn.functional import normalize

COCO = Path(__file__).resolve().parents[3] / "../shared/data/coco/person_keypoints_one_image.json"


@pytest.fixture(scope="module", params=[None, "small"])
def weights(request: pytest.FixtureRequest) -> polypose.Model:
    return polypose.load(request.param)


def test_weights_are_small_and_have_a_card(weights: polypose.Model) -> None:
    path = Path(weights.source)
    assert sum(file.stat().st_size for file in path.parent.glob("*.safetensors")) < 30 * 2**20
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "mocap.cs.cmu.edu" in card
    assert "Apache-2.0" in card
    assert ("3D from the image" in card) == ("image" in weights.modalities)
    assert weights.settings.frame == "aimed"


def test_the_smaller_weights_lift_alone() -> None:
    weights = polypose.load("small")
    assert weights.modalities == ("2d",)
    assert Path(weights.source).stat().st_size < PACKAGED.stat().st_size / 4
    assert "no images" in "\n".join(about(weights))


def test_people_who_walk_are_lifted_and_placed(weights: polypose.Model) -> None:
    """Of another domain than training: synthetic motion of synthetic bodies, before a camera of its own."""
    walkers = people()
    poses = weights.lift(walkers.pixels, INTRINSICS, SIZE, skeleton="h36m17")
    truth = walkers.joints - walkers.joints[:, :1]
    error = np.linalg.norm(poses.joints - truth, axis=-1).mean()
    mean_pose = np.linalg.norm(truth.mean(0) - truth, axis=-1).mean()
    assert error < 0.09
    assert error < 0.5 * mean_pose
    assert np.abs(poses.translation[:, 2] / walkers.joints[:, 0, 2] - 1).mean() < 0.1


@pytest.mark.skipif(not COCO.is_file(), reason="needs ../shared/data/coco")
def test_a_photograph_is_lifted_to_a_body_of_human_size(weights: polypose.Model) -> None:
    person = json.loads(COCO.read_text())["annotations"][0]
    points = np.array(person["keypoints"], float).reshape(1, 17, 3)
    points[..., 2] = points[..., 2] > 0
    poses = weights.lift(points, size=(640, 425), skeleton="coco17")
    h36m = get_skeleton("h36m17")
    lengths = np.linalg.norm(poses.joints[0][1:] - poses.joints[0][list(h36m.parents[1:])], axis=-1)
    bone = dict(zip(h36m.joints[1:], lengths, strict=True))
    for side in ("left", "right"):
        assert 0.34 < bone[f"{side}_knee"] < 0.52  # the thigh
        assert 0.34 < bone[f"{side}_ankle"] < 0.52
        assert 0.2 < bone[f"{side}_elbow"] < 0.36
    head, foot = (h36m.index(name) for name in ("head", "left_ankle"))
    assert poses.joints[0, head, 1] < poses.joints[0, foot, 1]  # y is down
    again = poses.joints[0] + poses.translation[0]
    focal = 640 / (2 * np.tan(np.pi / 6))
    seen = focal * again[:, :2] / again[:, 2:] + [319.5, 212]
    wrist, truth = h36m.index("left_wrist"), points[0, 9, :2]
    assert np.abs(seen[wrist] - truth).max() < 25  # pixels, of a person 347 high


def test_hypotheses_spread_as_the_deviation_says(weights: polypose.Model) -> None:
    network = weights.network
    assert network.spread is not None
    embedding = normalize(
        torch.randn(5, network.config.dim, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    sure = torch.full((5, 17), 0.8)

    def draw(count: int) -> torch.Tensor:
        how = {"steps": 3, "sampler": "dpmpp_2m_sde", "generator": torch.Generator().manual_seed(1)}
        return network.sample("3d", embedding, "2d", hypotheses=count, confidence=sure, **how)

    poses, mean = draw(24), network.decode("3d", embedding, "2d")
    wanted = network.spread.stretch[1] * network.deviation(embedding, sure, "2d")
    moves = wanted[0] > 0
    square = ((poses - mean)[..., moves] / wanted[:, moves]).square().mean((0, 2))
    torch.testing.assert_close(square, torch.ones(5), rtol=1e-3, atol=0)  # in every pose
    torch.testing.assert_close(draw(4), draw(16)[:4])  # few spread no less
