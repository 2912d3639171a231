"""V-VIPE's section 5: what the triplet, the alignment, the pre-trained decoder and augmentation are worth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import precisions

from vvipe.compare import autoencoder, cell_name, finished, flat, seeds_of, summarise
from vvipe.recipe import Recipe
from vvipe.train import open_on_one

PAPER = {
    "whole": 23.5,
    "no triplet": 17.41,
    "no alignment": 18.0,
    "no pre-trained decoder": 23.4,
    "no augmentation": None,
}
"""Hit@1 on all pairs of MPI-INF-3DHP with detected keypoints, trained without augmentation."""

MEASURED = {
    "all.hit1": "all, Hit@1",
    "unseen.hit1": "unseen, Hit@1",
    "unseen.hit10": "unseen, Hit@10",
    "same_rig.hit1": "same rig, Hit@1",
    "same_rig.pa_mpjpe_mm": "PA-MPJPE mm",
}
ABLATION_COLUMNS = ("variant", *MEASURED.values(), "paper, Hit@1")


def ablated(recipe: Recipe, name: str) -> Recipe:
    """The recipe changed to one row of the table.

    Raises:
        ValueError: no row is called that.
    """
    if name == "whole":
        return recipe
    if name == "no triplet":
        return replace(
            recipe, vae=replace(recipe.vae, triplet=0.0), mapping=replace(recipe.mapping, triplet=0.0)
        )
    if name == "no alignment":
        return replace(recipe, vae=replace(recipe.vae, align=False))
    if name == "no pre-trained decoder":
        return replace(recipe, mapping=replace(recipe.mapping, pretrained=False))
    if name == "no augmentation":
        return replace(recipe, augment=replace(recipe.augment, share=0.0))
    raise ValueError(f"no variant is called {name}; choose one of: {', '.join(PAPER)}")


def ablate(recipe: Recipe, folder: Path, seeds: int, json: Path | None) -> list[tuple[Any, ...]]:
    """Train every variant with every seed; what is finished is only read, what is broken off goes on.

    Variants that share stage 1 train it once. In the folder of a comparison by the same recipe, the whole
    method with and without augmentation is there already.

    Returns:
        rows for `ABLATION_COLUMNS`: means over the seeds, with the standard deviation where there are
            several.
    """
    data = open_on_one(recipe)
    records = []
    for seed in seeds_of(recipe, seeds):
        for name in PAPER:
            made = ablated(replace(recipe, loop=replace(recipe.loop, seed=seed)), name)
            own = made.vae != recipe.vae  # an autoencoder that no other variant shares
            if made.mapping.pretrained:
                vae = autoencoder(made, folder / _file(name) if own else folder, data)
                made = replace(made, mapping=replace(made.mapping, vae=vae))
            shared = name in ("whole", "no augmentation")
            run = folder / (cell_name(made) if shared else f"{_file(name)}-{cell_name(made)}")
            found = flat(finished(made, run, data))
            records.append({"variant": name, "seed": seed} | {key: found[key] for key in MEASURED})
    rows = [row | {"paper_hit1": PAPER[row["variant"]]} for row in summarise(records, ("variant",))]
    if json:
        write_results(
            json,
            rows,
            data=data.fingerprint,
            seeds=list(seeds_of(recipe, seeds)),
            runs=records,
            recipe=to_plain(recipe),
            precision=precisions(folder),
        )
    return [tuple(row.values()) for row in rows]


def _file(name: str) -> str:
    return name.replace(" ", "-")
