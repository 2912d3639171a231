"""`polypose.capture`: frames a second from a film to files, time by part, beside the landmark network alone.

    python tests/benchmarks/bench_capture.py demo.mp4 --json docs/results/capture_speed.json

Each part is run by itself, one after the other, by the clock and by what processors spent on it; "end to end"
is the whole, in which the film is decoded beside the networks. "landmark network alone" is what MediaPipe
would at least need: the same network on as many crops, nothing else. For the memory the film is looped to
`--loop` minutes, which is seen first. Needs a film of people and the networks (`polypose get`).
"""

import resource
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import av
import numpy as np
import polypose
import torch
import typer
from polypose.capture.detecting import Seen, detect_film
from polypose.capture.detectors import make_detector
from polypose.capture.detectors.blazepose import CROP
from polypose.capture.detectors.network import Network
from polypose.capture.fetch import cached, landmarks
from polypose.capture.films import WHOLE, Film, ahead, open_films
from polypose.capture.looks import colours
from polypose.capture.single import solve_single
from polypose.capture.tracks import Moment, link
from polypose.capture.write.saving import FORMATS
from posedata.results import write_results
from rich.console import Console
from rich.table import Table


def main(
    film: Annotated[Path | None, typer.Argument(help="A film of people.")] = None,
    network: Annotated[str, typer.Option(help="lite, full or heavy.")] = "lite",
    repeat: Annotated[int, typer.Option(help="Of every part the fastest of so many.")] = 3,
    loop: Annotated[float, typer.Option(help="Minutes of the looped film.")] = 3.0,
    json: Annotated[Path | None, typer.Option(help="Write the results there.")] = None,
) -> None:
    """Time the parts and print a table."""
    if film is None:
        Console().print("bench_capture: give a film of people; nothing measured")
        return
    (opened,) = open_films(film)
    with TemporaryDirectory() as folder:
        memory = growth(looped(film, Path(folder) / "long.mkv", loop), network, Path(folder) / "work")
    parts = measured(opened, network, repeat)
    frames = parts.pop("frames")
    alone = parts["landmark network alone"][0]
    rows = [
        {
            "part": name,
            "ms_a_frame": 1000 * seconds / frames,
            "cpu_ms_a_frame": 1000 * processor / frames,
            "frames_a_second": frames / seconds,
            "to_network_alone": seconds / alone,
        }
        for name, (seconds, processor) in parts.items()
    ]
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{v:,.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    Console().print(memory)
    if json:
        size = "x".join(map(str, opened.size))
        about = {"film": film.name, "size": size, "frames": frames, "network": network, "loop_minutes": loop}
        write_results(json, rows, **about, memory=memory)


def measured(film: Film, network: str, repeat: int) -> dict[str, Any]:
    """Seconds of each part for the whole film, by the clock and of processors; and how many frames it has."""
    model = polypose.load()
    pictures = list(ahead(film.frames(WHOLE)))
    moments = seen_in(pictures, network)
    crops = sum(len(moment.keypoints) for moment in moments)
    tracks = link(moments, "mediapipe33")
    times = np.array([moment.time for moment in moments])
    seen = Seen(film.name, film.path, film.size, times, "mediapipe33", tracks)
    motion = solve_single(model, seen, say=quiet)
    net, crop = Network(cached(landmarks(network)), 1), np.zeros((CROP, CROP, 3), np.float32)
    parts: dict[str, Callable[[], object]] = {
        "decoding": lambda: [None for _ in ahead(film.frames(WHOLE))],
        "detecting": lambda: seen_in(pictures, network),
        "landmark network alone": lambda: [net(crop) for _ in range(crops)],
        "tracking": lambda: link(moments, "mediapipe33"),
        "solving": lambda: solve_single(model, seen, say=quiet),
    }
    found: dict[str, Any] = {"frames": len(pictures)}
    with TemporaryDirectory() as folder:
        for ending in FORMATS:
            parts[f"writing {ending}"] = lambda e=ending: motion.save(Path(folder) / f"motion.{e}")
        out = Path(folder) / "out"
        parts["end to end"] = lambda: polypose.capture(
            film.path, out=out, model=model, network=network, overwrite=True, say=quiet
        )
        for name, part in parts.items():
            found[name] = fastest(part, repeat)
    return found


def seen_in(pictures: list[tuple[float, np.ndarray]], network: str) -> list[Moment]:
    detector = make_detector("blazepose", network)
    out = []
    for at, image in pictures:
        people = detector.detect(image)
        dress = colours(image, people.keypoints, detector.skeleton)
        out.append(Moment(at, people.keypoints, people.boxes, dress))
    return out


def fastest(part: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Seconds by the clock and of processors, of the fastest of so many."""
    times = []
    for _ in range(repeat):
        start, processor = time.perf_counter(), time.process_time()
        part()
        times.append((time.perf_counter() - start, time.process_time() - processor))
    return min(times)


def looped(film: Path, path: Path, minutes: float) -> Path:
    """The film again and again, its packets copied."""
    with av.open(str(path), "w") as to:
        end, number = 0, 0
        stream = None
        while number == 0 or end < 60 * minutes * 1000:
            with av.open(str(film)) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = to.add_stream_from_template(video)
                base, last = Fraction(1, 1000), end
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    for name in ("pts", "dts"):
                        value = int(getattr(packet, name) * packet.time_base / base) + end
                        setattr(packet, name, value)
                    packet.time_base, packet.stream = base, stream
                    last = max(last, packet.pts + 33)
                    to.mux(packet)
                end, number = last, number + 1
    return path


def growth(film: Path, network: str, work: Path) -> dict[str, float]:
    """The most that the process has held after a tenth of a long film and at its end."""
    peaks: list[float] = []
    (opened,) = open_films(film)

    def note(_: float) -> None:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    detect_film(opened, lambda: make_detector("blazepose", network), "bench", work, progress=note)
    tenth = peaks[len(peaks) // 10]
    return {"frames": len(peaks), "peak_mb_after_a_tenth": tenth, "peak_mb_at_the_end": peaks[-1]}


def quiet(text: str) -> None:
    """Tells nobody."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)
