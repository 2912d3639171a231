"""Reading ahead: what follows is read before it is asked for, by another thread, and once."""

import threading

import pytest
import torch
from posedata.views.ahead import Ahead
from torch import Tensor


def test_what_follows_is_read_before_it_is_asked_for() -> None:
    asked: list[tuple[list[int], str]] = []
    read = threading.Event()

    def work(rows: Tensor) -> Tensor:
        asked.append((rows.tolist(), threading.current_thread().name[:5]))
        if rows.min() < 0:
            raise OSError("no such row")
        if len(asked) % 2 == 0:
            read.set()
        return rows + 100

    ahead = Ahead(work)
    first, second, third = torch.tensor([3, 1]), torch.tensor([2, 0]), torch.tensor([-1])
    assert ahead(first, second).tolist() == [103, 101]
    assert read.wait(60)
    assert ahead(second, third).tolist() == [102, 100]
    with pytest.raises(OSError, match="no such row"):
        ahead(third)
    assert ahead(second).tolist() == [102, 100]  # which nobody had said would follow
    main = threading.current_thread().name[:5]
    assert asked == [([3, 1], main), ([2, 0], "ahead"), ([-1], "ahead"), ([2, 0], main)]
