"""The synthetic human: bodies, motion, flesh, pictures of them, and the noise of a depth camera."""

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
