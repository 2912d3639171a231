"""The page of an index in a real browser: a figure is posed, a photo handed in, a moment jumped to."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = "needs Playwright and a Chromium: nox -s tests_web after apt-get install chromium"
sync_api = pytest.importorskip("playwright.sync_api", reason=NEEDED)
uvicorn = pytest.importorskip("uvicorn", reason="polypose[serve]")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDED)

from polypose.search.serving.app import make_app  # noqa: E402  (what it needs may be absent)
from served import HOSTILE, library, seen_in  # noqa: E402

WIDE, PHONE = (1280, 860), (390, 844)
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What the browser itself says of a question that is refused."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server in this process."""
    app = make_app(library(tmp_path_factory.mktemp("served")), seen_in)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    (port,) = {bound.getsockname()[1] for each in server.servers for bound in each.sockets}
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=width < 500)
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#joint option", state="attached")
    yield page
    assert page.evaluate("window.hurt") is None, "a recording's name was taken for HTML"
    page.close()
    assert [text for text in told if not text.startswith(REFUSED)] == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def until(page: Any, condition: str) -> None:
    """Ask from here: what the page forbids itself, such as eval, tests shall not need."""
    for _ in range(400):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(condition)


def joint(page: Any, number: int) -> tuple[float, float]:
    """Where a joint is on the screen."""
    page.locator("#figure").scroll_into_view_if_needed()
    box = page.locator("#figure").bounding_box()
    x, y = page.evaluate(f"state.poser.shown.places[{number}]")
    scale = box["width"] / page.evaluate("state.poser.canvas.width")
    return box["x"] + x * scale, box["y"] + y * scale


def lengths(page: Any) -> list[float]:
    """Of all bones, metres."""
    return page.evaluate(
        "state.figure.parents.map((p, j) =>"
        " p < 0 ? 0 : length(minus(state.poser.pose[j], state.poser.pose[p])))"
    )


def test_a_joint_is_dragged_and_bones_keep_their_length(page: Any) -> None:
    before, bones = page.evaluate("state.poser.pose"), lengths(page)
    x, y = joint(page, 15)  # the right elbow
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 60, steps=5)
    page.mouse.up()
    after = page.evaluate("state.poser.pose")
    assert page.input_value("#joint") == "15"
    moved = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert moved == [15, 16]
    assert lengths(page) == pytest.approx(bones, abs=1e-9)
    page.click("#pose")
    page.wait_for_selector("article")
    assert "places like the figure" in page.inner_text("#told")


def test_keys_choose_and_move_joints_and_turn_the_figure(page: Any) -> None:
    page.focus("#figure")
    chosen = int(page.input_value("#joint"))
    page.keyboard.press("[")
    assert int(page.input_value("#joint")) == chosen - 1
    before = page.evaluate(f"state.poser.shown.places[{chosen - 1}]")
    page.keyboard.press("ArrowUp")
    after = page.evaluate(f"state.poser.shown.places[{chosen - 1}]")
    assert after[1] < before[1]
    yaw = page.evaluate("state.poser.yaw")
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate("state.poser.yaw") > yaw
    page.click("#reset")
    assert page.evaluate("state.poser.pose") == page.evaluate("state.figure.pose")


def test_a_photo_is_handed_in_and_its_moment_is_jumped_to(page: Any, tmp_path: Path) -> None:
    photo = tmp_path / "who.jpg"
    Image.new("RGB", (64, 48), "gray").save(photo)
    page.set_input_files("#file", photo)
    page.wait_for_selector("article")
    assert page.locator("#people button").count() == 1
    assert HOSTILE in page.inner_text("article:first-child")
    page.click("article:first-child button:has-text('Jump')")
    until(page, "document.querySelector('#screen > i').hidden === false")
    at = page.evaluate("document.querySelector('#screen video').currentTime")
    assert at == pytest.approx(28 / 25, abs=0.05)
    video, box = (page.locator(f"#screen > {tag}").bounding_box() for tag in ("video", "i"))
    assert video["x"] <= box["x"] + 3
    assert box["x"] + box["width"] <= video["x"] + video["width"] + 9
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('#player').open")


def test_more_like_this_movements_filters_and_the_camera_switch(page: Any) -> None:
    page.click("#pose")
    page.wait_for_selector("article")
    first = page.get_attribute("article:first-child", "data-row")
    page.click("article:first-child button:has-text('Like this')")
    until(page, "document.querySelector('#told').textContent.includes('places like m')")
    assert page.get_attribute("article:first-child", "data-row") == first
    page.click("article:first-child button:has-text('Movement')")
    until(page, "document.querySelector('article p').textContent.includes(' to ')")
    page.click("#pose")
    page.fill("#person", "ben")
    page.press("#person", "Tab")
    until(page, "[...document.querySelectorAll('article')].every(a => a.textContent.includes('ben'))")
    page.fill("#time", "soon")
    page.press("#time", "Tab")
    page.wait_for_selector("#told.wrong")
    assert "give a range of numbers" in page.inner_text("#told")
    page.fill("#time", "")
    page.press("#time", "Tab")
    page.wait_for_selector("article")
    page.uncheck("#invariant")
    until(page, "document.querySelector('article p + p')?.textContent.includes('cosine')")


def test_what_is_no_picture_is_told(page: Any, tmp_path: Path) -> None:
    other = tmp_path / '<b>"evil".jpg'
    other.write_text("#EXTM3U\n/etc/passwd")
    page.set_input_files("#file", other)
    page.wait_for_selector("#told.wrong")
    assert "is no picture or film" in page.inner_text("#told")


def test_motion_capture_plays_as_a_figure(page: Any) -> None:
    page.fill("#recording", "mocap*")
    page.click("#pose")
    page.wait_for_selector("article")
    page.click("article:first-child button:has-text('Jump')")
    until(page, "document.querySelector('#screen > canvas').hidden === false")
    picture = "document.querySelector('#screen > canvas').toDataURL()"
    first = page.evaluate(picture)
    until(page, f"{picture} !== {first!r}")
    page.click("#close")


def test_the_page_fits_its_window(page: Any) -> None:
    page.click("#pose")
    page.wait_for_selector("article")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
