"""Checkpoints: what is kept, what is refused, and that an optimizer comes back as it was."""

import contextlib
import errno
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from posediff import PoseDecoder
from posetrain.checkpoint import (
    CheckpointStore,
    load_checkpoint,
    load_weights,
    pack_optimizer,
    unpack_optimizer,
)
from posetrain.diverged import save_batch
from posetrain.errors import plain_errors
from posetrain.events import Events
from posetrain.runs import Run
from torch import nn


def test_keeps_the_last_ones(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    assert store.path() is None
    for step in (1, 2, 3, 4):
        store.save(step, {"model/x": torch.tensor([step])}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]
    last = store.path()
    assert last is not None
    assert load_checkpoint(last).tensors["model/x"].item() == 4


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


def store(folder: Path) -> Path:
    """Two checkpoints; the folder of the last."""
    made = CheckpointStore(folder / "checkpoints" / "demo")
    for step in (1, 2):
        path = made.save(
            step, {"model/x": torch.arange(200.0)}, {"app": "demo", "data": "d", "improved": step == 1}
        )
    return path


@pytest.mark.parametrize("name", ["tensors.safetensors", "card.json", "digests.json"])
def test_every_flipped_bit_is_noticed_and_the_older_checkpoint_named(tmp_path: Path, name: str) -> None:
    path = store(tmp_path)
    whole = (path / name).read_bytes()
    for at in (0, 9, len(whole) // 2, len(whole) - 2):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        (path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"step-00000002: damaged \({name}.*goes on from step-00000001"):
            load_checkpoint(path)
    (path / name).write_bytes(whole)
    assert torch.equal(load_checkpoint(path).tensors["model/x"], torch.arange(200.0))


def damages(whole: bytes) -> dict[str, bytes | None]:
    return {
        "empty": b"", "cut": whole[: len(whole) // 2], "no UTF-8": b"\xff\xfe" + whole, "a list": b"[1, 2]",
        "deep": 100_000 * b"[", "wrong types": b'{"schema": 1, "step": "x", "data": 3}', "null": b"null",
        "a folder": None,
    }  # fmt: skip


@pytest.mark.parametrize("digested", [True, False])
@pytest.mark.parametrize("name", ["tensors.safetensors", "card.json"])
def test_a_damaged_file_is_one_line_with_digests_and_without(
    tmp_path: Path, name: str, digested: bool
) -> None:
    path = store(tmp_path)
    if not digested:
        (path / "digests.json").unlink()
    whole = (path / name).read_bytes()
    for kind, content in damages(whole).items():
        (path / name).unlink()
        (path / name).mkdir() if content is None else (path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"step-00000002.*goes on from step-00000001") as caught:
            load_checkpoint(path)
        assert len(str(caught.value)) < 400, kind
        if content is None:
            (path / name).rmdir()
            (path / name).touch()


def test_a_checkpoint_of_an_earlier_version_opens_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store(tmp_path)
    (path / "digests.json").unlink()
    for _ in range(2):
        assert load_checkpoint(path).card["step"] == 2
    assert capsys.readouterr().err.count("of an earlier version") == 1


def test_files_have_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = store(tmp_path)
        save_batch({"x": torch.zeros(2)}, tmp_path / "batch.safetensors")
    finally:
        os.umask(before)
    files = [*path.iterdir(), tmp_path / "batch.safetensors"]
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in files} == {
        file.name: "0o640" for file in files
    }


@pytest.mark.parametrize("failing", ["tensors.safetensors", "card.json", "digests.json"])
def test_a_full_disk_leaves_earlier_checkpoints_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """By the system's own refusal where a file can be made too large for it."""
    made = CheckpointStore(tmp_path)
    made.save(1, {"x": torch.zeros(10)}, {})
    tensors = {"x": torch.zeros(100_000 if failing == "tensors.safetensors" else 10)}
    card = {"note": "x" * (200_000 if failing == "card.json" else 1)}
    if failing == "digests.json":
        monkeypatch.setattr("posetrain.checkpoint.write_digests", refuse)
    with (
        file_size_limit(100_000),
        pytest.raises(OSError, match=r"no room on the disk to write it; free some"),
    ):
        made.save(2, tensors, card)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    load_checkpoint(tmp_path / "step-00000001")


def refuse(folder: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "digests.json"))


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """The system refuses to write files larger than this, as it does on a full disk (EFBIG for ENOSPC)."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_tensorboards_curves_on_a_full_disk_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = Events(tmp_path / "tensorboard")
    events.start()
    events.log({"loss": 1.0}, step=1)
    assert events.file is not None
    before = events.file.read_bytes()
    for failing in (lambda: events.log({"loss": 2.0}, step=2), Events(tmp_path / "other").start):
        with file_size_limit(20), pytest.raises(SystemExit) as stopped, plain_errors():
            failing()
        assert stopped.value.code == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert re.search(
            r"^error: .*/events\.out\.tfevents\S+: no room on the disk to write it; free some", said
        )
    assert events.file.read_bytes() == before
    events.log({"loss": 3.0}, step=2)
    curves = EventAccumulator(str(events.folder)).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("loss")] == [(1, 1.0), (2, 3.0)]


def test_a_log_line_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log({"stage": "a", "step": 1})
    before = run.log_file.read_bytes()
    with file_size_limit(len(before) + 5), pytest.raises(OSError, match=r"log.jsonl: no room on the disk"):
        run.log({"stage": "a", "step": 2, "loss": 0.123456789})
    assert run.log_file.read_bytes() == before
