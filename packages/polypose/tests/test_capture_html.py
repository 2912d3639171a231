"""The page's content without a browser: numbers, films, hostile names, size."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from films import picture, write_film
from PIL import Image
from polypose.capture.motion import Motion, Person
from polypose.capture.write import html as page_html
from polypose.capture.write.footage import footage_of
from polypose.capture.write.html import MOST_BYTES, thinned, write_html
from walkers import walkers


def about(page: Path) -> dict:
    """What the page's JSON says."""
    return json.loads(_script(page.read_text(encoding="utf-8"), "motion"))


def array(page: Path, name: str, kind: str = "<i2") -> np.ndarray:
    return np.frombuffer(base64.b64decode(_script(page.read_text(encoding="utf-8"), name)), kind)


def _script(text: str, name: str) -> str:
    return re.search(rf'<script type="[^"]*" id="{name}">([^<]*)</script>', text)[1]


def filmed(folder: Path, frames: int = 20, **options: str) -> Motion:
    """A walk whose left view has a film."""
    motion = walkers(1, frames)
    path = write_film(folder / options.pop("name", "left.mp4"), motion, **options)
    return replace(motion, views=(replace(motion.views[0], path=path), *motion.views[1:]))


def test_the_page_holds_the_joints_to_a_tenth_of_a_millimetre(tmp_path):
    motion = walkers(gaps=True)
    page = motion.save(tmp_path / "walk.html")
    for person, told in zip(motion.people, about(page)["people"], strict=True):
        steps = array(page, f"joints-{person.id}").reshape(40, 17, 3).astype(float)
        steps[steps == -32768] = np.nan
        found = steps * told["step"] + told["centre"]
        np.testing.assert_allclose(found, person.joints, atol=1e-4)
        assert (told["first"], told["count"]) == (person.first, 40)
    np.testing.assert_allclose(array(page, "times", "<f4"), motion.times - motion.times[0], atol=1e-6)


def test_the_page_holds_covariances_as_their_roots(tmp_path):
    motion = walkers()
    page = motion.save(tmp_path / "walk.html")
    xx, xy, xz, yy, yz, zz = array(page, "spread-1").reshape(40, 17, 6)[5, 12] * 1e-4
    root = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(root @ root, motion.people[0].covariance[5, 12], atol=2e-5)


def test_the_page_holds_what_was_seen_to_a_sixteenth_of_a_pixel(tmp_path):
    motion = walkers(gaps=True)
    page = motion.save(tmp_path / "walk.html")
    seen = array(page, "seen-1-1").reshape(40, 17, 3)
    zoom, true = about(page)["views"][1]["zoom"], motion.people[0].keypoints["right"]
    there = true[..., 2] > 0
    np.testing.assert_array_equal(seen[..., 2] > 0, there)
    np.testing.assert_allclose(seen[there, :2] / zoom, true[there, :2], atol=0.5 / zoom + 1e-9)


def test_names_from_outside_stay_text(tmp_path):
    evil = '</script><script>alert("x")</script><!--<img src=x onerror=alert(1)>'
    view = replace(walkers().views[0], name=evil, path=Path("<b>.mp4"))
    people = tuple(replace(person, keypoints={}) for person in walkers().people)
    motion = replace(walkers(), people=people, views=(view,), notes=(evil, "\u2028 & <b>"))
    (page,) = write_html(motion, tmp_path / "a.html", title=evil)
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "alert(" not in re.sub(r"\\u003c[^\"]*", "", text.replace("&quot;", '"')).split("<style>")[1]
    assert text.count("</script>") == text.count("<script")
    assert about(page)["notes"] == [evil, "\u2028 & <b>"]
    assert about(page)["views"][0]["name"] == evil


def test_the_page_asks_for_nothing_from_outside(tmp_path):
    text = walkers().save(tmp_path / "walk.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_a_film_that_browsers_play_is_inside_as_it_is(tmp_path):
    motion = filmed(tmp_path)
    page = motion.save(tmp_path / "walk.html")
    told = about(page)["views"][0]["film"]
    assert (told["kind"], told["type"], told["size"], told["still"]) == (
        "inside",
        "video/mp4",
        [640, 480],
        False,
    )
    assert told["starts"] == pytest.approx(0, abs=1e-3)
    assert array(page, "film-0", "u1").tobytes() == (tmp_path / "left.mp4").read_bytes()


def test_a_film_that_browsers_do_not_play_is_made_to(tmp_path):
    motion = filmed(tmp_path, name="left.avi", codec="mpeg4")
    found = footage_of(motion.views[0], tmp_path / "walk.html", 1 << 20)
    assert (found.kind, found.type, found.starts) == ("inside", "video/mp4", pytest.approx(0.5))
    with av.open(io.BytesIO(found.content)) as container:
        frames = [(float(frame.time), frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([n / 25 for n in range(20)], abs=2e-3)
    y, x = np.nonzero(frames[7][1] > 128)
    np.testing.assert_allclose([x.mean(), y.mean()], motion.people[0].keypoints["left"][7, 10, :2], atol=1)


def test_a_film_too_large_for_the_page_is_referred_to(tmp_path):
    (tmp_path / "films here").mkdir()
    motion = filmed(tmp_path / "films here", name="a #1.mp4")
    found = footage_of(motion.views[0], tmp_path / "pages" / "walk.html", 100)
    assert (found.kind, found.source) == ("link", "../films%20here/a%20%231.mp4")


def test_a_film_that_is_not_there_or_none_is_told(tmp_path):
    page = walkers().save(tmp_path / "walk.html")
    assert "left.mp4: is not there" in about(page)["views"][0]["film"]["why"]
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    view = replace(walkers().views[0], path=tmp_path / "bad.mp4")
    found = footage_of(view, page, 1 << 20)
    assert found.kind == "none"
    assert "bad.mp4" in found.why


def test_a_part_of_a_film_is_shown_when_it_was(tmp_path):
    motion = filmed(tmp_path, name="left.avi", codec="mpeg4")
    part = replace(motion.views[0], times=motion.views[0].times[8:15:3])
    found = footage_of(part, tmp_path / "walk.html", 1 << 20)
    assert found.starts == pytest.approx(0.5 + 8 / 25)
    with av.open(io.BytesIO(found.content)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    y, x = np.nonzero(frames[3] > 128)
    np.testing.assert_allclose([x.mean(), y.mean()], motion.people[0].keypoints["left"][11, 10, :2], atol=1)


def test_photos_that_are_a_film_keep_their_rate_when_some_are_left_out(tmp_path):
    motion = walkers(1, 12)
    (tmp_path / "left").mkdir()
    for frame in range(12):
        Image.fromarray(picture(motion, 0, frame)).save(tmp_path / "left" / f"{frame}.png")
    times = motion.views[0].times[:12:4]
    view = replace(motion.views[0], path=tmp_path / "left", times=times, rate=25.0)
    with av.open(io.BytesIO(footage_of(view, tmp_path / "walk.html", 1 << 20).content)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(frames) == 9
    y, x = np.nonzero(frames[8] > 128)
    np.testing.assert_allclose([x.mean(), y.mean()], motion.people[0].keypoints["left"][8, 10, :2], atol=1)


def test_a_motion_of_hours_is_thinned_to_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(page_html, "MOST_BYTES", 20_000)
    motion = walkers()
    shown, step = thinned(motion)
    assert step > 2
    np.testing.assert_array_equal(shown.times, motion.times[::step])
    for person, other in zip(motion.people, shown.people, strict=True):
        frames = np.arange(len(other)) + other.first
        np.testing.assert_array_equal(other.joints, person.joints[frames * step - person.first])
        np.testing.assert_array_equal(
            other.keypoints["left"], person.keypoints["left"][frames * step - person.first]
        )
    page = motion.save(tmp_path / "walk.html")
    assert about(page)["frames"] == step
    assert re.search(rf"every {step}(st|nd|rd|th) frame is shown", about(page)["notes"][-1])


def test_an_hour_stays_within_the_limit():
    count = 60 * 60 * 30
    person = Person(1, 0, np.zeros((count, 17, 3)), np.zeros((count, 17)))
    shown, step = thinned(Motion(np.arange(count) / 30, (person,)))
    assert step == 1
    crowd = tuple(replace(person, id=n) for n in range(1, 6))
    shown, step = thinned(Motion(np.arange(count) / 30, crowd))
    assert step == 5
    assert sum(len(p) * 17 * 8 for p in shown.people) <= MOST_BYTES


def test_nobody_and_one_frame_have_a_page(tmp_path):
    empty = replace(walkers(), people=())
    assert about(empty.save(tmp_path / "a.html"))["people"] == []
    one = walkers().people[0]
    pose = Motion(np.zeros(1), (Person(1, 0, one.joints[:1], one.sd[:1]),))
    assert about(pose.save(tmp_path / "b.html"))["facts"] == "1 person"
