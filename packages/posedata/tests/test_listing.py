"""What lies in a source: links, what systems leave behind, and what is said where nothing is found."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from formats_sets import write_bvh, write_joints
from posedata.prepare import prepare
from posedata.readers.listing import files_below, is_junk, matching, nothing_found
from posedata.store import PoseStore

CASES = Path(__file__).resolve().parents[3] / "../shared/cases"


def names(source: Path) -> list[str]:
    return [file.relative_to(source).as_posix() for file in files_below(source)]


def test_what_operating_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    for name in (
        "a/walk.bvh",
        "a/._walk.bvh",
        "__MACOSX/a/walk.bvh",
        "a/.DS_Store",
        "Thumbs.db",
        ".out.prepare/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a/walk.bvh"]
    assert [is_junk(name) for name in ("._a", "thumbs.DB", "__macosx", ".hidden", "a._b")] == [
        True, True, True, False, False
    ]  # fmt: skip


def test_linked_folders_are_listed_once_and_circles_end(tmp_path: Path) -> None:
    real, source = tmp_path / "elsewhere", tmp_path / "source"
    for folder in (real / "deep", source / "own"):
        folder.mkdir(parents=True)
        (folder / "walk.bvh").touch()
    (source / "own" / "up").symlink_to("..", target_is_directory=True)
    (source / "linked").symlink_to(real, target_is_directory=True)
    (source / "again").symlink_to(real, target_is_directory=True)
    (source / "a-link-to-own").symlink_to(source / "own", target_is_directory=True)
    (real / "back").symlink_to(source, target_is_directory=True)
    assert names(source) == ["again/deep/walk.bvh", "own/walk.bvh"]


def test_a_store_in_the_folder_is_no_source(tmp_path: Path) -> None:
    data = write_joints(tmp_path)
    prepare("joints", data.source, tmp_path / "out")
    assert names(tmp_path) == ["joints.npz"]


def test_patterns_match_the_last_parts_in_any_case(tmp_path: Path) -> None:
    files = [Path("x/D3_Positions/A.CDF"), Path("x/D3_Positions_mono/A.cdf"), Path("A.cdf")]
    assert matching(files, "D3_Positions/*.cdf") == files[:1]
    assert matching(files, "*.cdf") == files


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([], "it is empty"),
        (["a.txt", "b/c.TXT", "d.zip.txt"], r"there are 3 files \(3 \.txt\), e\.g\. a\.txt"),
        (["b/rec.zip", "a.txt"], r"b/rec\.zip is packed: unpack it, or give that file"),
        (["S1.tgz"], r"S1\.tgz is packed: unpack it;"),
    ],
)
def test_where_nothing_is_found_it_is_said_what_lies_there(
    tmp_path: Path, made: list[str], told: str
) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=rf"no \.bvh file there; {told}") as caught:
        prepare("bvh", tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    assert "\n" not in str(caught.value)


def test_links_that_lead_nowhere_or_became_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "linked").write_text("../bvh_ok")  # as a copy without links makes of one
    assert "linked is the text of a link to '../bvh_ok'" in str(nothing_found(tmp_path, "no x", "y"))
    (tmp_path / "linked").unlink()
    (tmp_path / "walks").symlink_to("/nowhere/at/all")
    assert "walks is a link to /nowhere/at/all, which is not there" in str(
        nothing_found(tmp_path, "no x", "y")
    )
    assert "no such file or folder" in str(nothing_found(tmp_path / "absent", "no x", "y"))


def test_a_linked_folder_of_recordings_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "source").mkdir()
    write_bvh(tmp_path / "real")
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "real", target_is_directory=True)
    linked = PoseStore.open(prepare("bvh", tmp_path / "source", tmp_path / "a", strict=True))
    plain = PoseStore.open(prepare("bvh", tmp_path / "real", tmp_path / "b", strict=True))
    np.testing.assert_array_equal(linked.column("joints"), plain.column("joints"))


@pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
def test_the_cases_macosx_and_symlink(tmp_path: Path) -> None:
    store = PoseStore.open(prepare("bvh", CASES / "macosx", tmp_path / "a", strict=True))
    assert store.names("sequence") == ["walk"]
    source = tmp_path / "symlink"
    source.mkdir()
    (source / "linked").symlink_to(CASES / "bvh_ok", target_is_directory=True)
    store = PoseStore.open(prepare("bvh", source, tmp_path / "b", strict=True))
    assert store.names("sequence") == ["walk"]
    shutil.copytree(CASES / "symlink", tmp_path / "copy")
    if not (tmp_path / "copy" / "linked").is_dir():
        with pytest.raises(FileNotFoundError, match=r"linked is the text of a link to '\.\./bvh_ok'"):
            prepare("bvh", tmp_path / "copy", tmp_path / "c")
