"""The pose store: its files, what they hold, and how they are written, opened, checked and found again."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.store.pose_store import PoseStore, read_split
    from posedata.store.writer import StoreWriter, write_store

__all__ = [
    "PoseStore",
    "StoreWriter",
    "read_split",
    "write_store",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
