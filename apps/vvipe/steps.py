"""The papers' optimisation problems as stages of the shared trainer."""

from collections.abc import Callable, Iterable

import torch
from contrastive import margin_triplet
from contrastive.euclidean import distance_info_nce
from contrastive.whole import ALONE, WholeBatch
from posedata.scoring.similar import pose_distances, within
from poseenc.gaussian import Gaussian
from poseenc.pose_views import PoseBatch
from poseenc.probabilistic import matching_terms
from poseenc.vvipe import PRVIPE, VVIPE
from posetrain.loop import Trainer
from posetrain.stage import Stage
from torch import Tensor, nn

from vvipe.data import TrainingData
from vvipe.recipe import MappingConfig, Recipe, VaeConfig

Losses = dict[str, Tensor]


def vae(model: VVIPE, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Stage 1 of V-VIPE (section 3.2): reconstruct poses, keep alike ones close, stay near N(0, 1)."""
    config = recipe.vae
    model.vae.train()

    def batch(step: int, generator: torch.Generator) -> Tensor:
        return data.taught.draw_poses(config.batch, generator, trainer.share, config.align)

    def loss(pose: Tensor, generator: torch.Generator) -> Losses:
        return vae_loss(model, pose, config, generator, trainer.whole)

    return _stage("vae", vae_modules(model), model.vae.parameters(), config, batch, loss)


def vae_modules(model: VVIPE) -> dict[str, nn.Module]:
    """What stage 1 keeps: the autoencoder, and the body whose poses it knows."""
    return {"vae": model.vae, "body": model.body}


def vae_loss(
    model: VVIPE, pose: Tensor, config: VaeConfig, generator: torch.Generator, whole: WholeBatch = ALONE
) -> Losses:
    """L_mse + L_KL + L_triplet of a batch of poses, equation 2; the triplet is of the posterior's means.

    Args:
        whole: the batch that these poses are a share of; triplets are mined in all of it.
    """
    posterior = model.vae.encode(pose)
    with whole.draws():
        drawn = posterior.sample(1, generator)[:, 0]
    poses = whole.gather(pose)
    values = {
        "mse": (model.decode(drawn) - pose).square().mean(),
        "kl": posterior.kl_to_normal().mean(),
        "triplet": margin_triplet(
            whole.gather(posterior.mean),
            pose_distances(poses, poses),
            margin=config.margin,
            apart=config.apart,
        ),
    }
    total = values["mse"] + config.kl * values["kl"] + config.triplet * values["triplet"]
    return {"loss": total, **values}


def mapping(model: VVIPE, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Stage 2 of V-VIPE (section 3.3): 2D into the embedding, through the frozen decoder.

    Without pre-training the decoder is learnt along with the 2D encoder, and there is no 3D encoder: the
    triplet is then among embeddings of 2D.
    """
    config = recipe.mapping
    model.train()
    model.vae.requires_grad_(not config.pretrained)
    if config.pretrained:
        model.vae.eval()

    def batch(step: int, generator: torch.Generator) -> PoseBatch:
        return data.taught.draw(
            config.batch, config.views, recipe.augment, generator, trainer.share, recipe.vae.align
        )

    def loss(drawn: PoseBatch, generator: torch.Generator) -> Losses:
        return mapping_loss(model, drawn, config, trainer.whole)

    learnt = [p for p in model.parameters() if p.requires_grad]
    return _stage("mapping", {"model": model}, learnt, config, batch, loss)


def mapping_loss(model: VVIPE, batch: PoseBatch, config: MappingConfig, whole: WholeBatch = ALONE) -> Losses:
    """The mean over views of MSE and triplet, and where wanted the contrast between views.

    Args:
        whole: the batch that this one is a share of; triplets are mined in all of it.
    """
    views = batch.views.keypoints.shape[1]
    embedded = model.embed(batch.views.flatten()).float().unflatten(0, (-1, views)).unbind(1)
    truth = model.embed_pose(batch.pose) if config.pretrained else None
    with whole.rows(*[len(batch.pose)] * views):
        rebuilt = model.decode(torch.cat(embedded))
    poses = whole.gather(batch.pose)
    apart = pose_distances(poses, poses)
    embedded = [whole.gather(x) for x in embedded]
    truth = None if truth is None else whole.gather(truth)
    values = {"mse": (rebuilt - batch.pose.repeat(views, 1, 1)).square().mean()}
    triplets = [
        margin_triplet(x, apart, margin=config.margin, apart=config.apart, others=truth) for x in embedded
    ]
    values["triplet"] = torch.stack(triplets).mean()
    total = values["mse"] + config.triplet * values["triplet"]
    if config.contrast:
        parties = [*embedded, *([] if truth is None else [truth])]
        values["contrast"] = distance_info_nce(parties, config.temperature, alike=apart < config.alike)
        total = total + config.contrast * values["contrast"]
    return {"loss": total, **values}


def matching(model: PRVIPE, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """PR-VIPE: two views of every pose match more probably than a view of another pose."""
    config = recipe.matching
    model.train()

    def batch(step: int, generator: torch.Generator) -> PoseBatch:
        return data.taught.draw(config.batch, 2, recipe.augment, generator, trainer.share)

    def loss(drawn: PoseBatch, generator: torch.Generator) -> Losses:
        return matching_loss(model, drawn, recipe, generator, trainer.whole)

    return _stage("matching", {"model": model}, model.parameters(), config, batch, loss)


def matching_loss(
    model: PRVIPE, batch: PoseBatch, recipe: Recipe, generator: torch.Generator, whole: WholeBatch = ALONE
) -> Losses:
    """Triplet ratio + positive pairs + divergence (PR-VIPE, section 3), weighted as the recipe says.

    Args:
        whole: the batch that this one is a share of; the loss is of all of it.
    """
    config = recipe.matching
    found = Gaussian(*(whole.gather(x) for x in model.distribution(batch.views.flatten())))
    poses = whole.gather(batch.pose)
    allowed = ~within(poses, poses, config.apart, beyond=2.0)
    values = matching_terms(found, allowed, model.matching, config.draws, config.ratio, generator)
    total = values["triplet"] + config.positive * values["positive"] + config.kl * values["kl"]
    return {"loss": total, **values}


def stages(recipe: Recipe) -> dict[str, Callable[..., Stage]]:
    """The stages that a run of this recipe trains itself, in order: names are those of recipe sections."""
    if recipe.model.method == "prvipe":
        return {"matching": matching}
    own = recipe.mapping.pretrained and recipe.mapping.vae is None
    first: dict[str, Callable[..., Stage]] = {"vae": vae} if own else {}
    return {**first, "mapping": mapping}


def _stage(
    name: str,
    modules: dict[str, nn.Module],
    parameters: Iterable[nn.Parameter],
    config: object,
    batch: Callable[..., object],
    loss: Callable[..., Losses],
) -> Stage:
    steps, rate = config.steps, config.lr  # type: ignore[attr-defined]
    if getattr(config, "optimizer", "adam") == "adagrad":
        return Stage(name, modules, torch.optim.Adagrad(parameters, lr=rate), steps, batch, loss)
    optimizer = torch.optim.Adam(parameters, lr=rate)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return Stage(name, modules, optimizer, steps, batch, loss, fall)
