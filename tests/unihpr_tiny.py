"""A UniHPR small enough for tests: its recipe as overrides, and a two-process worker.

torchrun --nproc_per_node 2 tests/unihpr_tiny.py CACHE OUT
"""

import json
import os
import sys
from pathlib import Path

import torch
from polypose.network import UniHPR
from posetrain.lifecycle import open_data
from posetrain.loop import Trainer
from posetrain.recipe import load_recipe
from posetrain.runs import Run
from unihpr.recipe import RECIPES, Recipe
from unihpr.steps import align_image
from unihpr.task import UNIHPR

TINY = (
    "data.images=48",
    "data.test_images=40",
    "data.image_size=[48, 64]",
    "data.workers=1",
    "data.synthetic={subjects: 4, test_subjects: 1, clips: 2, frames: 40}",
    "model.dim=64",
    "model.hidden=64",
    "model.decoder_hidden=64",
    "align_poses.steps=6",
    "align_poses.batch=32",
    "align_image.steps=4",
    "align_image.batch=8",
    "finetune.steps=4",
    "finetune.batch=8",
    "finetune.poses=16",
    "evaluation.hypotheses=2",
    "evaluation.sampler_steps=3",
    "evaluation.neighbours=2",
    "baseline={steps: 5, batch: 32, hidden: 32}",
    "loop.checkpoint_every=2",
    "loop.log_every=1",
    "loop.trackers=[]",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The quickstart recipe, made tiny."""
    return load_recipe("quickstart", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)


def one_step(cache: Path, run: Path) -> dict[str, list[float]]:
    """One plain gradient step of step 2: its losses, and how far it moved every parameter.

    Batch normalisation is switched off: its statistics are each process's own, as everywhere.
    """
    recipe = tiny(
        cache, "align_image.steps=1", "align_image.negatives=all", "loop.ema=null", "loop.clip=null"
    )
    torch.manual_seed(0)
    trainer = Trainer(Run.start(run, recipe, "resume"), recipe.loop)
    data = open_data(UNIHPR, recipe)
    model = UniHPR(recipe.model)
    stage = align_image(model, data, recipe, trainer)
    model.eval()
    stage.optimizer = torch.optim.SGD(model.encoders["image"].parameters(), lr=1.0)
    stage.scheduler = None
    before = [p.detach().clone() for p in model.encoders["image"].parameters()]
    trainer.fit(stage)
    after = list(model.encoders["image"].parameters())
    record = trainer.run.curves("align_image")[-1]
    trainer.close()
    return {
        "losses": [record["pair"], record["triplet"]],
        "moved": [float((new.detach() - old).norm()) for new, old in zip(after, before, strict=True)],
    }


if __name__ == "__main__":
    found = one_step(Path(sys.argv[1]), Path(sys.argv[2]) / "run")
    if os.environ.get("RANK", "0") == "0":
        (Path(sys.argv[2]) / "found.json").write_text(json.dumps(found))
