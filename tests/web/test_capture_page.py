"""The page of a motion in a real browser: it plays, it is scrubbed, and 3D lies on the film where 2D is."""

import base64
import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import HEAD, heads, write_film
from PIL import Image
from polypose.capture.motion import Motion
from walkers import walkers

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = "needs Playwright and a Chromium: nox -s tests_web after apt-get install chromium"
sync_api = pytest.importorskip("playwright.sync_api", reason=NEEDED)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDED)

WIDE, PHONE = (1280, 760), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Motion:
    """Two people, whose left view has a film and whose right view has none."""
    made = walkers(2, 40)
    film = write_film(tmp_path_factory.mktemp("film") / "left.mp4", made)
    return replace(made, views=(replace(made.views[0], path=film), made.views[1]))


@pytest.fixture(scope="module")
def page_file(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion.save(tmp_path_factory.mktemp("page") / "walk.html")


class Opened:
    """A page, and what it complained of or asked for."""

    def __init__(self, browser: Any, file: Path, size: tuple[int, int] = WIDE) -> None:
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.told: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.told.append(message.text))
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def film_ready(self) -> None:
        self.until("film.moves && !film.video.seeking")

    def until(self, condition: str) -> None:
        """Ask from here: what the page forbids itself, such as eval, tests shall not need."""
        for _ in range(600):
            if self.page.evaluate(f"Boolean({condition})"):
                return
            self.page.wait_for_timeout(50)
        raise TimeoutError(condition)

    def frame(self) -> int:
        return self.page.evaluate("state.frame")

    def pixels(self, canvas: str) -> np.ndarray:
        """(H, W, 4) of a canvas, as drawn."""
        script = "id => { show(); return document.querySelector(id).toDataURL() }"
        _, _, content = self.page.evaluate(script, canvas).partition(",")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Opened]:
    opened = Opened(browser, page_file)
    yield opened
    opened.page.close()
    assert opened.told == []
    assert [url for url in opened.asked if not url.startswith(("data:", "blob:"))] == [page_file.as_uri()]


def test_it_plays_and_what_is_drawn_changes(opened: Opened) -> None:
    opened.film_ready()
    before = opened.pixels("#space"), opened.pixels("#screen canvas")
    opened.page.click("#play")
    opened.until("state.frame > 10")
    assert opened.page.get_attribute("#play", "aria-label") == "pause"
    after = opened.pixels("#space"), opened.pixels("#screen canvas")
    for was, now in zip(before, after, strict=True):
        assert (was != now).any(-1).sum() > 100
    opened.until("!state.playing")
    assert opened.frame() == 47


def test_the_clock_runs_at_the_films_pace_and_at_the_speed_asked_for(opened: Opened) -> None:
    opened.film_ready()
    opened.page.select_option("#speed", "0.25")
    opened.page.click("#play")
    opened.until("state.frame >= 6")
    opened.page.keyboard.press(" ")
    assert opened.page.evaluate("film.video.playbackRate") == 0.25
    shown = opened.page.evaluate("film.video.currentTime")
    assert abs(shown - opened.frame() / 25) < 0.06


def test_scrubbing_sets_the_frame_and_the_film(opened: Opened) -> None:
    opened.film_ready()
    box = opened.page.locator("#time").bounding_box()
    opened.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    frame = opened.frame()
    assert abs(frame - 23.5) < 2
    assert f"frame {frame}" in opened.page.inner_text("#clock")
    opened.until("!film.video.seeking")
    assert opened.page.evaluate("film.video.currentTime") == pytest.approx(frame / 25 + 1e-3, abs=2e-3)


def test_keys_step_play_and_switch(opened: Opened) -> None:
    press = opened.page.keyboard.press
    for _ in range(3):
        press("ArrowRight")
    assert opened.frame() == 3
    press("ArrowLeft")
    assert opened.frame() == 2
    press("Shift+ArrowRight")
    assert opened.frame() == 27
    press("End")
    assert opened.frame() == 47
    press("Home")
    assert opened.frame() == 0
    press("]")
    assert opened.page.input_value("#speed") == "2"
    press(" ")
    assert opened.page.evaluate("state.playing")
    press(" ")
    assert not opened.page.evaluate("state.playing")
    press("v")
    assert opened.page.evaluate("film.view") == 1
    assert "right.mp4: is not there" in opened.page.inner_text("#missing")


@pytest.mark.parametrize("frame", [0, 15, 40])
def test_the_projected_joint_lies_on_the_film_where_2d_is(opened: Opened, motion: Motion, frame: int) -> None:
    """Thrice the same place: the film's white disc, the keypoint, the 3D joint by the page's own camera."""
    opened.film_ready()
    opened.page.evaluate(f"goTo({frame})")
    opened.until("!film.video.seeking")
    x0, y0, scale = opened.page.evaluate("film.layout()")
    for person in motion.people:
        if not 0 <= frame - person.first < len(person):
            continue
        seen = person.keypoints["left"][frame - person.first, HEAD, :2]
        at = f"motion.people[{person.id - 1}], {frame}, {HEAD}"
        found = opened.page.evaluate(f"project(motion.views[0], placeOf({at}))")
        np.testing.assert_allclose(found, seen, atol=0.1)
        np.testing.assert_allclose(
            opened.page.evaluate(f"pixelOf(motion.people[{person.id - 1}], 0, {frame}, {HEAD}).slice(0, 2)"),
            seen,
            atol=0.05,
        )
    film = opened.page.evaluate(
        """() => { const d = document.createElement("canvas"); d.width = 640; d.height = 480;
        d.getContext("2d").drawImage(film.video, 0, 0, 640, 480); return d.toDataURL().split(",")[1] }"""
    )
    white = np.asarray(Image.open(io.BytesIO(base64.b64decode(film))).convert("L")) > 128
    disc = np.argwhere(white)[:, ::-1]
    true = heads(motion, 0, frame)
    away = np.linalg.norm(disc[:, None] - true, axis=-1)
    assert (away.min(1) < 11).all()
    assert ((away < 9).sum(0) > 150).all()
    drawn = opened.pixels("#screen canvas")
    for u, v in true:
        x, y = round(x0 + scale * (u + 0.5)), round(y0 + scale * (v + 0.5))
        assert drawn[y - 2 : y + 3, x - 2 : x + 3, 3].min() > 0, "nothing is drawn at the head"


def test_the_pictures_pane_is_where_the_browser_puts_the_film(opened: Opened) -> None:
    """`object-fit: contain` centres the film as the drawing's layout does."""
    opened.film_ready()
    x0, y0, scale = opened.page.evaluate("film.layout()")
    pane = opened.page.locator("#screen").bounding_box()
    assert 2 * x0 + 640 * scale == pytest.approx(pane["width"], abs=1)
    assert 2 * y0 + 480 * scale == pytest.approx(pane["height"], abs=1)


def test_turning_zooming_and_switches_change_the_room(opened: Opened) -> None:
    first = opened.pixels("#space")
    box = opened.page.locator("#space").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 80, y + 20)
    opened.page.mouse.up()
    turned = opened.pixels("#space")
    assert (first != turned).any()
    far = opened.page.evaluate("space.distance")
    opened.page.mouse.wheel(0, -400)
    opened.until(f"space.distance < 0.8 * {far}")
    opened.page.keyboard.press("r")
    assert (opened.pixels("#space") == first).all()
    opened.page.click("#switches >> text=Uncertainty")
    assert (opened.pixels("#space") != first).any(-1).sum() > 50
    opened.page.click("#switches >> text=Uncertainty")
    opened.page.evaluate("space.distance *= 3")
    far_off = opened.pixels("#space")
    opened.page.click("#switches >> text=Cameras")
    assert (opened.pixels("#space") != far_off).any(-1).sum() > 50


def test_people_stand_on_the_floor_and_are_where_they_are(opened: Opened, motion: Motion) -> None:
    """A joint's place on the canvas has its person's colour: blue for the first, orange for the second."""
    opened.page.evaluate("goTo(20)")
    drawn = opened.pixels("#space").astype(int)
    for person in motion.people:
        x, y, z = person.joints[20 - person.first, [7, 8]].mean(0)
        u, v = opened.page.evaluate(f"space.onto([{x}, {y}, {z}])")
        red, _, blue, _ = drawn[round(v), round(u)]
        assert (blue > red + 40) if person.id == 1 else (red > blue + 40)
    opened.page.click("#people button:first-child")
    hidden = opened.pixels("#space").astype(int)
    x, y, z = motion.people[0].joints[20, [7, 8]].mean(0)
    u, v = opened.page.evaluate(f"space.onto([{x}, {y}, {z}])")
    assert abs(hidden[round(v), round(u), :3] - drawn[round(v), round(u), :3]).max() > 40


def test_a_phone_holds_it_without_sideways_scrolling(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, PHONE)
    opened.film_ready()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    film, room = (opened.page.locator(name).bounding_box() for name in ("#film", "#room"))
    assert film["y"] + film["height"] <= room["y"]
    for name in ("#film", "#room", "#play", "#time", "#speed"):
        box = opened.page.locator(name).bounding_box()
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= PHONE[0], name
        assert box["y"] + box["height"] <= PHONE[1], name
    opened.page.click("#play")
    opened.until("state.frame > 2")
    assert opened.told == []
    opened.page.close()


def test_hostile_names_are_text_in_the_page(browser: Any, tmp_path: Path) -> None:
    evil = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
    made = walkers(1, 5)
    view = replace(made.views[0], name=evil, path=Path(f"{evil}.mp4"))
    people = tuple(replace(person, keypoints={}) for person in made.people)
    hostile = replace(made, people=people, views=(view, made.views[1]), notes=(evil,))
    opened = Opened(browser, hostile.save(tmp_path / "a.html"))
    assert opened.page.evaluate("window.owned") is None
    assert opened.page.inner_text("#views button:first-child") == evil
    opened.page.click("#notes summary")
    assert opened.page.inner_text("#notes li") == evil
    assert opened.told == []
    opened.page.close()


def test_a_film_beside_the_page_is_played_from_there(browser: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from polypose.capture.write import html

    monkeypatch.setattr(html, "FILM_BYTES", 100)
    made = walkers(1, 10)
    film = write_film(tmp_path / "left #1.mp4", made)
    near = replace(made, views=(replace(made.views[0], path=film), made.views[1]))
    page = near.save(tmp_path / "a.html")
    opened = Opened(browser, page)
    opened.film_ready()
    assert opened.asked == [page.as_uri(), film.as_uri()]
    assert opened.page.evaluate("film.video.videoWidth") == 640
    assert opened.told == []
    opened.page.close()


def test_nobody_and_no_film_is_a_page_too(browser: Any, tmp_path: Path) -> None:
    bare = replace(walkers(1, 5), people=(), views=())
    opened = Opened(browser, bare.save(tmp_path / "a.html"))
    opened.page.keyboard.press("ArrowRight")
    assert opened.frame() == 1
    assert not opened.page.is_visible("#film")
    assert opened.told == []
    opened.page.close()
