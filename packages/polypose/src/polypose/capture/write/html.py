"""A motion as one page that plays: film, 2D and 3D together, with nothing fetched from anywhere.

The parts of the page are in `page/`. Arrays stand in it as base64 of little-endian numbers: places as int16
steps of at most `STEP` metres from a person's centre, uncertainty as int16 tenths of a millimetre, pixels as
int16 parts of a pixel. Of a motion that would take more than `MOST_BYTES` every n-th frame is shown, which
the page says.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from posedata.writing import replacing

from polypose.capture.write.capsules import radius_of
from polypose.capture.write.footage import MOST_BYTES as FILM_BYTES
from polypose.capture.write.footage import Footage, footage_of
from polypose.capture.write.people import colour_of

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person, View

MOST_BYTES = 16 << 20
"""Of a page's arrays, before base64."""
STEP = 1e-4
_GAP = -32768
_LARGEST = 32767
_SCRIPTS = ("data.js", "film.js", "space.js", "page.js")


def write_html(motion: Motion, path: Path, title: str | None = None) -> tuple[Path, ...]:
    """Write the page.

    Args:
        title: what it is called; the file's name, if left out.
    """
    shown, step = thinned(motion)
    budget = FILM_BYTES // max(1, len(motion.views))
    films = [footage_of(view, path, budget) for view in motion.views]
    arrays: dict[str, str] = {"times": _base64((shown.times - shown.times[0]).astype("<f4"))}
    people = [_person(shown, person, arrays) for person in shown.people]
    arrays |= {f"film-{number}": film.text() for number, film in enumerate(films) if film.content}
    notes = list(motion.notes)
    if step > 1:
        notes.append(
            f"every {_nth(step)} frame is shown, to keep this page below {MOST_BYTES >> 20} MiB of motion"
        )
    about = {
        "title": title or path.stem,
        "facts": _facts(motion),
        "notes": notes,
        "starts": float(motion.times[0]),
        "frames": step,
        "skeleton": _skeleton(motion),
        "people": people,
        "views": [_view(view, film, motion.times[0]) for view, film in zip(motion.views, films, strict=True)],
    }
    with replacing(path) as file:
        for text in _page(about, arrays):
            file.write(text.encode())
    return (path,)


def thinned(motion: Motion) -> tuple[Motion, int]:
    """Every n-th frame of a motion that is too large for a page, and n."""
    sizes = [
        len(person)
        * len(motion.skeleton)
        * (6 + (2 if person.covariance is None else 12) + 6 * len(person.keypoints))
        for person in motion.people
    ]
    step = max(1, -(-(sum(sizes) + 4 * len(motion)) // MOST_BYTES))
    if step == 1:
        return motion, 1
    people = [_every(person, step) for person in motion.people]
    return replace(motion, times=motion.times[::step], people=tuple(filter(None, people))), step


def _every(person: Person, step: int) -> Person | None:
    start = -person.first % step
    if start >= len(person):
        return None
    covariance = None if person.covariance is None else person.covariance[start::step]
    return replace(
        person,
        first=(person.first + start) // step,
        joints=person.joints[start::step],
        sd=person.sd[start::step],
        covariance=covariance,
        keypoints={view: points[start::step] for view, points in person.keypoints.items()},
    )


def _page(about: dict[str, Any], arrays: dict[str, str]) -> Iterator[str]:
    """The page in parts; what comes from outside stands in it as text alone."""
    parts = files("polypose.capture.write") / "page"
    plain = json.dumps(about, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
    fields = {
        "TITLE": html.escape(str(about["title"])),
        "STYLE": (parts / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": "\n".join((parts / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "MOTION": plain,
    }
    rest = (parts / "page.html").read_text(encoding="utf-8")
    for field in ("TITLE", "STYLE", "MOTION", "ARRAYS", "SCRIPT"):
        before, _, rest = rest.partition(f"@{field}@")
        yield before
        if field == "ARRAYS":
            for name, text in arrays.items():
                yield f'<script type="text/plain" id="{name}">{text}</script>\n'
        else:
            yield fields[field]
    yield rest


def _facts(motion: Motion) -> str:
    people, seconds = len(motion.people), float(motion.times[-1] - motion.times[0])
    who = f"{people or 'no'} {'person' if people == 1 else 'people'}"
    if len(motion) == 1:
        return who
    return f"{who} · {len(motion)} frames · {seconds:.1f} s at {motion.rate:.4g} Hz"


def _skeleton(motion: Motion) -> dict[str, Any]:
    skeleton = motion.skeleton
    radii = []
    for child, parent in skeleton.edges:
        radius = radius_of(skeleton.joints[child])
        radii.append([round(x, 4) for x in (radius, radius * (0.75 if parent != skeleton.root else 1.0))])
    return {"joints": skeleton.joints, "edges": skeleton.edges, "radii": radii}


def _person(motion: Motion, person: Person, arrays: dict[str, str]) -> dict[str, Any]:
    """What the page's JSON says of a person, whose arrays are added."""
    known = np.isfinite(person.joints).all(-1)
    places = person.joints[known]
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(3), np.zeros(3))
    centre = (low + high) / 2
    step = max(STEP, float((high - low).max()) / 2 / _LARGEST)
    steps = np.where(known[..., None], (person.joints - centre) / step, _GAP)
    arrays[f"joints-{person.id}"] = _int16(steps)
    spread = _spread(person)
    arrays[f"spread-{person.id}"] = _int16(np.nan_to_num(spread) / 1e-4)
    views = [number for number, view in enumerate(motion.views) if view.name in person.keypoints]
    for number in views:
        points = person.keypoints[motion.views[number].name]
        scale = np.array([*[_zoom(motion.views[number])] * 2, 100.0])
        seen = np.where(
            points[..., 2:] > 0, np.maximum(np.nan_to_num(points) * scale, [-32768, -32768, 1]), 0
        )
        arrays[f"seen-{person.id}-{number}"] = _int16(seen)
    return {
        "id": person.id,
        "name": f"person {person.id}",
        "colour": colour_of(motion, person),
        "first": person.first,
        "count": len(person),
        "centre": centre.tolist(),
        "step": step,
        "full": person.covariance is not None,
        "sure": bool(np.isfinite(person.sd).any() and np.nanmax(person.sd) > 0),
        "views": views,
    }


def _spread(person: Person) -> np.ndarray:
    """The sd (T, J), or the symmetric root of the covariance, (T, J, 6): xx, xy, xz, yy, yz, zz; metres."""
    if person.covariance is None:
        return person.sd
    known = np.isfinite(person.covariance).all((-2, -1), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(known, person.covariance, 0))
    root = (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    found: np.ndarray = root[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    return found


def _view(view: View, film: Footage, begun: float) -> dict[str, Any]:
    camera = {
        name: getattr(view.camera, name).detach().cpu().numpy().astype(float).tolist()
        for name in ("focal", "centre", "rotation", "translation", "distortion", "size")
    }
    described = film.described() | {"starts": film.starts - float(begun)}
    return {"name": view.name, "zoom": _zoom(view), "film": described, **camera}


def _zoom(view: View) -> float:
    """Parts of a pixel that int16 counts up to twice the picture."""
    return float(max(1, min(16, int(_LARGEST / 2 / max(view.camera.size.tolist())))))


def _int16(values: np.ndarray) -> str:
    return _base64(np.clip(np.rint(values), _GAP, _LARGEST).astype("<i2"))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
