"""The papers' three steps as stages of the shared trainer."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from contrastive import (
    Cosines,
    Temperature,
    info_nce,
    pairwise_info_nce,
    symile,
    triplet_info_nce,
    tuple_info_nce,
)
from polypose.network import MODALITIES, Modality, UniHPR, pairs
from polypose.samples import Sample
from posediff import PoseDecoder, Whole
from posetrain.loop import Trainer
from posetrain.optimise import adamw, warmed
from posetrain.stage import Stage
from torch import Tensor, nn

from unihpr.data import TrainingData
from unihpr.recipe import Recipe, SensesConfig, StageConfig

Losses = dict[str, Tensor]


def align_poses(model: UniHPR, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Step 1: 2D and 3D by L_pair, on views drawn afresh in every step (UniHPE, section 3.2).

    Where the recipe gives `decode` a weight, the 3D decoder learns from both beside it, and from 2D alone of
    further views (`poses`): they are cheap, and a space that has to give poses back keeps what lifting needs.
    A decoder whose mean has a network of its own learns no more than that here.
    """
    config = recipe.align_poses
    model.train()
    temperature = Temperature(*config.temperature)
    modules = {"2d": model.encoders["2d"], "3d": model.encoders["3d"], "temperature": temperature}
    spreads = _Branches(model, trainer)
    if config.decode:
        modules["decoder"] = model.decoders["3d"]

    def batch(step: int, generator: torch.Generator) -> dict[str, Sample]:
        counts = {"pair": config.batch, "lift": config.poses}
        draw = partial(data.draw_views, generator=generator, share=trainer.share, augment=True)
        return {name: draw(count) for name, count in counts.items() if count}

    def loss(views: dict[str, Sample], generator: torch.Generator) -> Losses:
        pair, everything = views["pair"], Sample.cat(list(views.values()))
        parts = tuple(map(len, views.values()))
        with trainer.whole.rows(*parts):
            lifted = model.embed("2d", everything)
        x, y = lifted[: len(pair)], model.embed("3d", pair)
        value = info_nce(x, y, temperature(), gather=many(trainer))
        values: Losses = {"pair": value} if config.decode else {}
        if config.decode:
            branch = partial(spreads.branch, "3d", generator=generator, denoise=not model.config.regression)
            values["3d/2d"] = branch("2d", lifted, everything, parts)
            values["3d/3d"] = branch("3d", y, pair, (len(pair),))
            value = value + config.decode * (values["3d/2d"] + values["3d/3d"])
        return {"loss": value, **values, "cosine/2d_3d": _cosine(x, y), "temperature": temperature().detach()}

    return make_stage("align_poses", modules, config, batch, loss, spreads)


def align_image(model: UniHPR, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Step 2: the image to the frozen 2D and 3D by L_pair + α L_triplet (UniHPE, section 3.2)."""
    config = recipe.align_image
    model.train()
    temperature = Temperature(*config.temperature)
    modules = {"image": model.encoders["image"], "temperature": temperature}
    for frozen in ("2d", "3d"):
        model.encoders[frozen].eval()

    def batch(step: int, generator: torch.Generator) -> Sample:
        return data.draw_images(config.batch, generator, trainer.share, step)

    def loss(sample: Sample, generator: torch.Generator) -> Losses:
        with torch.no_grad():
            fixed = model.embeddings(sample, ("2d", "3d"))
        embeddings: dict[Modality, Tensor] = {"image": model.embed("image", sample), **fixed}
        values = _contrast(embeddings, config, temperature, trainer, generator)
        return {"loss": values.pop("contrast"), **values}

    return make_stage("align_image", modules, config, batch, loss)


def finetune(model: UniHPR, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Step 3: everything by L_cl + L_2D + L_3D (UniHPE, section 3.3).

    A batch is views with images and further views without: 2D-3D pairs are free, images are not. The
    decoders learn from every modality that a view has.
    """
    config = recipe.finetune
    model.train()
    temperature = Temperature(*config.temperature)
    modules = {"model": model, "temperature": temperature}
    spreads = _Branches(model, trainer)

    def batch(step: int, generator: torch.Generator) -> dict[str, Sample]:
        views = {"image": data.draw_images(config.batch, generator, trainer.share, step)}
        if config.poses:
            views["pose"] = data.draw_views(config.poses, generator, trainer.share, augment=True)
        return views

    def loss(views: dict[str, Sample], generator: torch.Generator) -> Losses:
        everything = Sample.cat(list(views.values()))
        n = len(views["image"])
        embeddings: dict[Modality, Tensor] = {"image": model.embed("image", views["image"])}
        parts = tuple(map(len, views.values()))
        with trainer.whole.rows(*parts):
            embeddings |= model.embeddings(everything, ("2d", "3d"))
        values: Losses = {}
        if config.contrast:
            with_image = {name: x[:n] for name, x in embeddings.items()}
            values |= _contrast(with_image, config, temperature, trainer, generator)

        def branch(target: Literal["2d", "3d"], name: Modality) -> Tensor:
            x = embeddings[name]
            seen, rows = (everything, parts) if len(x) == len(everything) else (views["image"], (n,))
            return spreads.branch(target, name, x, seen, rows, generator)

        values |= {f"3d/{name}": branch("3d", name) for name in MODALITIES}
        # 2D is decoded from images alone: a 2D pose decoded from a 2D pose teaches nothing.
        values["2d/image"] = branch("2d", "image")
        total = config.contrast * values.get("contrast", torch.zeros((), device=trainer.device))
        total = total + sum(values[key] for key in values if key.startswith(("3d/", "2d/")))
        return {"loss": total, **values}

    return make_stage("finetune", modules, config, batch, loss, spreads)


class Spreads:
    """What a step's batches say of the spreads of decoders, on all processes."""

    def __init__(self, decoders: nn.ModuleDict, trainer: Trainer) -> None:
        self.decoders, self.accelerator, self.whole = decoders, trainer.accelerator, trainer.whole
        self.residuals: dict[str, Tensor] = {}

    def add(self, target: str, residual: Tensor | None) -> None:
        """A branch's residual (`posediff.PoseDecoder.terms`)."""
        if residual is not None:
            self.residuals[target] = self.residuals.get(target, 0.0) + residual

    def follow(self) -> None:
        """Once a step: move the decoders' spreads."""
        residuals, self.residuals = self.residuals, {}
        if self.accelerator.num_processes > 1:
            residuals = self.accelerator.reduce(residuals, "sum")
        for target, residual in residuals.items():
            decoder = self.decoders[target]
            assert isinstance(decoder, PoseDecoder)
            decoder.follow(residual)


class _Branches(Spreads):
    """Of a UniHPR's decoders."""

    def __init__(self, model: UniHPR, trainer: Trainer) -> None:
        super().__init__(model.decoders, trainer)
        self.model = model

    def branch(
        self,
        target: Literal["2d", "3d"],
        name: Modality,
        embedding: Tensor,
        seen: Sample,
        parts: tuple[int, ...],
        generator: torch.Generator,
        *,
        denoise: bool = True,
    ) -> Tensor:
        """A branch's loss, and its residual added to the step's.

        Args:
            parts: how the batch is put together of this process' rows (`WholeBatch.own`).
        """
        truth = seen.joints if target == "3d" else seen.keypoints
        whole = self.whole.own(*parts)
        part = None if whole is None else Whole(*whole)
        with self.whole.rows(*parts):
            loss, residual = self.model.decoder_terms(
                target, truth, embedding, name, generator, part, denoise=denoise
            )
        self.add(target, residual)
        return loss


STEPS: dict[str, Callable[[UniHPR, TrainingData, Recipe, Trainer], Stage]] = {
    "align_poses": align_poses,
    "align_image": align_image,
    "finetune": finetune,
}


def _contrast(
    embeddings: dict[Modality, Tensor],
    config: StageConfig,
    temperature: Temperature,
    trainer: Trainer,
    generator: torch.Generator,
) -> Losses:
    """L_pair + α L_triplet (or a peer) over the whole batch of all processes, and what to log beside it."""
    tau = temperature()
    together = many(trainer)
    cosines = Cosines.of(list(embeddings.values()), gather=together)
    values = {"pair": pairwise_info_nce(cosines, tau)}
    total = values["pair"]
    if config.triplet:
        values[config.beside] = _beside(cosines, config, tau, generator, together)
        total = total + config.triplet * values[config.beside]
    paired = {f"cosine/{name}": _cosine(x, y) for name, (x, y) in pairs(embeddings).items()}
    return {"contrast": total, **values, **paired, "temperature": tau.detach()}


def _beside(
    cosines: Cosines, config: StageConfig, tau: Tensor, generator: torch.Generator, together: bool
) -> Tensor:
    """L_triplet, or one of its peers."""
    if config.beside == "gram":
        return tuple_info_nce(cosines, tau, "gram")
    if config.beside == "symile":
        # A product of three unit vectors is smaller than their cosines by √D; its temperature follows.
        return symile(cosines.local, tau / cosines.local[0].shape[1] ** 0.5, generator, gather=together)
    return triplet_info_nce(cosines, tau, config.negatives, generator)


def many(trainer: Trainer) -> bool:
    """Whether features must be gathered: the loss is that of the whole batch."""
    return trainer.accelerator.num_processes > 1


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    return (x.detach() * y.detach()).sum(-1).mean()


def make_stage(
    name: str,
    modules: dict[str, nn.Module],
    config: StageConfig | SensesConfig,
    batch: Callable[..., object],
    loss: Callable[..., Losses],
    spreads: Spreads | None = None,
) -> Stage:
    """A stage of what `modules` hold, a `temperature` among them."""
    parameters = (p for m in modules.values() for p in m.parameters())
    optimizer = adamw(parameters, config.lr, config.weight_decay)
    scheduler = warmed(optimizer, config.steps, config.warmup, constant=config.schedule == "constant")
    temperature = modules["temperature"]
    assert isinstance(temperature, Temperature)

    def after_step() -> None:
        temperature.clamp_()
        if spreads:
            spreads.follow()

    return Stage(name, modules, optimizer, config.steps, batch, loss, scheduler, after_step=after_step)
