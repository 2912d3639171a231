"""Caches: found again by data, settings and code; cleared of what killed processes left."""

from pathlib import Path

import pytest
from posedata.store.cache import cached, code_key, content_key, sources


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three modules of a package: `draw` imports `flesh` where it needs it, nobody imports `other`."""
    folder = tmp_path / "drawn_by_test"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "draw.py").write_text(
        "import os\n\ndef draw():\n    from drawn_by_test.deep import flesh\n    from json import loads\n"
    )
    (folder / "deep" / "__init__.py").touch()
    (folder / "deep" / "flesh.py").write_text("import drawn_by_test.draw  # a circle\nWIDTH = 1\n")
    (folder / "other.py").write_text("1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("file", "changes"),
    [("draw.py", True), ("deep/flesh.py", True), ("deep/__init__.py", True), ("other.py", False)],
)
def test_a_key_changes_with_all_the_code_that_is_imported(package: Path, file: str, changes: bool) -> None:
    def key() -> str:
        code_key.cache_clear()
        return code_key("drawn_by_test.draw", packages=("drawn_by_test",))

    before = key()
    assert key() == before
    (package / file).write_text((package / file).read_text() + "# changed\n")
    assert (key() != before) is changes


def test_what_makes_pictures_is_all_in_their_key() -> None:
    body = set(sources("posedata.synthetic.rendering"))
    assert body >= {f"posedata.synthetic.{name}" for name in ("render", "flesh", "background", "sensor")}
    assert body >= {
        "posedata.synthetic.rendering",
        "posedata.views.writing",
        "posedata.geometry.camera",
        "posedata.geometry.boxes",
        "posedata.store.pose_store",
    }
    assert set(sources("posedata.synthetic.hands.build")) >= body | {
        "posedata.synthetic.hands.scene",
        "posedata.synthetic.hands.flesh",
    }
    assert not body & {
        "posedata.readers.registry",
        "posedata.readers.bvh",
        "posedata.prepare.run",
        "posedata.cli",
    }
    assert set(sources("posedata.readers.bvh")) >= {"posedata.readers.bvh", "posedata.skeleton"}


def test_a_cache_makes_once_and_is_cleared_of_strays(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.mkdir(parents=True)

    cache = tmp_path / "cache"
    first = cached(cache, "views", [1, "a"], make)
    (cache / ".views-0123456789ab.0a1b2c3d.partial").mkdir()
    (cache / ".mine.partial").mkdir()  # not one of ours
    assert cached(cache, "views", [1, "a"], make) == first == cache / f"views-{content_key([1, 'a'])}"
    other = cached(cache, "views", [2, "a"], make)
    assert made == [first, other]
    assert {p.name for p in cache.iterdir()} == {first.name, other.name, ".mine.partial"}


def test_two_processes_may_make_the_same(tmp_path: Path) -> None:
    def late(path: Path) -> None:
        path.mkdir()  # another was faster
        raise FileExistsError(f"{path}: exists already")

    assert cached(tmp_path, "views", 1, late).is_dir()

    def refused(path: Path) -> None:
        raise FileExistsError("elsewhere")

    with pytest.raises(FileExistsError, match="elsewhere"):
        cached(tmp_path, "views", 2, refused)
