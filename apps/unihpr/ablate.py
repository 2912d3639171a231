"""Variants of a recipe trained alike: UniHPE's table 6, scaled down, and losses beside L_pair."""

import shutil
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from trainer.checkpoint import load_weights
from trainer.loop import DivergedError
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import Run, precisions
from trainer.texts import read_json

from unihpr.data import prepare_stores
from unihpr.evaluate import Metrics, embed, retrieval
from unihpr.model import UniHPR, pairs
from unihpr.recipe import Recipe, StageConfig
from unihpr.train import Trained, steps_of, train

Change = Callable[[Recipe], Recipe]
Record = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The rows and columns of a table.

    Attributes:
        variants: what each row changes in the recipe.
        measured: metrics (`unihpr.evaluate`, and "aligned": the space after step 2) and their headings.
        published: MPJPE from exact 2D and from images, mm, by row.
    """

    title: str
    variants: Mapping[str, Change]
    measured: Mapping[str, str]
    published: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        return (
            "variant",
            *self.measured.values(),
            *(("paper, 2D", "paper, image") if self.published else ()),
        )


def _no_alignment(recipe: Recipe) -> Recipe:
    """Steps 1 and 2 and the contrastive part of step 3 left out; step 3 is as long as for all others, so
    that this variant trains for less time in total, as in the paper."""
    return replace(
        _no_token(recipe),
        align_poses=replace(recipe.align_poses, steps=0),
        align_image=replace(recipe.align_image, steps=0),
        finetune=replace(recipe.finetune, contrast=0.0),
    )


def _no_token(recipe: Recipe) -> Recipe:
    return replace(recipe, model=replace(recipe.model, modality_token=False))


def _contrast(**change: Any) -> Change:
    """A change of the contrastive loss in both steps that see images."""

    def changed(stage: StageConfig) -> StageConfig:
        return replace(stage, **change)

    return lambda recipe: replace(
        recipe, align_image=changed(recipe.align_image), finetune=changed(recipe.finetune)
    )


COMPONENTS = Comparison(
    "Ablation",
    {
        "no alignment": _no_alignment,
        "pair": lambda recipe: _no_token(_contrast(triplet=0.0)(recipe)),
        "pair + triplet": _no_token,
        "pair + triplet + token": lambda recipe: recipe,
    },
    {
        "lift.mpjpe_mm": "2D, MPJPE",
        "lift.pa_mpjpe_mm": "PA",
        "image.mpjpe_mm": "image, MPJPE",
        "image.pa_mpjpe_mm": "PA",
        "retrieval.2d_to_3d.mpjpe_mm": "2D to 3D",
        "retrieval.image_to_3d.mpjpe_mm": "image to 3D",
    },
    # UniHPR, table V, Human3.6M
    {
        "no alignment": (41.3, 91.8),
        "pair": (60.0, 65.5),
        "pair + triplet": (40.9, 58.7),
        "pair + triplet + token": (39.3, 57.5),
    },
)

LOSSES = Comparison(
    "Losses beside L_pair",
    {
        "pair": _contrast(triplet=0.0),
        "pair + paper_sampled": _contrast(beside="triplet", negatives="paper_sampled"),
        "pair + all": _contrast(beside="triplet", negatives="all"),
        "pair + GRAM": _contrast(beside="gram"),
        "pair + Symile": _contrast(beside="symile"),
    },
    {
        "aligned.retrieval.image_to_3d.mpjpe_mm": "after step 2: image to 3D",
        "aligned.retrieval.3d_to_image.mpjpe_mm": "3D to image",
        "aligned.retrieval.image_to_2d.mpjpe_mm": "image to 2D",
        "aligned.retrieval.2d_to_image.mpjpe_mm": "2D to image",
        "aligned.cosine.image_2d": "cosine image-2D",
        "aligned.cosine.image_3d": "cosine image-3D",
        "lift.mpjpe_mm": "after step 3: lifting, MPJPE",
        "image.mpjpe_mm": "image, MPJPE",
        "retrieval.2d_to_3d.mpjpe_mm": "2D to 3D",
        "retrieval.3d_to_2d.mpjpe_mm": "3D to 2D",
        "retrieval.image_to_3d.mpjpe_mm": "image to 3D",
        "retrieval.3d_to_image.mpjpe_mm": "3D to image",
        "cosine.image_2d": "cosine image-2D",
        "cosine.image_3d": "cosine image-3D",
        "cosine.2d_3d": "cosine 2D-3D",
    },
)

COMPARISONS = {"components": COMPONENTS, "losses": LOSSES}


def comparison(name: str, recipe: Recipe) -> Comparison:
    """The comparison of that name; without a step 3 of what steps 1 and 2 leave, as nothing decodes then.

    Raises:
        ValueError: there is none.
    """
    if name not in COMPARISONS:
        raise ValueError(f"--variants {name}: no such comparison; choose {' or '.join(COMPARISONS)}")
    table = COMPARISONS[name]
    aligned = {key: head for key, head in table.measured.items() if key.startswith("aligned.")}
    return table if recipe.finetune.steps or not aligned else replace(table, measured=aligned)


def ablate(
    recipe: Recipe, folder: Path, seeds: int, json: Path | None, table: Comparison = COMPONENTS
) -> list[tuple[Any, ...]]:
    """Train every variant `seeds` times; finished ones are only read, a broken one goes on.

    Variants of one seed begin with the same weights, and those whose step 1 is the same share it.

    Returns:
        rows for `table.columns`: means over the seeds, and the standard deviation where there are several.

    Raises:
        ValueError: runs diverged; all others are finished then.
    """
    records: list[Record] = []
    diverged: list[str] = []
    for seed in range(recipe.loop.seed, recipe.loop.seed + seeds):
        aligned: dict[Hashable, Path] = {}
        for name, change in table.variants.items():
            seeded = change(replace(recipe, loop=replace(recipe.loop, seed=seed)))
            run = folder / f"{name.replace(' + ', '-').replace(' ', '-')}-seed{seed}"
            _share_first_step(seeded, run, aligned)
            try:
                metrics = _metrics(seeded, run, table)
            except DivergedError as error:
                diverged.append(f"{run}: {error}")
                continue
            records.append(
                {"variant": name, "seed": seed} | {key: _at(metrics, key) for key in table.measured}
            )
    if diverged:
        raise ValueError("; ".join(diverged))
    rows = [summary(table, name, records) for name in table.variants]
    if json:
        _write(json, rows, records, recipe, seeds, precisions(folder))
    return [tuple(_shown(row[key], key) for key in _keys(table)) for row in rows]


def _metrics(recipe: Recipe, run: Path, table: Comparison) -> Metrics:
    """Train and measure, or read what was measured."""
    stored = run / "metrics.json"
    if stored.is_file() and Run(run).finished(steps_of(recipe), prepare_stores(recipe.data).fingerprint):
        Run.start(run, recipe, "resume")
        metrics: Metrics = read_json(stored, "delete it, and it is measured again")
        if all(_has(metrics, key) for key in table.measured):
            return metrics
    trained, metrics = train(recipe, run, "resume", report=False)
    if any(key.startswith("aligned.") for key in table.measured):
        metrics["aligned"] = after_alignment(trained)
        trained.run.write_metrics(metrics)
    return metrics


@torch.no_grad()
def after_alignment(trained: Trained) -> Metrics:
    """Cosines and retrieval between modalities as steps 1 and 2 left them."""
    model = UniHPR.of_checkpoint(trained.recipe.model).to(trained.data.device)
    encoders = dict(model.encoders.items())
    image = encoders.pop("image")
    load_weights(trained.run.checkpoint("align_poses"), encoders)
    load_weights(trained.run.checkpoint("align_image"), {"image": image})
    test = trained.data.test()
    embeddings = embed(model.eval(), test, trained.recipe.evaluation.batch)
    return {
        "cosine": {name: float((x * y).sum(-1).mean()) for name, (x, y) in pairs(embeddings).items()},
        "retrieval": retrieval(embeddings, test.joints),
    }


def _share_first_step(recipe: Recipe, run: Path, aligned: dict[Hashable, Path]) -> None:
    """Take step 1 from an earlier run that trained it alike: its loss is of two modalities in any variant."""
    own = run / "checkpoints" / "align_poses"
    if not recipe.align_poses.steps:
        return
    first = aligned.setdefault((recipe.data, recipe.model, recipe.align_poses, recipe.loop), own)
    if first.is_dir() and not own.exists():
        shutil.copytree(first, own)


def _keys(table: Comparison) -> tuple[str, ...]:
    return ("variant", *table.measured, *(("paper_lift_mm", "paper_image_mm") if table.published else ()))


def summary(table: Comparison, name: str, records: list[Record]) -> Record:
    """Means, and (`minus_first.*`) how far the variant is from the first one, seed by seed."""
    own = [r for r in records if r["variant"] == name]
    base = [r for r in records if r["variant"] == next(iter(table.variants))]
    row: Record = {"variant": name} | {key: _spread([r[key] for r in own], key) for key in table.measured}
    for key in table.measured:
        row[f"minus_first.{key}"] = _spread([x[key] - y[key] for x, y in zip(own, base, strict=True)], key)
    if name in table.published:
        row["paper_lift_mm"], row["paper_image_mm"] = table.published[name]
    return row


def _shown(value: float | str, key: str) -> float | str:
    return f"{value:.3f}" if "cosine" in key and isinstance(value, float) else value


def _spread(values: list[float], key: str) -> float | str:
    digits = 3 if "cosine" in key else 1
    return values[0] if len(values) == 1 else f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def _write(
    json: Path, rows: list[Record], records: list[Record], recipe: Recipe, seeds: int, precision: str
) -> None:
    write_results(
        json,
        rows,
        data=prepare_stores(recipe.data).fingerprint,
        seeds=list(range(recipe.loop.seed, recipe.loop.seed + seeds)),
        runs=records,
        recipe=to_plain(recipe),
        precision=precision,
    )


def _has(metrics: Metrics, dotted: str) -> bool:
    value: Any = metrics
    for key in dotted.split("."):
        if key not in value:
            return False
        value = value[key]
    return True


def _at(metrics: Metrics, dotted: str) -> float:
    value: Any = metrics
    for key in dotted.split("."):
        value = value[key]
    return float(value)
