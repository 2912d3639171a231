"""Where a store's tar files are, if not in its folder."""

from __future__ import annotations

from pathlib import Path

from posedata.store.opening import AT
from posedata.store.pose_store import PoseStore
from posedata.store.schema import TAR
from posedata.writing import replacing, write_text


def place(path: str | Path, url: str) -> None:
    """Read a store's tar files from a URL from now on, or with "" from its own folder again.

    Raises:
        FileNotFoundError, ValueError: there is no such store, it has no tar files, or the first of them is
            not there, or not that of this store; what was said before holds on.
    """
    path = Path(path)
    file = path / AT
    if not (path / "meta.json").is_file():
        raise FileNotFoundError(f"{path}: no such store; name one that 'posedata prepare --shards' made")
    before = file.read_bytes() if file.is_file() else None
    try:
        if url:
            write_text(file, url + "\n")
        else:
            file.unlink(missing_ok=True)
        store = PoseStore.open(path)
        if url and store.meta.get("images", {}).get("layout") != TAR:
            raise ValueError(
                f"{path}: has no pictures in tar files; make it with 'posedata prepare --shards'"
            )
        if url:
            store.check_shard(0)
    except BaseException:
        file.unlink(missing_ok=True)
        if before is not None:
            with replacing(file) as old:
                old.write(before)
        raise
