"""What each weak loss, and the interaction with pictures, is worth: stage A with one left out at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pointcloud_weak.losses import TERMS
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import precisions

from unipose.recipe import Recipe
from unipose.train import train

VARIANTS = ("everything", *(f"no {term}" for term in TERMS), "no interaction")
MEASURED = {
    "map": "mAP@10cm",
    "mpjpe_mm": "MPJPE mm",
    "relative_mpjpe_mm": "root-relative",
}
ABLATION_COLUMNS = ("variant", *MEASURED.values())


def variant(recipe: Recipe, name: str) -> Recipe:
    """The recipe changed to one row of the table: stage A alone.

    Raises:
        ValueError: no row is called that.
    """
    if name not in VARIANTS:
        raise ValueError(f"no variant is called {name}; choose one of: {', '.join(VARIANTS)}")
    recipe = replace(recipe, twins=False)
    left_out = name.removeprefix("no ")
    if left_out == "interaction":
        return replace(recipe, model=replace(recipe.model, image=False))
    if left_out in TERMS:
        return replace(recipe, losses=replace(recipe.losses, **{left_out: 0.0}))
    return recipe


def ablate(recipe: Recipe, folder: Path, json: Path | None) -> list[tuple[Any, ...]]:
    """Train every variant's teacher; finished ones are only read, a broken one goes on.

    Returns:
        rows for `ABLATION_COLUMNS`.
    """
    records, data = [], ""
    for name in VARIANTS:
        run = folder / name.replace(" ", "-")
        trained, metrics = train(variant(recipe, name), run, "resume", "teacher")
        data = trained.data.fingerprint
        if "teacher" not in metrics["test"]:
            where = trained.data.test.store.path
            raise ValueError(
                f"{where}: has no true 3D joints of these people to compare variants by; give some"
            )
        records.append({"variant": name} | {key: metrics["test"]["teacher"][key] for key in MEASURED})
    if json:
        write_results(
            json,
            records,
            data=data,
            seeds=[recipe.loop.seed],
            recipe=to_plain(recipe),
            precision=precisions(folder),
        )
    return [tuple(record.values()) for record in records]
