"""What users read where a file is wrong: our own words, with file, field, frame, and a cure that works."""

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import formats_photo
import formats_sets
import numpy as np
import pytest
from formats_fuzz import LIBRARY, read_all
from formats_sets import SETS, DataSet
from posedata.prepare import prepare
from posedata.readers import read_h36m_npz, read_joints


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut short, overwritten, and other things under the name."""
    yield from (
        b"",
        b"x",
        bytes(len(data)),
        b"<html>log in</html>",
        b"PK\x03\x04",
        b"\x80\x02}q\x00.",
        b"\x89HDF\r\n\x1a\n",
    )
    for _ in range(4):
        yield data[: rng.randrange(len(data))]
        at = rng.randrange(len(data))
        yield data[:at] + rng.randbytes(8) + data[at + 8 :]


@pytest.mark.parametrize("name", SETS)
def test_no_librarys_text_reaches_a_user(tmp_path: Path, name: str) -> None:
    for folder in ("in", "scratch"):
        (tmp_path / folder).mkdir()
    data: DataSet = SETS[name](tmp_path / "in")
    rng = random.Random(name)
    for file in data.files:
        whole = file.read_bytes()
        for content in damaged(whole, rng):
            file.write_bytes(content)
            shutil.rmtree(tmp_path / "scratch")
            (tmp_path / "scratch").mkdir()
            text = said(name, data, tmp_path / "scratch")
            assert not LIBRARY.search(text), text
            assert "\n" not in text
        file.write_bytes(whole)


def said(name: str, data: DataSet, scratch: Path) -> str:
    try:
        read_all(name, data, scratch)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return ""


OTHERS = {"complex64": np.complex64, "bool": np.bool_, "<U4": "<U4", "object": object}


@pytest.mark.parametrize("kind", OTHERS)
def test_arrays_of_other_kinds_are_refused_as_such(tmp_path: Path, kind: str) -> None:
    (tmp_path / "joints").mkdir()
    path = formats_sets.write_joints(tmp_path / "joints").source
    with np.load(path) as held:
        arrays: dict[str, Any] = dict(held)
    arrays["joints"] = arrays["joints"].astype(OTHERS[kind])
    np.savez(path, **arrays)
    wanted = (
        "holds pickled objects"
        if kind == "object"
        else f"joints is an array of {re.escape(kind)}, wanted real"
    )
    with pytest.raises(ValueError, match=wanted):
        read_joints(path)
    table = {"S9": {"Walking 1": np.zeros((3, 32, 3)).astype(OTHERS[kind])}}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(table, dtype=object))
    with pytest.raises(
        ValueError, match=rf"S9 Walking 1: is an array of {re.escape(kind)}, wanted an array of floats"
    ):
        read_h36m_npz(tmp_path)
    raw = tmp_path / "amass"
    raw.mkdir()
    data = formats_sets.write_amass(raw)
    motion = formats_photo.amass_motion(np.random.default_rng(0), frames=2)
    motion["poses"] = motion["poses"].astype(OTHERS[kind])
    np.savez(data.files[0], **motion)
    wanted = (
        "holds pickled objects"
        if kind == "object"
        else rf"poses is {re.escape(kind)} \(2, 156\), wanted floats"
    )
    with pytest.raises(ValueError, match=wanted):
        prepare("amass", data.source, tmp_path / "out", **data.options)


def test_a_joint_that_is_not_finite_is_named_by_row_and_joint(tmp_path: Path) -> None:
    path = formats_sets.write_joints(tmp_path).source
    with np.load(path) as held:
        arrays: dict[str, Any] = dict(held)
    arrays["joints"][[2, 4], 5] = np.nan
    np.savez(path, **arrays)
    with pytest.raises(
        ValueError, match=r"joints\.npz: joints row 2: left_knee is not finite, as in 2 rows; leave"
    ):
        prepare("joints", path, tmp_path / "out")


CAMERAS = {
    "orientation": ([1, 0, 0], "orientation is not a list of 4 numbers"),
    "translation": ("x", "translation is not a list of 3 numbers"),
    "center": ([[500.0], [None]], "center is not a list of 2 numbers"),
    "res_w": (0, "focal_length, res_w or res_h is not positive"),
    "focal_length": ([10**400, 1], "focal_length is not a list of 2 numbers"),
    "tangential_distortion": (..., "lacks tangential_distortion"),
}


@pytest.mark.parametrize("field", CAMERAS)
def test_cameras_as_json_name_the_field(tmp_path: Path, field: str) -> None:
    import json

    data = formats_sets.write_h36m_npz(tmp_path)
    value, message = CAMERAS[field]
    told = json.loads(data.files[2].read_text())
    told["S9"][0].pop(field) if value is ... else told["S9"][0].update({field: value})
    data.files[2].write_text(json.dumps(told))
    with pytest.raises(ValueError, match=rf"cameras\.json: S9 camera 0: {message}"):
        read_h36m_npz(data.source, **data.options)
