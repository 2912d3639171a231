"""The papers' table on one's own data: V-VIPE, PR-VIPE and bare keypoints, trained on the same poses."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from trainer.recipe import load_recipe, to_plain
from trainer.results import write_results
from trainer.runs import Run, precisions

from vvipe.data import Data
from vvipe.evaluate import Metrics, nearest_2d
from vvipe.recipe import Method, Recipe
from vvipe.steps import last_steps
from vvipe.train import open_on_one, stored_metrics, train

METHODS: dict[Method, str] = {"vvipe": "V-VIPE", "prvipe": "PR-VIPE"}
COLUMNS = ("method", "keypoints", "augmentation", "same rig 1/10/20", "all", "unseen", "MPJPE mm")


def compare(
    recipe: Recipe, folder: Path, seeds: int, json: Path | None, beside: tuple[str, Recipe] | None = None
) -> list[tuple[Any, ...]]:
    """Train both methods on exact and on detector keypoints, with and without augmentation.

    The autoencoder sees no keypoints: it is trained once a seed and serves all four. What is finished in the
    folder is only read, what is broken off goes on.

    Args:
        beside: a name and another recipe, for rows of its own: trained as it says, on the data of the first.

    Returns:
        rows for `COLUMNS`: means over seeds, with the standard deviation where there are several.
    """
    records: list[dict[str, Any]] = []
    told = {
        name: replace(recipe, data=replace(recipe.data, keypoints=name)) for name in ("exact", "detector")
    }
    data = {name: open_on_one(made) for name, made in told.items()}
    for seed in seeds_of(recipe, seeds):
        for keypoints, exact in told.items():
            seeded = replace(exact, loop=replace(recipe.loop, seed=seed))
            cells = _cells(seeded, folder, data[keypoints], beside)
            bare = nearest_2d(data[keypoints].test, recipe.evaluation) if seed == recipe.loop.seed else None
            records += [{"seed": seed, "keypoints": keypoints} | cell for cell in _with(bare, cells)]
    rows = summarise(records, ("method", "keypoints", "augmentation"))
    if json:
        write_results(
            json,
            rows,
            data=data["exact"].fingerprint,
            seeds=list(seeds_of(recipe, seeds)),
            runs=records,
            recipe=to_plain(recipe),
            precision=precisions(folder),
        )
    return [_line(row) for row in rows]


def _cells(
    recipe: Recipe, folder: Path, data: Data, beside: tuple[str, Recipe] | None
) -> Iterator[dict[str, Any]]:
    """The trained rows of one seed and one kind of keypoints."""
    keypoints, seed = recipe.data.keypoints, recipe.loop.seed
    for share in (0.0, recipe.augment.share):
        for method, name in METHODS.items():
            made = variant(recipe, method, share, autoencoder(recipe, folder, data))
            metrics = finished(made, folder / cell_name(made), data)
            yield {"method": name, "augmentation": "yes" if share else "no"} | flat(metrics)
    if beside:
        name, made = beside[0], of_same_data(beside[1], recipe)
        if made.model.method == "vvipe":
            vae = autoencoder(made, folder if _same_vae(made, recipe) else folder / name, data)
            made = replace(made, mapping=replace(made.mapping, vae=vae))
        metrics = finished(made, folder / f"{name}-{keypoints}-seed{seed}", data)
        yield {"method": name, "augmentation": "own"} | flat(metrics)


def _with(bare: Metrics | None, cells: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if bare is not None:
        yield {"method": "2D keypoints", "augmentation": ""} | flat(bare)
    yield from cells


def variant(recipe: Recipe, method: Method, share: float, vae: Path) -> Recipe:
    """The recipe for one cell of the table."""
    return replace(
        recipe,
        model=replace(recipe.model, method=method),
        augment=replace(recipe.augment, share=share),
        mapping=replace(recipe.mapping, vae=vae if method == "vvipe" else None),
    )


def of_same_data(recipe: Recipe, other: Recipe) -> Recipe:
    """A recipe with the data, the device they lie on and the seed of another."""
    loop = replace(recipe.loop, seed=other.loop.seed, device=other.loop.device)
    return replace(recipe, data=other.data, loop=loop)


def cell_name(recipe: Recipe) -> str:
    """The run of one cell of the table; the ablation's whole method is one of them."""
    augmented = "yes" if recipe.augment.share else "no"
    return f"{recipe.model.method}-{recipe.data.keypoints}-augment-{augmented}-seed{recipe.loop.seed}"


def autoencoder(recipe: Recipe, folder: Path, data: Data) -> Path:
    """The run folder of stage 1 of a recipe, trained there if it is not yet.

    Raises:
        ValueError: what is there was trained by another recipe, or on other data.
    """
    run = folder / f"vae-seed{recipe.loop.seed}"
    train(stage_one(recipe), run, "resume", only="vae", data=data)  # which only checks one that is finished
    return run


def stage_one(recipe: Recipe) -> Recipe:
    """Only what stage 1 sees of a recipe: all that share it may go on with the same."""
    exact = replace(recipe.data, keypoints="exact")
    model = replace(recipe.model, method="vvipe")
    return Recipe(data=exact, model=model, vae=recipe.vae, loop=recipe.loop)


def finished(recipe: Recipe, run: Path, data: Data) -> Metrics:
    """The metrics of a run, trained and measured unless they are there already.

    Raises:
        ValueError: what is there was trained by another recipe, or on other data.
    """
    whole = Run(run).finished(last_steps(recipe), data.fingerprint) and _measured_alike(recipe, run)
    Run.start(run, recipe, "resume")
    if not whole:
        (run / "metrics.json").unlink(missing_ok=True)  # of an unfinished run, or by another `evaluation`
    found = stored_metrics(run)
    return found if found is not None else train(recipe, run, "resume", data=data, report=False)[1]


def _measured_alike(recipe: Recipe, run: Path) -> bool:
    return load_recipe(run / "recipe.yaml", Recipe).evaluation == recipe.evaluation


def seeds_of(recipe: Recipe, seeds: int) -> range:
    """As many seeds, from the recipe's own."""
    return range(recipe.loop.seed, recipe.loop.seed + seeds)


def summarise(records: Iterable[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for all seeds of a variant: mean ± standard deviation as text, a lone number as it is."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    rows = []
    for names, members in groups.items():
        numbers = [key for key in members[0] if key not in (*keys, "seed")]
        row: dict[str, Any] = dict(zip(keys, names, strict=True))
        rows.append(row | {name: spread([member[name] for member in members]) for name in numbers})
    return rows


def spread(values: list[float]) -> float | str:
    """A number where all are the same, else mean ± standard deviation."""
    return values[0] if len(set(values)) == 1 else f"{mean(values):.1f} ± {stdev(values):.1f}"


def flat(metrics: Metrics, at: str = "") -> dict[str, float]:
    """Nested metrics by dotted key."""
    found: dict[str, float] = {}
    for key, value in metrics.items():
        found |= flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found


def _same_vae(recipe: Recipe, other: Recipe) -> bool:
    return stage_one(recipe) == stage_one(other)


def _line(row: dict[str, Any]) -> tuple[Any, ...]:
    def hits(rig: str) -> str:
        values = [value for key, value in row.items() if key.startswith(f"{rig}.hit")]
        return " / ".join(v.split(" ±")[0] if isinstance(v, str) else f"{v:.1f}" for v in values)

    error = row.get("same_rig.mpjpe_mm", "")
    return (
        row["method"],
        row["keypoints"],
        row["augmentation"],
        hits("same_rig"),
        hits("all"),
        hits("unseen"),
        error,
    )
