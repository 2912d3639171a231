"""PCD files whose headers lie: each is named before native code, which would end the process, sees it."""

import struct
import subprocess
import sys
from pathlib import Path

import formats_rgbd
import numpy as np
import pytest
from posedata.prepare import prepare
from posedata.readers.files.pcd_header import check_pcd
from posedata.store import PoseStore


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """With a fourth field, of which every point has none."""
    data = formats_rgbd.write_pcd(tmp_path_factory.mktemp("pcd") / "cloud.pcd").read_bytes()
    head, _, body = data.partition(b"DATA binary\n")
    for old, new in (
        (b"x y z", b"x y z rgb"),
        (b"4 4 4", b"4 4 4 4"),
        (b"F F F", b"F F F U"),
        (b"1 1 1", b"1 1 1 1"),
    ):
        head = head.replace(old, new, 1)
    points = np.frombuffer(body, np.uint32).reshape(-1, 3)
    return head + b"DATA binary\n" + np.pad(points, ((0, 0), (0, 1))).tobytes()


def changed(data: bytes, key: str, value: str | None) -> bytes:
    """The file with one entry of its header replaced, or without it."""
    head, mark, body = data.partition(b"\nDATA ")
    lines = [line for line in head.split(b"\n") if value is not None or not line.startswith(key.encode())]
    lines = [f"{key} {value}".encode() if line.startswith(key.encode() + b" ") else line for line in lines]
    return b"\n".join(lines) + mark + body


LIES = {
    "WIDTH 1000000000": "is 1000000000x18, an unorganised cloud",
    "WIDTH 8000": "POINTS is 432, WIDTH x HEIGHT 144000",
    "WIDTH -24": "WIDTH is -24",
    "WIDTH 24 24": "WIDTH is 24 24",
    "WIDTH 99999999999999999999": "WIDTH is 99999999999999999999",
    "HEIGHT 1": "is 24x1, an unorganised cloud",
    "HEIGHT": "HEIGHT is missing",
    "POINTS 4000000000": "POINTS is 4000000000",
    "POINTS 431": "POINTS is 431, WIDTH x HEIGHT 432",
    "SIZE 4 4 4": "SIZE has 3 entries for 4 fields",
    "SIZE 4 4 4 3": "is of TYPE U and SIZE 3",
    "SIZE 1 4 4 4": "field 'x' is of TYPE F and SIZE 1",
    "SIZE 4 4 4 99999999": "is of TYPE U and SIZE 99999999",
    "TYPE F F F X": "is of TYPE X and SIZE 4",
    "TYPE I F F U": "field 'x' is TYPE I",
    "COUNT 1 1 1 1000000": "field 'rgb' has COUNT 1000000",
    "COUNT 1 1 1 0": "field 'rgb' has COUNT 0",
    "COUNT 2 1 1 1": "field 'x' is TYPE F, COUNT 2",
    "FIELDS x y rgb": "FIELDS are x y rgb, wanted x y z",
    "FIELDS x y z x": "FIELDS are x y z x",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_named(whole: bytes, tmp_path: Path, lie: str) -> None:
    key, _, value = lie.partition(" ")
    path = tmp_path / "cloud.pcd"
    path.write_bytes(changed(whole, key, value or None))
    with pytest.raises(ValueError, match=LIES[lie]) as caught:
        check_pcd(path)
    assert str(caught.value).startswith(f"{path}: ")


def compressed(whole: bytes, packed: int, unpacked: int, body: bytes) -> bytes:
    head = whole.partition(b"\nDATA ")[0]
    return head + b"\nDATA binary_compressed\n" + struct.pack("<II", packed, unpacked) + body


def test_data_that_are_not_there_are_named(whole: bytes, tmp_path: Path) -> None:
    path, due = tmp_path / "cloud.pcd", 432 * 16
    head = whole.partition(b"\nDATA ")[0]
    for data, message in (
        (
            head + b"\nDATA binary\n" + bytes(due - 1),
            f"has {due - 1} bytes of data, its header says 432 points, which need {due}",
        ),
        (head + b"\nDATA ascii\n" + b"1 " * 400, "432 points, which need 3455"),
        (compressed(whole, 100, due - 1, bytes(100)), f"unpacks to {due - 1} bytes, its points need {due}"),
        (compressed(whole, 101, due, bytes(100)), "claims 101 compressed bytes, 100 are there"),
        (compressed(whole, 0xFFFFFFFF, due, bytes(100)), "claims 4294967295 compressed bytes"),
        (compressed(whole, 0, due, bytes(100)), "claims 0 compressed bytes"),
        (head + b"\nDATA binary_compressed\n\0\0", "ends before its compressed data"),
        (head + b"\nDATA zip\n", "DATA is none of ascii"),
        (head + b"\nWIDTH 24\nDATA binary\n", "WIDTH stands twice"),
        (head, "has no PCD header"),
        (b"", "has no PCD header"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            check_pcd(path)
    path.write_bytes(head + b"\nDATA binary\n" + bytes(due))
    assert check_pcd(path) == (24, 18)


def test_one_bad_file_costs_a_folder_that_file(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.pcd").write_bytes(whole)
    (tmp_path / "in" / "._good.pcd").write_bytes(b"left behind")
    (tmp_path / "in" / "__MACOSX" / "depth").mkdir(parents=True)
    bad = tmp_path / "in" / "bad.pcd"
    bad.write_bytes(changed(changed(whole, "WIDTH", "8000"), "POINTS", "144000"))
    told: list[str] = []
    store = PoseStore.open(prepare("rgbd", tmp_path / "in", tmp_path / "out", say=told.append))
    assert store.names("sequence") == ["good.pcd"]
    assert len(told) == 1
    assert told[0].startswith(f"{bad}: has ")


DAMAGED = """
import random, sys, warnings
from pathlib import Path
from posedata.readers.files.pcd import cloud_images
warnings.simplefilter("ignore")
path, seed = Path(sys.argv[1]), int(sys.argv[2])
whole = {whole}
rng = random.Random(seed)
for case in range(150):
    data = bytearray(rng.choice(whole))
    for _ in range(rng.choice((1, 3, 30))):
        place = rng.randrange(min(len(data), rng.choice((300, 10**9))))
        data[place] = rng.choice(b"0123456789 .-\\n\\xff\\x00nN")
    path.write_bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])
    try:
        cloud_images(path)
    except ValueError as error:
        assert str(error).startswith(str(path)), error
print("done")
"""


def test_damaged_files_of_every_encoding_end_no_process(whole: bytes, tmp_path: Path) -> None:
    """In a process of its own: what goes wrong in native code is a signal and no error."""
    path = tmp_path / "cloud.pcd"
    path.write_bytes(whole)
    files = [whole]
    from posedata.open3d_loader import open3d

    cloud = open3d().io.read_point_cloud(str(path))
    for ascii_, packed in ((True, False), (False, True)):
        open3d().io.write_point_cloud(str(path), cloud, write_ascii=ascii_, compressed=packed)
        data = path.read_bytes().replace(b"WIDTH 432", b"WIDTH 24").replace(b"HEIGHT 1\n", b"HEIGHT 18\n")
        path.write_bytes(data)
        check_pcd(path)
        files.append(data)
    script = DAMAGED.format(whole=files)
    ended = subprocess.run(
        [sys.executable, "-c", script, path, "3"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "done"), ended.stderr[-2000:]
