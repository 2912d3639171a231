"""Films, photos and recordings as frames: times, turning, damage."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from made_films import number_of, picture, turn, write_film, write_sound
from PIL import Image
from polypose.capture.films import WHOLE, Span, ahead, open_films


def read(path: Path, span: Span = WHOLE, after: float | None = None) -> tuple[list, list, list]:
    """Times, numbers of frames, what was told."""
    told: list[str] = []
    (film,) = open_films(path)
    frames = [(f.time, number_of(f.image())) for f in film.frames(span, after, told.append)]
    return [time for time, _ in frames], [number for _, number in frames], told


def test_a_film_of_even_rate(tmp_path):
    path = write_film(tmp_path / "even.mp4")
    (film,) = open_films(path)
    assert (film.name, film.size, film.rate, film.count) == ("even", (64, 48), 10.0, 8)
    times, numbers, told = read(path)
    np.testing.assert_allclose(times, np.arange(8) / 10)
    assert numbers == list(range(8))
    assert told == []
    np.testing.assert_allclose(film.clock(), times)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_presentation_times_rule(tmp_path, suffix):
    stamps = [0, 40, 200, 210, 500, 900, 1000, 1500]
    times, numbers, told = read(write_film(tmp_path / f"uneven{suffix}", stamps=stamps))
    np.testing.assert_allclose(times, np.array(stamps) / 1000)
    assert numbers == list(range(8))
    assert told == []


def test_span_and_resumption(tmp_path):
    path = write_film(tmp_path / "long.mp4", 40)
    assert read(path, Span(1.0, 2.0, 3))[1] == [10 % 12, 13 % 12, 16 % 12, 19 % 12]
    whole = read(path, Span(0.3, 3.0, 2))[0]
    for done in (1, 5, 9):
        later = read(path, Span(0.3, 3.0, 2), after=whole[done])[0]
        assert later == whole[done + 1 :]
    (film,) = open_films(path)
    assert film.expected(WHOLE) == 40
    assert film.expected(Span(1.0, 2.0, 2)) == 5


@pytest.mark.parametrize(("quarter", "red"), [(0, (0, 0)), (1, (0, 1)), (2, (1, 1)), (3, (1, 0))])
def test_phones_turn_their_films(tmp_path, quarter, red):
    path = turn(write_film(tmp_path / "phone.mp4"), quarter)
    (film,) = open_films(path)
    image = next(film.frames(WHOLE)).image()
    height, width = image.shape[:2]
    assert film.size == (width, height) == ((48, 64) if quarter % 2 else (64, 48))
    corner = {
        (row, column): image[(height // 4, -height // 4)[row], (width // 4, -width // 4)[column], 0] > 150
        for row in (0, 1)
        for column in (0, 1)
    }
    assert [place for place, is_red in corner.items() if is_red] == [red]


def test_ten_bits_and_one_frame(tmp_path):
    deep = write_film(tmp_path / "deep.mkv", codec="ffv1", pixels="yuv420p10le")
    assert read(deep)[1] == list(range(8))
    (film,) = open_films(deep)
    assert next(film.frames(WHOLE)).image().dtype == np.uint8
    assert read(write_film(tmp_path / "one.mp4", 1))[:2] == ([0.0], [0])


def test_what_was_whole_of_a_cut_film_is_used(tmp_path):
    for name, options in (("cut.mkv", {}), ("cut.mp4", {"movflags": "faststart"})):
        path = write_film(tmp_path / name, 60, (320, 240), options=options)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
        times, numbers, told = read(path)
        assert 20 < len(times) < 50
        assert numbers == [round(time * 10) % 12 for time in times]
        (text,) = [line for line in told if "breaks off" in line]
        assert text.startswith(f"{name}: breaks off after {times[-1]:.2f} s, about ")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts"])
def test_a_film_whose_clock_begins_late_is_whole(tmp_path, suffix):
    codec = "libvpx" if suffix == ".webm" else "libx264"
    stamps = range(5000, 5000 + 40 * 33, 33)
    path = write_film(tmp_path / f"late{suffix}", 40, stamps=stamps, codec=codec)
    times, numbers, told = read(path)
    assert times == pytest.approx(np.arange(40) * 0.033, abs=2e-3)
    assert (len(numbers), told) == (40, [])


def test_damage_in_the_middle_is_left_out(tmp_path):
    path = write_film(tmp_path / "dirty.mkv", 60, (320, 240))
    with av.open(str(path)) as container:
        damaged = next(packet for packet in container.demux(video=0) if packet.pts and packet.pts >= 3000)
    content = bytearray(path.read_bytes())
    place = content.index(bytes(damaged), damaged.pos)
    content[place : place + damaged.size] = b"\xff" * damaged.size
    path.write_bytes(bytes(content))
    times, numbers, told = read(path)
    assert set(range(60)) - {round(time * 10) for time in times} == {30}
    assert numbers == [round(time * 10) % 12 for time in times]
    assert any("damaged; left out" in text for text in told)


def test_a_size_that_changes_ends_the_film(tmp_path):
    first = write_film(tmp_path / "a.h264", 4).read_bytes()
    second = write_film(tmp_path / "b.h264", 4, (96, 64)).read_bytes()
    (tmp_path / "both.h264").write_bytes(first + second)
    _, numbers, told = read(tmp_path / "both.h264")
    assert numbers == [0, 1, 2, 3]
    assert "both.h264: the size changes from 64x48 to 96x64 after 0.12 s; the rest is left out" in told
    assert "both.h264: frames carry no times; the file's rate is taken for granted" in told


def test_no_films_in_one_line(tmp_path):
    write_sound(tmp_path / "sound.m4a")
    whole = write_film(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for name, says in (
        ("sound.m4a", "holds sound and no film"),
        ("half.mp4", "not a whole one"),
        ("text.mp4", "is no film"),
        ("text.jpg", "is no picture"),
        ("empty", "holds no photo"),
    ):
        with pytest.raises(ValueError, match=says) as error:
            open_films(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_films(tmp_path / "nowhere.mp4")


@pytest.mark.parametrize("span", [Span(-1), Span(3, 2), Span(every=0), Span(every=1.5), Span(float("nan"))])
def test_spans_that_are_none(span):
    with pytest.raises(ValueError, match="--"):
        span.checked()


def exif(orientation: int | None = None, focal: int | None = None) -> Image.Exif:
    told = Image.Exif()
    if orientation:
        told[0x0112] = orientation
    if focal:
        told.get_ifd(0x8769)[0xA405] = focal
    return told


def test_a_photo_is_turned_and_tells_its_lens(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(5)).save(path, exif=exif(6, 28), quality=95)
    (film,) = open_films(path)
    assert (film.size, film.exif_focal, film.rate, film.count) == ((48, 64), 28.0, 0.0, 1)
    (frame,) = film.frames(WHOLE)
    image = frame.image()
    assert image.shape == (64, 48, 3)
    assert image[10, 40, 0] > 180 > image[10, 10, 0]  # shown a quarter turn with the clock
    assert number_of(image) == 5


def test_a_folder_is_photos_or_with_a_rate_a_film(tmp_path):
    for number in (0, 1, 2, 10):
        Image.fromarray(picture(number)).save(tmp_path / f"frame{number}.png")
    assert [film.name for film in open_films(tmp_path)] == ["frame0", "frame1", "frame2", "frame10"]
    (film,) = open_films(tmp_path, rate=5)
    assert [(f.time, number_of(f.image())) for f in film.frames(WHOLE)] == [
        (0.0, 0), (0.2, 1), (0.4, 2), (0.6, 10)
    ]  # fmt: skip
    np.testing.assert_allclose(film.clock(), [0, 0.2, 0.4, 0.6])
    Image.fromarray(picture(3, (32, 32))).save(tmp_path / "frame3.png")
    told: list[str] = []
    assert len(list(film.read(0.0, told.append))) == 4
    assert len(list(open_films(tmp_path, rate=5)[0].read(0.0, told.append))) == 3
    assert told == ["frame3.png: the size changes from 64x48 to 32x32; the rest is left out"]


def test_a_recording_with_depth_gives_colour_and_camera(tmp_path):
    (tmp_path / "depth").mkdir()
    (tmp_path / "rgb").mkdir()
    for number in range(3):
        Image.fromarray(np.full((48, 64), 2000, np.uint16)).save(tmp_path / "depth" / f"{number}.png")
        Image.fromarray(picture(number)).save(tmp_path / "rgb" / f"{number}.png")
    table = {"width": 64, "height": 48, "fx": 60, "fy": 61, "cx": 31.5, "cy": 23.5, "fps": 10}
    (tmp_path / "intrinsics.json").write_text(json.dumps(table))
    (film,) = open_films(tmp_path)
    assert film.camera is not None
    assert film.camera.focal.tolist() == [60, 61]
    assert [(f.time, number_of(f.image())) for f in film.frames(WHOLE)] == [(0.0, 0), (0.1, 1), (0.2, 2)]
    (tmp_path / "rgb" / "1.png").unlink()
    with pytest.raises(ValueError, match="not every frame has a colour image"):
        open_films(tmp_path)


def test_ahead_gives_all_and_passes_errors_on(tmp_path):
    (film,) = open_films(write_film(tmp_path / "even.mp4", 20))
    assert [number_of(image) for _, image in ahead(film.frames(WHOLE))] == [n % 12 for n in range(20)]
    some = ahead(film.frames(WHOLE), depth=2)
    assert next(some)[0] == 0.0
    some.close()
    (tmp_path / "photo.png").write_bytes(b"")
    Image.fromarray(picture(0)).save(tmp_path / "photo.png")
    (photo,) = open_films(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is not a whole picture"):
        list(ahead(photo.frames(WHOLE)))


@pytest.mark.parametrize("ending", ["webp", "jpg", "png"])
def test_a_picture_that_was_cut_anywhere_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cut.{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for length in (0, 10, 20, 31, 60, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"cut\.{ending}: is (no|not a whole) picture"):
            [next(film.frames(WHOLE)).image() for film in open_films(path)]
