"""`polypose view` opens a data set of every format that `posedata` reads, told its format or not."""

import sys
from pathlib import Path

import numpy as np
import pytest
from polypose.capture.reading import read_motion
from polypose.capture.view import view
from posedata.readers.merge import collect
from posedata.readers.registry import FORMATS, get_format
from posedata.skeleton import get_skeleton

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/posedata/tests"))

from formats_sets import SETS

SHOWN = {
    "joints": (1, 4, "h36m17"),
    "bvh": (1, 3, "h36m17"),
    "asf_amc": (1, 2, "h36m17"),
    "c3d": (1, 3, "h36m17"),
    "trc": (1, 3, "h36m17"),
    "h36m": (1, 3, "h36m17"),
    "h36m_npz": (1, 3, "h36m17"),
    "mpi_inf_3dhp": (1, 2, "h36m17"),
    "3dpw": (1, 2, "smpl24"),
    "interhand": (1, 2, "interhand42"),
    "itop": (1, 1, "itop15"),
    "ntu": (1, 4, "ntu25"),
    "panoptic": (1, 3, "panoptic19"),
    "coco": (2, 1, "coco17"),
    "coco_results": (1, 2, "coco17"),
    "openpose": (1, 3, "openpose25"),
    "alphapose": (1, 3, "coco17"),
    "mmpose": (1, 2, "coco17"),
    "rgbd": (2, 2, "coco17"),
}
"""People, frames and skeleton of the first sequence; from `coco` on there is 2D alone."""
FLAT = list(SHOWN)[list(SHOWN).index("coco") :]


def test_every_format_is_in_the_table():
    assert set(SHOWN) | {"amass"} == set(FORMATS)


@pytest.mark.parametrize("form", SHOWN)
def test_every_format_opens(tmp_path, form):
    made = SETS[form](tmp_path)
    motion = read_motion(made.source, say=lambda text: None)
    people, frames, skeleton = SHOWN[form]
    assert (len(motion.people), len(motion), motion.skeleton) == (people, frames, get_skeleton(skeleton))
    told = read_motion(made.source, form, say=lambda text: None)
    np.testing.assert_array_equal(motion.people[0].joints, told.people[0].joints)
    read = collect(get_format(form), made.source, lambda text: None)
    first = read.columns["sequence"] == read.columns["sequence"][0]
    if form in FLAT:
        standing(motion.people[0].joints, read, first)
    else:
        rows = np.flatnonzero(first & (read.columns["subject"] == read.columns["subject"][0]))
        rows = rows[np.unique(read.columns["frame"][rows], return_index=True)[1]]  # of cameras the first
        known = np.isfinite(motion.people[0].joints).all(-1)
        assert known.any()
        np.testing.assert_allclose(motion.people[0].joints[known], read.columns["joints"][rows][known])
    page = view(made.source, tmp_path / "page.html", say=lambda text: None)
    assert page.stat().st_size > 20_000


def standing(joints, read, first):
    """The first person's first frame is its keypoints, upright and at one scale."""
    (column,) = [name for name in read.columns if name.startswith("keypoints_")]
    points = read.columns[column][first][0]
    seen = points[:, 2] > 0
    np.testing.assert_array_equal(np.isfinite(joints[0]).all(-1), seen)
    pixels, flat = points[seen, :2], joints[0][seen]
    assert (flat[:, 1] == 0).all()
    x, z = (flat[:, axis] - flat[0, axis] for axis in (0, 2))
    scale = (x @ (pixels[:, 0] - pixels[0, 0])) / ((pixels[:, 0] - pixels[0, 0]) ** 2).sum()
    assert scale > 0
    np.testing.assert_allclose(x, scale * (pixels[:, 0] - pixels[0, 0]), atol=1e-6)
    np.testing.assert_allclose(z, scale * (pixels[0, 1] - pixels[:, 1]), atol=1e-6)
    assert np.nanmin(joints[..., 2]) >= 0


@pytest.mark.parametrize("form", ["amass", None])
def test_amass_says_what_it_needs(tmp_path, form):
    made = SETS["amass"](tmp_path)
    with pytest.raises(ValueError, match="give --model to posedata prepare amass, and view the store"):
        read_motion(made.files[0], form, say=lambda text: None)


def test_a_picture_alone_shows_nobody(tmp_path):
    made = SETS["rgbd"](tmp_path)
    with pytest.raises(ValueError, match="nobody in it is known"):
        read_motion(made.files[0], "rgbd", say=lambda text: None)
