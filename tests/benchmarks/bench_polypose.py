"""`polypose.Model.lift`: poses a second in a batch and milliseconds for one, beside a naive twin.

    python tests/benchmarks/bench_polypose.py --model packaged --model small \\
        --json docs/results/polypose_speed.json

The twin does the same in a loop, a person at a time, without checks. Below them the network alone, by torch
and by ONNX runtime, on keypoints as it takes them; and how long loading takes once all is imported. Without
--model a network of the size that --hidden says is made, of random weights: time does not depend on what it
has learnt. `--model packaged` measures the weights in the package, `--model small` its smaller ones.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import polypose
import torch
import typer
from polypose.config import ModelConfig, Settings
from polypose.export import export_onnx, module_of
from polypose.model import Model
from polypose.network import UniHPR
from polypose.samples import Sample
from posedata.geometry.camera import Camera
from posedata.results import write_results
from posedata.views.batch import GIVEN, given
from rich.console import Console
from rich.table import Table

SIZE = (1000, 1000)
FOCAL = 1000.0
LIMBS = np.array(
    [
        *(0, 0, -0.13, 0, -0.13, 0.45, -0.13, 0.9, 0.13, 0, 0.13, 0.45, 0.13, 0.9),
        *(0, -0.25, 0, -0.5, 0, -0.6, 0, -0.75),
        *(0.18, -0.5, 0.22, -0.2, 0.25, 0.05, -0.18, -0.5, -0.22, -0.2, -0.25, 0.05),
    ]
)
"""A standing body of h36m17, metres in the picture's plane."""


def main(
    people: Annotated[int, typer.Option(help="In a batch.")] = 8192,
    hidden: Annotated[int, typer.Option(help="Width of the random network.")] = 256,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 2,
    repeat: Annotated[int, typer.Option(help="The fastest of so many is told.")] = 3,
    model: Annotated[
        list[str] | None, typer.Option(help="Measure this one instead, or `packaged`; repeatable.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the results there.")] = None,
) -> None:
    """Time them and print a table."""
    torch.set_num_threads(threads)
    noise = np.random.default_rng(0).normal(0, 4, (people, 17, 2))
    points = (500 + 200 * LIMBS.reshape(17, 2) + noise).astype(np.float32)
    rows, networks, seconds = [], {}, {}
    for name in model or ["random"]:
        held = polypose.load(None if name == "packaged" else name) if model else made(hidden)
        rows += [{"weights": name, **row} for row in measured(held, points, threads, repeat)]
        count = sum(p.numel() for p in held.network.parameters())
        networks[name], seconds[name] = f"{count / 1e6:.1f} million weights", loading(held, repeat)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    Console().print(table)
    Console().print("loaded in " + ", ".join(f"{value:.2f} s ({name})" for name, value in seconds.items()))
    if json:
        write_results(json, rows, network=networks, threads=threads, loading_seconds=seconds)


def measured(held: Model, points: np.ndarray, threads: int, repeat: int) -> Iterator[dict[str, Any]]:
    """A row a way of lifting: poses a second, and milliseconds for one."""
    lifts: dict[str, Callable[[np.ndarray], object]] = {
        "polypose": lambda some: held.lift(some, size=SIZE, skeleton="h36m17"),
        "a person at a time, no checks": lambda some: naive(held, some),
        **alone(held, points, threads),
    }
    for name, lift in lifts.items():
        some = points[:256] if name.startswith("a person") else points
        batch, one = fastest(lift, some, repeat), fastest(lift, points[:1], 20 * repeat)
        yield {"lift": name, "people": len(some), "per_second": len(some) / batch, "one_ms": 1000 * one}


def made(hidden: int) -> Model:
    """A small lifter."""
    wide = {"dim": hidden, "hidden": hidden, "decoder_hidden": hidden}
    return Model(
        UniHPR(ModelConfig(pose_encoder="mlp", blocks=1, decoder_blocks=1, **wide)), Settings(batch=2048)
    )


def alone(
    model: Model, points: np.ndarray, threads: int
) -> dict[str, Callable[[np.ndarray], list[np.ndarray]]]:
    """The lifting network by torch and by ONNX runtime, on as many people as the points are of."""
    seen = Sample.of(given(torch.from_numpy(points), camera()), model.settings.frame, GIVEN)
    inputs = torch.cat([seen.keypoints, seen.confidence[..., None]], -1), seen.token
    names, network, batch = ("keypoints", "token"), module_of(model, "lifter"), model.settings.batch
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(model, "lifter", Path(folder) / "lifter.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @torch.no_grad()
    def by_torch(some: np.ndarray) -> list[np.ndarray]:
        parts = zip(*(x[: len(some)].split(batch) for x in inputs), strict=True)
        return [network(*part).numpy() for part in parts]

    def by_onnx(some: np.ndarray) -> list[np.ndarray]:
        parts = zip(*(x[: len(some)].split(batch) for x in inputs), strict=True)
        return [
            session.run(None, {n: x.numpy() for n, x in zip(names, part, strict=True)})[0] for part in parts
        ]

    return {"the network alone, torch": by_torch, "the network alone, ONNX runtime": by_onnx}


def loading(model: Model, repeat: int) -> float:
    """Seconds of the fastest loading of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(Path(folder), half=True)
        return fastest(lambda _: polypose.load(path), np.empty(0), repeat)


def fastest(lift: Callable[[np.ndarray], object], points: np.ndarray, repeat: int) -> float:
    """Seconds of the fastest of so many, after one that is not counted."""
    lift(points)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        lift(points)
        times.append(time.perf_counter() - start)
    return min(times)


def camera() -> Camera:
    """In the origin of its own frame."""
    return Camera(torch.full((2,), FOCAL), torch.full((2,), 499.5), torch.eye(3), torch.zeros(3), size=SIZE)


@torch.no_grad()
def naive(model: Model, points: np.ndarray) -> list[torch.Tensor]:
    """The same poses, one after the other."""
    found = []
    for person in points:
        seen = Sample.of(given(torch.from_numpy(person)[None], camera()), model.settings.frame, GIVEN)
        pose = model.network.decode("3d", model.network.embed("2d", seen), "2d") @ seen.rotation
        found.append(pose - pose[:, :1])
    return found


if __name__ == "__main__":
    typer.run(main)
