"""Several gloo processes with uneven rows give the loss and the gradients of one process with all rows."""

import importlib
import multiprocessing
from pathlib import Path

import pytest
import torch
from contrastive import pairwise_info_nce

# real processes, forked from one that holds torch already: importing it again takes longer than the losses
NURSERY = multiprocessing.get_context("forkserver")
NURSERY.set_forkserver_preload(["torch", "torch._dynamo", "torch.distributed.nn"])


@pytest.mark.parametrize("sizes", [[6, 5], [5, 0, 5, 1]])
def test_processes_equal_one_process(
    sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gathered = importlib.import_module("gathered")
    workers = [
        NURSERY.Process(target=gathered.main, args=(rank, sizes, tmp_path)) for rank in range(len(sizes))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * len(sizes)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        single = gathered.results(slice(0, 11), dtype, gather=False)
        parts = [torch.load(tmp_path / f"{dtype}-{rank}.pt") for rank in range(len(sizes))]
        for name, (value, by_x, by_tau) in single.items():
            for part in parts:  # every process reports the value of the whole batch
                torch.testing.assert_close(part[name][0], value, rtol=tolerance, atol=tolerance, msg=name)
            # Averaging over processes, as data-parallel training does, leaves the one-process gradient.
            whole = torch.cat([part[name][1] for part in parts], 1) / len(sizes)
            torch.testing.assert_close(whole, by_x, rtol=0, atol=tolerance, msg=name)
            rates = torch.stack([part[name][2] for part in parts]).mean()
            torch.testing.assert_close(rates, by_tau, rtol=10 * tolerance, atol=10 * tolerance, msg=name)
    drawn = [torch.load(tmp_path / f"seed-{rank}.pt") for rank in range(len(sizes))]
    assert all(value == drawn[0] for value in drawn), "without a generator processes must share a seed"


def test_gather_outside_of_a_group_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="init_process_group"):
        pairwise_info_nce([torch.eye(2)] * 2, 0.2, gather=True)
