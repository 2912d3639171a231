"""One's own photos, films and recordings to people in 3D, and those to files that others open.

The package is its own verb: `polypose.capture("film.mp4")` is `polypose.capture.run.capture`.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polypose.capture.run import capture as capture
else:

    class _Verb(ModuleType):
        """A module that is called as the function of its name."""

        def __call__(self, *inputs, **options):
            from polypose.capture.run import capture

            return capture(*inputs, **options)

    capture = sys.modules[__name__]
    capture.__class__ = _Verb
