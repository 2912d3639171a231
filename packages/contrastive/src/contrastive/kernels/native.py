"""The cube on a CPU: `cube.cpp`, compiled once on first use with the machine's C++ compiler.

A build takes about a second and is kept in the user's cache folder. Where there is no compiler, `library`
returns None after one line in the log, and `contrastive.kernels.tiled` does the work.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from contrastive.kernels.cube import Cube, Sample

_log = logging.getLogger(__name__)
_SOURCE = Path(__file__).with_name("cube.cpp")
_FLAGS = [
    "-O3",
    "-fno-tree-vectorize",
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
]
_WIDE = {
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "AVX2": ["-mavx2", "-mfma"],
}
# Each thread sums into its own copy of a (J, K) face: together they stay under 256 MiB.
_SHARED_CELLS = 2**26


def forward(cube: Cube) -> tuple[Tensor, Tensor, Tensor]:
    """The three faces of `contrastive.kernels.faces`; float32 on a CPU."""
    face_ab, face_ac = torch.empty_like(cube.a), torch.zeros_like(cube.b)

    def run(function: Callable[..., None], start: int, stop: int, face_bc: Tensor) -> None:
        function(*_arguments(cube, start, stop), *_pointers(face_ab, face_ac, face_bc))

    return face_ab, face_ac, _in_threads("cube_forward", run, cube)


def backward(cube: Cube, grads: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of the faces' sums weighted by `grads`."""
    grads = tuple(grad.contiguous() for grad in grads)  # type: ignore[assignment]
    da, db = torch.empty_like(cube.a), torch.zeros_like(cube.b)

    def run(function: Callable[..., None], start: int, stop: int, dc: Tensor) -> None:
        function(*_arguments(cube, start, stop), *_pointers(*grads, da, db, dc))

    return da, db, _in_threads("cube_backward", run, cube)


def sampled_forward(sample: Sample) -> Tensor:
    """The cross-entropies of `contrastive.kernels.sampled`, shape (I,)."""
    nll = sample.a.new_empty(len(sample.a))
    _function("sampled_forward")(*_sample_arguments(sample), *_pointers(nll))
    return nll


def sampled_backward(sample: Sample, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of their sum weighted by `grad`."""
    da, db, dc = map(torch.zeros_like, (sample.a, sample.b, sample.c))
    grad = grad.contiguous()
    _function("sampled_backward")(*_sample_arguments(sample), *_pointers(grad, da, db, dc))
    return da, db, dc


def _sample_arguments(sample: Sample) -> list[object]:
    shape = (*sample.second.shape, *sample.c.shape)
    members = _pointers(sample.second, sample.third, sample.masked)
    return [*_pointers(sample.a, sample.b, sample.c), *shape, sample.rate.item(), *members]


def _function(name: str) -> Callable[..., None]:
    found: Callable[..., None] = getattr(library(), name)
    return found


def _in_threads(
    name: str, run: Callable[[Callable[..., None], int, int, Tensor], None], cube: Cube
) -> Tensor:
    """Split the first axis in equal parts, one a thread; the sum of the threads' (J, K) results.

    Parts depend on the thread count alone, so that the same machine gives the same bits again.
    """
    function = _function(name)
    size = len(cube.a)
    parts = max(1, min(torch.get_num_threads(), size, _SHARED_CELLS // max(1, cube.c.numel())))
    sums = cube.c.new_zeros((parts, *cube.c.shape))
    edges = [size * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        for _ in pool.map(functools.partial(run, function), edges[:-1], edges[1:], sums):
            pass
    return sums[0] if parts == 1 else sums.sum(0)


def _arguments(cube: Cube, start: int, stop: int) -> list[object]:
    masks = cube.same if cube.same is not None else (None, None, None)
    shape = (start, stop, *cube.c.shape)
    return [
        *_pointers(cube.a, cube.b, cube.c),
        *shape,
        cube.rate.item(),
        cube.shift.item(),
        *_pointers(*masks),
    ]


def _pointers(*tensors: Tensor | None) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be built."""
    try:
        return _load(_build())
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        _log.warning("no compiled kernel for all negatives (slower, same result): %s", str(reason).strip())
        return None


def _build() -> Path:
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise OSError("install g++ or clang++, or point CXX at a C++17 compiler")
    flags = _FLAGS + _WIDE.get(torch.backends.cpu.get_cpu_capability(), [])
    recipe = "\0".join([compiler, platform.machine(), *flags]).encode() + _SOURCE.read_bytes()
    target = _cache() / f"cube-{hashlib.sha256(recipe).hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            command = [compiler, *flags, str(_SOURCE), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            made.replace(target)  # several processes may build at once: the last whole one stays
    return target


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastive"


def _load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    pointer, index, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    head: list[type] = [pointer] * 3 + [index] * 4
    tails: dict[str, list[type]] = {
        "cube_forward": [real] * 2 + [pointer] * 6,
        "cube_backward": [real] * 2 + [pointer] * 9,
        "sampled_forward": [real] + [pointer] * 4,
        "sampled_backward": [real] + [pointer] * 7,
    }
    for name, tail in tails.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = head + tail, None
    return loaded
