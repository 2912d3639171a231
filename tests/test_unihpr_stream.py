"""UniHPR on data larger than memory: views in the order of their files, poses that stay on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from contrastive.whole import WholeBatch
from posedata.views.order import StreamOrder
from posetrain.checkpoint import load_checkpoint
from posetrain.lifecycle import open_data, train
from posetrain.runs import Run
from unihpr.data import TrainingData
from unihpr.task import UNIHPR
from unihpr_tiny import tiny


def opened(cache: Path, *more: str) -> TrainingData:
    data = open_data(UNIHPR, tiny(cache, *more))
    assert isinstance(data, TrainingData)
    return data


def test_views_come_in_the_order_of_their_files_and_poses_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, kept = opened(tmp_path, "data.order=stream", "data.mapped=true"), opened(tmp_path)
    shards = np.arange(48) // 7  # as if a file held seven
    monkeypatch.setattr(type(drawn.source.store), "shards", lambda store, rows: shards[rows])
    rows = StreamOrder(shards, 8, drawn.config.seed).rows(5)
    generator = torch.Generator().manual_seed(0)
    whole = drawn.draw_images(8, generator, lambda rows: rows, 5)
    expected = kept.views.rows.views(torch.from_numpy(rows), images=["rgb"])
    assert whole.images is not None
    assert torch.equal(whole.images, expected.image)
    for rank in range(2):
        share = drawn.draw_images(8, generator, WholeBatch(2, rank).share, 5)
        assert torch.equal(share.joints, whole.joints[4 * rank : 4 * rank + 4])
    draws = [
        data.draw_views(16, torch.Generator().manual_seed(1), lambda rows: rows) for data in (drawn, kept)
    ]
    assert torch.equal(*(sample.keypoints for sample in draws))
    assert torch.equal(*(sample.joints for sample in draws))


def test_a_stream_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What was read ahead and not used is read again: the weights are those of a run that was not stopped."""
    recipe = tiny(tmp_path, "data.order=stream", "loop.precision=no")
    whole = Run(tmp_path / "whole")
    train(UNIHPR, recipe, whole.path, report=False)
    stopped = Run(shutil.copytree(whole.path, tmp_path / "stopped"))
    for step in ("align_image/step-00000004", "finetune"):
        shutil.rmtree(stopped.path / "checkpoints" / step)
    train(UNIHPR, recipe, stopped.path, "resume", report=False)
    for stage in ("align_image", "finetune"):
        one, two = (load_checkpoint(run.checkpoint(stage)).tensors for run in (whole, stopped))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_stream_does_not_go_with_several_batches_a_step(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "data.order=stream", "loop.accumulate=2")
    with pytest.raises(ValueError, match=r"data.order=stream and loop.accumulate"):
        UNIHPR.check(recipe, tmp_path, "refuse", None)
