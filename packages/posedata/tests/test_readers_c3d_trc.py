"""C3D and TRC: what is written is read, as every system writes it; what cannot be read is named."""

from pathlib import Path

import numpy as np
import pytest
from marker_files import H36M, centres, check, naive_c3d, person, read, stacked, write_c3d, write_trc, y_up
from posedata.readers import read_c3d, read_trc
from posedata.readers.files.c3d import read_c3d as parse_c3d
from posedata.readers.trc import parse as parse_trc


@pytest.mark.parametrize("order", ["<", ">", "vax"])
@pytest.mark.parametrize("scale", [-1.0, 0.1])
def test_c3d_of_every_processor_gives_what_was_written(tmp_path: Path, order: str, scale: float) -> None:
    true = centres(person(), "hjc")
    places = stacked(true) * 1000
    places[1, 3] = np.nan
    file = write_c3d(tmp_path / "a.c3d", list(true), places, order=order, scale=scale, first=7)
    markers = parse_c3d(file, print)
    assert markers.labels == list(true)
    assert (markers.rate, markers.unit, markers.frames.tolist()) == (100, "mm", [7, 8, 9, 10])
    np.testing.assert_allclose(markers.places, places, atol=1e-3 if scale < 0 else 0.06)
    if order == "<" and scale < 0:
        np.testing.assert_array_equal(markers.places, naive_c3d(file))


def test_c3d_with_many_points_and_frames(tmp_path: Path) -> None:
    """Labels beyond 255 stand in LABELS2; a recording beyond 65,535 frames has its end in TRIAL."""
    true = centres(person(2), "hjc")
    labels = [f"extra{n}" for n in range(300)] + list(true)
    places = np.concatenate([np.ones((2, 300, 3)), stacked(true) * 1000], axis=1)
    markers = parse_c3d(write_c3d(tmp_path / "a.c3d", labels, places), print)
    assert markers.labels == labels
    notes: list[str] = []
    places = np.ones((70_000, 1, 3), np.float32)
    file = write_c3d(tmp_path / "b.c3d", ["A"], places, trial=True, analogue=0)
    assert len(parse_c3d(file, notes.append).places) == 70_000
    assert notes == []


def test_the_header_says_how_a_c3ds_frames_are_laid_out(tmp_path: Path) -> None:
    """A real file has 11 points in its header and 12 in POINT:USED; the header is right."""
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000, used=len(true) + 1)
    np.testing.assert_allclose(parse_c3d(file, print).places, stacked(true) * 1000, atol=1e-3)


def test_a_c3d_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    file.write_bytes(file.read_bytes()[:-100])
    (clip,), notes = read("c3d", file)
    assert len(clip.joints) == 3
    assert "a.c3d: says 4 frames and has 3" in notes[0]
    file.write_bytes(file.read_bytes()[:1100])
    with pytest.raises(ValueError, match=r"a\.c3d: has no frame of 14 points"):
        read("c3d", file)


@pytest.mark.parametrize("missing", ["", "NaN", "0.0"])
def test_markers_that_were_not_seen_are_not_valid(tmp_path: Path, missing: str) -> None:
    true = centres(person(), "hjc")
    places = stacked(true)
    places[2, list(true).index("LWJC")] = np.nan
    places[:, list(true).index("RAJC")][1] = np.nan
    text = write_trc(tmp_path / "a.trc", list(true), y_up(places), missing=missing)
    file = write_c3d(tmp_path / "a.c3d", list(true), places * 1000)
    for (clip,), _ in (read("trc", text), read("c3d", file)):
        expected = np.ones((4, 17), bool)
        expected[2, H36M.index("left_wrist")] = expected[1, H36M.index("right_ankle")] = False
        np.testing.assert_array_equal(clip.columns["valid"], expected)
        assert not clip.joints[~expected].any()


def test_several_people_in_a_file_are_clips(tmp_path: Path) -> None:
    one = {f"anna:{name}": place for name, place in centres(person(), "hjc").items()}
    two = {f"ben:{name}": place + 1 for name, place in centres(person(), "hjc").items()}
    both = one | two | {"*17": person()["head"]}
    clips, _ = read("c3d", write_c3d(tmp_path / "pair.c3d", list(both), stacked(both) * 1000))
    assert [(clip.subject, clip.sequence) for clip in clips] == [("anna", "pair-anna"), ("ben", "pair-ben")]
    np.testing.assert_allclose(clips[1].joints - clips[0].joints, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("unit", "written", "says"),
    [("m", 1, None), ("mm", 1000, None), ("cm", 100, None), ("meters", 1, None),
     ("mm", 1, "says mm and has legs"), ("", 1000, None), ("furlong", 100, None)],
)  # fmt: skip
def test_units_are_as_told_or_as_legs_are(tmp_path: Path, unit: str, written: int, says: str | None) -> None:
    true = person()
    labelled = centres(true, "hjc")
    text = write_trc(tmp_path / "a.trc", list(labelled), y_up(stacked(labelled)) * written, unit=unit or "-")
    (clip,), notes = read("trc", text)
    check(clip, true, ["left_knee", "head"], atol=1e-5)
    assert bool(says) == any(says in note for note in notes if says)
    (clip,), _ = read("trc", text, unit="inch")
    np.testing.assert_allclose(clip.joints[0, H36M.index("left_knee"), 2], 0.5 * written * 0.0254, rtol=1e-5)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_up_is_where_people_stand_and_told_if_unusual(tmp_path: Path, axis: str) -> None:
    true = person()
    labelled = centres(true, "hjc")
    z_up = stacked(labelled)
    turned = {"x": z_up[..., [2, 0, 1]], "y": y_up(z_up), "z": z_up}[axis]
    for form, file, usual in (
        ("c3d", write_c3d(tmp_path / "a.c3d", list(labelled), turned * 1000), "z"),
        ("trc", write_trc(tmp_path / "a.trc", list(labelled), turned), "y"),
    ):
        (clip,), notes = read(form, file)
        check(clip, true, ["left_knee", "head", "right_wrist"], atol=1e-5)
        told = f"people stand along {axis}, which is taken for up; say --up {usual} if they lie"
        assert any(told in note for note in notes) == (axis != usual)
        (clip,), _ = read(form, file, up=axis)
        check(clip, true, ["left_knee", "head"], atol=1e-5)


def test_frame_numbers_and_rates(tmp_path: Path) -> None:
    true = centres(person(12), "hjc")
    text = write_trc(tmp_path / "a.trc", list(true), y_up(stacked(true)), first=21)
    lines = text.read_text().splitlines()
    text.write_text("\n".join([*lines[:8], *lines[11:]]))
    (clip,), notes = read("trc", text)
    assert clip.columns["frame"].tolist() == [20, 21, 22, *range(26, 32)]
    assert "frames 24 to 26 are missing" in notes[0]
    (clip,), _ = read("trc", text, fps=20)
    assert clip.columns["frame"].tolist() == [6, 8, 9]
    text.write_text(text.read_text().replace("\n60\t60", "\n0\t60"))
    assert read("trc", text)[0][0].fps == 60
    text.write_text(text.read_text().replace("\n0\t60", "\n120\t60"))
    (clip,), notes = read("trc", text)
    assert clip.fps == 60
    assert any("says DataRate 120 and its times 60 frames/s" in note for note in notes)


def test_trc_of_other_hands_reads_the_same(tmp_path: Path) -> None:
    """Spaces in the header, tabs doubled in it, an empty line, lines that end in tabs, CRLF, a mark."""
    true = centres(person(), "hjc")
    text = write_trc(tmp_path / "a.trc", list(true), y_up(stacked(true)))
    whole = parse_trc(text, print)
    lines = text.read_text().splitlines()
    lines[2] = "  60.0\t\t 60.0\t\t  4\t   14\t m\t 60.0\t  1\t 4"
    lines[3] += "\t\t"
    lines[5:] = ["", *(f"{line}\t" for line in lines[5:])]
    text.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    again = parse_trc(text, print)
    assert (again.labels, again.rate, again.unit) == (whole.labels, whole.rate, "m")
    np.testing.assert_array_equal(again.places, whole.places)


def test_joints_that_cannot_be_had_are_named_or_marked(tmp_path: Path) -> None:
    true = {n: p for n, p in centres(person(), "hjc").items() if n != "LEJC"}
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    with pytest.raises(
        ValueError, match=r"a\.c3d: no left_elbow can be had from its labels \(LHJC, LKJC.*missing mark"
    ):
        read("c3d", file)
    (clip,), notes = read("c3d", file, missing="mark")
    assert not clip.columns["valid"][:, H36M.index("left_elbow")].any()
    assert clip.columns["valid"][:, H36M.index("left_wrist")].all()
    assert any("has no left_elbow, which are marked in 'valid'" in note for note in notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frame#", "Nr", r"is not a TRC file \(no 'DataRate' and 'Frame#' lines"),
        ("0.900000", "0,9", r"line \d+: '0,9' is not a number"),
        ("0.900000", "0.9\t0.9", r"line 6 has 45 values for 44"),
        ("\n2\t", "\n1\t", r"its frame numbers do not grow"),
        ("\n60\t60\t4\t14\tm", "\nx\t60\t4\t14\tm", None),
    ],
)
def test_a_trc_that_cannot_be_read_names_the_fault(
    tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    true = centres(person(), "hjc")
    places = stacked(true)
    places[0, 0, 0] = 0.9
    text = write_trc(tmp_path / "a.trc", list(true), places)
    assert old in text.read_text()
    text.write_text(text.read_text().replace(old, new, 1))
    if message is None:
        assert read("trc", text)[0][0].fps == 60  # by its times
        return
    with pytest.raises(ValueError, match=r"a\.trc: " + message):
        read("trc", text)


def test_what_is_no_c3d_is_refused(tmp_path: Path) -> None:
    true = centres(person(), "hjc")
    file = write_c3d(tmp_path / "a.c3d", list(true), stacked(true) * 1000)
    whole = file.read_bytes()
    for content, message in (
        (b"<html>" + bytes(2000), "is not a C3D file"),
        (whole[:700], "is not a C3D file"),
        (
            whole[:515] + b"\x00" + whole[516:],
            r"is not a C3D file that can be read \(its processor is unknown",
        ),
        (whole.replace(b"LABELS", b"LABELX"), "field POINT:LABELS is missing"),
        (
            whole.replace(b"RATE", b"RATX")[:20] + bytes(4) + whole.replace(b"RATE", b"RATX")[24:],
            "field POINT:RATE is 0",
        ),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.c3d: {message}"):
            read_c3d(file)
    with pytest.raises(ValueError, match="unit 'ell' is not known"):
        read_trc(file, unit="ell")
