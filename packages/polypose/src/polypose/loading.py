"""A model by where it is: the package's own, a run's, a file, a name on the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, overload

from posediff.network import ResidualMLP

from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import POSE_SKELETON
from polypose.packed import NAME, fill, read_packed
from polypose.senses.model import SensesModel

WEIGHTS = Path(__file__).with_name("weights")
PACKAGED = WEIGHTS / "unihpr.safetensors"
INVARIANT = WEIGHTS / "vvipe.safetensors"
KINDS: dict[str, type[Model] | type[ViewInvariant] | type[SensesModel]] = {
    kind.kind: kind for kind in (Model, ViewInvariant, SensesModel)
}
_HUB = re.compile(r"[\w.-]+/[\w.-]+(?<!\.safetensors)")


@overload
def load(source: None = None) -> Model: ...
@overload
def load(source: Literal["view-invariant"]) -> ViewInvariant: ...
@overload
def load(source: str | Path | None) -> Any: ...
def load(source: str | Path | None = None) -> Any:
    """A trained model, on the CPU: a `Model`; of V-VIPE's runs a `ViewInvariant`, of senses a `SensesModel`.

    Args:
        source: the folder of a finished run; a file that training or `save` wrote; "user/name" on the hub
            (`pip install 'polypose[hub]'`); "view-invariant", the package's V-VIPE; or nothing: the package's
            UniHPR.

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
        known = " and ".join(KINDS)
        raise ValueError(f"{path}: holds a model of kind {packed.kind[:40]!r}, this polypose loads {known}")
    about, unknown = (
        dict(packed.about),
        f"{path}: says what this polypose does not know; pip install -U polypose",
    )
    try:
        if about.pop("skeleton") != POSE_SKELETON.name:
            raise ValueError(f"{path}: poses are not {POSE_SKELETON.name}; pip install -U polypose")
        model = KINDS[packed.kind].described(about, str(path))
    except (TypeError, KeyError):
        raise ValueError(unknown) from None
    fill(model.network, packed.tensors, path)
    for part in model.network.modules():
        if isinstance(part, ResidualMLP):
            part.settle()
    return model


def _path(source: str | Path | None) -> Path:
    if source is None:
        if not PACKAGED.is_file():
            raise FileNotFoundError(
                "no weights come with this version of polypose: give a run's folder (typer apps/unihpr train"
                " makes one), a model.safetensors, or a name on the hub"
            )
        return PACKAGED
    if source == "view-invariant":
        if not INVARIANT.is_file():
            raise FileNotFoundError(
                "no view-invariant weights come with this version of polypose: give the folder of a run of"
                " V-VIPE (typer apps/vvipe train makes one) or its model.safetensors"
            )
        return INVARIANT
    path = Path(source)
    if isinstance(source, str) and not path.exists() and _HUB.fullmatch(source):
        from polypose.hub import fetched

        return fetched(source)
    return path
