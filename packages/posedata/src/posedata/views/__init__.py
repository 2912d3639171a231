"""Views of poses, as recorded or by virtual cameras; rigs, detector noise, other bodies, clips, crops."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.views.batch import BOX_ASPECT, BOX_MARGIN, Track, Views, given, see
    from posedata.views.bodies import Bodies
    from posedata.views.clips import choose_clips, windows
    from posedata.views.crops import DepthCrop, cloud_crop, depth_crop
    from posedata.views.mixed import MixedViews
    from posedata.views.recorded import RecordedViews, moments
    from posedata.views.rigs import RIGS, Rig, get_rig, sample_cameras
    from posedata.views.squares import SQUARE_MARGIN, square
    from posedata.views.surface import surface_points
    from posedata.views.virtual import VirtualViews
    from posedata.views.writing import add_views

__all__ = [
    "BOX_ASPECT",
    "BOX_MARGIN",
    "RIGS",
    "SQUARE_MARGIN",
    "Bodies",
    "DepthCrop",
    "MixedViews",
    "RecordedViews",
    "Rig",
    "Track",
    "Views",
    "VirtualViews",
    "add_views",
    "choose_clips",
    "cloud_crop",
    "depth_crop",
    "get_rig",
    "given",
    "moments",
    "sample_cameras",
    "see",
    "square",
    "surface_points",
    "windows",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
