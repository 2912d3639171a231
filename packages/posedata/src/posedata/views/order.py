"""The order in which rows in shards are gone through: near each other on disk, far apart in the batch.

Shards are dealt to lanes, and a batch takes equally many rows of each lane. In every epoch a lane's shards
are shuffled, and rows within a window of some shards. All of it follows from the seed and the step alone:
training goes on at the very row where it stopped, and however many processes share a batch it is the same
batch. Where their number divides the lanes', the rows of each process are of shards that no other reads.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Int


class StreamOrder:
    """Rows of the batches of a training.

    Args:
        shard: of every row, the number of its shard.
        batch: rows of a batch.
        seed: decides the order.
        lanes: at most so many; they divide the batch.
        window: shards whose rows are mixed: so many files of each lane are read at a time.
    """

    def __init__(
        self, shard: Int[np.ndarray, " N"], batch: int, seed: int, *, lanes: int = 8, window: int = 4
    ) -> None:
        self.batch, self.seed, self.window = batch, seed, window
        order = np.argsort(shard, kind="stable")
        found, starts = np.unique(shard[order], return_index=True)
        rows = np.split(order, starts[1:])
        self.lanes = max(n for n in range(1, lanes + 1) if batch % n == 0 and n <= len(found))
        self._shards = [rows[lane :: self.lanes] for lane in range(self.lanes)]
        self._window = lru_cache(4 * self.lanes)(self._mixed)

    def rows(self, step: int) -> Int[np.ndarray, " batch"]:
        """The batch of a step, lane by lane."""
        each = self.batch // self.lanes
        return np.concatenate([self._of_lane(lane, step * each, each) for lane in range(self.lanes)])

    def _of_lane(self, lane: int, start: int, count: int) -> np.ndarray:
        size = sum(map(len, self._shards[lane]))
        parts = []
        while count:
            epoch, at = divmod(start, size)
            for number in range(math.ceil(len(self._shards[lane]) / self.window)):
                mixed = self._window(lane, epoch, number)
                if at < len(mixed):
                    parts.append(mixed[at : at + count])
                    break
                at -= len(mixed)
            start, count = start + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts)

    def _mixed(self, lane: int, epoch: int, number: int) -> np.ndarray:
        """The rows of a window of a lane's epoch, mixed."""
        order = np.random.default_rng((self.seed, lane, epoch)).permutation(len(self._shards[lane]))
        chosen = order[number * self.window : (number + 1) * self.window]
        rows = np.concatenate([self._shards[lane][i] for i in chosen])
        return np.random.default_rng((self.seed, lane, epoch, number)).permutation(rows)
