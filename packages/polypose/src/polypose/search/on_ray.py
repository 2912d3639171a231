"""Segments made by the processes of a Ray cluster: a task a source, begun again where its process dies.

The index, and what is indexed, are on folders that every machine has under the same path. The models travel
with the tasks; detectors' networks are on each machine (`polypose get`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from polypose.capture.progress import Watch
from polypose.search.embedding import Embedder
from polypose.search.making import Job, make
from polypose.search.manifest import Entry
from polypose.search.reading import Options
from polypose.search.sources import Say

RETRIES = 3
"""How often a source is begun again whose process died."""
_AHEAD = 2
"""Tasks for each processor that are begun: one at work and one that waits."""


class RayCluster:
    """Where segments are made: on a cluster, or on this machine's processors.

    Args:
        address: of a cluster, as `ray start` told it, or "auto"; without one RAY_ADDRESS counts, and if that
            is not set a cluster of this machine alone is started.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ValueError: there is no cluster at that address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._ray = _ray()
        self._own = not self._ray.is_initialized()
        if self._own:
            _check(address or os.environ.get("RAY_ADDRESS", ""))
            try:
                self._ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="error")
            except (ConnectionError, ValueError, RuntimeError):
                raise _nobody(address or "auto") from None
        self._task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_made)
        self._models: tuple[Embedder, Any] | None = None

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            self._ray.shutdown()

    @property
    def at_once(self) -> int:
        """As the cluster is now: machines come and go."""
        return max(1, _AHEAD * int(self._ray.cluster_resources().get("CPU", 1)))

    def begin(
        self, index: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch
    ) -> Callable[[], Entry]:
        if self._models is None or self._models[0] is not embedder:
            self._models = embedder, self._ray.put(embedder)
        began = self._task.remote(index.resolve(), job, self._models[1], options)

        def wait() -> Entry:
            exceptions = self._ray.exceptions
            try:
                entry, told = self._ray.get(began)
            except exceptions.RayTaskError as error:
                raise error.cause from None
            except (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError):
                died = f"{job.source.path}: {RETRIES + 1} processes died of it"
                raise ValueError(f"{died}; add it without --engine ray to see why") from None
            for text in told:
                say(text)
            return entry

        return wait


def _check(address: str) -> None:
    """Refuse at once an address where nobody listens, which Ray tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError):
        raise _nobody(address) from None


def _nobody(address: str) -> ValueError:
    return ValueError(f"--address {address}: no cluster answers; start one: ray start --head")


def _made(index: Path, job: Job, embedder: Embedder, options: Options) -> tuple[Entry, list[str]]:
    """In a process of the cluster: the entry, and what there is to tell."""
    torch.set_num_threads(1)
    told: list[str] = []
    return make(index, job, embedder, options, told.append, lambda name, done, total: None), told


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise ModuleNotFoundError("Ray is not installed: pip install 'polypose[ray]'") from None
    return ray
