"""Two gloo processes give the loss, the gradients and the weights of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainer_contrast
from trainer.checkpoint import load_checkpoint
from trainer.runs import Run


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    alone, together = Run(tmp_path / "alone"), Run(tmp_path / "together")
    trainer_contrast.train(alone.path)
    torchrun(together.path, 2)
    assert len(alone.curves()) == len(together.curves()) == 16
    for one, two in zip(alone.curves(), together.curves(), strict=True):
        assert one.keys() == two.keys()
        for key in one.keys() - {"seconds", "stage"}:
            assert two[key] == pytest.approx(one[key], rel=1e-6), key  # the log holds float32
    for stage in ("both", "right"):
        one, two = (load_checkpoint(run.checkpoint(stage)).tensors for run in (alone, together))
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-12, atol=1e-14)
    assert not torch.equal(one["model/right.weight"], one["ema/right.weight"])


def torchrun(path: Path, processes: int) -> None:
    script = Path(__file__).with_name("trainer_contrast.py")
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, "-m", *launcher, str(script), str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
