"""The page and what it asks for. Nothing that comes in names a file; nothing is fetched from elsewhere."""

import base64
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from posedata.errors import one_line
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from polypose.search.asking import Asked
from polypose.search.serving.library import Library
from polypose.search.serving.looking import LARGEST, Person, kind_of

PAGE = Path(__file__).with_name("page")
FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "figure.js": "text/javascript",
    "page.js": "text/javascript",
}
HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_JSON = 1 << 20
"""Bytes of a question."""
_LONGEST = 60.0
"""Seconds of a movement that is asked for."""
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_FILMS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}

Vector = Annotated[list[FiniteFloat], Field(min_length=1, max_length=4096)]
Joint = Annotated[
    list[Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]], Field(min_length=3, max_length=3)
]
Figure = Annotated[list[Joint], Field(min_length=17, max_length=17)]
Row = Annotated[int, Field(ge=0, lt=2**62)]


class Clip(BaseModel):
    """A movement that was looked at before."""

    model_config = ConfigDict(extra="forbid")
    time: Annotated[list[FiniteFloat], Field(min_length=2, max_length=1000)]
    places: Annotated[list[Vector], Field(min_length=2, max_length=1000)]


class Question(BaseModel):
    """One of: places or a clip that `look` gave, a figure, a row of the index."""

    model_config = ConfigDict(extra="forbid")
    places: dict[Literal["invariant", "camera"], Vector] | None = None
    clip: Clip | None = None
    pose: Figure | None = None
    seen: Figure | None = None
    row: Row | None = None
    movement: bool = False
    view: Literal["invariant", "camera"] = "invariant"
    k: Annotated[int, Field(ge=1, le=100)] = 20
    where: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=20)] = []


def make_app(library: Library, look: Callable[[Path], list[Person]]) -> FastAPI:
    """The application.

    Args:
        look: finds people in a file (`looking.Looker`).
    """
    app = FastAPI(title="polypose", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*HOSTS])

    @app.middleware("http")
    async def guard(request: Request, go: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.method == "POST":
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).hostname not in HOSTS:
                return JSONResponse({"detail": "another site asks"}, 403)
            most = LARGEST if request.url.path == "/api/look" else _JSON
            if not request.headers.get("content-length", "").isdigit():
                return JSONResponse({"detail": "say how long it is"}, 411)
            if int(request.headers["content-length"]) > most:
                return JSONResponse({"detail": f"over {most >> 20} MiB; give less"}, 413)
        response = await go(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    @app.exception_handler(ValueError)
    async def wrong(request: Request, error: ValueError) -> Response:
        return JSONResponse({"detail": one_line(error)}, 400)

    @app.exception_handler(OSError)
    @app.exception_handler(ModuleNotFoundError)
    async def lacking(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": one_line(error)}, 503)

    _pages(app)
    _questions(app, library, look)
    _footage(app, library)
    return app


def _pages(app: FastAPI) -> None:
    @app.get("/")
    def page() -> Response:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404, "no such file")
        return FileResponse(PAGE / name, media_type=FILES[name])


def _questions(app: FastAPI, library: Library, look: Callable[[Path], list[Person]]) -> None:
    @app.get("/api/about")
    def about() -> dict[str, Any]:
        return library.about()

    @app.post("/api/search")
    def search(question: Question) -> dict[str, Any]:
        query = _asked(question, library)
        return library.find(query, question.view, question.k, question.where, question.movement)

    @app.post("/api/look")
    async def looked(request: Request) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="polypose-") as folder:
            path = await _received(request, Path(folder))
            return await run_in_threadpool(lambda: {"people": [_person(p, library) for p in look(path)]})

    @app.get("/api/around/{row}")
    def around(row: Row) -> dict[str, Any]:
        return library.around(row)


def _footage(app: FastAPI, library: Library) -> None:
    @app.get("/api/thumbnail/{row}")
    def thumbnail(row: Row) -> Response:
        jpeg = library.thumbnail(row)
        if jpeg is None:
            raise HTTPException(404, "it has no thumbnail")
        return Response(jpeg, media_type="image/jpeg")

    @app.get("/api/footage/{row}")
    def footage(row: Row) -> Response:
        path = library.footage(row)
        if path is None:
            raise HTTPException(404, "the film is not there, or has changed")
        kind = (_TYPES | _FILMS).get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind)


async def _received(request: Request, folder: Path) -> Path:
    """What is sent, in a file of a name of our own; no more of it than is allowed."""
    path, count, head = folder / "upload", 0, b""
    with path.open("wb") as file:
        async for chunk in request.stream():
            count += len(chunk)
            if count > LARGEST:
                raise HTTPException(413, f"over {LARGEST >> 20} MiB; give less")
            head = head or chunk[:16]
            file.write(chunk)
    ending = kind_of(head)
    if ending is None:
        raise HTTPException(415, "is no picture or film that is known; give .jpg, .png, .webp, .mp4 or .webm")
    return path.rename(path.with_suffix(ending))


def _person(person: Person, library: Library) -> dict[str, Any]:
    """Somebody who was seen: the middle moment, and all of it where it is a movement."""
    rows = person.rows()
    places = library.embedder.embed(rows)
    known = np.flatnonzero(np.isfinite(places["invariant"]).all(1))
    told: dict[str, Any] = {
        "name": person.name,
        "seconds": round(float(person.time[-1] - person.time[0]), 2),
        "picture": f"data:image/jpeg;base64,{base64.b64encode(person.picture).decode()}",
        "places": None,
        "clip": None,
    }
    if len(known):
        middle = known[len(known) // 2]
        told["places"] = {
            view: values[middle].tolist()
            for view, values in places.items()
            if np.isfinite(values[middle]).all()
        }
    if len(known) > 4:
        told["clip"] = {"time": person.time[known].tolist(), "places": places["invariant"][known].tolist()}
    return told


def _asked(question: Question, library: Library) -> Asked:
    given = [question.places, question.clip, question.pose, question.row]
    if sum(each is not None for each in given) != 1:
        raise ValueError("ask with one of: places, clip, pose, row")
    if question.row is not None:
        return library.like(question.row, question.movement)
    if question.pose is not None:
        seen = None if question.seen is None else np.array(question.seen)
        return library.posed(np.array(question.pose), seen)
    if question.clip is not None:
        places, time = np.array(question.clip.places, np.float32), np.array(question.clip.time)
        if places.ndim != 2 or len(places) != len(time) or (np.diff(time) <= 0).any():
            raise ValueError("clip: give ascending times, and a place each")
        if time[-1] - time[0] > _LONGEST:
            raise ValueError(f"clip: lasts over {_LONGEST:g} s; give a shorter one")
        return Asked({"invariant": places}, time, "the clip")
    assert question.places is not None
    held = {view: np.array([vector], np.float32) for view, vector in question.places.items()}
    return Asked({**held}, np.zeros(1), "the picture")
