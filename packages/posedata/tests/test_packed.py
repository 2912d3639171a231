"""Zip files as sources: read like the folder that they hold, within bounds, and nothing written outside."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from formats_sets import write_bvh, write_joints
from posedata.prepare import prepare
from posedata.readers import read_bvh
from posedata.readers.files import packed
from posedata.store import PoseStore


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def bvh(tmp_path: Path) -> bytes:
    (tmp_path / "plain").mkdir()
    return write_bvh(tmp_path / "plain").files[0].read_bytes()


def test_a_packed_folder_is_read_as_the_folder(tmp_path: Path, bvh: bytes) -> None:
    members = {"walks/07_01.bvh": bvh, "walks/._07_01.bvh": b"x", "__MACOSX/walks/._07_01.bvh": b"x"}
    file = zipped(tmp_path / "plain.zip", members)
    store = PoseStore.open(prepare("bvh", file, tmp_path / "a", strict=True))
    plain = PoseStore.open(prepare("bvh", tmp_path / "plain", tmp_path / "b", strict=True))
    assert store.column("joints").tobytes() == plain.column("joints").tobytes()
    assert (store.names("subject"), store.names("sequence")) == (["07"], ["07_01"])
    assert '"file": "walks/07_01.bvh"' in (tmp_path / "a" / "sources.json").read_text()
    assert not list(tmp_path.glob(".*"))  # what was unpacked is gone
    assert read_bvh(file).columns["joints"].tobytes() == plain.column("joints").tobytes()


def test_a_packed_array_is_read(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    data = write_joints(tmp_path / "raw")
    file = zipped(tmp_path / "joints.zip", {"joints.npz": data.source.read_bytes()})
    assert len(PoseStore.open(prepare("joints", file, tmp_path / "a"))) == 6


def test_faults_name_the_packed_file_and_not_where_it_was_unpacked(tmp_path: Path, bvh: bytes) -> None:
    file = zipped(tmp_path / "walks.zip", {"x/07_01.bvh": bvh, "x/07_02.bvh": b"HIERARCHY"})
    told: list[str] = []
    prepare("bvh", file, tmp_path / "a", say=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"{file}/x/07_02.bvh: ")
    file = zipped(tmp_path / "empty.zip", {"x/readme.txt": b""})
    with pytest.raises(FileNotFoundError, match=r"empty\.zip: no \.bvh file there; there are 1 files"):
        prepare("bvh", file, tmp_path / "b")


def test_what_lies_packed_beside_recordings_is_told(tmp_path: Path, bvh: bytes) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "07_01.bvh").write_bytes(bvh)
    zipped(tmp_path / "src" / "same.zip", {"07_01.bvh": bvh, "readme.txt": b""})
    more = zipped(tmp_path / "src" / "more.zip", {"07_02.BVH": bvh, "07_03.bvh": bvh, "._07_04.bvh": b""})
    (tmp_path / "src" / "broken.zip").write_bytes(b"PK\x03\x04")
    told: list[str] = []
    prepare("bvh", tmp_path / "src", tmp_path / "out", say=told.append)
    assert [text.split(";")[0] for text in told] == [
        f"{more}: is packed, its 2 recordings (e.g. 07_02.BVH) are left out"
    ]


def _linked(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("walks")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc")
    return path


def _encrypted(path: Path) -> Path:
    data = bytearray(zipped(path, {"a.bvh": b"x"}).read_bytes())
    for at in (6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1
    path.write_bytes(data)
    return path


def _overlong(path: Path) -> Path:
    """A member that holds a thousand times what the directory claims."""
    data = zipped(path, {"a.bvh": b"x" * 5000}).read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 5000), struct.pack("<I", 5)))
    return path


def _bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.bvh", "w") as member:
        for _ in range(100):
            member.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: zipped(p, {"../a.bvh": b""}), "leads outside"),
        (lambda p: zipped(p, {"/a.bvh": b""}), "leads outside"),
        (lambda p: zipped(p, {"x\\..\\a.bvh": b""}), "leads outside"),
        (lambda p: zipped(p, {"C:/a.bvh": b""}), "leads outside"),
        (lambda p: zipped(p, {f"{'a' * 300}.bvh": b""}), "none of a file"),
        (lambda p: zipped(p, {"a.bvh": b"", "A.bvh": b""}), "is there twice"),
        (lambda p: zipped(p, {}), "is empty"),
        (_linked, "is a link, which is not followed"),
        (_encrypted, "is encrypted"),
        (_overlong, "is damaged"),
        (_bomb, "would unpack to over 200 times its size"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_files_are_named(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "in"
    folder.mkdir()
    file = make(folder / "rec.zip")
    with pytest.raises(ValueError, match=message) as caught:
        prepare("bvh", file, tmp_path / "out")
    assert str(caught.value).startswith(str(file))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "rec.zip"]


def test_every_cut_and_many_flips_of_a_zip_end_in_a_named_error(tmp_path: Path, bvh: bytes) -> None:
    whole = zipped(tmp_path / "w.zip", {"07_01.bvh": bvh}).read_bytes()
    file = tmp_path / "rec.zip"
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            file.write_bytes(data)
            assert outcome(file, tmp_path / "out").startswith(str(file))


def outcome(file: Path, out: Path) -> str:
    """The error, or the file's name where a flip did no harm."""
    try:
        prepare("bvh", file, out, overwrite=True)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return str(file)


def test_limits_hold_for_the_number_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MAX_MEMBERS", 3)
    file = zipped(tmp_path / "rec.zip", {f"{i}.bvh": b"" for i in range(4)})
    with pytest.raises(ValueError, match="holds more than 3 files"):
        prepare("bvh", file, tmp_path / "out")


def test_a_zip_file_of_another_name_is_no_zip_source(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.bvh", "x")
    (tmp_path / "rec.bvh").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"rec\.bvh"):
        prepare("bvh", tmp_path / "rec.bvh", tmp_path / "out")
