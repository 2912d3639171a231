"""The synthetic human: bodies, motion, flesh, pictures of them, and the noise of a depth camera."""

from posedata.synthetic.body import Body, body_of, sample_bodies
from posedata.synthetic.motion import Motion, generate_motion

__all__ = ["Body", "Motion", "body_of", "generate_motion", "sample_bodies"]
