"""A library of films and motion capture that is asked where a pose or a movement is.

    index = polypose.search.PoseIndex.open("library")
    found = polypose.search.search(index, polypose.search.ask(index, Path("photo.jpg")))

Nothing is imported until it is asked for.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from polypose.search.adding import add, remove
    from polypose.search.asking import Asked, ask
    from polypose.search.embedding import Embedder
    from polypose.search.finding import Hit, search
    from polypose.search.index import PoseIndex
    from polypose.search.movement import Movement, search_movement

__all__ = [
    "Asked",
    "Embedder",
    "Hit",
    "Movement",
    "PoseIndex",
    "add",
    "ask",
    "remove",
    "search",
    "search_movement",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
