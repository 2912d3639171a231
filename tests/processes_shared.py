"""Two processes share work; what is asserted here fails the process, and the test with it.

torchrun --nproc_per_node 2 tests/processes_shared.py
"""

import os
from datetime import timedelta
from functools import partial

import processes_shared as own  # what is sent to another process must be of a module
import torch
from posedata.sharing import help_first, helping, processes, shared, shared_out, sharing, streamed
from torch import distributed

rank = int(os.environ["RANK"])


def square(x: int) -> tuple[int, int]:
    return int(os.environ["RANK"]), x * x


def sees(ranks: tuple[int, ...]) -> bool:
    if rank not in ranks:
        raise FileNotFoundError("not here")
    return True


def nothing(*given: object) -> None:
    assert given == ("given",)


def together() -> None:
    def work(x: int) -> dict[str, object]:
        inside = shared(lambda y: (processes()[0], y), [1, 2])  # shared no further: nobody would come
        return {"by": processes()[0], "tensor": torch.full((2,), x), "parts": [(x, "a")], "inside": inside}

    alone = shared(work, range(3))
    assert [found["by"] for found in alone] == [rank] * 3  # nobody said that all would come
    with sharing():
        found = shared(work, range(5))
        named = shared_out({"a": lambda: rank, "b": lambda: rank, "c": lambda: torch.tensor(rank)})
    assert [one["by"] for one in found] == [0, 1, 0, 1, 0]
    for x, one in enumerate(found):
        assert torch.equal(one["tensor"], torch.full((2,), x))
        assert one["parts"] == [(x, "a")]
        assert one["inside"] == [(one["by"], 1), (one["by"], 2)]
    assert named == {"a": 0, "b": 1, "c": torch.tensor(0)}


def helped(ranks: tuple[int, ...]) -> list[tuple[int, int]]:
    """What the first has, once with the help of these processes."""
    found: list[tuple[int, int]] = []
    if rank == 0:
        with helping():
            for _ in range(2):
                able = partial(own.sees, ranks)
                found += streamed(own.square, range(5), 1, own.nothing, "given", able=able)
    else:
        help_first()
    distributed.barrier()
    return found


if __name__ == "__main__":
    assert processes() == (0, 1)
    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    assert processes() == (rank, 2)
    together()
    both = helped((0, 1))
    alone = helped((0,))
    if rank == 0:
        assert both == 2 * [(0, 0), (1, 1), (0, 4), (1, 9), (0, 16)]
        assert alone == 2 * [(0, x * x) for x in range(5)]
    distributed.destroy_process_group()
