"""The papers' table on one's own data: V-VIPE, PR-VIPE and bare keypoints, trained on the same poses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from posedata.records import Record, flat, summarise
from poseenc.hits import nearest_2d
from posetrain.ablation import Variant, Variants, seeds_of
from posetrain.task import Table

from vvipe.recipe import METHODS, Recipe
from vvipe.task import VVIPE_TASK

COLUMNS = ("method", "keypoints", "augmentation", "same rig 1/10/20", "all", "unseen", "MPJPE mm")
LABELS = COLUMNS[:3]


def compare(
    recipe: Recipe, folder: Path, seeds: int, json: Path | None, beside: tuple[str, Recipe] | None = None
) -> Table:
    """Train both methods on exact and on detector keypoints, with and without augmentation.

    The autoencoder sees no keypoints: it is trained once a seed and serves all four. What is finished in the
    folder is only read, what is broken off goes on.

    Args:
        beside: a name and another recipe, for rows of its own: trained as it says, on the data of the first.

    Returns:
        means over seeds, with the standard deviation where there are several.
    """
    runs, records = Variants(VVIPE_TASK), []
    exact, detector = (_with_keypoints(recipe, name) for name in ("exact", "detector"))
    for seed in seeds_of(recipe, seeds):
        for made in (exact, detector):
            if seed == recipe.loop.seed:
                records.append(_bare(runs, made))
            seeded = replace(made, loop=replace(recipe.loop, seed=seed))
            records += runs.measured(_cells(seeded, folder, beside), flat)
    rows = summarise(records, LABELS)
    if json:
        runs.write(json, rows, recipe, folder, seeds=list(seeds_of(recipe, seeds)), runs=records)
    return Table("Hit@k, percent", COLUMNS, [_line(row) for row in rows])


def _with_keypoints(recipe: Recipe, name: Any) -> Recipe:
    return replace(recipe, data=replace(recipe.data, keypoints=name))


def _bare(runs: Variants[Recipe, Any, Any], recipe: Recipe) -> Record:
    """The keypoints themselves as the embedding, the same for all seeds."""
    labels = {"method": "2D keypoints", "keypoints": recipe.data.keypoints, "augmentation": ""}
    found = flat(nearest_2d(runs.data(recipe).test, recipe.evaluation))
    return {"seed": recipe.loop.seed, **labels, **found}


def _cells(recipe: Recipe, folder: Path, beside: tuple[str, Recipe] | None) -> Iterator[Variant]:
    """What is trained of one seed and one kind of keypoints."""
    keypoints, seed = recipe.data.keypoints, recipe.loop.seed

    def variant(made: Recipe, method: str, augmentation: str, name: str) -> Variant:
        labels = {"seed": seed, "method": method, "keypoints": keypoints, "augmentation": augmentation}
        return Variant(labels, folder / f"{name}-seed{seed}", made)

    for share in (0.0, recipe.augment.share):
        augmented = "yes" if share else "no"
        for method, label in METHODS.items():
            made = replace(
                recipe,
                model=replace(recipe.model, method=method),
                augment=replace(recipe.augment, share=share),
            )
            yield variant(made, label, augmented, f"{method}-{keypoints}-augment-{augmented}")
    if beside:
        name, other = beside
        loop = replace(other.loop, seed=seed, device=recipe.loop.device)
        yield variant(replace(other, data=recipe.data, loop=loop), name, "own", f"{name}-{keypoints}")


def _line(row: dict[str, Any]) -> tuple[Any, ...]:
    def hits(rig: str) -> str:
        values = [value for key, value in row.items() if key.startswith(f"{rig}.hit")]
        return " / ".join(v.split(" ±")[0] if isinstance(v, str) else f"{v:.1f}" for v in values)

    rigs = (hits(rig) for rig in ("same_rig", "all", "unseen"))
    return (*(row[label] for label in LABELS), *rigs, row.get("same_rig.mpjpe_mm", ""))
