"""Named comparisons of UniHPR: UniHPE's table 6, scaled down, and losses beside L_pair."""

from dataclasses import replace
from typing import Any

import torch
from polypose.batches import embed
from polypose.measuring import cosines
from polypose.network import UniHPR
from posedata.scoring.retrieval import across
from posetrain.ablation import Comparison
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.runs import Run
from posetrain.task import Metrics

from unihpr.recipe import Recipe

_NO_TOKEN = ("model.modality_token=false",)


def _contrast(*changes: str) -> tuple[str, ...]:
    """A change of the contrastive loss in both steps that see images."""
    return tuple(f"{step}.{change}" for step in ("align_image", "finetune") for change in changes)


COMPONENTS = Comparison(
    "Ablation",
    {
        # step 3 is as long as for all others, so that this one trains for less time in total, as in the paper
        "no alignment": (*_NO_TOKEN, "align_poses.steps=0", "align_image.steps=0", "finetune.contrast=0"),
        "pair": (*_NO_TOKEN, *_contrast("triplet=0")),
        "pair + triplet": _NO_TOKEN,
        "pair + triplet + token": (),
    },
    {
        "lift.mpjpe_mm": "2D, MPJPE",
        "lift.pa_mpjpe_mm": "PA",
        "image.mpjpe_mm": "image, MPJPE",
        "image.pa_mpjpe_mm": "PA",
        "retrieval.2d_to_3d.mpjpe_mm": "2D to 3D",
        "retrieval.image_to_3d.mpjpe_mm": "image to 3D",
    },
    # UniHPR, table V, Human3.6M: from exact 2D and from images
    published={
        "no alignment": {"paper_lift_mm": 41.3, "paper_image_mm": 91.8},
        "pair": {"paper_lift_mm": 60.0, "paper_image_mm": 65.5},
        "pair + triplet": {"paper_lift_mm": 40.9, "paper_image_mm": 58.7},
        "pair + triplet + token": {"paper_lift_mm": 39.3, "paper_image_mm": 57.5},
    },
    headings={"paper_lift_mm": "paper, 2D", "paper_image_mm": "paper, image"},
)


@torch.no_grad()
def after_alignment(trained: Trained[Any, Any, Any]) -> Metrics:
    """`aligned`: cosines and retrieval between modalities as steps 1 and 2 left them."""
    model = UniHPR.of_checkpoint(trained.recipe.model).to(trained.data.device)
    load_aligned(model, trained.run)
    test = trained.data.test()
    embeddings = embed(model.eval(), test, trained.recipe.evaluation.batch)
    return {
        "aligned": {
            "cosine": cosines(embeddings),
            "retrieval": across(embeddings, test.joints),
        }
    }


def load_aligned(model: UniHPR, run: Run) -> None:
    """Fill the encoders from the checkpoints of steps 1 and 2."""
    encoders = dict(model.encoders.items())
    image = encoders.pop("image")
    load_weights(run.checkpoint("align_poses"), encoders)
    load_weights(run.checkpoint("align_image"), {"image": image})


LOSSES = Comparison(
    "Losses beside L_pair",
    {
        "pair": _contrast("triplet=0"),
        "pair + paper_sampled": _contrast("beside=triplet", "negatives=paper_sampled"),
        "pair + all": _contrast("beside=triplet", "negatives=all"),
        "pair + GRAM": _contrast("beside=gram"),
        "pair + Symile": _contrast("beside=symile"),
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
    also=after_alignment,
    ending="-losses",
)


def of_aligned(table: Comparison, recipe: Recipe) -> Comparison:
    """Without a step 3 the comparison of what steps 1 and 2 leave, as nothing decodes then."""
    aligned = {key: head for key, head in table.measured.items() if key.startswith("aligned.")}
    return table if recipe.finetune.steps or not aligned else replace(table, measured=aligned)
