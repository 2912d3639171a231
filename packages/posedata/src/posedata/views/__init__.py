"""How cameras see poses: rigs of virtual cameras, a detector's noise, other bodies, crops of hands."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.views.rigs import RIGS, Rig, get_rig, sample_cameras
    from posedata.views.virtual import BOX_ASPECT, BOX_MARGIN, add_views

__all__ = [
    "BOX_ASPECT",
    "BOX_MARGIN",
    "RIGS",
    "Rig",
    "add_views",
    "get_rig",
    "sample_cameras",
]

_HOMES = {
    "posedata.views.rigs": ("RIGS", "Rig", "get_rig", "sample_cameras"),
    "posedata.views.virtual": ("BOX_ASPECT", "BOX_MARGIN", "add_views"),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOMES)
