"""A trained model in a user's hand: poses lifted, embedded, retrieved, drawn.

Nothing is imported until it is asked for.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from polypose.model import Model, Settings, load

__all__ = ["Model", "Settings", "load"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
