"""Five senses in one space end to end, small: trained, measured, written down; what is missing is missing."""

import json
import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contrastive import multimodal_info_nce
from poseenc import Embedded, drop
from posetrain.lifecycle import open_data
from posetrain.loop import Trainer
from posetrain.runs import Run
from senses_tiny import TINY, tiny
from typer.testing import CliRunner
from unihpr.cli import app
from unihpr.recipe import Recipe
from unihpr.senses import SENSES, held_out_of, senses
from unihpr.task import UNIHPR

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("image", "2d", "3d", "depth", "cloud")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(cache: Path) -> Path:
    runs = cache / "runs"
    overrides = [part for item in (*TINY, f"data.cache={cache}") for part in ("--set", item)]
    told = command("train", "--recipe", "senses", "--runs", runs, "--name", "tiny", *overrides)
    assert "retrieval between senses" in told
    assert str(runs / "tiny" / "report.html") in told.replace("\n", "")
    return runs / "tiny"


def test_what_is_measured_is_written_and_documented(trained: Path, tmp_path: Path) -> None:
    told = command("evaluate", trained, "--json", tmp_path / "senses.json")
    assert "3D with one sense at fault" in told
    content = json.loads((tmp_path / "senses.json").read_text())
    by: dict[str, list[dict[str, Any]]] = {}
    for row in content["rows"]:
        by.setdefault(row["kind"], []).append(row)
    assert [(row["from"], row["to"]) for row in by["retrieval"]] == [*permutations(NAMES, 2)]
    assert all(row["gallery"] == 24 for row in by["retrieval"])
    assert len([row for row in by["estimate"] if "keypoints" not in row]) == 15
    assert len(by["corrupted"]) == 8
    assert (content["views"], content["people"]) == (24, 2)
    kept = json.loads((trained / "metrics.json").read_text())
    assert kept["tables"]["estimate"][0]["mpjpe_mm"] == pytest.approx(by["estimate"][0]["mpjpe_mm"])
    documented = set(re.findall(r"`([\w.*]+)`", (ROOT / "docs/pages/metrics.md").read_text()))
    assert not {key for row in content["rows"] for key in row} - documented
    assert not content.keys() - documented


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("senses.terms={pairwise: nan}",), "senses.terms.pairwise must be at least 0, not nan"),
        (("senses.terms={pairwise: .inf}",), "senses.terms.pairwise must be finite, not inf"),
        (("senses.terms={sound: 1}",), "senses.terms: 'sound'; choose from pairwise"),
        (
            ("senses.terms.triplet=1", "senses.space.modalities=[2d, 3d]"),
            "senses.terms: 'triplet' compares three",
        ),
        (("senses.temperature=[0.01,0.03,1]",), "senses: temperature 0.01 must lie in 0 < 0.03"),
        (("data.order=stream", "loop.accumulate=2"), "data.order=stream and loop.accumulate above 1"),
        (("senses.lr=.inf",), "senses.lr must be finite, not inf"),
        (("encodes=[image]",), "encodes: lacks 2d"),
    ],
)
def test_a_wrong_recipe_leaves_no_run(wrong: tuple[str, ...], said: str, tmp_path: Path) -> None:
    items = (*TINY, f"data.cache={tmp_path / 'cache'}", *wrong)
    overrides = [part for item in items for part in ("--set", item)]
    told = command("train", "--recipe", "senses", "--runs", tmp_path / "runs", *overrides, code=2)
    assert said in " ".join(told.split())
    assert not list(tmp_path.iterdir())


def stage_of(recipe: Recipe, folder: Path) -> tuple[Any, Any, Trainer]:
    data = open_data(SENSES, recipe)
    trainer = Trainer(Run.start(folder, recipe), recipe.loop)
    model = SENSES.build(recipe, data, ())
    return model, senses(model, data, recipe, trainer), trainer  # type: ignore[arg-type]


def test_a_step_teaches_every_sense_and_is_the_sum_that_it_says(cache: Path, tmp_path: Path) -> None:
    recipe = tiny(cache, "loop.precision=no", "senses.terms={pairwise: 0.3, triplet: 0.2}")
    model, stage, trainer = stage_of(recipe, tmp_path / "run")
    views = stage.batch(0, torch.Generator().manual_seed(0))
    model.eval()  # so that the pass below sees the same
    values = stage.loss(views, torch.Generator().manual_seed(1))
    values["loss"].backward()
    for name in NAMES:
        for part in (model.space.encoders[name], model.space.heads[name].out):
            assert any(p.grad is not None and p.grad.any() for p in part.parameters()), name
    config, again = recipe.senses, torch.Generator().manual_seed(1)
    with torch.no_grad():
        found = Embedded.cat([model(some, again) for some in views.values()])
        kept = drop(found.present, again)
        tau = config.temperature[0]
        contrast = multimodal_info_nce(found.directions(), found.present, tau, dict(config.terms))
        halves = [found.fused({n: k if side else ~k for n, k in kept.items()}).mean for side in (True, False)]
        logits = halves[0] @ halves[1].T / tau
        aligned = sum(-x.log_softmax(1).diagonal().mean() for x in (logits, logits.T)) / 2
    assert values["contrast"].item() == pytest.approx(contrast.item(), rel=1e-4)
    assert values["left_out"].item() == pytest.approx(float(aligned), rel=1e-4)
    total = values["contrast"] + config.left_out * values["left_out"]
    total += config.likelihood * values["likelihood"] + config.decode * (values["3d"] + values["2d"])
    assert values["loss"].item() == pytest.approx(total.item(), rel=1e-5)
    trainer.close()


def test_views_without_pictures_have_two_senses(cache: Path, tmp_path: Path) -> None:
    model, stage, trainer = stage_of(tiny(cache), tmp_path / "run")
    views = stage.batch(0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model.eval()(views["pose"])
        seen = model(views["image"])
    assert {name: bool(there.any()) for name, there in found.present.items()} == {
        name: name in ("2d", "3d") for name in NAMES
    }
    assert all(there.all() for there in seen.present.values())
    fused = model.fuse(found)
    assert (fused.subset == 0b00110 - 1).all()
    trainer.close()


@pytest.mark.parametrize("more", [(), ("senses.space.invariant=16", "senses.pairs=4")])
def test_pictures_without_labels_teach_no_3d(cache: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    recipe = tiny(cache, "loop.precision=no", "senses.space.labels=false", *more)
    model, stage, trainer = stage_of(recipe, tmp_path / "run")
    model.eval()
    views = stage.batch(0, torch.Generator().manual_seed(0))
    pictured = views["image"]
    assert pictured.joints.isnan().all()
    assert torch.equal(pictured.keypoints["true"], pictured.keypoints["mixed"])
    assert (pictured.keypoints["true"][..., 2] < 1).float().mean() > 0.9  # a detector's, of every view
    assert views["pose"].joints.isfinite().all()

    def step(pictured: Any) -> dict[str, Any]:
        model.zero_grad()
        values: dict[str, Any] = stage.loss(views | {"image": pictured}, torch.Generator().manual_seed(1))
        return values

    values, same = step(pictured), step(replace(pictured, joints=None))
    for name, value in values.items():
        assert value.item() == same[name].item(), name
    targets = {"3d": False, "2d": True, "contrast": True, "left_out": True, "likelihood": True, "loss": True}
    targets |= {"body": False} if more else {}
    for term, taught in targets.items():
        step(pictured)[term].backward()
        for name in ("image", "depth", "cloud"):
            parts = [*model.space.encoders[name].parameters(), *model.space.heads[name].parameters()]
            assert any(p.grad is not None and p.grad.any() for p in parts) == taught, (term, name)
            sure = any(p.grad is not None and p.grad.any() for p in model.space.heads[name].parameters())
            assert sure == (term in ("likelihood", "loss")), (term, name)
        learns = any(p.grad is not None and p.grad.any() for p in model.decoders["3d"].parameters())
        assert learns == (term in ("3d", "loss"))
    trainer.close()


def test_poses_may_be_of_other_people_than_pictures(cache: Path) -> None:
    apart = ("data.apart=true", "data.synthetic={subjects: 6}")
    data = open_data(SENSES, tiny(cache, *apart))
    stores = data.stores
    people = np.asarray(stores.poses.column("subject"))
    drawn, pictured = set(people[stores.train]), set(np.asarray(stores.train_views.store.column("subject")))
    assert len(drawn) == len(pictured) == 2  # of six people two are the test's
    assert not drawn & pictured
    both = open_data(SENSES, tiny(cache, apart[1]))
    assert set(people[both.stores.train]) == drawn | pictured
    assert both.fingerprint != data.fingerprint
    with pytest.raises(ValueError, match=r"data\.apart: there is one person to train on"):
        open_data(SENSES, tiny(cache, "data.apart=true", "data.synthetic={subjects: 3}"))


def test_3d_must_come_from_somewhere(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"senses\.poses: 0, but without space\.labels 3D is learnt of them"):
        tiny(cache, "senses.space.labels=false", "senses.poses=0")


def test_clouds_lie_on_the_depth_and_about_the_body(cache: Path) -> None:
    recipe = tiny(cache)
    test = held_out_of(open_data(SENSES, recipe), recipe)
    assert test.views.points is not None
    away = torch.cdist(test.views.points, test.views.local).amin(2)  # to the nearest joint
    assert away.median() < 0.15
    assert away.quantile(0.99) < 0.6
    assert test.people.unique().tolist() != []


def test_a_recipe_of_senses_is_a_task_of_its_own(cache: Path) -> None:
    assert UNIHPR.of(tiny(cache)) is SENSES
    assert UNIHPR.of(tiny(cache, "senses.steps=0")) is UNIHPR
    for kinds, lacks in (("[rgb]", "depth"), ("[depth, mask]", "rgb")):
        recipe = tiny(cache, f"data.pictures={kinds}")
        with pytest.raises(ValueError, match=f"data.pictures lacks {lacks}, which senses.space needs"):
            SENSES.build(recipe, None, ())
    fewer = tiny(cache, "data.pictures=[rgb]", "senses.space.modalities=[image, 2d, 3d]")
    assert SENSES.build(fewer, None, ()).modalities == ("image", "2d", "3d")
