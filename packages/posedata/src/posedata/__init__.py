"""Skeletons, cameras, metrics, the pose store, dataset readers and a synthetic human.

Here are the objects that everything else passes about; the rest is in its modules. Nothing is imported until
it is asked for.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posedata.align import Similarity, align, kabsch, procrustes, root_relative
    from posedata.boxes import bounding_box, bounding_box_token, denormalise_keypoints, normalise_keypoints
    from posedata.camera import Camera
    from posedata.skeleton import SKELETONS, Skeleton, get_skeleton

__all__ = [
    "SKELETONS",
    "Camera",
    "Similarity",
    "Skeleton",
    "align",
    "bounding_box",
    "bounding_box_token",
    "denormalise_keypoints",
    "get_skeleton",
    "kabsch",
    "normalise_keypoints",
    "procrustes",
    "root_relative",
]

_HOMES = {
    "posedata.align": ("Similarity", "align", "kabsch", "procrustes", "root_relative"),
    "posedata.boxes": ("bounding_box", "bounding_box_token", "denormalise_keypoints", "normalise_keypoints"),
    "posedata.camera": ("Camera",),
    "posedata.skeleton": ("SKELETONS", "Skeleton", "get_skeleton"),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `posedata.align` the function when the module of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
