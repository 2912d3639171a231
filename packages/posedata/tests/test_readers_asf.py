"""ASF/AMC: what ":root", ":units" and AMC's header say is kept, and what exporters write differently."""

from pathlib import Path

import numpy as np
import pytest
from formats_sets import write_asf_amc
from naive_asf import naive_ends
from posedata.readers.asf_amc import bone_ends, read_amc, read_asf
from posedata.readers.format import Clip, Context
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton

H36M = get_skeleton("h36m17").joints
UNIT = 0.0254 / 0.45
QUARTER = {"x": ([1, 0, 0], [0, 0, 1], [0, -1, 0]), "y": ([0, 0, -1], [0, 1, 0], [1, 0, 0])}
ABOUT = {axis: np.array(columns, dtype=float).T for axis, columns in QUARTER.items()}
"""A quarter turn about an axis: where x, y and z go."""

ONE_BONE = """\
:units
  length 0.45
  angle {angle}
:root
  order {order}
  axis {axis}
  position {position}
  orientation {orientation}
:bonedata
  begin
     name shin
     direction 0 -1 0
     length 6
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root shin
  end
"""


def shin(folder: Path, amc: str, **root: str) -> tuple[np.ndarray, np.ndarray]:
    """Where root and shin end in the file's units, of a bone six units down from the root."""
    said = {"angle": "deg", "order": "TX TY TZ RX RY RZ", "axis": "XYZ", "position": "0 0 0"}
    (folder / "a.asf").write_text(ONE_BONE.format(**{**said, "orientation": "0 0 0", **root}))
    (folder / "a.amc").write_text(amc)
    ends = bone_ends(read_asf(folder / "a.asf"), read_amc(folder / "a.amc"), folder / "a.amc")
    return ends["root"] / UNIT, ends["shin"] / UNIT


def read(folder: Path, **options: object) -> tuple[list[Clip], list[str]]:
    notes: list[str] = []
    form, context = get_format("asf_amc", **options), Context(folder, notes.append)
    return [clip for unit in form.plan(folder, context).units for clip in form.read(unit, context)], notes


def test_the_roots_values_come_in_its_order(tmp_path: Path) -> None:
    whole, end = shin(tmp_path, "1\nroot 1 2 3 90 0 0\n")
    np.testing.assert_allclose(whole, [[1, 2, 3]], atol=1e-9)
    np.testing.assert_allclose(end, [[1, 2, 3 - 6]], atol=1e-9)  # down turns to -z about x
    for order, values in {
        "RX RY RZ TX TY TZ": "90 0 0 1 2 3",
        "TZ TY TX RZ RY RX": "3 2 1 0 0 90",
        "rx tx ry ty rz tz": "90 1 0 2 0 3",
    }.items():
        same = shin(tmp_path, f"1\nroot {values}\n", order=order)
        np.testing.assert_allclose(same, (whole, end), atol=1e-9)
    turned, _ = shin(tmp_path, "1\nroot 0 90 0\n", order="RX RY RZ")
    np.testing.assert_allclose(turned, [[0, 0, 0]], atol=1e-9)


def test_the_roots_position_is_added_and_its_orientation_turns_the_skeleton(tmp_path: Path) -> None:
    root, end = shin(tmp_path, "1\nroot 1 2 3 0 0 0\n", position="0 17 1", orientation="90 0 0")
    np.testing.assert_allclose(root, [[1, 19, 4]], atol=1e-9)
    np.testing.assert_allclose(end, [[1, 19, 4 - 6]], atol=1e-9)


def test_the_roots_axis_is_the_order_of_its_rotations(tmp_path: Path) -> None:
    down, both = np.array([0, -6.0, 0]), "1\nroot 0 0 0 90 90 0\n"
    np.testing.assert_allclose(shin(tmp_path, both)[1][0], ABOUT["y"] @ ABOUT["x"] @ down, atol=1e-9)
    turned = shin(tmp_path, both, axis="ZYX")[1][0]
    np.testing.assert_allclose(turned, ABOUT["x"] @ ABOUT["y"] @ down, atol=1e-9)


def test_a_cmu_like_skeleton_is_posed_as_a_naive_twin_poses_it(tmp_path: Path) -> None:
    asf, amc = write_asf_amc(tmp_path).files
    ends = bone_ends(read_asf(asf), read_amc(amc), amc)
    for name, place in naive_ends(asf, amc).items():
        np.testing.assert_allclose(ends[name], place, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("head", [":RADIANS", ":FULLY-SPECIFIED\n:radians"])
def test_the_amcs_header_tells_its_angles(tmp_path: Path, head: str) -> None:
    quarter = f"{np.pi / 2:.9f}"
    end = shin(tmp_path, f"{head}\n1\nroot 0 0 0 {quarter} 0 0\n")[1]
    np.testing.assert_allclose(end, [[0, 0, -6]], atol=1e-6)
    # The skeleton's angles are degrees nonetheless, and the reverse.
    end = shin(tmp_path, f"{head}\n1\nroot 0 0 0 0 0 0\n", orientation="90 0 0")[1]
    np.testing.assert_allclose(end, [[0, 0, -6]], atol=1e-6)
    end = shin(tmp_path, ":DEGREES\n1\nroot 0 0 0 0 0 0\n", orientation=f"{quarter} 0 0", angle="rad")[1]
    np.testing.assert_allclose(end, [[0, 0, -6]], atol=1e-6)
    end = shin(tmp_path, f"1\nroot 0 0 0 {quarter} 0 0\n", angle="rad")[1]
    np.testing.assert_allclose(end, [[0, 0, -6]], atol=1e-6)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"order": "TX TY TX RX RY RZ"}, "':root' has order tx ty tx"),
        ({"order": "TX TY TZ RX RY L"}, "':root' has order tx ty tz rx ry l"),
        ({"axis": "XXZ"}, "only TX TY TZ RX RY RZ and an axis of XYZ are read"),
        ({"position": "0 one 0"}, "':root' position is not three numbers"),
        ({"orientation": "0 0"}, "':root' orientation is not three numbers"),
    ],
)
def test_a_root_that_cannot_be_read_is_refused(tmp_path: Path, said: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.asf: .*{message}"):
        shin(tmp_path, "1\nroot 0 0 0 0 0 0\n", **said)


def numbered(folder: Path, numbers: list[int]) -> None:
    """The small CMU-like set with these frames."""
    amc = write_asf_amc(folder).files[1]
    head, _, frames = amc.read_text().partition("1\nroot")
    bones = "root" + frames.partition("\n2\n")[0]
    amc.write_text(head + "".join(f"{n}\n{bones}\n" for n in numbers))


def test_missing_frames_leave_a_gap_that_is_told(tmp_path: Path) -> None:
    numbered(tmp_path, [*range(1, 11), *range(101, 111)])
    (clip,), notes = read(tmp_path)
    assert clip.columns["frame"].tolist() == [*range(10), *range(100, 110)]
    assert "07_01-walk.amc: frames 11 to 100 are missing; " in notes[0]
    (clip,), _ = read(tmp_path, fps=30)
    assert clip.columns["frame"].tolist() == [0, 1, 2, 25, 26, 27]
    numbered(tmp_path, [135, 136, 138, 139, 142])
    (clip,), notes = read(tmp_path)
    assert clip.columns["frame"].tolist() == [134, 135, 137, 138, 141]
    assert "frames 137 to 137 are missing (and 1 more gaps)" in notes[0]


@pytest.mark.parametrize("numbers", [[1, 2, 2], [5, 1], [1, 2, 3, 1, 2]])
def test_two_recordings_in_a_file_are_refused(tmp_path: Path, numbers: list[int]) -> None:
    numbered(tmp_path, numbers)
    with pytest.raises(
        ValueError, match=r"07_01-walk\.amc: line \d+: frame \d comes after frame \d; are these"
    ):
        read(tmp_path)


def test_marks_line_ends_and_other_systems_files_change_nothing(tmp_path: Path) -> None:
    files = write_asf_amc(tmp_path).files
    (whole,), _ = read(tmp_path)
    (tmp_path / "._07.asf").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    texts = [file.read_text() for file in files]
    for change in (
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\t\n ").encode("utf-16"),
    ):
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(change(text))
        (clip,), notes = read(tmp_path)
        np.testing.assert_array_equal(clip.joints, whole.joints)
        assert notes == []
    for file in files:
        file.rename(file.with_suffix(file.suffix.upper()))
    np.testing.assert_array_equal(read(tmp_path)[0][0].joints, whole.joints)


def test_the_asf_is_found_by_its_name_too(tmp_path: Path) -> None:
    """As in recordings that are called backflip.amc and charleston2.amc."""
    for name, length in (("backflip", "0.45"), ("charleston", "0.9")):
        asf, amc = write_asf_amc(tmp_path).files
        text = asf.read_text().replace("length 0.45", f"length {length}")
        (tmp_path / f"{name}.asf").write_text(text)
        (tmp_path / f"{name}{'2' if name == 'charleston' else ''}.amc").write_text(amc.read_text())
        asf.unlink(), amc.unlink()
    (one, two), _ = read(tmp_path)
    assert (one.sequence, two.sequence) == ("backflip", "charleston2")
    np.testing.assert_allclose(one.joints, 2 * two.joints, atol=1e-5)


def test_lengths_that_are_not_in_inches_are_taken_as_people_are(tmp_path: Path) -> None:
    asf = write_asf_amc(tmp_path).files[0]
    (cmu,), notes = read(tmp_path)
    text = asf.read_text()
    assert notes == []
    for n in range(7, 2, -1):  # bones of 3 to 7 become 42 to 98
        text = text.replace(f"     length {n}\n", f"     length {14 * n}\n")
    asf.write_text(text.replace("length 0.45", "length 1.0"))
    (clip,), notes = read(tmp_path)
    leg = [H36M.index(f"left_{part}") for part in ("hip", "knee", "ankle")]
    length, short = (np.linalg.norm(np.diff(c.joints[0, leg], axis=0), axis=-1).sum() for c in (clip, cmu))
    np.testing.assert_allclose(length, short / UNIT * 14 / 100, rtol=1e-5)
    assert "taken for centimetres" in notes[0]
