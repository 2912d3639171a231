"""Columns that stay on disk: the same rows as in memory, in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, opening, write_store
from posedata.store.mapped import MappedRows
from posedata.views import get_rig
from posedata.views.noise import DetectorNoise
from posedata.views.virtual import VirtualViews

MIB = 1 << 20


def made(path: Path, count: int) -> PoseStore:
    joints = np.random.default_rng(0).random((count, 17, 3), np.float32)
    meta = {"skeleton": "h36m17", "fps": 50, "source": "made", "licence": "none"}
    write_store(path, {"joints": joints}, meta)
    return PoseStore.open(path)


def test_rows_are_read_as_a_tensor_is_indexed_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 60)
    kept = store.tensors(["joints"])["joints"]
    for mapped in (store.mapped("joints"), MappedRows(store.column("joints").view(np.ndarray))):
        for index in ([], [59], [3, 3, 0], [-1, -60]):
            at = torch.tensor(index, dtype=torch.int64)
            assert torch.equal(mapped[at], kept[at])
        for wrong in (60, -61):
            with pytest.raises(IndexError):
                mapped[torch.tensor([0, wrong])]
    file = store.path / "joints.npy"
    file.unlink()
    write_store(
        tmp_path / "other", {"joints": np.zeros((9, 17, 3), np.float32)}, store.meta | {"source": "b"}
    )
    (tmp_path / "other/joints.npy").rename(file)
    assert torch.equal(store.mapped("joints")[torch.arange(60)], kept)


def test_a_file_that_is_cut_while_it_is_read_is_no_crash(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 60)
    with (store.path / "joints.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(OSError, match="row 59: the file was cut short while it was open"):
        store.mapped("joints")[torch.tensor([59])]


RESIDENT = """
import resource, sys
import numpy as np, torch
from posedata.store.mapped import MappedRows
column = np.load(sys.argv[1], mmap_mode="r")
rows, generator = MappedRows(column), torch.Generator().manual_seed(0)
rows[torch.arange(4)]
before, total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0
for _ in range(100):
    total += float(rows[torch.randint(len(rows), (500,), generator=generator)].sum())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, total)
"""


def test_views_of_poses_on_disk_are_those_of_poses_in_memory(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 60)
    rows = np.array([50, 3, 7, 11, 59])
    for chosen in (None, rows):
        kept, mapped = store.tensors(["joints"], rows=chosen)["joints"], store.mapped("joints", rows=chosen)
        assert len(mapped) == len(kept)
        seen = [
            VirtualViews(joints, get_skeleton("h36m17"), (get_rig("mocap"),), DetectorNoise()).draw(
                32, torch.Generator().manual_seed(1), noise=0.5
            )
            for joints in (kept, mapped)
        ]
        assert torch.equal(*(views.joints for views in seen))
        assert torch.equal(*(views.keypoints["mixed"] for views in seen))


def test_what_was_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    """50,000 rows drawn from 800 MB touch nearly every page of a file that is sparse on disk."""
    path = tmp_path / "joints.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (4_000_000, 17, 3))
    array[1_000_000] = 1.0
    del array
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(path)], check=True, capture_output=True, text=True
    )
    grown, _ = map(float, done.stdout.split())
    assert grown < 100 * MIB / 1024  # ru_maxrss is in KiB
    assert path.stat().st_blocks * 512 < 8 * MIB
    column = np.load(path, mmap_mode="r")
    assert torch.equal(
        MappedRows(column)[torch.tensor([999_999, 1_000_000])].sum((1, 2)), torch.tensor([0.0, 51.0])
    )


def test_a_large_column_is_compared_with_its_digest_when_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = made(tmp_path / "store", 60)
    monkeypatch.setattr(opening, "LARGE", 1000)
    file = store.path / "joints.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    PoseStore.open(store.path)
    with pytest.raises(ValueError, match=r"joints.npy: is damaged"):
        PoseStore.open(store.path, verify=True)
