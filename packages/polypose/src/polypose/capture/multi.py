"""Several cameras: people in the world of their calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton
from posedata.terminal import print_line

from polypose.capture.detecting import Seen
from polypose.capture.extrinsics import find_extrinsics
from polypose.capture.floor import Floor, find_floor, turn_between
from polypose.capture.intrinsics import lens_of
from polypose.capture.lifted import lift_track
from polypose.capture.matching import Sighting, gap_of, match
from polypose.capture.motion import Motion, View
from polypose.capture.placing import check_height
from polypose.capture.rays import cast
from polypose.capture.single import LEVEL, as_skeleton, moved, person_of
from polypose.capture.solving import Solved, solve_person
from polypose.capture.stretches import sampled
from polypose.capture.swaps import unswap, unswap_views
from polypose.capture.synchronise import MOST, offset_by, offsets, speeds, told_offset
from polypose.capture.triangulate import Prior, triangulate
from polypose.model import Model

BRIEF = 0.5
"""Seconds below which somebody whom one camera alone saw is taken for a false detection."""
_LEVEL = np.radians(15.0)
"""Tilt from which a calibration's z is not up."""
_ACROSS = np.radians(50.0)
"""Between a calibration's z and up in its cameras' pictures, from where z is another direction."""
_APART = 1e-6
_MINUTE, _FINE = 60.0, 1 / 30
"""Seconds of film that tell how far films start apart, and the steps in which that is looked for."""
_STANDING = 0.1
"""Metres by which rays of one joint may pass each other in all frames of films that start together."""
_WHILE = 10
_ROUNDS = 2


def solve_multi(
    model: Model,
    seen: Sequence[Seen],
    cameras: Sequence[Camera] | None = None,
    height: float | None = None,
    smooth: bool = True,
    *,
    offset: Sequence[float] | None = None,
    say: Callable[[str], None] = print_line,
) -> Motion:
    """The people of several films of one scene, on the first film's clock.

    Args:
        cameras: of the films, in their order: calibrated; or lenses alone, all at one place, whose places are
            then told from the longest seen person, as they are where all of it is left out.
        height: metres, if known; used where cameras' places come from people.
        smooth: over time, by each frame's own uncertainty.
        offset: seconds by which each film's clock is ahead of the first's; estimated where left out.
        say: told what the user must know.

    Raises:
        ValueError: the cameras cannot be these films', or do not see the same people.
    """
    if len(seen) < 2:
        raise ValueError(f"{len(seen)} film: give two or more, or capture it alone")
    if cameras is not None and len(cameras) != len(seen):
        raise ValueError(f"{len(cameras)} cameras for {len(seen)} films: give one each, in their order")
    given = list(cameras) if cameras is not None else [None] * len(seen)
    lenses = [lens_of(s.name, s.size, camera, s.exif_focal) for s, camera in zip(seen, given, strict=True)]
    notes = [note for s in seen for note in getattr(s, "notes", ())]
    notes += [lens.note for lens in lenses if lens.note]
    if any(s.depth is not None for s in seen):
        notes.append("depth images are not looked at where several films are captured together")
    views = [lens.camera for lens in lenses]
    points = [[as_skeleton(t.keypoints, s.skeleton, model.skeleton) for t in s.tracks] for s in seen]
    posed = _posed(views)
    if offset is not None:
        ahead = np.asarray(offset, np.float64)
    else:
        ahead, told = (_by_rays if posed else _by_speed)(model, views, seen, points)
        notes += told
    clock = seen[0].times
    clocks = [s.times - by for s, by in zip(seen, ahead, strict=True)]
    sightings = _sightings(seen, points, clocks, clock)
    if not posed and sightings:
        views = _from_people(model, views, sightings, clock, height)
        notes.append("cameras' places told from the people themselves, sizes from their bones")
    turned = turn_between(_up(views), np.array([0.0, 0, 1])) if posed else np.eye(3)
    views = [moved(view, Floor(turned, np.zeros(3), 0.0, False)) for view in views]
    groups, told = _groups(model, views, sightings, clock)
    notes += told
    focal_sd = max(lens.focal_sd for lens in lenses)
    found = []
    for group in groups:
        first, stack = _stacked([sightings[i] for i in group], len(seen))
        times = clock[first : first + stack.shape[1]]
        solved = solve_person(model, views, stack, times, height=height, focal_sd=focal_sd, smoothed=smooth)
        if np.isfinite(solved.joints).any():
            found.append((first, solved))
    world = find_floor([s.joints for _, s in found], [_span(clock, f, s) for f, s in found], model.skeleton)
    known = posed and world.tilt < _LEVEL and (turned == np.eye(3)).all()
    if not known and found:
        if posed:
            notes.append("the calibration's z is not up: turned by how people stand, the floor at z = 0")
        elif not world.sure:
            notes.append(f"{seen[0].name}: camera assumed level")
        views = [moved(view, world) for view in views]
        found = [(first, solved.turned(world.rotation, world.translation)) for first, solved in found]
    names = [s.name for s in seen]
    people = [person_of(i, first, solved, names) for i, (first, solved) in enumerate(found, 1)]
    for note in notes:
        say(f"note: {note}")
    films = [
        View(s.name, view, s.path, own, -float(by), s.rate)
        for s, view, own, by in zip(seen, views, clocks, ahead, strict=True)
    ]
    return Motion(clock, tuple(people), tuple(films), model.skeleton, tuple(notes))


def _sightings(
    seen: Sequence[Seen],
    points: Sequence[Sequence[np.ndarray]],
    clocks: Sequence[np.ndarray],
    clock: np.ndarray,
) -> list[Sighting]:
    """All tracks of all films at the times of a clock, of films whose frames are at these times on it."""
    return [
        sighting
        for view, s in enumerate(seen)
        for track, mine in zip(s.tracks, points[view], strict=True)
        if (sighting := _on_clock(view, mine, clocks[view][track.first :][: len(mine)], clock)) is not None
    ]


def _groups(
    model: Model, views: Sequence[Camera], sightings: Sequence[Sighting], clock: np.ndarray
) -> tuple[list[list[int]], list[str]]:
    """Which sightings are of one person, without brief ones of one camera alone, and what is to be told."""
    groups = match(sightings, views, model.skeleton)
    if len(groups) == len(sightings) > 1 and _together(sightings):
        raise ValueError("no two films show the same person: give the calibration of these films, in metres")
    rate = 1 / float(np.median(np.diff(clock))) if len(clock) > 1 else 30.0
    kept = [g for g in groups if len({sightings[i].view for i in g}) > 1 or _long(sightings, g, rate)]
    left = len(groups) - len(kept)
    return kept, [f"{left} brief tracks of one camera alone left out"] if left else []


def _by_speed(
    model: Model, cameras: Sequence[Camera], seen: Sequence[Seen], points: Sequence[Sequence[np.ndarray]]
) -> tuple[np.ndarray, list[str]]:
    """Seconds by which each film is ahead of the first: where people move as fast in all."""
    speed = [_speeds(model, view, s, p) for view, s, p in zip(cameras, seen, points, strict=True)]
    return offsets(speed, [s.times for s in seen])


def _speeds(model: Model, camera: Camera, seen: Seen, points: Sequence[np.ndarray]) -> np.ndarray:
    """(F, J) m/s of everybody in a film, on average."""
    total, count = np.zeros((2, len(seen.times), len(model.skeleton)))
    for track, mine in zip(seen.tracks, points, strict=False):
        span = slice(track.first, track.first + len(mine))
        own = speeds(lift_track(model, camera, mine, seen.times[span]).joints, seen.times[span])
        total[span] += np.nan_to_num(own)
        count[span] += np.isfinite(own)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _by_rays(
    model: Model, cameras: Sequence[Camera], seen: Sequence[Seen], points: Sequence[Sequence[np.ndarray]]
) -> tuple[np.ndarray, list[str]]:
    """Seconds by which each film is ahead of the first: where rays pass each other nearest."""
    begin, skeleton = _crowded(seen), model.skeleton
    tracks = [
        [
            (unswap(part, skeleton), times)
            for track, mine in zip(film.tracks, some, strict=True)
            for part, times in [_within(mine, film.times[track.first :][: len(mine)], begin)]
            if len(part) >= _WHILE
        ]
        for film, some in zip(seen, points, strict=True)
    ]
    out, notes = np.zeros(len(seen)), []
    for view in range(1, len(seen)):
        pair = [cameras[0], cameras[view]]
        step = float(np.median(np.diff(seen[view].times))) if len(seen[view].times) > 1 else _FINE
        step = min(step, _FINE)  # of every n-th frame the ones between tell, too

        def gaps(ahead: float, pair: list[Camera] = pair, view: int = view) -> float:
            nearest = [
                min((_gap(pair, one, other, ahead, skeleton) for other in tracks[view]), default=np.inf)
                for one in tracks[0]
            ]
            known = [gap for gap in nearest if np.isfinite(gap)]
            return float(np.median(known)) if known else float("nan")

        out[view] = offset_by(gaps, step)
        if out[view]:
            notes.append(told_offset(view, out[view]))
    return out, notes


def _crowded(seen: Sequence[Seen]) -> float:
    """Where on the first film's clock the minute begins in which the films together show the most."""
    clock, shown = seen[0].times, np.ones(len(seen[0].times))
    for film in seen:
        count = np.zeros(len(film.times))
        for track in film.tracks:
            count[track.first : track.first + len(track)] += 1
        shown *= np.interp(clock, film.times, count)
    total = np.concatenate([[0.0], np.cumsum(shown)])
    within = total[np.searchsorted(clock, clock + _MINUTE, "right")] - total[:-1]
    return float(clock[np.argmax(within)])


def _within(points: np.ndarray, times: np.ndarray, begin: float) -> tuple[np.ndarray, np.ndarray]:
    """Of a track the part of a minute, and of as much about it as films may start apart."""
    part = slice(*np.searchsorted(times, [begin - MOST, begin + _MINUTE + MOST]).tolist())
    return points[part], times[part]


def _gap(
    cameras: Sequence[Camera],
    one: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    ahead: float,
    skeleton: Skeleton,
) -> float:
    """Metres by which the rays of two tracks pass each other; infinite where half of them never meet."""
    mine = _on_clock(1, other[0], other[1] - ahead, one[1])
    if mine is None or len(mine.keypoints) < max(_WHILE, min(len(one[0]), len(other[0])) / 2):
        return float("inf")
    part = one[0][mine.first : mine.last]
    gap = gap_of(cast(cameras, np.stack([part, mine.keypoints]), skeleton), _STANDING)
    return gap if np.isfinite(gap) else float("inf")


def _on_clock(view: int, points: np.ndarray, own: np.ndarray, clock: np.ndarray) -> Sighting | None:
    """A track at the clock's times, between the frames about each; None where it shows nothing then."""
    step = float(np.median(np.diff(own))) if len(own) > 1 else 1 / 30
    near = 0.02 * step
    rows = np.flatnonzero((clock >= own[0] - near) & (clock <= own[-1] + near))
    if not len(rows):
        return None
    at = np.clip(clock[rows], own[0], own[-1])
    after = np.clip(np.searchsorted(own, at - near), 0, len(own) - 1)
    before = np.where(own[after] <= at + near, after, np.maximum(after - 1, 0))
    share = np.where(after > before, (at - own[before]) / np.maximum(own[after] - own[before], 1e-9), 0)
    one, two = points[before], points[after]
    both = (one[..., 2] > 0) & (two[..., 2] > 0) & (own[after] - own[before] < 1.5 * step)[:, None]
    mixed = (one + share[:, None, None] * (two - one)).astype(np.float32)
    mixed[..., 2] = np.minimum(one[..., 2], two[..., 2])
    mixed[~both] = 0
    return Sighting(view, int(rows[0]), mixed)


def _posed(cameras: Sequence[Camera]) -> bool:
    """Whether cameras stand apart."""
    where = torch.stack([camera.position.double() for camera in cameras])
    return bool(((where - where[0]).norm(dim=-1) > _APART).any())


def _up(cameras: Sequence[Camera]) -> np.ndarray:
    """Which way is up: the world's z, if it is so in the cameras' pictures, too; else theirs."""
    up = -torch.stack([camera.rotation[1].double() for camera in cameras]).mean(0).numpy()
    z = np.array([0.0, 0, 1])
    return z if up[2] > np.cos(_ACROSS) * np.linalg.norm(up) else up


def _together(sightings: Sequence[Sighting]) -> bool:
    """Whether two films show somebody at the same time for a while."""
    return any(
        a.view != b.view and min(a.last, b.last) - max(a.first, b.first) > _WHILE
        for a in sightings
        for b in sightings
    )


def _from_people(
    model: Model,
    lenses: Sequence[Camera],
    sightings: Sequence[Sighting],
    clock: np.ndarray,
    height: float | None,
) -> list[Camera]:
    """Cameras placed by the longest track of each film."""
    chosen = []
    for view in range(len(lenses)):
        mine = [s for s in sightings if s.view == view]
        if not mine:
            raise ValueError(f"film {view + 1} shows nobody: give a calibration, or leave it out")
        chosen.append(max(mine, key=lambda s: float((s.keypoints[..., 2] > 0).sum())))
    first, stack = _stacked(chosen, len(lenses))
    rows = sampled(np.asarray((stack[..., 2] > 0).any(2).all(0)))
    stack, times = stack[:, rows], clock[first + rows]
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    stack = np.stack([unswap(mine, model.skeleton, times) for mine in stack])
    level = lenses[0].replace(rotation=torch.from_numpy(LEVEL), translation=zero)
    check_height(height)
    cameras = [level, *lenses[1:]]
    for _ in range(_ROUNDS):
        poses, places = [], []
        for lens, mine in zip(lenses, stack, strict=True):
            plain = lens.replace(rotation=eye, translation=zero)
            lifted = lift_track(model, plain, mine, times)
            rays = cast([plain], mine[None], model.skeleton)
            found = triangulate(rays, Prior(lifted.joints[None], lifted.covariance[None]))
            poses.append(lifted.joints)
            places.append(np.where(lifted.valid[:, None], found.joints[:, model.skeleton.root], np.nan))
        cameras = find_extrinsics(cameras, stack, np.stack(poses), np.stack(places), model.skeleton, height)
        stack, _ = unswap_views(stack, cast(cameras, stack, model.skeleton), model.skeleton)
    return cameras


def _stacked(group: Sequence[Sighting], views: int) -> tuple[int, np.ndarray]:
    """The first frame and (V, T, J, 3) keypoints of a person; of two tracks at once the surer joint."""
    first, last = min(s.first for s in group), max(s.last for s in group)
    out = np.zeros((views, last - first, *group[0].keypoints.shape[1:]), np.float32)
    for s in group:
        place = out[s.view, s.first - first : s.last - first]
        better = s.keypoints[..., 2:] > place[..., 2:]
        place[:] = np.where(better, s.keypoints, place)
    return first, out


def _long(sightings: Sequence[Sighting], group: Sequence[int], rate: float) -> bool:
    return sum(len(sightings[i].keypoints) for i in group) >= BRIEF * rate


def _span(clock: np.ndarray, first: int, solved: Solved) -> np.ndarray:
    return clock[first : first + len(solved.joints)]
