"""Checkpoints: one safetensors file and one JSON card in a folder that appears whole or not at all.

    checkpoints/STAGE/step-00000500/tensors.safetensors    model/..., ema/..., optimizer/...
    checkpoints/STAGE/step-00000500/card.json              step, metrics, recipe, data, versions, scalars
    checkpoints/STAGE/step-00000500/digests.json           the sha256 of both, checked whenever they are read

The last checkpoint is the greatest step.

Nothing is ever unpickled.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from posedata.errors import room_for
from posedata.readers.files.safe_text import read_json
from posedata.readers.files.safe_yaml import shown
from posedata.store.digests import NAME as DIGESTS
from posedata.store.digests import read_digests, sha256_of, write_digests
from posedata.terminal import visible
from posedata.writing import write_tensors, write_text
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

SCHEMA = 1
TENSORS, CARD = "tensors.safetensors", "card.json"
CARD_BYTES = 64 << 20
"""The most that a card may weigh."""


class Checkpoint(NamedTuple):
    tensors: dict[str, Tensor]
    card: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one stage: the last `keep` of them."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, step: int, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> Path:
        """Write a checkpoint under a temporary name, rename it when whole, then drop the oldest."""
        name = f"step-{step:08d}"
        temporary = self.folder / f".{name}.partial"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with room_for(self.folder / name):
                temporary.mkdir(parents=True)
                write_tensors(temporary / TENSORS, _storable(tensors))
                write_text(temporary / CARD, json.dumps({"schema": SCHEMA, "step": step, **card}, indent=1))
                write_digests(temporary)
                temporary.rename(self.folder / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._prune()
        return self.folder / name

    def path(self) -> Path | None:
        """Folder of the last checkpoint, or None where there is none."""
        return max(self.folder.glob("step-*"), default=None)

    def _prune(self) -> None:
        for old in sorted(self.folder.glob("step-*"))[: -self.keep]:
            # renamed first, so that a kill inside rmtree leaves no half checkpoint under a good name
            doomed = old.rename(old.with_name(f".{old.name}.partial"))
            shutil.rmtree(doomed)
        for leftover in self.folder.glob(".step-*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a step folder, and check every file of it against its digest.

    Raises:
        FileNotFoundError: no checkpoint lies there.
        ValueError: a file is damaged, or written by another version of this code.
    """
    file = path / TENSORS
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; name a step folder of checkpoints/STAGE")
    card = load_card(path)
    _check(file)
    try:
        return Checkpoint(load_file(file), card)
    except (SafetensorError, OSError):
        raise damaged(file) from None


def load_card(path: Path) -> dict[str, Any]:
    """A step folder's card, checked.

    Raises:
        FileNotFoundError: no checkpoint lies there.
        ValueError: it is damaged, or written by another version of this code.
    """
    file = path / CARD
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; name a step folder of checkpoints/STAGE")
    _check(file)
    card = read_json(file, constants=True, most=CARD_BYTES, cure=_cure(path))
    if card.get("schema") != SCHEMA:
        raise ValueError(
            f"{file}: schema {shown(card.get('schema'))}, this code reads {SCHEMA}; {_cure(path)}"
        )
    if type(card.get("step")) is not int or not isinstance(card.get("data", ""), str):
        raise damaged(file)
    return card


def _check(file: Path) -> None:
    """Raise a ValueError where a file of a checkpoint differs from its digest; note where it has none."""
    try:
        digests = read_digests(file.parent)
    except (ValueError, OSError):
        raise damaged(file.parent / DIGESTS) from None
    if digests is None:
        if file.parent not in _told:
            _told.add(file.parent)
            text = f"note: {file.parent}: of an earlier version, without {DIGESTS}: damage may go unnoticed"
            print(visible(text), file=sys.stderr)
        return
    try:
        with file.open("rb") as opened:
            sound = sha256_of(opened) == digests.get(file.name)
    except IsADirectoryError:
        sound = False
    if not sound:
        raise damaged(file)


_told: set[Path] = set()


def damaged(file: Path) -> ValueError:
    """The error of a checkpoint's file that is not what was written, with what to do."""
    return ValueError(f"{file.parent}: damaged ({file.name} is not what was written); {_cure(file.parent)}")


def _cure(path: Path) -> str:
    """What to do about a damaged checkpoint."""
    older = [step.name for step in sorted(path.parent.glob("step-*")) if step.name < path.name]
    then = f"goes on from {older[-1]}" if older else "trains this stage again: there is no older checkpoint"
    return f"delete this folder, and --resume {then}"


def load_weights(path: Path, modules: Mapping[str, nn.Module], averaged: bool = True) -> dict[str, Any]:
    """Fill `modules` from the stage that saved them under these names; return the checkpoint's card.

    The averaged (EMA) weights are taken where there are any, unless `averaged` is False.

    Raises:
        ValueError: the checkpoint lacks a module or a tensor, or a shape differs.
    """
    checkpoint = load_checkpoint(path)
    whole = nn.ModuleDict(dict(modules))
    stored = unprefixed(checkpoint.tensors, "ema/") if averaged else {}
    stored = stored or unprefixed(checkpoint.tensors, "model/")
    wanted = {name: value for name, value in stored.items() if name.partition(".")[0] in modules}
    load_state(whole, wanted, path)
    return checkpoint.card


def load_state(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """`module.load_state_dict(state)`, naming the checkpoint and the first tensor at fault.

    What a module itself makes of an older version's weights is no fault.
    """
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    try:
        found = module.load_state_dict(state, strict=False)
    except RuntimeError:
        for name in shapes:
            if name in state and state[name].shape != shapes[name]:
                raise ValueError(
                    f"{path}: {name} is {tuple(state[name].shape)}, the model has {tuple(shapes[name])};"
                    " build the model with the recipe of this run"
                ) from None
        raise
    for name in sorted([*found.missing_keys, *found.unexpected_keys]):
        where = "the model" if name in state else "the checkpoint"
        raise ValueError(f"{path}: {name} is not in {where}; build the model with the recipe of this run")


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and a JSON description of the rest."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            (tensors if isinstance(value, Tensor) else scalars)[f"{index}/{name}"] = value
    return tensors, {"scalars": scalars, "groups": state["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Undo `pack_optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **description["scalars"]}.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    groups = [
        {key: tuple(value) if key == "betas" else value for key, value in group.items()}
        for group in description["groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def prefixed(values: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in values.items()}


def unprefixed(values: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors, none sharing memory with another (safetensors refuses tied weights)."""
    storable: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        storable[name] = value.clone() if memory in seen else value
        seen.add(memory)
    return storable
