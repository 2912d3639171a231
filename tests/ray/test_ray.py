"""An index that a cluster of two nodes makes is the one that one process makes, whatever dies on the way."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libraries import embedder, files_of, quiet, write_joints
from polypose.cli import app
from polypose.search.adding import add
from polypose.search.embedding import Embedder, View
from polypose.search.index import PoseIndex
from polypose.search.reading import Options
from polypose.search.rows import Rows
from typer.testing import CliRunner

ray = pytest.importorskip("ray", reason="pip install 'polypose[ray]': nox -s tests_ray")
pytest.importorskip("pyarrow", reason="polypose[search]")

from polypose.search.on_ray import RayCluster  # noqa: E402  (what it needs may be absent)
from ray.cluster_utils import Cluster  # noqa: E402

FILES = 10
CAMERAS = Options(cameras=2)


@dataclass(frozen=True)
class Deadly(Embedder):
    """Kills its process, once for each of some recordings, when half of their source is written."""

    graves: Path
    victims: tuple[str, ...]

    def embed(self, rows: Rows) -> dict[View, np.ndarray]:
        grave = self.graves / rows.recording
        if rows.recording in self.victims and not grave.exists():
            grave.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(rows)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of this machine, one processor each; the first is the head."""
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine leaves them nothing
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of two recordings each, a picture of nobody, and a file that is damaged."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(FILES):
        write_joints(folder / f"take{number}.npz", 2 * number, 2 * number + 1)
    (folder / "broken.bvh").write_text("HIERARCHY\nnothing")
    return folder


@pytest.fixture(scope="module")
def alone(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By one process."""
    index = tmp_path_factory.mktemp("alone") / "index"
    add(index, [library], embedder(), CAMERAS, say=quiet)
    return index


def test_processes_and_a_node_die_half_way(cluster: Any, library: Path, alone: Path, tmp_path: Path) -> None:
    (tmp_path / "graves").mkdir()
    made = embedder()
    victims = tuple(f"walk_{number:02}" for number in (1, 7, 13))  # the second recording of their files
    deadly = Deadly(made.invariant, made.camera, tmp_path / "graves", victims)
    (lost,) = cluster.worker_nodes
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        if len(told) == FILES // 2:
            cluster.remove_node(lost, allow_graceful=False)

    ray.init(cluster.address, log_to_driver=False)
    with RayCluster() as maker:
        assert maker.at_once == 4
        add(tmp_path / "index", [library], deadly, CAMERAS, maker=maker, say=say)
    died = {path.name: int(path.read_text()) for path in (tmp_path / "graves").iterdir()}
    assert died.keys() == set(victims)
    assert os.getpid() not in died.values()
    assert not lost.any_processes_alive()
    assert any("broken.bvh" in text and "is left out" in text for text in told)
    expected, found = files_of(alone), files_of(tmp_path / "index")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert len(PoseIndex.open(tmp_path / "index", verify=True)) == FILES * 2 * 40 * 2


def test_where_no_cluster_is_one_line_says_so(library: Path, tmp_path: Path) -> None:
    def refused(*more: str) -> str:
        answer = CliRunner().invoke(app, ["index", "add", str(tmp_path / "index"), str(library), *more])
        assert answer.exit_code == 2
        return str(answer.output)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        told = refused("--engine", "ray", "--address", address)
    assert told == f"polypose: --address {address}: no cluster answers; start one: ray start --head\n"
    assert "is of a cluster; give --engine ray with it" in refused("--address", address)
    assert not (tmp_path / "index").exists()
