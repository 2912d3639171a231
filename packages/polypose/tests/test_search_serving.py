"""What the page asks for, and what others might: hostile files, names, hosts and paths."""

import io
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="polypose[serve]")
pytest.importorskip("pyarrow", reason="polypose[search]")
pytest.importorskip("httpx", reason="starlette's test client")

from libraries import embedder, movement
from PIL import Image
from polypose.search.serving.app import LARGEST, make_app
from polypose.search.serving.looking import Looker, kind_of
from served import HOSTILE, dies, hangs, library, seen_in
from starlette.testclient import TestClient

FILM = 4 * 40
"""The first row of the film."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    app = make_app(library(tmp_path_factory.mktemp("served")), seen_in)
    return TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One that looks at files in a process of its own, by what really decodes them."""
    with Looker() as looker:
        app = make_app(library(tmp_path_factory.mktemp("looking")), looker.look)
        yield TestClient(app, base_url="http://127.0.0.1")


def jpeg(size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "gray").save(file, "JPEG")
    return file.getvalue()


def find(client: TestClient, **question: Any) -> list[dict[str, Any]]:
    answer = client.post("/api/search", json=question)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["hits"])


def test_it_says_what_there_is(client: TestClient) -> None:
    about = client.get("/api/about").json()
    assert about["poses"] == 4 * 40 + 80
    assert [(s["name"], s["kind"]) for s in about["sources"]] == [("mocap.npz", "motion"), (HOSTILE, "film")]
    assert about["views"] == ["invariant", "camera"]
    assert np.shape(about["figure"]["pose"]) == (17, 3)


def test_a_pose_a_row_and_places_find_the_same(client: TestClient) -> None:
    joints = movement(1)[12]
    (posed,) = find(client, pose=joints.tolist(), k=1)
    assert posed["recording"] == "mocap.npz/walk_01"
    assert abs(posed["time"] - 12 / 30) < 1e-3
    assert posed["near"] == pytest.approx(0, abs=1e-3)
    assert posed["film"] is None
    assert np.shape(posed["figure"]) == (17, 3)
    (like,) = find(client, row=posed["row"], k=1)
    assert like["row"] == posed["row"]
    vector = embedder().invariant.embed(pose=joints[None]).vectors[0]
    assert find(client, places={"invariant": vector.tolist()}, k=1)[0]["row"] == posed["row"]


def test_a_picture_is_looked_at_and_what_is_seen_is_found_in_the_film(client: TestClient) -> None:
    (person,) = client.post("/api/look", content=jpeg()).json()["people"]
    assert person["clip"] is None
    assert person["picture"].startswith("data:image/jpeg;base64,")
    for view in ("invariant", "camera"):
        hit = find(client, places=person["places"], view=view, k=3)[0]
        assert (hit["recording"], hit["person"], hit["film"]) == (HOSTILE, "2", "film")
        assert hit["start"] <= (20 + 8) / 25 <= hit["end"]
        assert hit["time"] == pytest.approx(28 / 25, abs=1e-3)


def test_filters_and_movements(client: TestClient) -> None:
    assert {h["person"] for h in find(client, row=0, k=50, where=["person=ben"])} == {"ben"}
    clips = find(client, row=20, movement=True, k=2)
    assert (clips[0]["recording"], clips[0]["near"]) == ("mocap.npz/walk_00", pytest.approx(0, abs=1e-3))
    assert clips[0]["end"] - clips[0]["start"] > 0.8
    around = client.get(f"/api/around/{FILM + 10}").json()
    assert len(around["time"]) == len(around["figures"]) == 36


def test_the_film_is_served_in_parts_as_long_as_it_is_the_one_that_was_indexed(
    client: TestClient, tmp_path: Path
) -> None:
    film = library(tmp_path)
    mine = TestClient(make_app(film, seen_in), base_url="http://localhost")
    content = (tmp_path / "walk.mp4").read_bytes()
    part = mine.get(f"/api/footage/{FILM}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-type"] == "video/mp4"
    assert Image.open(io.BytesIO(mine.get(f"/api/thumbnail/{FILM}").content)).format == "JPEG"
    assert mine.get("/api/thumbnail/3").status_code == 404
    assert mine.get("/api/footage/3").status_code == 404
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "walk.mp4").unlink()
    (tmp_path / "walk.mp4").symlink_to(tmp_path / "secret")
    assert mine.get(f"/api/footage/{FILM}").status_code == 404
    (tmp_path / "walk.mp4").unlink()
    (tmp_path / "walk.mp4").write_bytes(content[:-1])
    assert mine.get(f"/api/footage/{FILM}").status_code == 404
    assert find(mine, row=FILM, k=1)[0]["film"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/page/..%2fapp.py",
        "/page/%2e%2e%2f%2e%2e%2fsegments.py",
        "/page/....//app.py",
        "/page/%2fetc%2fpasswd",
        "/page/index.html%00.js",
        "/..%2f..%2f..%2fetc/passwd",
        "/api/footage/..%2f..%2fetc%2fpasswd",
        "/api/footage/-1",
        "/api/footage/99999999999999999999999",
        "/api/thumbnail/1e3",
        "/api/footage/0%00",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_leads_anywhere_else(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text
    assert "import " not in answer.text


def test_others_hosts_and_sites_are_refused(client: TestClient) -> None:
    assert client.get("/api/about", headers={"Host": "evil.example"}).status_code == 400
    question = {"row": 0}
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example"):
        answer = client.post("/api/search", json=question, headers={"Origin": origin})
        assert (answer.status_code, "hits" in answer.text) == (403, False)
    own = client.post("/api/search", json=question, headers={"Origin": "http://127.0.0.1:8765"})
    assert own.status_code == 200
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("../../etc/passwd", "x")
    return file.getvalue()


def bomb() -> bytes:
    """A small PNG that says it is 60,000 pixels wide and high."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n",
        b"GIF89a" + bytes(50),
        zipped(),
    ],
)
def test_what_is_no_picture_or_film_is_never_opened(client: TestClient, content: bytes) -> None:
    assert kind_of(content[:16]) is None
    assert client.post("/api/look", content=content).status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        jpeg()[:200],
        bomb(),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x00\x00\x00\x18ftypmp42" + bytes(200),
        b"\x1a\x45\xdf\xa3" + os.urandom(300),
        b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(100),
    ],
)
def test_damaged_pictures_and_films_are_told_in_a_line(looking: TestClient, content: bytes) -> None:
    answer = looking.post("/api/look", content=content)
    assert answer.status_code in (400, 503), answer.text
    assert "Traceback" not in answer.text
    assert len(answer.json()["detail"]) < 300


def test_what_is_too_long_is_not_taken(client: TestClient) -> None:
    long = {"Content-Length": str(LARGEST + 1)}
    assert client.post("/api/look", content=b"x", headers=long).status_code == 413
    assert client.post("/api/search", content=b" " * (1 << 20) + b"{}").status_code == 413

    def endless() -> Any:
        yield b"\xff\xd8\xff"

    assert client.post("/api/look", content=endless()).status_code == 411


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"row": 0, "pose": [[0, 0, 0]] * 17},
        {"row": 10**6},
        {"row": -1},
        {"row": 0, "k": 10**6},
        {"pose": [[0, 0, 0]] * 16},
        {"pose": [[0, 0, 0]] * 17},
        {"pose": [[1e300, 0, 0]] * 17},
        {"places": {"invariant": [0.0]}},
        {"places": {"other": [0.0]}},
        {"places": {"camera": [0.0] * 32}, "view": "invariant"},
        {"clip": {"time": [0, 0], "places": [[0.0] * 8] * 2}, "movement": True},
        {"clip": {"time": [0, 1], "places": [[0.0] * 8, [0.0]]}, "movement": True},
        {"clip": {"time": [0, 1], "places": [[0.0] * 3] * 2}, "movement": True},
        {"clip": {"time": [0, 1e9], "places": [[0.0] * 8] * 2}, "movement": True},
        {"row": 0, "where": ["recording"]},
        {"row": 0, "where": ["x"] * 21},
        {"row": 0, "path": "/etc/passwd"},
    ],
)
def test_what_is_no_question_is_refused(client: TestClient, question: dict[str, Any]) -> None:
    answer = client.post("/api/search", json=question)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("harm", [dies, hangs])
def test_a_file_that_kills_or_holds_who_looks_at_it_does_no_harm(harm: Any, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"xx")
    with Looker(look=harm, patience=3.0 if harm is hangs else 600.0) as looker:
        with pytest.raises(ValueError, match="the file cannot be looked at"):
            looker.look(tmp_path / "bad")
        if harm is dies:
            (tmp_path / "good").write_bytes(b"x")
            assert looker.look(tmp_path / "good") == []


def test_sixteen_clients_at_once_find_what_one_does(client: TestClient) -> None:
    rows = [*range(32)]
    alone = [[h["row"] for h in find(client, row=row, k=5)] for row in rows]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda row: [h["row"] for h in find(client, row=row, k=5)], rows))
    assert together == alone
