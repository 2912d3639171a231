"""The synthetic human: bodies, motion, flesh, pictures of them, and the noise of a depth camera."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.synthetic.filming import film
    from posedata.synthetic.flesh import Flesh
    from posedata.synthetic.people.body import Body, body_of, sample_bodies
    from posedata.synthetic.people.motion import Motion, generate_motion
    from posedata.synthetic.render import Rendered, Renderer
    from posedata.synthetic.sensor import kinect_noise

__all__ = [
    "Body",
    "Flesh",
    "Motion",
    "Rendered",
    "Renderer",
    "body_of",
    "film",
    "generate_motion",
    "kinect_noise",
    "sample_bodies",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
