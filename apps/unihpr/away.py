"""The board's rows on another labelled store: a second domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from json import dumps
from pathlib import Path
from typing import Any

from polypose.peers import get_peer
from polypose.standings import elsewhere, errors
from posedata.readers.files.safe_text import read_json
from posedata.splits import Elsewhere
from posedata.writing import write_text
from posetrain.lifecycle import open_run
from posetrain.task import Row

from unihpr.data import Data, open_test
from unihpr.lifters import LIFTER, BoardRecipe, people


class Away:
    """A store that nothing was trained on, opened once.

    Args:
        place: any labelled store, as of `evaluate --data`.
        recipe: of the board; its frame, and how many views are measured at most.
    """

    def __init__(self, place: Elsewhere, recipe: BoardRecipe) -> None:
        self.place, self.recipe = place, recipe

    @cached_property
    def data(self) -> Data:
        """Its test, or all of it where it has no split."""
        return open_test(self.recipe.data, self.place, "test")

    def row(self, name: str, runs: Sequence[Path], kind: str) -> Iterator[Row]:
        """A lifter's row: means over its seeds' runs, and the interval by person.

        None of lifters of clips, whose frames the views of a store need not have beside them.
        """
        if get_peer(name).frames == 1:
            found = [self._errors(run, kind) for run in runs]
            yield {"data": self.place.store.name, **elsewhere(name, found, people(self.data))}

    def _errors(self, run: Path, kind: str) -> dict[str, Any]:
        """Of every view, kept in the run's folder by the data's fingerprint."""
        file = run / f"elsewhere-{self.data.fingerprint}.json"
        if not file.is_file():
            lifter = open_run(LIFTER, run).model
            sample = self.data.test(kind == "detector", images=False)
            error, aligned = errors(lifter, sample)
            kept = {"errors_mm": [round(x, 3) for x in error.tolist()], "pa_mpjpe_mm": float(aligned.mean())}
            write_text(file, dumps(kept))
        found: dict[str, Any] = read_json(file)
        return found
