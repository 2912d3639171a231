"""The synthetic human: bodies, motion, flesh, pictures of them, and the noise of a depth camera."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posedata.synthetic.body import Body, body_of, sample_bodies
    from posedata.synthetic.flesh import Flesh
    from posedata.synthetic.motion import Motion, generate_motion
    from posedata.synthetic.render import Rendered, Renderer
    from posedata.synthetic.sensor import kinect_noise

__all__ = [
    "Body",
    "Flesh",
    "Motion",
    "Rendered",
    "Renderer",
    "body_of",
    "generate_motion",
    "kinect_noise",
    "sample_bodies",
]

_HOMES = {
    "posedata.synthetic.body": ("Body", "body_of", "sample_bodies"),
    "posedata.synthetic.flesh": ("Flesh",),
    "posedata.synthetic.motion": ("Motion", "generate_motion"),
    "posedata.synthetic.render": ("Rendered", "Renderer"),
    "posedata.synthetic.sensor": ("kinect_noise",),
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
