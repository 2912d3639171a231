"""Motion: what it refuses, and what it tells of itself."""

import re
from dataclasses import replace

import numpy as np
import pytest
from polypose.capture.motion import LONE_FRAME_RATE, Motion, Person
from walkers import RATE, walkers

ONE = Person(1, 0, np.zeros((3, 17, 3)), np.ones((3, 17)))


def test_a_motion_knows_its_rate_and_whose_frames_are_whose():
    motion = walkers()
    assert motion.rate == pytest.approx(RATE)
    assert len(motion) == 48
    assert [person.frames for person in motion.people] == [slice(0, 40), slice(8, 48)]
    assert motion.skeleton.name == "h36m17"
    assert Motion(np.array([7.0])).rate == LONE_FRAME_RATE


def test_a_variable_frame_rate_is_the_median():
    assert Motion(np.array([0.0, 0.1, 0.2, 0.3, 5.0])).rate == pytest.approx(10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joints": np.zeros((17, 3))}, "person 1: joints has shape"),
        ({"sd": np.zeros((2, 17))}, "person 1: sd has shape (2, 17), want (3, 17)"),
        ({"covariance": np.zeros((3, 17, 3))}, "covariance has shape"),
        ({"keypoints": {"a": np.zeros((3, 17, 2))}}, "keypoints of 'a' has shape"),
        ({"id": 0}, "ids count from 1"),
        ({"first": -1}, "first is -1"),
    ],
)
def test_a_person_of_other_shapes_is_refused(change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        replace(ONE, **change)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"times": np.array([0.0, 0.0, 1.0])}, "not ascending"),
        ({"times": np.array([])}, "not ascending"),
        ({"people": (ONE, ONE)}, "people repeat a name"),
        ({"people": (replace(ONE, first=1),)}, "frames 1 to 3, the motion ends at 2"),
        ({"people": (Person(1, 0, np.zeros((3, 16, 3)), np.ones((3, 16))),)}, "has 16 joints, h36m17 has 17"),
        ({"people": (replace(ONE, keypoints={"x": np.zeros((3, 17, 3))}),)}, "which is no view of []"),
    ],
)
def test_a_motion_that_cannot_be_is_refused(fields, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Motion(**({"times": np.arange(3.0)} | fields))
