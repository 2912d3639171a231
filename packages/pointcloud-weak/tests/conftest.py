"""Array shapes in signatures are checked at run time while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("pointcloud_weak", "beartype.beartype")
