"""`posedata prepare FORMAT SRC OUT`: any data set as its owners distribute it, to a pose store.

The formats are in `posedata.readers`; here is what all of them share: processes, resuming, checksums, camera
table, name lists, and the command line.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.prepare.run import prepare

__all__ = [
    "prepare",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
