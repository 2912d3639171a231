"""Pictures in tar files: the same pictures and fingerprint, wherever they lie; in what order they stream."""

import functools
import gc
import hashlib
import http.server
import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image
from posedata.store import PoseStore, StoreWriter
from posedata.store.elsewhere import place
from posedata.store.tar_shards import KEPT
from posedata.views.order import StreamOrder

COUNT, PER_SHARD = 50, 4


def write(path: Path, *, shards: bool) -> PoseStore:
    random = np.random.default_rng(0)
    meta = {"skeleton": "h36m17", "fps": 50, "source": "made", "licence": "none"}
    with StoreWriter(path, meta, shard_images=PER_SHARD, shards=shards) as writer:
        image = random.permutation(COUNT).astype(np.int32)
        writer.add_columns({"joints": random.random((COUNT, 17, 3), np.float32), "image": image})
        for start, stop in ((0, 7), (7, COUNT)):  # parts that end within a shard
            count = stop - start
            rgb = random.integers(0, 256, (count, 12, 8, 3), np.uint8)
            depth = random.integers(0, 65536, (count, 12, 8), np.uint16)
            writer.add_images(rgb, depth, (depth > 9).astype(np.uint8))
    return PoseStore.open(path)


@pytest.fixture
def store(tmp_path: Path) -> PoseStore:
    return write(tmp_path / "store", shards=True)


def test_a_store_holds_the_same_in_either_layout(store: PoseStore, tmp_path: Path) -> None:
    arrays = write(tmp_path / "arrays", shards=False)
    assert store.fingerprint == arrays.fingerprint
    rows = np.random.default_rng(1).permutation(COUNT)[:30]
    for kind in ("rgb", "depth", "mask"):
        assert np.array_equal(store.images(rows, kind), arrays.images(rows, kind))
        assert store.images(rows, kind).dtype == arrays.images(rows, kind).dtype
    assert np.array_equal(store.shards(rows), store.column("image")[rows] // PER_SHARD)
    PoseStore.open(store.path, verify=True)


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_webdataset_opens_the_files(store: PoseStore) -> None:
    files = sorted(map(str, (store.path / "images").glob("*.tar")))
    assert len(files) == 13
    found = list(webdataset.WebDataset(files, shardshuffle=False))
    gc.collect()  # which closes the files that it leaves open
    by_image = np.argsort(store.column("image"))
    for kind in ("rgb", "depth"):
        pictures = np.stack([np.asarray(Image.open(io.BytesIO(one[f"{kind}.png"]))) for one in found])
        assert np.array_equal(pictures, store.images(by_image, kind))
    assert found[10]["__key__"] == "000000010"


def test_a_damaged_or_missing_file_is_named(store: PoseStore) -> None:
    file = store.path / "images/00001.tar"
    content = bytearray(file.read_bytes())
    content[700] ^= 1
    file.write_bytes(content)
    damaged = PoseStore.open(store.path)
    rows = np.argsort(store.column("image"))
    damaged.images(rows[:PER_SHARD])  # of the first file
    with pytest.raises(ValueError, match=r"images/00001.tar: is damaged .*make it again"):
        damaged.images(rows)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"00001.tar: missing .*'posedata at'"):
        PoseStore.open(store.path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A folder over http."""
    (tmp_path / "served").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pictures_may_lie_elsewhere(store: PoseStore, tmp_path: Path, served: str) -> None:
    pytest.importorskip("aiohttp")
    expected = store.images(np.arange(COUNT))
    shutil.move(store.path / "images", tmp_path / "served/images")
    place(store.path, f"{served}/images")
    moved = PoseStore.open(store.path)
    assert moved.fingerprint == store.fingerprint
    assert np.array_equal(moved.images(np.arange(COUNT)), expected)
    assert len(moved._opened.elsewhere._kept) == KEPT < 13
    file = tmp_path / "served/images/00003.tar"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    other = PoseStore.open(store.path)
    with pytest.raises(ValueError, match=f"{served}/images/00003.tar: is not this store's"):
        other.images(np.arange(COUNT))
    file.write_bytes(content)
    assert np.array_equal(other.images(np.arange(COUNT)), expected)  # it is copied again


def test_where_they_are_is_not_forgotten(store: PoseStore, tmp_path: Path) -> None:
    expected = store.images(np.arange(COUNT))
    shutil.move(store.path / "images", tmp_path / "images")
    place(store.path, f"file://{tmp_path}/images")
    with pytest.raises(FileNotFoundError, match=r"00000.tar: missing"):
        place(store.path, "")  # which are not in its own folder any more
    assert np.array_equal(PoseStore.open(store.path).images(np.arange(COUNT)), expected)
    for wrong in (b"", b"\xff\xfe", b"one\ntwo\n"):
        (store.path / "shards.url").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"shards.url: is no URL on one line"):
            PoseStore.open(store.path)
    with pytest.raises(FileNotFoundError, match=r"none: no such store"):
        place(tmp_path / "none", "http://127.0.0.1")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="shard_images is 0; give 1 or more"):
        StoreWriter(tmp_path / "other", store.meta, shard_images=0)


def test_they_may_lie_in_an_object_store(store: PoseStore) -> None:
    fsspec = pytest.importorskip("fsspec")
    expected, bucket = store.images(np.arange(COUNT)), fsspec.filesystem("memory")
    bucket.put(str(store.path / "images") + "/", "/bucket/images/", recursive=True)
    shutil.rmtree(store.path / "images")
    with pytest.raises(ValueError, match=r"memory://nowhere/00000.tar: cannot be read"):
        place(store.path, "memory://nowhere")
    place(store.path, "memory://bucket/images")
    assert np.array_equal(PoseStore.open(store.path).images(np.arange(COUNT)), expected)


def test_an_epoch_has_every_row_once_and_mixes_them() -> None:
    shard = np.repeat(np.arange(32), 50)
    order = StreamOrder(shard, 40, seed=3)
    seen = np.concatenate([order.rows(step) for step in range(80)])  # two epochs
    assert np.array_equal(np.bincount(seen), np.full(1600, 2))
    one, two = seen[:1600], seen[1600:]
    assert np.array_equal(np.sort(one), np.arange(1600))
    assert not np.array_equal(one, two)
    assert np.mean([len(np.unique(shard[order.rows(step)])) for step in range(40)]) > 20
    lane = shard[one].reshape(40, 8, 5)[:, 0].reshape(-1)  # one lane reads four files, then four others
    assert len(set(lane)) == 4


def test_a_batch_follows_from_its_step_alone_and_each_process_has_files_of_its_own() -> None:
    random = np.random.default_rng(0)
    shard = random.permutation(np.repeat(np.arange(20), random.integers(1, 60, 20)))
    order, again = StreamOrder(shard, 24, seed=1), StreamOrder(shard, 24, seed=1)
    assert np.array_equal(order.rows(1000), again.rows(1000))
    assert not np.array_equal(order.rows(1000), StreamOrder(shard, 24, seed=2).rows(1000))
    files: list[set[int]] = [set(), set()]
    for step in range(60):
        for rank, share in enumerate(np.split(order.rows(step), 2)):
            files[rank] |= set(shard[share].tolist())
    assert not files[0] & files[1]
    assert files[0] | files[1] == set(range(20))


def test_the_order_is_this_one() -> None:
    """A run that goes on with another version must have the same batches."""
    rows = StreamOrder(np.arange(100) // 10, 16, seed=0).rows(7)
    assert hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:8] == "5b13d825"
