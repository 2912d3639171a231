"""A part of the space is taught the pose alone: what a batch holds, what a step is, what is measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from contrastive import views_info_nce
from polypose.senses.invariance import alike
from polypose.senses.measuring import evaluate
from poseenc import Embedded, VonMisesFisher
from poseenc.parts import unit
from posetrain.lifecycle import open_data
from posetrain.loop import Trainer
from posetrain.runs import Run
from senses_tiny import tiny
from torch.nn.functional import normalize
from unihpr.invariance import across_cameras
from unihpr.senses import SENSES, held_out_of, senses

ROOT = Path(__file__).resolve().parents[1]
DIM, PART, POSES = 24, 8, 5
INVARIANT = ("senses.space.invariant=16", "senses.pairs=6", "loop.precision=no")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def found() -> Embedded:
    """Two views each of some poses; the first of pose 1 has no keypoints."""
    generator = torch.Generator().manual_seed(0)
    there = torch.ones(2 * POSES, dtype=torch.bool)
    missing = there.clone()
    missing[2] = False
    present = {"2d": missing, "3d": there, "depth": ~there}
    beliefs = {
        name: VonMisesFisher(
            unit(torch.randn(2 * POSES, DIM, generator=generator), PART) * on[:, None], on.float()
        )
        for name, on in present.items()
    }
    return Embedded(beliefs, present, PART)


def test_the_view_has_no_part_in_it() -> None:
    some, near = found(), torch.eye(POSES, dtype=torch.bool)
    turned = {
        name: belief._replace(mean=torch.cat([belief.mean[:, :PART], -belief.mean[:, PART:]], dim=1))
        for name, belief in some.beliefs.items()
    }
    same = across_cameras(some._replace(beliefs=turned), near, 0.1)
    torch.testing.assert_close(across_cameras(some, near, 0.1), same)
    first, second = (
        {name: normalize(belief.mean[camera::2, :PART], dim=1) for name, belief in some.beliefs.items()}
        for camera in (0, 1)
    )
    first, second = ({name: side[name] for name in ("2d", "3d")} for side in (first, second))
    there = tuple({name: some.present[name][camera::2] for name in first} for camera in (0, 1))
    torch.testing.assert_close(same, views_info_nce(first, second, 0.1, present=there, positives=near))


def test_a_step_teaches_the_pose_alone_beside_the_rest(cache: Path, tmp_path: Path) -> None:
    recipe = tiny(cache, *INVARIANT)
    data = open_data(SENSES, recipe)
    trainer = Trainer(Run.start(tmp_path / "run", recipe), recipe.loop)
    model = SENSES.build(recipe, data, ())
    stage = senses(model, data, recipe, trainer)  # type: ignore[arg-type]
    views = stage.batch(0, torch.Generator().manual_seed(0))
    pair = views["pair"]
    assert len(pair) == 12
    assert torch.equal(pair.joints[::2], pair.joints[1::2])
    assert ((pair.camera.position[::2] - pair.camera.position[1::2]).norm(dim=1) > 0.05).all()
    model.eval()  # so that the pass below sees the same
    values = stage.loss(views, torch.Generator().manual_seed(1))
    config, again = recipe.senses, torch.Generator().manual_seed(1)
    with torch.no_grad():
        *_, seen = [model(some, again) for some in views.values()]
        value = across_cameras(seen, alike(pair.joints[::2]), config.temperature[0])
    assert values["invariance"].item() == pytest.approx(float(value), rel=1e-4)
    total = values["contrast"] + config.left_out * values["left_out"]
    total += config.likelihood * values["likelihood"] + config.invariance * values["invariance"]
    total += config.decode * (values["3d"] + values["2d"] + values["body"])
    assert values["loss"].item() == pytest.approx(total.item(), rel=1e-5)
    values["loss"].backward()
    assert any(p.grad is not None and p.grad.any() for p in model.decoders["body"].parameters())
    for head in model.space.heads.values():  # they begin with no say
        torch.nn.init.normal_(head.out.weight)
    for term, sense, pose, view in (
        ("invariance", "3d", True, False),
        ("contrast", "3d", False, True),  # which else would tell views apart by P
        ("contrast", "depth", True, True),
        ("left_out", "2d", False, True),
        ("left_out", "depth", True, True),
        ("3d", "3d", False, True),
        ("2d", "depth", False, True),
        ("likelihood", "2d", False, True),
    ):
        model.zero_grad()
        stage.loss(views, torch.Generator().manual_seed(1))[term].backward()
        *_, last = (m for m in model.space.encoders[sense].modules() if getattr(m, "out_features", 0) == 32)
        parts = last.weight.grad[:16], last.weight.grad[16:]
        assert [bool(part.any()) for part in parts] == [pose, view], (term, sense)
    trainer.close()


def test_what_is_measured_of_both_parts_is_documented(cache: Path) -> None:
    recipe = tiny(cache, *INVARIANT)
    data = open_data(SENSES, recipe)
    model = SENSES.build(recipe, data, ()).eval()
    test = held_out_of(data, recipe)
    metrics = evaluate(model, test, recipe.evaluation.batch, hypotheses=2, steps=2)
    tables = metrics["tables"]
    assert len(tables["retrieval_invariant"]) == len(tables["retrieval"]) == 20
    assert {row["view"] for row in tables["hits"]} == {"camera", "invariant"}
    assert [row["sense"] for row in tables["leakage"][::2]] == list(model.modalities)
    documented = set(re.findall(r"`([\w.*]+)`", (ROOT / "docs/pages/metrics.md").read_text()))
    assert not {key for rows in tables.values() for row in rows for key in row} - documented
    assert not tables.keys() - documented
    assert list(SENSES.show(metrics, [], "test"))[1].title.startswith("retrieval between senses by the pose")


def test_pairs_are_needed_to_teach_it(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"senses\.pairs: 0, but space\.invariant is taught by"):
        replace(tiny(cache).senses, space=replace(tiny(cache).senses.space, invariant=16), pairs=0)
    depth = replace(tiny(cache).senses.space, modalities=("depth", "cloud"), invariant=16)
    with pytest.raises(ValueError, match=r"senses\.space: has none of 2d, 3d, which invariant needs"):
        replace(tiny(cache).senses, space=depth)
