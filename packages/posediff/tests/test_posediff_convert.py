"""GFPose and ZeDO checkpoints: the converted network against the described one, and refusal of code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from posediff.convert import convert_gfpose, load_gfpose, read_checkpoint
from posediff.reference import GFPoseNetwork
from posediff.sde import SubVP

HIDDEN, TIME = 64, 32


def described(conditional: bool, seed: int = 0) -> GFPoseNetwork:
    torch.manual_seed(seed)
    return GFPoseNetwork(hidden=HIDDEN, time_dim=TIME, conditional=conditional).eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x, observed = torch.randn(2, 5, 17, 3, generator=g)
    known = (torch.rand(5, 17, 3, generator=g) < 0.7).float()
    known[..., 2] = 0
    return x, observed, known, torch.tensor([0.02, 0.2, 0.5, 0.8, 1.0])


def test_published_names() -> None:
    names = set(described(True).state_dict())
    assert {"pre_dense_cond.weight", "b2_dense1_t.bias", "b1_gnorm2.weight", "cond_embed.0.weight"} <= names
    assert len(names) == 47  # 23 layers of weight and bias, and the levels
    assert len(described(False).state_dict()) == 35


@pytest.mark.parametrize("conditional", [True, False])
def test_converted_denoiser_is_the_described_score(conditional: bool) -> None:
    """score = -F(x_t, 999 t) / std (spec), x_0 = (x_t + std² score) / scale (Tweedie)."""
    network, sde = described(conditional), SubVP()
    x, observed, known, t = inputs()
    out = network(x, 999 * t, observed, known) if conditional else network(x, 999 * t)
    column = t[:, None, None]
    expected = (x - sde.std(column) * out) / sde.scale(column)
    denoiser, scale = convert_gfpose(network.state_dict())
    told = (observed.flatten(1), known.flatten(1)) if conditional else None
    level = sde.sigma(t)
    found = denoiser((x / sde.scale(column)).flatten(1), level, told)
    torch.testing.assert_close(found, expected.flatten(1), rtol=1e-3, atol=1e-3)
    assert scale == (30.0 if conditional else 1.0)


def test_nothing_observed_is_the_prior_mode() -> None:
    network, sde = described(True), SubVP()
    x, _, _, t = inputs()
    denoiser, _ = convert_gfpose(network.state_dict())
    told = (torch.randn(5, 51), torch.zeros(5, 51))
    y, level = x.flatten(1), sde.sigma(t)
    torch.testing.assert_close(denoiser(y, level, told), denoiser(y, level))


def test_checkpoint_file_with_average_and_prefix(tmp_path: Path) -> None:
    plain, averaged = described(False), described(False, seed=3)
    file = tmp_path / "checkpoint.pth"
    shadow = [value.detach() for value in averaged.parameters()]
    state = {f"module.{name}": value for name, value in plain.state_dict().items()}
    ema = {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow}
    torch.save({"model_state_dict": state, "ema": ema, "step": 7, "epoch": 1}, file)
    x, level = torch.randn(3, 51), torch.tensor(0.5)
    for use, network in ((True, averaged), (False, plain)):
        found = load_gfpose(file, ema=use).denoiser(x, level)
        torch.testing.assert_close(found, convert_gfpose(network.state_dict()).denoiser(x, level))
    torch.save({"model_state_dict": state, "ema": {**ema, "shadow_params": shadow[1:]}}, file)
    with pytest.raises(ValueError, match=r"ema\.shadow_params"):
        load_gfpose(file)


def test_learning_rate_of_numpy_is_read(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    file = tmp_path / "checkpoint.pth"
    torch.save({"optimizer_state_dict": {"lr": numpy.float64(2e-4)}}, file)
    assert read_checkpoint(file)["optimizer_state_dict"]["lr"] == 2e-4


class Touch:
    """Unpickled by a plain loader, creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "bad.pth"
    torch.save({"model_state_dict": {}, "extra": Touch(mark)}, file)
    with pytest.raises(ValueError, match=r"bad\.pth.*without running its code"):
        load_gfpose(file)
    file.write_bytes(pickle.dumps(Touch(mark)))
    with pytest.raises(ValueError, match=r"bad\.pth"):
        load_gfpose(file)
    assert not mark.exists()


def test_errors_name_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth.*give the path"):
        load_gfpose(tmp_path / "none.pth")
    (tmp_path / "cut.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cut\.pth: not a checkpoint that can be read"):
        load_gfpose(tmp_path / "cut.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth: holds a list, not a state dict"):
        load_gfpose(tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"no post_dense\.weight"):
        convert_gfpose({k: v for k, v in described(False).state_dict().items() if "post" not in k})
    with pytest.raises(ValueError, match=r"b2_dense2_t\.weight"):
        convert_gfpose({k: v for k, v in described(False).state_dict().items() if k != "b2_dense2_t.weight"})
    with pytest.raises(ValueError, match="Fourier"):
        convert_gfpose({**described(False).state_dict(), "gauss_proj.W": torch.zeros(16)})
