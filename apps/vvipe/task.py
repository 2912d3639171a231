"""V-VIPE, and its peer PR-VIPE, as a task: data, stages, and what is measured and shown."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from polypose.hit_protocols import hit_protocol, score_hits
from polypose.invariant import ViewInvariant, built
from posedata.splits import Elsewhere, Part
from poseenc.hits import evaluate, nearest_2d, rebuilt_mm
from poseenc.vvipe import VVIPE, Model
from posetrain import lifecycle
from posetrain.checkpoint import load_weights
from posetrain.loop import Trainer
from posetrain.runs import Existing, Run
from posetrain.stage import Stage
from posetrain.task import Metrics, Row, Say, Scored, Table, Task

from vvipe.ablate import COMPONENTS
from vvipe.data import Data, TrainingData, open_data, open_test
from vvipe.recipe import ABOUT, METHODS, Recipe, network_config
from vvipe.report import write_report
from vvipe.steps import stages, vae_modules
from vvipe.trained import VVIPERun, as_model


class VVIPETask(Task[Recipe, Model, Data]):
    """A pose seen from anywhere at one place."""

    about = ABOUT
    comparisons = {"components": COMPONENTS}  # noqa: RUF012
    headline = COMPONENTS.measured

    def open(self, recipe: Recipe, device: torch.device, say: Say) -> Data:
        return open_data(recipe.data, device, say)

    def elsewhere(self, trained: VVIPERun, place: Elsewhere, part: Part) -> Data:
        return open_test(trained.recipe.data, place, part, trained.model.body.get(), trained.device)

    def build(self, recipe: Recipe, data: Data | None, begun: Collection[str]) -> Model:
        """With the data's body and, where `mapping.vae` names another run, that run's stage 1.

        Raises:
            ValueError: that run is not finished, or of other data or another frame.
        """
        model = built(network_config(recipe))
        if data is not None:
            model.body.lengths.copy_(data.body.lengths)
            source = recipe.mapping.vae
            if isinstance(model, VVIPE) and source is not None and recipe.mapping.pretrained:
                card = load_weights(Run(source).checkpoint("vae"), vae_modules(model))
                _require_same(source, card, recipe, data.fingerprint)
        return model

    def check(self, recipe: Recipe, folder: Path, existing: Existing, group: str | None) -> None:
        """Refuse a stage that the recipe does not have, and to overwrite the run that stage 1 comes from."""
        source = recipe.mapping.vae
        if recipe.model.method == "prvipe":
            if group is not None:
                raise ValueError(f"--stage {group}: PR-VIPE has a single stage; leave --stage out")
        elif group == "vae" and "vae" not in stages(recipe):
            raise ValueError("--stage vae: the recipe leaves stage 1 out (mapping.vae or mapping.pretrained)")
        elif source is not None and existing == "replace" and source.resolve() == folder.resolve():
            raise ValueError(f"--overwrite would delete {source}, the mapping.vae; use another --name")

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return {name: getattr(recipe, name).steps for name in stages(recipe)}

    def needed(self, recipe: Recipe, begun: Collection[str]) -> dict[str, int]:
        """Of a run that has stage 1 alone, only that: it embeds 3D poses."""
        steps = self.steps(recipe)
        return {"vae": steps["vae"]} if set(begun) == {"vae"} else steps

    def stages(
        self, model: Model, data: Data, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert isinstance(data, TrainingData)
        return {name: partial(step, model, data, recipe, trainer) for name, step in stages(recipe).items()}

    def restore(self, model: Model, run: Run) -> None:
        """What the last stage came to; before it, what stage 1 did."""
        trained = [name for name in ("mapping", "matching") if run.checkpoints(name).path()]
        if trained:
            load_weights(run.checkpoint(trained[0]), {"model": model})
        elif isinstance(model, VVIPE):
            load_weights(run.checkpoint("vae"), vae_modules(model))

    def shared(self, recipe: Recipe) -> dict[str, Hashable]:
        """Stage 1, which sees poses alone."""
        if "vae" not in stages(recipe):
            return {}
        return {"vae": (replace(recipe.data, keypoints="exact"), recipe.model, recipe.vae, recipe.loop)}

    def pack(self, trained: VVIPERun) -> Path:
        return as_model(trained).save(trained.run.path)

    def watch(self, model: Model, held_out: Data, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        return partial(watch, model, held_out, recipe)

    def measure(self, trained: VVIPERun, held_out: Data, part: Part) -> Metrics:
        as_model(trained).require("2d")
        recipe = trained.recipe
        metrics = evaluate(
            trained.model, held_out.test, held_out.body.torso, recipe.evaluation, recipe.vae.align
        )
        return metrics | {"training_seconds": round(sum(trained.run.seconds().values()), 1)}

    def row(self, trained: VVIPERun, metrics: Metrics) -> Row:
        return {"method": METHODS[trained.recipe.model.method], "run": trained.run.name, **metrics}

    def rows(self, trained: VVIPERun, metrics: Metrics, part: Part) -> list[Row]:
        """The run's, and that of 2D keypoints compared as they are."""
        bare = nearest_2d(trained.on(part).test, trained.recipe.evaluation)
        return [self.row(trained, metrics), {"method": "2D keypoints", "run": "", **bare}]

    def joined(self, own: list[Row], others: list[Row]) -> list[Row]:
        """2D keypoints last."""
        return [own[0], *others, *own[1:]]

    def comparable(self, recipe: Recipe) -> object:
        return recipe.data

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table | str]:
        cells = [(rig, k) for rig in ("same_rig", "all", "unseen") for k in rows[-1]["all"]]
        lines = [(f"{rig.replace('_', ' ')} {k}", *(row[rig][k] for row in rows)) for rig, k in cells]
        yield Table(f"Hit@k, percent, {part} subjects", ("", *(row["method"] for row in rows)), lines)
        if "mpjpe_mm" in metrics["same_rig"]:
            yield f"3D error on the training rig {metrics['same_rig']['mpjpe_mm']:.1f} mm"

    def report(self, trained: VVIPERun, metrics: Metrics) -> Path:
        return write_report(trained, metrics)

    def score(self, trained: VVIPERun, name: str) -> Scored:
        scored = hit_protocol(name)
        if trained.place is None:
            raise ValueError("--protocol and --data go together; give both")
        keypoints = trained.place.keypoints or "true"
        row, data = score_hits(as_model(trained), trained.place.store, scored, keypoints)
        header = ("method", "input", *scored.columns, "source")
        found = scored.beside({trained.run.name: row})
        table = Table(scored.title, header, [[line.get(key) or "" for key in header] for line in found])
        ours = {"method": trained.run.name, "protocol": name, "keypoints": keypoints, **row}
        return Scored([table], [ours], {"data": data, "published": scored.published()})


@torch.no_grad()
def watch(model: Model, data: Data, recipe: Recipe, stage: str) -> dict[str, float]:
    """A stage of training in few numbers: the error of poses rebuilt, mm, then Hit@k and the 3D error."""
    if stage == "vae":
        assert isinstance(model, VVIPE)
        truth = data.body.pose(data.test.joints, recipe.vae.align).to(model.body.lengths.device)
        return {"reconstruct.mpjpe_mm": rebuilt_mm(model, truth, data.body.torso)}
    found = evaluate(model, data.test, data.body.torso, recipe.evaluation, recipe.vae.align)
    rigs = ("same_rig", "all", "unseen")
    return {f"{rig}.{name}": value for rig in rigs for name, value in found[rig].items()}


def _require_same(source: Path, card: dict[str, Any], recipe: Recipe, data: str) -> None:
    """Raise unless stage 1 of another run is finished, on this run's data and in its frame."""
    its = card["recipe"]["vae"]
    if card["data"] != data:
        raise ValueError(
            f"mapping.vae: {source} was trained on other data ({card['data']}, here {data}), "
            "maybe on people of this run's test; train stage 1 on this run's data"
        )
    if card["step"] < its["steps"]:
        raise ValueError(
            f"mapping.vae: {source} is at step {card['step']} of {its['steps']} of stage 1; finish it first"
        )
    if its["align"] != recipe.vae.align:
        raise ValueError(f"mapping.vae: {source} has vae.align {its['align']}; set vae.align to the same")


VVIPE_TASK = VVIPETask()


def open_model(folder: Path) -> ViewInvariant:
    """What a user holds of a finished run (`posetrain.lifecycle.open_run`)."""
    return as_model(lifecycle.open_run(VVIPE_TASK, folder))
