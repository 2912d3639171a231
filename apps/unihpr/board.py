"""The board: lifters trained on the same views and budget, their rates tried alike, set side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from json import dumps
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from polypose.peers import PEERS, get_peer
from polypose.standings import hypotheses, pairwise, parts, refinement, row, step_seconds
from posedata.readers.files.safe_text import read_json
from posedata.splits import Elsewhere
from posedata.terminal import print_line
from posedata.writing import write_text
from posetrain.ablation import Variants, found, seeds_of
from posetrain.fitting import DivergedError
from posetrain.task import Metrics, Row, Table

from unihpr.away import Away
from unihpr.data import TrainingData
from unihpr.lifters import LIFTER, BoardRecipe, people, views

KINDS = ("exact", "detector")
TRIED = (1.0, 3.0, 1 / 3)
"""Learning rates over a lifter's usual one, in the order in which they are tried."""
PARTS = {"hypotheses": hypotheses, "refined": refinement, "breakdown": parts}
"""What else is said of each lifter, by the rows' `part`."""
TRY = 0.25
"""The share of a row's steps that a try has."""


@dataclass(frozen=True)
class Board:
    """Rows in a folder, a run each; finished ones are only read.

    Attributes:
        recipe: of all rows; its lifter's steps are the budget of views.
        lifters: names of `polypose.peers.PEERS`.
        kinds: of `KINDS`.
        seconds: of processor time, the budget of the second table; 0 for none.
        tries: learning rates tried on validation, of each lifter and kind.
        place: other data to measure all rows on as well.
    """

    recipe: BoardRecipe
    folder: Path
    lifters: tuple[str, ...] = tuple(PEERS)
    kinds: tuple[str, ...] = KINDS
    seeds: int = 3
    seconds: float = 0.0
    tries: int = 3
    place: Elsewhere | None = None

    def run(self, json: Path | None = None) -> Table:
        """Train what is missing, write the results file and return the table.

        Raises:
            ValueError: a lifter is not known, or a row's run diverged; finished rows are kept.
        """
        for name in self.lifters:
            get_peer(name)
        runs, rows, told = Variants(LIFTER), [], []
        away = Away(self.place, self.recipe) if self.place else None
        for budget in ("views", "time")[: 2 if self.seconds else 1]:
            for kind in self.kinds:
                made = {name: list(self._seeds(runs, budget, name, kind)) for name in self.lifters}
                whose = people(runs.data(self.recipe))
                about: Row = {"budget": budget, "keypoints": kind}
                rows += [about | row(name, metrics, whose) for name, metrics in made.items()]
                told += [{"part": "pairs"} | about | pair for pair in pairwise(made, whose)]
                for name, own in made.items():
                    for part, of in PARTS.items():
                        told += [{"part": part} | about | each for each in of(name, own)]
                    if away is not None:
                        away_rows = away.row(name, [m["folder"] for m in own], kind)
                        told += [{"part": "elsewhere"} | about | each for each in away_rows]
        if json:
            told = [{"part": "rows"} | each for each in rows] + told
            more = {"tries": self.tries, "processor_seconds": self.seconds}
            seeds = list(seeds_of(self.recipe, self.seeds))
            runs.write(json, told, self.recipe, self.folder, seeds=seeds, **more)
        keys = ("budget", "keypoints", "method", "mpjpe_mm", "anywhere_mpjpe_mm")
        lines = [tuple(r[key] for key in keys) for r in rows]
        return Table("MPJPE, mm, test subjects", ("budget", "2D", "lifter", "its cameras", "anywhere"), lines)

    def _seeds(self, runs: Variants[Any, Any, Any], budget: str, name: str, kind: str) -> Iterator[Metrics]:
        steps = self.recipe.lifter.steps if budget == "views" else self._steps(runs, name, kind)
        rate = self._rate(runs, budget, name, kind, steps)
        recipe = self._row(name, kind, steps, rate, self.recipe.loop.seed)
        for seed in seeds_of(recipe, self.seeds):
            seeded = replace(recipe, loop=replace(recipe.loop, seed=seed))
            print_line(
                f"{budget}: {name}, {kind} keypoints, seed {seed}, {steps} steps at {recipe.lifter.lr:g}"
            )
            own = self.folder / f"{budget}-{name}-{kind}-seed{seed}"
            given = {"steps": steps, "batch": recipe.lifter.batch, "lr": recipe.lifter.lr, "seed": seed}
            yield runs.metrics(seeded, own) | given | {"folder": found(seeded, own)}

    def _rate(self, runs: Variants[Any, Any, Any], budget: str, name: str, kind: str, steps: int) -> float:
        """The best of the rates tried, on validation, by the first seed."""
        rates = [get_peer(name).lr * factor for factor in TRIED[: self.tries]]
        if len(rates) == 1:
            return rates[0]
        scores = {}
        for rate in rates:
            tried = self._row(name, kind, max(1, round(TRY * steps)), rate, self.recipe.loop.seed)
            try:
                metrics = runs.metrics(tried, self.folder / f"{budget}-{name}-{kind}-try{rate:.1e}")
                scores[rate] = metrics["validation"]["mpjpe_mm"]
            except DivergedError as error:
                print_line(f"{budget}: {name}, {kind} keypoints, at {rate:g}: {error}")
        if not (known := [rate for rate, score in scores.items() if isfinite(score)]):
            raise ValueError(f"{name}: all {len(rates)} rates tried diverged; leave it out of --lifters")
        return min(known, key=scores.__getitem__)

    def _row(self, name: str, kind: Any, steps: int, rate: float, seed: int) -> BoardRecipe:
        lifter = replace(self.recipe.lifter, name=name, keypoints=kind, steps=steps, lr=rate)
        return replace(self.recipe, lifter=lifter, loop=replace(self.recipe.loop, seed=seed))

    def _steps(self, runs: Variants[Any, Any, Any], name: str, kind: Any) -> int:
        """How many fit in the budget of time, by a measurement that is made once and kept beside the rows."""
        file = self.folder / "seconds.json"
        known: dict[str, float] = read_json(file) if file.is_file() else {}
        key = f"{name}, {kind}, {self.recipe.lifter.batch}"
        if key not in known:
            data = runs.data(self.recipe)
            assert isinstance(data, TrainingData)
            config = replace(self.recipe.lifter, name=name, keypoints=kind)
            lifter = get_peer(name).make()
            lifter.fit_scale(data.scale())
            draw = partial(views, data, config, lambda rows: rows)
            generator = torch.Generator(data.device).manual_seed(0)
            known[key] = step_seconds(lifter, draw, config.lr, generator)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(file, dumps(known, indent=1))
        return max(1, round(self.seconds / known[key]))
