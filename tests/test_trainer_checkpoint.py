"""Checkpoints: what is kept, what is refused, and that an optimizer comes back as it was."""

from pathlib import Path

import pytest
import torch
from posediff import PoseDecoder
from torch import nn
from trainer.checkpoint import (
    CheckpointStore,
    load_checkpoint,
    load_weights,
    pack_optimizer,
    unpack_optimizer,
)


def test_keeps_the_last_ones_and_the_best(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    assert store.path() is None
    for step in (1, 2, 3, 4):
        store.save(step, {"model/x": torch.tensor([step])}, {"improved": step == 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000003", "step-00000004"]
    last, best = store.path("last"), store.path("best")
    assert last is not None
    assert best is not None
    assert load_checkpoint(last).tensors["model/x"].item() == 4
    assert load_checkpoint(best).card["step"] == 1


def test_a_half_written_checkpoint_is_not_seen_and_goes(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, {"x": torch.zeros(1)}, {})
    half = tmp_path / ".step-00000002.partial"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    last = store.path()
    assert last is not None
    assert last.name == "step-00000001"
    store.save(2, {"x": torch.zeros(1)}, {})
    assert not half.exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = CheckpointStore(tmp_path).save(1, {"x": torch.zeros(100)}, {})
    whole = (path / "tensors.safetensors").read_bytes()
    (path / "tensors.safetensors").write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"step-00000001: damaged .* delete this folder"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"tensors.safetensors: no such file"):
        load_checkpoint(tmp_path)


def test_tied_and_transposed_weights_come_back(tmp_path: Path) -> None:
    weight = torch.randn(3, 4)
    path = CheckpointStore(tmp_path).save(1, {"a": weight, "b": weight, "c": weight.T, "d": weight[1]}, {})
    tensors = load_checkpoint(path).tensors
    for name, expected in {"a": weight, "b": weight, "c": weight.T, "d": weight[1]}.items():
        assert torch.equal(tensors[name], expected)


def test_load_weights_prefers_the_average_and_names_what_does_not_fit(tmp_path: Path) -> None:
    tensors = {"model/net.weight": torch.zeros(2, 3), "ema/net.weight": torch.ones(2, 3)}
    path = CheckpointStore(tmp_path).save(5, tensors, {"metrics": {"mse": 1.5}})
    net = nn.Linear(3, 2, bias=False)
    assert load_weights(path, {"net": net})["metrics"] == {"mse": 1.5}
    assert net.weight.unique().tolist() == [1.0]
    load_weights(path, {"net": net}, averaged=False)
    assert net.weight.unique().tolist() == [0.0]
    with pytest.raises(ValueError, match=r"net.bias is not in the checkpoint"):
        load_weights(path, {"net": nn.Linear(3, 2)})
    with pytest.raises(ValueError, match=r"net.weight is \(2, 3\), the model has \(2, 4\)"):
        load_weights(path, {"net": nn.Linear(4, 2, bias=False)})


def test_load_weights_leaves_older_weights_to_the_module(tmp_path: Path) -> None:
    """A decoder had one spread for all modalities, and no profile, and before that none at all."""
    state = PoseDecoder(3, 2, condition_dim=4, hidden=8).state_dict()
    old = {f"model/decoder.{name}": value for name, value in state.items() if name != "profile"}
    for step, spread in ((1, {"model/decoder.spread": torch.tensor(0.25)}), (2, {})):
        rest = {name: value for name, value in old.items() if name != "model/decoder.spread"}
        path = CheckpointStore(tmp_path).save(step, {**rest, **spread}, {})
        decoder = PoseDecoder(3, 2, condition_dim=4, hidden=8)
        load_weights(path, {"decoder": decoder})
        assert decoder.spread.tolist() == ([0.25] * 3 if spread else [0, 0, 0])
        assert torch.equal(decoder.profile, torch.ones(3, 3, 2))


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_an_optimizer_goes_on_as_if_never_stored(tmp_path: Path, kind: type[torch.optim.Optimizer]) -> None:
    def make(momentum: bool) -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Linear(3, 1)
        return net, kind(net.parameters(), lr=0.1, **({"momentum": 0.9} if momentum else {}))

    def step(net: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        net(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
        optimizer.step()

    momentum = kind is not torch.optim.AdamW
    net, optimizer = make(momentum)
    step(net, optimizer)
    tensors, description = pack_optimizer(optimizer)
    path = CheckpointStore(tmp_path).save(1, tensors, {"optimizer": description})
    stored = load_checkpoint(path)
    other, resumed = make(momentum)
    other.load_state_dict(net.state_dict())
    unpack_optimizer(resumed, stored.tensors, stored.card["optimizer"])
    for _ in range(3):
        step(net, optimizer)
        step(other, resumed)
    assert torch.equal(net.weight, other.weight)
    assert torch.equal(net.bias, other.bias)
