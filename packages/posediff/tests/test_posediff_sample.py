"""Where a decoder's samples start and what they walk, row by row and by hand; guidance of every kind."""

from __future__ import annotations

import pytest
import torch
from posediff import PoseDecoder
from posediff.sampler import dpmpp_2m, euler_maruyama
from posediff.schedule import geometric, uniform_time
from torch import Tensor

JOINTS, DIMS, COND, WIDTH = 3, 2, 5, 6


def ready(**options: object) -> PoseDecoder:
    """A decoder whose scale, gain and spread are none of the defaults."""
    torch.manual_seed(0)
    settings: dict[str, object] = {"condition_dim": COND, "hidden": 16, **options}
    decoder = PoseDecoder(JOINTS, DIMS, **settings).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(decoder.network.gain.weight, std=0.1)
    decoder.fit_scale(torch.randn(50, JOINTS, DIMS) * 0.3 + 2)
    if decoder.centred:
        decoder.spread.copy_(torch.tensor([0.5, 0.0, 0.2]))
        decoder.profile.copy_(0.5 + torch.rand(3, JOINTS, DIMS))
    return decoder


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def restored(decoder: PoseDecoder, flat: Tensor) -> Tensor:
    return flat.unflatten(-1, (JOINTS, DIMS)) * decoder.std + decoder.mean_pose


@pytest.mark.parametrize(
    ("options", "units", "ends"),
    [
        ({}, (0.5, 0.25, 0.2), (20, 0.05)),  # the second has no spread: poses, in the unit of none
        ({"parametrisation": "vp"}, (0.25, 0.25, 0.25), (20, 0.05)),
        ({"mean_weight": 0.0}, (1, 1, 1), (80, 0.01)),
        ({"mean_weight": 0.0, "parametrisation": "ve"}, (1, 1, 1), (50, 0.01)),  # its own end
        ({"condition_dim": 0}, (1, 1, 1), (80, 0.01)),
    ],
)
def test_samples_walk_down_from_the_mean_or_from_nothing(
    options: dict[str, object], units: tuple[float, ...], ends: tuple[float, float]
) -> None:
    decoder = ready(**options)
    condition, modality = torch.randn(6, decoder.condition_dim), torch.arange(6) % 3
    given = {"hypotheses": 2, "steps": 4, "sampler": "dpmpp_2m"}
    found = decoder.sample(condition, modality, generator=seeded(), **given)  # type: ignore[arg-type]
    noise = torch.randn(2, 6, WIDTH, generator=seeded())
    for i, k in enumerate(modality.tolist()):
        one, start = condition[i : i + 1], torch.zeros(1, WIDTH)
        if decoder.mean_weight and decoder.condition_dim:
            start = ((decoder.mean(one, k) - decoder.mean_pose) / decoder.std).flatten(1)
        levels = units[k] * geometric(4, ends[1], ends[0])
        x = start + levels[0] * noise[:, i : i + 1]
        expected = restored(decoder, dpmpp_2m(decoder.denoise(one, k), x, levels))
        torch.testing.assert_close(found[:, i : i + 1], expected, rtol=1e-3, atol=1e-3)


def test_a_process_is_run_from_its_own_end() -> None:
    decoder, condition = ready(), torch.randn(4, COND)
    found = decoder.sample(condition, 2, steps=5, sampler="euler_maruyama", generator=seeded())
    generator, times = seeded(), uniform_time(5)
    noise = torch.randn(1, 4, WIDTH, generator=generator) * decoder.sde.std(times[0])
    walked = euler_maruyama(decoder.denoise(condition, 2), noise, times, decoder.sde, generator=generator)
    torch.testing.assert_close(found, restored(decoder, walked))


def test_the_last_denoised_pose_is_the_corrected_one() -> None:
    decoder, condition = ready(), torch.randn(4, COND)
    pose = torch.randn(4, JOINTS, DIMS)
    found = decoder.sample(condition, 0, correct=lambda poses: pose.expand_as(poses), generator=seeded())
    torch.testing.assert_close(found[0], pose)


@pytest.mark.parametrize(
    "options", [{"parametrisation": "vp"}, {"parametrisation": "ve", "mean_weight": 0.0}]
)
def test_guidance_without_a_spread_is_of_plain_denoisers(options: dict[str, object]) -> None:
    decoder = ready(condition_dropout=0.2, **options)
    assert decoder.unknown is not None
    condition, x, sigma = torch.randn(4, COND), torch.randn(5, 4, WIDTH), torch.tensor(0.4)
    own = decoder.denoiser(x, sigma, decoder.features(condition, 1))
    nothing = decoder.denoiser(x, sigma, decoder.network.project(decoder.unknown[None]))
    torch.testing.assert_close(decoder.denoise(condition, 1)(x, sigma), own)
    found = decoder.denoise(condition, 1, guidance=0.7)(x, sigma)
    torch.testing.assert_close(found, own + 0.7 * (own - nothing))


def test_what_cannot_be_answered_says_why() -> None:
    decoder, condition = ready(), torch.randn(4, COND)
    with pytest.raises(ValueError, match=r"^guidance needs a decoder trained with condition_dropout > 0$"):
        decoder.denoise(condition, 0, guidance=0.5)
    for answer in (decoder.features, decoder.mean, decoder.denoise):
        with pytest.raises(ValueError, match=r"condition must be \(B, 5\), got \(4, 4\)"):
            answer(condition[:, 1:], 0)
        with pytest.raises(ValueError, match="modality 3 is none of 0 to 2"):
            answer(condition, 3)
    with pytest.raises(
        ValueError, match=r"^mean_weight is 0, so the mean was never trained; average samples"
    ):
        ready(mean_weight=0.0).mean(condition, 0)
