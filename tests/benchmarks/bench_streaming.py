"""Data larger than memory: a store's pictures as tar files and in other layouts, and poses that stay on disk.

    python tests/benchmarks/bench_streaming.py --json docs/results/streaming.json
    python tests/benchmarks/bench_streaming.py --pictures 140000 --poses 1000000000

The second has 20 GB of pixels, 9 GB of files; both need a machine that does nothing else.

Layouts: the same pictures as .npy, as PNG in tar (`posedata prepare --shards`), as PNG in parquet, and as
mp4 as LeRobotDataset v3 has them: bytes, and pictures a second in the order of the files and at random.
Pictures: steps of UniHPR's lightest network of images, from memory and streamed from tar files. Poses: steps
of a lifter on poses drawn from a million in memory, and from many in a file that is sparse on disk, which
repeat the million with some noise. Each training is in a process of its own, whose peak of resident memory is
told.
"""

import argparse
import io
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from posedata.results import write_results
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, StoreWriter
from posedata.store.mapped import MappedRows
from posedata.views import get_rig
from posedata.views.ahead import Ahead
from posedata.views.noise import DetectorNoise
from posedata.views.order import StreamOrder
from posedata.views.virtual import VirtualViews
from poseenc.image import image_encoder
from torch import Tensor, nn

WIDTH, HEIGHT = 192, 256
WARM = 3
"""Steps that are not timed; `begin_s` is what they take, in which files are checked that are first read."""
Row = dict[str, Any]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def pictures(count: int, start: int = 0) -> np.ndarray:
    """Frames of a coloured figure that moves before a room with some noise, as a camera's would be."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    room = np.stack([80 + 0.4 * x, 120 - 0.2 * y, 60 + 0.3 * (x + y) / 2], -1)
    out = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    for i in range(count):
        frame, random = room.copy(), np.random.default_rng(start + i)
        centre = np.array([96 + 40 * np.sin((start + i) / 25), 128 + 20 * np.cos((start + i) / 17)])
        for j in range(6):
            limb = centre + 30 * np.array([np.cos(j + (start + i) / 30), 1.5 * np.sin(j + (start + i) / 30)])
            frame[(x - limb[0]) ** 2 + (y - limb[1]) ** 2 < 400] = (200, 40 * j, 90)
        out[i] = np.clip(frame + random.normal(0, 2, (HEIGHT, WIDTH, 1)), 0, 255)
    return out


def write(path: Path, count: int, *, shards: bool) -> PoseStore:
    meta = {"skeleton": "h36m17", "fps": 50, "source": "bench", "licence": "none"}
    with StoreWriter(path, meta, shards=shards) as writer:
        joints = np.random.default_rng(0).normal(0, 0.4, (count, 17, 3)).astype(np.float32)
        writer.add_columns({"joints": joints, "image": np.arange(count, dtype=np.int32)})
        several = pictures(min(count, 512))  # the sensor's noise is new, the movement comes back
        for start in range(0, count, len(several)):
            writer.add_images(several[: count - start])
    return PoseStore.open(path)


# ---- layouts


def layouts(folder: Path, count: int, clock: str) -> list[Row]:
    arrays, tars = write(folder / "npy", count, shards=False), write(folder / "tar", count, shards=True)
    chosen = np.random.default_rng(0).permutation(count)[: min(count, 256)]
    rows = [
        _read("npy", folder / "npy/images", count, chosen, arrays.images, clock),
        _read("PNG in tar", folder / "tar/images", count, chosen, tars.images, clock),
    ]
    for name, make in (("PNG in parquet", parquet), ("mp4 and parquet", video)):
        (folder / name).mkdir()
        try:
            read = make(folder / name, arrays, count)
        except ImportError as error:
            print(f"{name}: left out ({error.name} is not installed)")
            continue
        rows.append(_read(name, folder / name, count, chosen, read, clock))
    return rows


def _read(
    name: str,
    folder: Path,
    count: int,
    chosen: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    clock: str,
) -> Row:
    expected = pictures(min(count, 512))
    read(np.arange(1))  # a file is checked when it is first read
    began = CLOCKS[clock]()
    for start in range(0, count, 64):
        found = read(np.arange(start, min(start + 64, count)))
    sequential = count / (CLOCKS[clock]() - began)
    began = CLOCKS[clock]()
    for row in chosen:
        found = read(np.array([row]))
    random = len(chosen) / (CLOCKS[clock]() - began)
    exact = bool(np.array_equal(found[0], expected[chosen[-1] % len(expected)]))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {
        "part": "layout",
        "layout": name,
        "pictures": count,
        "bytes_a_picture": round(size / count),
        "sequential_per_s": round(sequential, 1),
        "random_per_s": round(random, 1),
        "lossless": exact,
    }


def parquet(folder: Path, store: PoseStore, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """PNG in a column of bytes, 64 rows a group."""
    import pyarrow
    import pyarrow.parquet

    def encoded(start: int) -> Iterator[bytes]:
        for picture in store.images(np.arange(start, min(start + 64, count))):
            out = io.BytesIO()
            Image.fromarray(picture).save(out, "PNG", compress_level=1)
            yield out.getvalue()

    schema = pyarrow.schema([("png", pyarrow.binary())])
    with pyarrow.parquet.ParquetWriter(folder / "file.parquet", schema, compression="none") as writer:
        for start in range(0, count, 64):
            writer.write_table(pyarrow.table({"png": list(encoded(start))}, schema=schema))
    file = pyarrow.parquet.ParquetFile(folder / "file.parquet")

    def read(rows: np.ndarray) -> np.ndarray:
        group = file.read_row_group(int(rows[0]) // 64)["png"]
        return np.stack([np.asarray(Image.open(io.BytesIO(group[int(r) % 64].as_py()))) for r in rows])

    return read


def video(folder: Path, store: PoseStore, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """H.264 with a key frame every other frame, as LeRobot writes it; a row is found by its time."""
    import av

    with av.open(str(folder / "file.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=50, options={"g": "2", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for start in range(0, count, 64):
            for picture in store.images(np.arange(start, min(start + 64, count))):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())
    container = av.open(str(folder / "file.mp4"))
    source = container.streams.video[0]

    def read(rows: np.ndarray) -> np.ndarray:
        due = [round(int(r) / 50 / source.time_base) for r in rows]
        container.seek(due[0], stream=source)
        found: list[np.ndarray] = []
        for frame in container.decode(source):
            if frame.pts >= due[0]:
                found.append(frame.to_ndarray(format="rgb24"))
            if len(found) == len(rows):
                break
        return np.stack(found)

    return read


# ---- training


def train_on_pictures(folder: str, kept: bool, steps: int, batch: int, clock: str) -> Row:
    """Pictures a second in training a light network of images, from memory or streamed from the files."""
    torch.manual_seed(0)
    store = PoseStore.open(folder)
    rows = np.arange(len(store))
    held = store.images(rows) if kept else None
    order = StreamOrder(store.shards(rows), batch, seed=0)
    net = image_encoder("light", 51)
    optimizer = torch.optim.AdamW(net.parameters())
    read = Ahead(lambda chosen: store.images(chosen.numpy()))

    def one(step: int) -> None:
        chosen, following = (torch.from_numpy(order.rows(n)) for n in (step, step + 1))
        images = read(chosen, following) if held is None else held[chosen.numpy()]
        truth = torch.from_numpy(store.joints(chosen.numpy())).flatten(1)
        seen = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        optimizer.zero_grad()
        (net(seen) - truth).square().mean().backward()
        optimizer.step()

    return _timed(one, steps, batch, clock) | {"part": "pictures", "from": "memory" if kept else "tar files"}


def train_on_poses(file: str, kept: bool, steps: int, batch: int, clock: str) -> Row:
    """Poses a second in training a lifter on virtual views of poses in memory, or on disk."""
    torch.manual_seed(0)
    base = torch.from_numpy(np.load(file))
    source: Any = base
    if not kept:
        source = _Repeated(np.load(f"{file}.more.npy", mmap_mode="r"), base)
    views = VirtualViews(source, get_skeleton("h36m17"), (get_rig("mocap"),), DetectorNoise())
    net = nn.Sequential(nn.Linear(34, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 51))
    optimizer = torch.optim.AdamW(net.parameters())

    def one(step: int) -> None:
        seen = views.draw(batch, torch.Generator().manual_seed(step), noise=0.3)
        keypoints = (seen.keypoints["mixed"][..., :2] / 500 - 1).flatten(1)
        optimizer.zero_grad()
        (net(keypoints) - seen.local.flatten(1)).square().mean().backward()
        optimizer.step()

    done = _timed(one, steps, batch, clock)
    return done | {"part": "poses", "from": "memory" if kept else "disk", "poses": len(source)}


class _Repeated(MappedRows):
    """A million poses over and over, and what the file adds to each."""

    def __init__(self, column: np.ndarray, base: Tensor) -> None:
        super().__init__(column)
        self.base = base

    def __getitem__(self, index: Tensor) -> Tensor:
        return super().__getitem__(index) + self.base[index % len(self.base)]


def make_poses(file: Path, few: int, many: int) -> None:
    """Few poses, and a column of many, which holds noise in a thousand places and nothing elsewhere."""
    random = np.random.default_rng(0)
    base = random.normal(0, 0.4, (few, 17, 3)).astype(np.float32) + np.float32([0, 0, 1])
    np.save(file, base)
    more = np.lib.format.open_memmap(f"{file}.more.npy", "w+", np.float32, (many, 17, 3))
    for row in np.linspace(0, many - 100, 1000).astype(np.int64):
        more[row : row + 100] = random.normal(0, 0.01, (100, 17, 3))


def _timed(one: Callable[[int], None], steps: int, batch: int, clock: str) -> Row:
    began = CLOCKS[clock]()
    for step in range(WARM):
        one(step)
    times, begun = [], CLOCKS[clock]() - began
    for step in range(WARM, WARM + steps):
        began = CLOCKS[clock]()
        one(step)
        times.append(CLOCKS[clock]() - began)
    status = Path("/proc/self/status").read_text().splitlines()  # getrusage has the parent's peak too
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return {
        "per_s": round(batch / float(np.median(times)), 1),
        "begin_s": round(begun, 1),
        "peak_mib": round(peak),
    }


# ---- all of it


def apart(work: Callable[..., Row], *given: Any) -> Row:
    """In a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(work, given)


def measure(folder: Path, few: int, many: int, options: argparse.Namespace) -> list[Row]:
    rows = layouts(folder, min(few, options.pictures), options.clock)
    shutil.rmtree(folder / "npy")
    shutil.rmtree(folder / "tar")
    store = write(folder / "store", options.pictures, shards=True)
    size = sum(file.stat().st_size for file in (store.path / "images").iterdir())
    raw = options.pictures * WIDTH * HEIGHT * 3
    kept = write(folder / "kept", few, shards=True)
    for place, held in ((kept.path, True), (store.path, False)):
        row = apart(train_on_pictures, str(place), held, options.steps, options.batch, options.clock)
        rows.append(row | {"pictures": len(PoseStore.open(place))})
    rows[-1] |= {"bytes_on_disk": size, "bytes_of_pixels": raw}
    make_poses(folder / "poses.npy", many, options.poses)
    for held in (True, False):
        rows.append(
            apart(train_on_poses, str(folder / "poses.npy"), held, options.steps, 1024, options.clock)
        )
    rows[-1]["bytes_on_disk"] = (folder / "poses.npy.more.npy").stat().st_blocks * 512
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--pictures", type=int, default=14_000, help="of 192x256, streamed, 147 KB each")
    parser.add_argument("--few", type=int, default=2_000, help="pictures kept in memory")
    parser.add_argument("--poses", type=int, default=100_000_000, help="on disk, beside a million in memory")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS), help="cpu, for a busy machine")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        million = min(1_000_000, options.poses)
        rows = measure(Path(folder), min(options.few, options.pictures), million, options)
    for row in rows:
        print(json.dumps(row))
    if options.json:
        write_results(options.json, rows, seeds=[0], clock=options.clock)


if __name__ == "__main__":
    main()
