"""A model by where it is: the package's own, a run's, a file, a name on the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, overload

from posediff.network import ResidualMLP

from polypose.depth import DepthLifter
from polypose.held import Kept
from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.packed import NAME, fill, read_packed
from polypose.senses.model import SensesModel

WEIGHTS = Path(__file__).with_name("weights")
PACKAGED = WEIGHTS / "unihpr.safetensors"
INVARIANT = WEIGHTS / "vvipe.safetensors"
SMALL = WEIGHTS / "small.safetensors"
DEPTH = WEIGHTS / "depth.safetensors"
KINDS: dict[str, type[Kept[Any]]] = {
    kind.kind: kind for kind in (Model, ViewInvariant, SensesModel, DepthLifter)
}
OWN: dict[Any, tuple[Path, str]] = {
    None: (
        PACKAGED,
        "a run's folder (typer apps/unihpr train makes one), a model.safetensors, or a name on the hub",
    ),
    "small": (SMALL, "a file that typer apps/unihpr release --recipe release-small wrote"),
    "view-invariant": (
        INVARIANT,
        "the folder of a run of V-VIPE (typer apps/vvipe train makes one) or its model.safetensors",
    ),
    "depth": (DEPTH, "a file that typer apps/unipose release wrote"),
}
"""The package's own weights by name, and what to give where they are missing."""
_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*(?<!\.safetensors)")


@overload
def load(source: Literal["small"] | None = None) -> Model: ...
@overload
def load(source: Literal["view-invariant"]) -> ViewInvariant: ...
@overload
def load(source: Literal["depth"]) -> DepthLifter: ...
@overload
def load(source: str | Path | None) -> Any: ...
def load(source: str | Path | None = None) -> Any:
    """A trained model, on the CPU: a `Model`; of V-VIPE's runs a `ViewInvariant`, of senses a
    `SensesModel`, of UniPose's depth student a `DepthLifter`.

    Args:
        source: the folder of a finished run; a file that training or `save` wrote; "user/name" on the hub
            (`pip install 'polypose[hub]'`); "view-invariant", the package's V-VIPE; "depth", its student of
            UniPose; "small", a lifter of keypoints half as wide; or nothing: the package's UniHPR.

    Raises:
        FileNotFoundError: there is no model there.
        ValueError: the file is damaged, of a later version, of another kind or no model.
    """
    path = _path(source)
    if path.is_dir():
        path /= NAME
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; finish the training (--resume), which writes it")
    packed = read_packed(path)
    if packed.kind not in KINDS:
        known = ", ".join(KINDS)
        raise ValueError(f"{path}: holds a model of kind {packed.kind[:40]!r}, this polypose loads {known}")
    kind = KINDS[packed.kind]
    about, unknown = (
        dict(packed.about),
        f"{path}: says what this polypose does not know; pip install -U polypose",
    )
    try:
        if about.pop("skeleton") != kind.skeleton.name:
            raise ValueError(f"{path}: poses are not {kind.skeleton.name}; pip install -U polypose")
        model = kind.described(about, str(path))
    except (TypeError, KeyError):
        raise ValueError(unknown) from None
    fill(model.network, packed.tensors, path)
    for part in model.network.modules():
        if isinstance(part, ResidualMLP):
            part.settle()
    return model


def _path(source: str | Path | None) -> Path:
    if source is None or source in OWN:
        path, other = OWN[source]
        if not path.is_file():
            named = "" if source is None else f"{source} "
            raise FileNotFoundError(f"no {named}weights come with this version of polypose: give {other}")
        return path
    path = Path(source)
    if isinstance(source, str) and not path.exists() and _HUB.fullmatch(source):
        from polypose.hub import fetched

        return fetched(source)
    if not path.exists():
        own = ", ".join(name for name in OWN if name)
        raise FileNotFoundError(
            f"{path}: no such file; give a {NAME}, the folder of a finished run, or a name: {own}"
        )
    return path
