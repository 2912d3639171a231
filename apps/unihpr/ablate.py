"""Table 6 of UniHPE in small: what alignment, the triplet loss and the modality token are each worth."""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from trainer.recipe import to_plain
from trainer.results import write_results

from unihpr.recipe import Recipe
from unihpr.train import train

PAPER = {
    "no alignment": (41.3, 91.8),
    "pair": (60.0, 65.5),
    "pair + triplet": (40.9, 58.7),
    "pair + triplet + token": (39.3, 57.5),
}
"""UniHPR, table V, Human3.6M: MPJPE from exact 2D and from images, mm."""

MEASURED = {
    "lift.mpjpe_mm": "2D, MPJPE",
    "lift.pa_mpjpe_mm": "PA",
    "image.mpjpe_mm": "image, MPJPE",
    "image.pa_mpjpe_mm": "PA",
    "retrieval.2d_to_3d.mpjpe_mm": "2D to 3D",
    "retrieval.image_to_3d.mpjpe_mm": "image to 3D",
}
ABLATION_COLUMNS = ("variant", *MEASURED.values(), "paper, 2D", "paper, image")


def variant(recipe: Recipe, name: str) -> Recipe:
    """The recipe changed to one row of the table.

    "no alignment" leaves out steps 1 and 2 and the contrastive part of step 3; step 3 is the same length for
    all, so that variant trains for less time in total, as in the paper.

    Raises:
        ValueError: no row is called that.
    """
    if name not in PAPER:
        raise ValueError(f"no variant is called {name}; choose one of: {', '.join(PAPER)}")
    token = replace(recipe.model, modality_token=name.endswith("token"))
    recipe = replace(recipe, model=token)
    if name == "no alignment":
        return replace(
            recipe,
            align_poses=replace(recipe.align_poses, steps=0),
            align_image=replace(recipe.align_image, steps=0),
            finetune=replace(recipe.finetune, contrast=0.0),
        )
    if name == "pair":
        return replace(
            recipe,
            align_image=replace(recipe.align_image, triplet=0.0),
            finetune=replace(recipe.finetune, triplet=0.0),
        )
    return recipe


def ablate(recipe: Recipe, folder: Path, seeds: int, json: Path | None) -> list[tuple[Any, ...]]:
    """Train every variant `seeds` times; finished ones are only read, a broken one goes on.

    Returns:
        rows for `ABLATION_COLUMNS`: means over the seeds, and the standard deviation where there are several.
    """
    records, data = [], ""
    for name in PAPER:
        for seed in range(recipe.loop.seed, recipe.loop.seed + seeds):
            seeded = replace(variant(recipe, name), loop=replace(recipe.loop, seed=seed))
            run = folder / f"{name.replace(' + ', '-').replace(' ', '-')}-seed{seed}"
            trained, metrics = train(seeded, run, "resume")
            data = trained.data.stores.fingerprint
            records.append({"variant": name, "seed": seed} | {key: _at(metrics, key) for key in MEASURED})
    rows = [_summary(name, [r for r in records if r["variant"] == name]) for name in PAPER]
    keys = ("variant", *MEASURED, "paper_lift_mm", "paper_image_mm")
    if json:
        write_results(
            json,
            [dict(zip(keys, row, strict=True)) for row in rows],
            data=data,
            seeds=list(range(recipe.loop.seed, recipe.loop.seed + seeds)),
            runs=records,
            recipe=to_plain(recipe),
        )
    return rows


def _summary(name: str, records: list[dict[str, Any]]) -> tuple[Any, ...]:
    return (name, *(_spread([r[key] for r in records]) for key in MEASURED), *PAPER[name])


def _spread(values: list[float]) -> float | str:
    return values[0] if len(values) == 1 else f"{mean(values):.1f} ± {stdev(values):.1f}"


def _at(metrics: dict[str, Any], dotted: str) -> float:
    value: Any = metrics
    for key in dotted.split("."):
        value = value[key]
    return float(value)
