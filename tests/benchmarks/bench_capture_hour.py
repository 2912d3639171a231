"""`polypose.capture`: the most memory that films of five, twenty and sixty minutes take, step by step.

    python tests/benchmarks/bench_capture_hour.py --json docs/results/capture_hour.json
    python tests/benchmarks/bench_capture_hour.py --film demo.mp4 --lengths 1,3

A synthetic person walks in a circle before one camera, 30 frames a second, the same minute again and again;
its 2D comes as a detector's from the disk, one frame after the other. With `--film` people are found in that
film, again and again to such a length, as `polypose capture` finds them (the networks: `polypose get`): an
hour of it takes about an hour. Each length runs in a process of its own. What grows with the film is what a
capture keeps: joints, covariances and 2D, about 1.3 kB a frame and person.
"""

import json as jsons
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from polypose.capture.detecting import Seen
from polypose.capture.detectors.detector import box_around
from polypose.capture.looks import PATCHES
from polypose.capture.single import solve_single
from polypose.capture.tracks import Moment, link
from polypose.capture.write.saving import FORMATS
from posedata.results import write_results
from posedata.terminal import print_line

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packages/polypose/tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

RATE, MINUTE = 30, 1800


def moments(frames: int) -> Iterator[Moment]:
    """A person seen in so many frames."""
    from capture_people import Detector, ring, walker, watched

    joints, angle = walker(MINUTE, seed=6), 2 * np.pi * np.arange(MINUTE) / MINUTE
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    joints = joints - joints[:, :1] * np.array([1.0, 1, 0]) + circle[:, None]
    (points,) = watched(joints, ring(1, np.array([0, 0, 1.0]), 6.0), Detector())
    boxes, colours = box_around(points), np.full((1, PATCHES, 3), np.nan)
    for frame in range(frames):
        row = frame % MINUTE
        yield Moment(frame / RATE, points[row : row + 1].copy(), boxes[row : row + 1].copy(), colours)


def peak() -> float:
    """The most that the process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def walked(minutes: float) -> tuple[Seen, dict[str, float]]:
    """The synthetic person, and the peak after each step."""
    from capture_people import SIZE

    frames = round(60 * RATE * minutes)
    list(moments(1))
    out = {"before_mb": peak()}
    tracks = link(moments(frames), "h36m17")
    out["tracked_mb"] = peak()
    return Seen("film", None, SIZE, np.arange(frames) / RATE, "h36m17", tracks), out


def found(film: Path, minutes: float, network: str, folder: Path) -> tuple[Seen, dict[str, float]]:
    """The people of a film that goes on for so long, likewise."""
    from bench_capture import looped
    from polypose.capture.detecting import detect_film
    from polypose.capture.detectors import make_detector
    from polypose.capture.films import open_films

    (opened,) = open_films(looped(film, folder / "long.mkv", minutes))
    peaks: list[float] = []
    out = {"before_mb": peak()}
    make = lambda: make_detector("blazepose", network)  # noqa: E731
    seen = detect_film(opened, make, "bench", folder / "work", progress=lambda time: peaks.append(peak()))
    return seen, out | {"seen_tenth_mb": peaks[len(peaks) // 10], "seen_mb": peaks[-1], "tracked_mb": peak()}


def measured(minutes: float, film: Path | None, network: str) -> dict[str, float]:
    """Of one length of film: the peak after each step."""
    model = polypose.load()
    with TemporaryDirectory() as name:
        folder = Path(name)
        seen, out = walked(minutes) if film is None else found(film, minutes, network, folder)
        motion = solve_single(model, seen, say=lambda text: None)
        out["solved_mb"] = peak()
        for ending in sorted(FORMATS, key=lambda name: name == "c3d"):  # the largest last
            motion.save(folder / f"motion.{ending}")
            if ending != "c3d":
                out["written_mb"] = peak()
        out["c3d_mb"] = peak()
    return {"minutes": minutes, "frames": len(seen.times), **out}


def main(
    lengths: Annotated[str, typer.Option(help="minutes of film, by commas")] = "5,20,60",
    film: Annotated[Path | None, typer.Option(help="look for people in this one, again and again")] = None,
    network: Annotated[str, typer.Option(help="of landmarks: lite, full or heavy")] = "lite",
    one: Annotated[float | None, typer.Option(help="of one length alone, as JSON")] = None,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rows."""
    if one is not None:
        torch.set_num_threads(1)
        print_line(jsons.dumps(measured(one, film, network)))
        return
    rows: list[dict[str, Any]] = []
    for minutes in lengths.split(","):
        line = [sys.executable, __file__, "--one", minutes, "--network", network]
        line += ["--film", str(film)] if film else []
        told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        rows.append({"row": f"{minutes} minutes", **jsons.loads(told.splitlines()[-1])})
        print_line(
            ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items())
        )
    if json:
        about = {"film": film.name, "network": network} if film else {"rate": RATE}
        write_results(json, rows, **about)


if __name__ == "__main__":
    typer.run(main)
