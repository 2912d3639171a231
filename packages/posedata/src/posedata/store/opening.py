"""The files of a pose store, opened: meta.json, columns and image shards, checked against digests.json.

Everything is mapped before anything is used, and comes from one folder: a store that is replaced meanwhile
is opened again, one that is replaced afterwards goes on to be read as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.store.digests import NAME, is_sound, read_digests, sha256_of, stamp
from posedata.store.files import standing
from posedata.store.npy import MappedNpy, digest
from posedata.store.schema import FILE_NAME, IMAGE_KINDS, SCHEMA, TAR, check_columns, check_meta, tar_name
from posedata.store.tar_shards import Elsewhere, TarShard, fill
from posedata.store.writer import fingerprint

_TRIES = 10
LARGE = 8 << 30
"""Columns of more bytes are compared with their digests when verified, not whenever they are opened."""
AT = "shards.url"
"""A file that says where else a store's tar files are."""


@dataclass(frozen=True)
class Opened:
    """A store's parts: `shards` by name, "rgb-00000"; `digests` by file name, None for an older store.

    Pictures in tar files are in `tars` by the file's name, or `elsewhere`.
    """

    path: Path
    meta: dict[str, Any]
    columns: dict[str, np.ndarray]
    shards: dict[str, MappedNpy]
    digests: Mapping[str, str] | None
    tars: dict[str, TarShard]
    elsewhere: Elsewhere | None = None

    def read(self, out: np.ndarray, kind: str, shard: np.ndarray, place: np.ndarray) -> None:
        """Pictures into `out`, by shard and place in it; a file is checked when it is first read.

        Raises:
            ValueError: it is damaged, or cannot be had from elsewhere.
        """
        wanted: list[tuple[int, TarShard, int]] = []
        for number in np.unique(shard).tolist():
            here = np.flatnonzero(shard == number)
            if self.meta["images"].get("layout") != TAR:
                out[here] = self.shard(f"{kind}-{number:05d}")[place[here]]
                continue
            tar = self.tar(tar_name(number))
            wanted += [(int(row), tar, int(place[row])) for row in here]
            if self.elsewhere is not None:  # of which few copies are kept at a time
                fill(out, kind, wanted)
                wanted = []
        fill(out, kind, wanted)

    def tar(self, name: str) -> TarShard:
        """A tar file, checked. ValueError if it is damaged, or cannot be had from elsewhere."""
        shard = self.tars[name] if self.elsewhere is None else self.elsewhere.open(name)
        file = f"images/{name}"
        if self.digests is not None and not is_sound(shard.stamp, self.digests[file], shard.sha256):
            if self.elsewhere is None:
                raise damaged(self.path / file, self.meta)
            self.elsewhere.forget(name)
            raise ValueError(
                f"{self.elsewhere.url}/{name}: is not this store's, or did not come whole (its sha256 is not"
                f" that of {self.path / NAME}); run again, or copy the store's {name} there again"
            )
        return shard

    def shard(self, name: str) -> np.ndarray:
        """The pictures of an .npy file, likewise."""
        shard, file = self.shards[name], f"images/{name}.npy"
        if self.digests is not None and not is_sound(shard.stamp, self.digests[file], shard.sha256):
            raise damaged(self.path / file, self.meta)
        return shard.array

    def verify(self) -> None:
        """Check the shards too; of a store without digests, all content by its fingerprint."""
        if self.digests is not None:
            for name in self.columns:
                _map(self.path, f"{name}.npy", self.meta, self.digests, most=sys.maxsize)
            for name in self.shards:
                self.shard(name)
            for number in range(_shard_count(self.meta) if self.tars or self.elsewhere else 0):
                self.tar(tar_name(number))
            return
        found = {name: digest(array) for name, array in self.columns.items()}
        found |= {f"images/{name}": digest(shard.array) for name, shard in self.shards.items()}
        total = fingerprint(found, self.meta)
        if total != self.meta["fingerprint"]:
            raise ValueError(
                f"{self.path}: fingerprint is {total[:12]}, meta.json says {self.meta['fingerprint'][:12]};"
                f" the content was changed after writing: {_cure(self.path, self.meta)}"
            )


def open_files(path: Path) -> Opened:
    """Map a store's files and check all but the image shards.

    Raises FileNotFoundError or ValueError with one line that names the file, the field and the cure.
    """
    for _ in range(_TRIES):
        place = standing(path)
        before = _identity(place)
        try:
            opened = _open_files(place)
        except (FileNotFoundError, ValueError):
            if before == _identity(standing(path)):
                raise
            continue
        if before == _identity(standing(path)):
            return opened
    raise ValueError(f"{path}: is replaced again and again while it is opened; wait for what writes it")


def damaged(file: Path, meta: Mapping[str, Any] | None = None) -> ValueError:
    """The error of a file that is not what was written."""
    folder = file.parent.parent if file.parent.name == "images" else file.parent
    return ValueError(f"{file}: is damaged (its sha256 is not that of {NAME}); {_cure(folder, meta)}")


def _cure(folder: Path, meta: Mapping[str, Any] | None = None) -> str:
    """How to make a store again, as far as it says how it was made."""
    command = next((verb for key, verb in _MADE_BY.items() if key in (meta or {})), None)
    if command is None:
        return f"delete {folder.name} and make it again"
    if command == "prepare" and meta is not None:
        command += f" {meta['format']}"
    return f"delete {folder.name} and make it again: 'posedata {command}', or the recipe that made it"


_MADE_BY = {"render": "render", "views": "views", "synthetic": "synth", "format": "prepare"}
"""A field of meta.json, and the command that writes it; the last step first."""


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        folder, meta = path.stat(), (path / "meta.json").stat()
    except OSError:
        return None
    return folder.st_dev, folder.st_ino, meta.st_ino, meta.st_mtime_ns


def _open_files(path: Path) -> Opened:
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such store; make one: 'posedata prepare' or 'posedata synth'")
    if not (path / "meta.json").is_file():
        raise FileNotFoundError(
            f"{path / 'meta.json'}: missing, so {path.name} is not a pose store; name one"
        )
    try:
        digests = read_digests(path)
    except ValueError as error:
        raise ValueError(f"{error}; {_cure(path)}") from None
    meta = _meta(path / "meta.json", digests)
    for name in digests or ():
        if not name.endswith((".npy", ".tar")) and name != "meta.json":
            _content(path / name, meta, digests)
    columns = {name: _map(path, f"{name}.npy", meta, digests, most=LARGE).array for name in meta["columns"]}
    check_columns(columns, meta, meta.get("images", {}).get("count", 0), path)
    if meta.get("rows") != len(columns["joints"]):
        raise ValueError(
            f"{path / 'meta.json'}: rows is {meta.get('rows')}, the columns have {len(columns['joints'])};"
            f" {_cure(path, meta)}"
        )
    if meta.get("images", {}).get("layout") == TAR:
        elsewhere = _elsewhere(path)
        tars = {} if elsewhere else _tars(path, meta, digests)
        return Opened(path, meta, columns, {}, digests, tars, elsewhere)
    return Opened(path, meta, columns, _shards(path, meta, digests), digests, {})


def _shard_count(meta: Mapping[str, Any]) -> int:
    return -(-int(meta["images"]["count"]) // int(meta["images"]["per_shard"]))


def _elsewhere(path: Path) -> Elsewhere | None:
    file = path / AT
    if not file.is_file():
        return None
    try:
        url = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        url = ""
    if not url or not url.isprintable():
        raise ValueError(f"{file}: is no URL on one line; say where the tar files are with 'posedata at'")
    return Elsewhere(url, file)


def _tars(path: Path, meta: Mapping[str, Any], digests: Mapping[str, str] | None) -> dict[str, TarShard]:
    found = {}
    for name in map(tar_name, range(_shard_count(meta))):
        file = path / "images" / name
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: missing though meta.json lists it; say where it is with 'posedata at', or"
                f" {_cure(path, meta)}"
            )
        if digests is not None and f"images/{name}" not in digests:
            raise ValueError(f"{path / NAME}: does not list images/{name}; {_cure(path, meta)}")
        found[name] = TarShard(file.open("rb"))
    return found


def _meta(file: Path, digests: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        meta = json.loads(_content(file, None, digests))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError(f"{file}: is not JSON; {_cure(file.parent)}") from None
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        found = meta.get("schema") if isinstance(meta, dict) else None
        raise ValueError(
            f"{file}: schema is {found}, this version reads {SCHEMA}; make the store again with this version"
        )
    for field in ("columns", "fingerprint"):
        if field not in meta:
            raise ValueError(f"{file}: field {field!r} is missing; {_cure(file.parent, meta)}")
    check_meta(meta, file)
    _check_layout(meta, file)
    if digests is None:
        if meta.get("digests"):
            raise FileNotFoundError(f"{file.with_name(NAME)}: missing; {_cure(file.parent, meta)}")
        warnings.warn(
            f"{file.parent}: has no {NAME}, so a damaged file would go unnoticed; {_cure(file.parent, meta)}",
            stacklevel=2,
        )
    return meta


def _check_layout(meta: dict[str, Any], file: Path) -> None:
    """Raise ValueError unless columns and images are described as the writer does: file names come of it."""
    columns, images = meta["columns"], meta.get("images", {"count": 0, "per_shard": 1, "kinds": []})
    whole = isinstance(columns, list) and all(isinstance(n, str) and FILE_NAME.fullmatch(n) for n in columns)
    whole &= isinstance(images, dict) and set(images.get("kinds", ["?"])) <= set(IMAGE_KINDS)
    whole = whole and images.get("layout") in (None, TAR)
    numbers = [images.get("count"), images.get("per_shard")] if whole else [None]
    numbers += meta.get("image_size", [1, 1]) if "images" in meta and whole else []
    if not whole or not all(isinstance(n, int) and n >= 0 for n in numbers) or numbers[1] == 0:
        raise ValueError(f"{file}: columns, images or image_size make no sense; {_cure(file.parent, meta)}")


def _content(file: Path, meta: Mapping[str, Any] | None, digests: Mapping[str, str] | None) -> bytes:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing though {NAME} lists it; {_cure(file.parent, meta)}")
    content = file.read_bytes()
    if digests is not None and hashlib.sha256(content).hexdigest() != digests.get(file.name):
        raise damaged(file, meta)
    return content


def _map(
    path: Path, name: str, meta: Mapping[str, Any], digests: Mapping[str, str] | None, *, most: int
) -> MappedNpy:
    """Map one file, and compare its content with its digest where it has at most so many bytes."""
    if not (path / name).is_file():
        raise FileNotFoundError(f"{path / name}: missing though meta.json lists it; {_cure(path, meta)}")
    if digests is not None and name not in digests:
        raise ValueError(f"{path / NAME}: does not list {name}; {_cure(path, meta)}")
    with (path / name).open("rb") as file:
        read = os.fstat(file.fileno()).st_size <= most
        if read and digests is not None and not is_sound(stamp(file), digests[name], lambda: sha256_of(file)):
            raise damaged(path / name, meta)
        try:
            return MappedNpy.map(file, keep=most >= 0)
        except (ValueError, OSError, OverflowError) as error:
            reason = error if isinstance(error, ValueError) else "it is cut short"
            raise ValueError(f"{path / name}: is damaged ({reason}); {_cure(path, meta)}") from None


def _shards(path: Path, meta: dict[str, Any], digests: Mapping[str, str] | None) -> dict[str, MappedNpy]:
    shards: dict[str, MappedNpy] = {}
    if "images" not in meta:
        return shards
    count, per_shard = meta["images"]["count"], meta["images"]["per_shard"]
    width, height = meta["image_size"]
    for kind in meta["images"]["kinds"]:
        dtype, trailing = IMAGE_KINDS[kind]
        for number in range(-(-count // per_shard)):
            name = f"{kind}-{number:05d}"
            shard = _map(path, f"images/{name}.npy", meta, digests, most=-1)
            file = path / "images" / f"{name}.npy"
            shape = (min(per_shard, count - number * per_shard), height, width, *trailing)
            if shard.array.dtype != np.dtype(dtype) or shard.array.shape != shape:
                raise ValueError(
                    f"{file}: is {shard.array.dtype} {shard.array.shape}, meta.json says"
                    f" {np.dtype(dtype)} {shape}; {_cure(path, meta)}"
                )
            shards[name] = shard
    return shards
