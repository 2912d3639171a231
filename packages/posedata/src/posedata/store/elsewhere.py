"""Where a store's tar files are, if not in its folder."""

from __future__ import annotations

from pathlib import Path

from posedata.store.opening import AT
from posedata.store.pose_store import PoseStore
from posedata.store.schema import TAR
from posedata.writing import write_text


def place(path: str | Path, url: str) -> None:
    """Read a store's tar files from a URL from now on, or with "" from its own folder again.

    Raises:
        ValueError: the store has no tar files, or the first of them is not there, or not that of this store.
    """
    file = Path(path) / AT
    if not url:
        file.unlink(missing_ok=True)
        PoseStore.open(path)
        return
    before = file.read_text(encoding="utf-8") if file.is_file() else None
    try:
        write_text(file, url + "\n")
        store = PoseStore.open(path)
        if store.meta.get("images", {}).get("layout") != TAR:
            raise ValueError(
                f"{path}: has no pictures in tar files; make it with 'posedata prepare --shards'"
            )
        store.check_shard(0)
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_text(file, before)
        raise
