"""Import Open3D late, and on machines without libusb.

Open3D's wheel links to `libusb-1.0.so.0`, which bare machines lack; the PyPI package `libusb-package` carries
the library, and loading it with global symbols before the import satisfies the linker without root.
"""

import ctypes
import functools
import re
import sys
from typing import Any


@functools.cache
def open3d() -> Any:
    """The `open3d` module; imported on first call because it takes seconds.

    Raises ImportError, naming the cure, where neither the wheel nor a libusb can be loaded.
    """
    if sys.platform == "linux":
        _load_libusb()
    try:
        import open3d as module
    except (ImportError, OSError) as error:
        lacking = re.search(r"lib[\w.+-]+\.so[\w.]*", str(error))
        cure = f"; and install the system's package that has {lacking[0]}" if lacking else ""
        raise ImportError(f"open3d does not load: pip install open3d-cpu libusb-package{cure}") from error
    return module


def _load_libusb() -> None:
    try:
        import libusb_package
    except ImportError:
        return
    path = libusb_package.get_library_path()
    if path is not None:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
