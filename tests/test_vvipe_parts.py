"""V-VIPE's protocol and data, against plain loops and what they promise."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from poseenc.camera_ranges import CameraAugmentation
from poseenc.vvipe import VVIPE
from vvipe.data import TrainingData, open_data
from vvipe.steps import mapping_loss, matching_loss, vae_loss
from vvipe.task import VVIPE_TASK
from vvipe_tiny import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return open_data(tiny(tmp_path_factory.mktemp("parts")).data, say=lambda text: None)


def everything(rows: torch.Tensor) -> torch.Tensor:
    return rows


def test_data_are_the_same_wherever_they_lie(data: TrainingData) -> None:
    """The fingerprint depends on the rows of both parts and the cameras, and on no rounding."""
    elsewhere = TrainingData(data.config, data.store, "meta")
    assert elsewhere.fingerprint == data.fingerprint
    assert elsewhere.test.other.keypoints.device == elsewhere.taught.joints.device == torch.device("meta")
    assert data.test.to("cpu") is data.test
    shape = data.test.distances.shape  # computed once, and moved along
    moved = data.test.to("meta")
    assert moved.distances.shape == shape
    assert moved.same.confidence.device == moved.distances.device == torch.device("meta")
    changed = {"train_poses": 100, "seed": 1, "synthetic": replace(data.config.synthetic, test_subjects=2)}
    prints = [
        TrainingData(replace(data.config, **{k: v}), data.store).fingerprint for k, v in changed.items()
    ]
    assert len({*prints, data.fingerprint}) == 4
    noisy = TrainingData(replace(data.config, keypoints="detector"), data.store)
    assert noisy.fingerprint == data.fingerprint


def test_losses_are_what_the_paper_adds_up(data: TrainingData, tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    torch.manual_seed(0)
    model = VVIPE_TASK.build(recipe, None, ()).eval()
    assert isinstance(model, VVIPE)
    generator = torch.Generator().manual_seed(2)
    pose = data.taught.draw_poses(24, generator, everything)
    values = vae_loss(model, pose, recipe.vae, torch.Generator().manual_seed(3))
    drawn = model.vae.encode(pose).sample(1, torch.Generator().manual_seed(3))[:, 0]
    torch.testing.assert_close(values["mse"], ((model.decode(drawn) - pose) ** 2).mean())
    total = values["mse"] + recipe.vae.kl * values["kl"] + values["triplet"]
    torch.testing.assert_close(values["loss"], total)

    batch = data.taught.draw(24, 2, CameraAugmentation(), generator, everything)
    told = mapping_loss(model, batch, recipe.mapping)
    lifted = model.decode(model.embed(batch.views[:, 0])), model.decode(model.embed(batch.views[:, 1]))
    mse = torch.stack([((x - batch.pose) ** 2).mean() for x in lifted]).mean()
    torch.testing.assert_close(told["mse"], mse)
    assert "contrast" not in told


def test_pr_vipe_prefers_embeddings_that_tell_poses_apart(data: TrainingData, tmp_path: Path) -> None:
    """A few steps of its loss bring views of one pose nearer than those of another."""
    matching = "matching={dim: 16, draws: 20, dropout: 0}"
    recipe = tiny(tmp_path, "model.method=prvipe", "model.hidden=64", matching)
    torch.manual_seed(0)
    model = VVIPE_TASK.build(recipe, None, ())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        generator = torch.Generator().manual_seed(step)
        batch = data.taught.draw(48, 2, CameraAugmentation(share=0.0), generator, everything)
        values = matching_loss(model, batch, recipe, generator)  # type: ignore[arg-type]
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
        losses.append(float(values["triplet"].detach()))
    assert math.log(2) > losses[0] > 0
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
