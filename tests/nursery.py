"""Python programs in processes of their own that begin with torch imported; not a test itself.

To import torch and what goes with it takes Python seconds, longer than most of these programs run. One
process imports it, and nothing of this repository; all others are forked from that one.
"""

import gc
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

NURSERY = multiprocessing.get_context("forkserver")
PRELOAD = [
    *("torch", "torch._dynamo", "torch.distributed.nn", "accelerate", "safetensors.torch", "timm"),
    *("scipy.optimize", "matplotlib.pyplot", "rich.table", "typer", "yaml", "pytest", "jaxtyping"),
    *("sklearn.cluster", "sklearn.manifold", "dash", "IPython.display"),  # the last two for Open3D
]


def run(
    program: Path | str,
    *arguments: object,
    folder: Path | None = None,
    path: Iterable[Path] = (),
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, in a folder, with more folders to import from before all others.

    Args:
        program: a script, or a module's name as `python -m` takes it.
    """
    return together(program, [env or {}], *arguments, folder=folder, path=path)[0]


def torchrun(program: Path, processes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program as `torchrun --nproc_per_node` does; what is told is of the first process that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    meeting |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
    ranks = [meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    done = together(program, ranks, *arguments)
    return next((one for one in done if one.returncode), done[0])


def together(
    program: Path | str,
    environments: Sequence[Mapping[str, str]],
    *arguments: object,
    folder: Path | None = None,
    path: Iterable[Path] = (),
) -> list[subprocess.CompletedProcess[str]]:
    """Run a program once in each environment, at the same time."""
    words = list(map(str, arguments))
    NURSERY.set_forkserver_preload(PRELOAD)  # whoever starts the first process decides; others may have said
    with tempfile.TemporaryDirectory() as said:
        files = [(Path(said) / f"{i}.out", Path(said) / f"{i}.err") for i in range(len(environments))]
        started = [
            NURSERY.Process(
                target=_execute, args=(program, words, folder or Path.cwd(), list(path), dict(env), to)
            )
            for env, to in zip(environments, files, strict=True)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        return [
            subprocess.CompletedProcess(
                [str(program), *words], process.exitcode or 0, *(file.read_text() for file in to)
            )
            for process, to in zip(started, files, strict=True)
        ]


def _execute(
    program: Path | str,
    words: list[str],
    folder: Path,
    path: list[Path],
    env: dict[str, str],
    said: tuple[Path, Path],
) -> None:
    gc.freeze()  # Accelerate collects garbage in every stage: not through all that was imported
    for file, descriptor in zip(said, (1, 2), strict=True):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), descriptor)
    sys.path[:0] = [str(program.parent if isinstance(program, Path) else folder), *map(str, path)]
    os.environ |= {"OMP_NUM_THREADS": "1", **env, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    os.chdir(folder)
    sys.argv = [str(program), *words]
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
