"""Kinect noise against the published formulas."""

import math

import pytest
import torch
from posedata.synthetic.sensor import axial_sigma, kinect_noise, lateral_sigma, quantise


@pytest.mark.parametrize(
    ("depth", "sigma"), [(0.4, 0.0012), (1.0, 0.001884), (2.0, 0.006064), (3.0, 0.014044)]
)
def test_axial_spread_is_nguyens_polynomial(depth, sigma):
    image = torch.full((200, 250), int(depth * 1000)).to(torch.uint16)
    noisy = kinect_noise(image, torch.Generator().manual_seed(0), lateral=False, quantised=False)
    spread = (noisy.to(torch.float64) / 1000).std().item()
    rounding = 0.001**2 / 12
    assert spread == pytest.approx(math.sqrt(sigma**2 + rounding), rel=0.015)
    assert noisy.to(torch.float64).mean().item() == pytest.approx(depth * 1000, abs=0.3)


def test_steep_surfaces_are_noisier():
    depth = torch.tensor(1.0)
    assert axial_sigma(depth, torch.tensor(1.0)) == axial_sigma(depth)
    angle = math.radians(75)
    expected = 0.001884 + 0.0001 * angle**2 / (math.pi / 2 - angle) ** 2
    assert axial_sigma(depth, torch.tensor(angle)).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("degrees", "pixels"), [(0, 0.8), (45, 0.835), (60, 0.87)])
def test_lateral_spread(degrees, pixels):
    assert lateral_sigma(torch.tensor(math.radians(degrees))).item() == pytest.approx(pixels, abs=1e-5)


def test_lateral_noise_blurs_an_edge_by_its_sigma():
    image = torch.full((400, 60), 1000)
    image[:, 30:] = 3000
    noisy = kinect_noise(image.to(torch.uint16), torch.Generator().manual_seed(1), quantised=False)
    far = (noisy.to(torch.float32) > 2000).float().mean(0)
    # a column k pixels left of the edge shows the far side where 0.8 n rounds to k or more
    for k in (1, 2):
        expected = 0.5 * math.erfc((k - 0.5) / 0.8 / math.sqrt(2))
        assert far[30 - k].item() == pytest.approx(expected, abs=0.06)


def test_quantisation_steps_are_khoshelhams():
    depth = torch.linspace(4.9, 5.1, 4000, dtype=torch.float64)
    levels = quantise(depth).unique()
    assert levels.diff().mean().item() == pytest.approx(2.85e-3 * 25, rel=0.03)
    assert (quantise(depth) - depth).abs().max() <= 0.5 * 2.85e-3 * 5.1**2 * 1.02
    assert quantise(torch.zeros(3)).tolist() == [0, 0, 0]


def test_no_measurement_stays_none_and_the_seed_decides():
    image = torch.zeros(20, 20, dtype=torch.uint16)
    assert kinect_noise(image, torch.Generator().manual_seed(0)).to(torch.int32).sum() == 0
    image = torch.full((20, 20), 2000).to(torch.uint16)
    one, two, other = (
        kinect_noise(image, torch.Generator().manual_seed(s)).to(torch.int32) for s in (1, 1, 2)
    )
    assert (one == two).all()
    assert (one != other).any()
