"""A model's file: its tensors (safetensors), and in the header all that is needed to use them.

The header's texts:

    polypose    the format's version
    kind        which network: "unihpr"
    about       JSON: the network's config, frame, skeleton, ... (`polypose.model.Settings`)
    digest      sha256 of kind, about and every tensor; compared whenever the file is read

Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from posedata.writing import write_tensors
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

VERSION = 1
NAME = "model.safetensors"
"""What training calls it, in the run's folder."""
AGAIN = "copy it again from where it was made, or let training write it again (--resume)"


class Packed(NamedTuple):
    """What a file holds."""

    kind: str
    about: dict[str, Any]
    tensors: dict[str, Tensor]


def write_packed(path: Path, packed: Packed, *, half: bool = False) -> None:
    """Write a model's file, under a temporary name until it is whole.

    Args:
        half: floating point as float16: half the size, to three digits.
    """
    tensors = {name: _stored(value, half) for name, value in packed.tensors.items()}
    about = json.dumps(packed.about, sort_keys=True)
    header = {"polypose": str(VERSION), "kind": packed.kind, "about": about}
    header["digest"] = _digest(packed.kind, about, tensors)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write_tensors(temporary, tensors, header)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_packed(path: Path) -> Packed:
    """Read a model's file; floating point as float32.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, of a later version, or no model of polypose.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a {NAME}, or the folder of a finished run")
    damaged = ValueError(f"{path}: is damaged; {AGAIN}")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            _check_version(path, header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        kind, text = header["kind"], header["about"]
        about = json.loads(text)
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError, RecursionError):
        raise damaged from None
    if header.get("digest") != _digest(kind, text, tensors) or not isinstance(about, dict):
        raise damaged
    return Packed(kind, about, {name: _loaded(value) for name, value in tensors.items()})


def _check_version(path: Path, header: Mapping[str, str]) -> None:
    version = header.get("polypose")
    if version is None:
        raise ValueError(
            f"{path}: holds tensors that polypose did not write; give a {NAME}, or the folder of a run"
        )
    if version != str(VERSION):
        raise ValueError(
            f"{path}: is of format {version[:20]}, this polypose reads {VERSION}; pip install -U polypose"
        )


def _digest(kind: str, about: str, tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(json.dumps([VERSION, kind, about]).encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    if value.is_floating_point():
        value = value.to(torch.float16 if half else torch.float32)
    return value.contiguous().clone()


def _loaded(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def own_tensors(network: nn.Module) -> dict[str, Tensor]:
    """A network's state, each tensor once: a part that is held under two names has the first."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value))
    return dict(found.values())


class _Undrawn(TorchFunctionMode):
    """Leaves out what draws: on the meta device it would import a compiler, which takes seconds."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function.__name__ == "normal_":  # a tensor's own, or `torch.nn.init`'s
            return args[0] if args else kwargs["tensor"]
        function = torch.empty if function == torch.randn else function
        return function(*args, **kwargs)


@contextmanager
def without_weights() -> Iterator[None]:
    """Networks made here have no memory yet: weights are not drawn only to be replaced (`fill`)."""
    with torch.device("meta"), _Undrawn():
        yield


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Give a network that was made without memory the tensors of a file.

    Raises:
        ValueError: they are not its own.
    """
    wanted = own_tensors(network)
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted or tensors[name].shape != wanted[name].shape:
            raise ValueError(f"{path}: {name} is not as this polypose has it; pip install -U polypose")
    network.load_state_dict(tensors, assign=True, strict=False)  # other names of the same part are missing


def as_schema(schema: Any, values: Any) -> Any:
    """A dataclass of exactly these values. TypeError where one is unknown or of another type."""
    made = schema(**{name: tuple(x) if isinstance(x, list) else x for name, x in values.items()})
    for field, default in zip(dataclasses.fields(schema), dataclasses.astuple(schema()), strict=True):
        value = getattr(made, field.name)
        kind = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(value, kind):
            raise TypeError(field.name)
    return made
