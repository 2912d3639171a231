"""The cube on a CPU: `cube.cpp`, compiled once on first use with the machine's C++ compiler.

A build takes some seconds and is kept in the user's cache folder. Where there is no compiler, `library`
returns None after one line in the log, and `contrastive.kernels.tiled` does the work.
"""

import ctypes
import functools
import hashlib
import logging
import math
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from contrastive.kernels.cube import Cube, Sample

_log = logging.getLogger(__name__)
_SOURCE = Path(__file__).with_name("cube.cpp")
_LANES = Path(__file__).with_name("lanes.h")
_FLAGS = [
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
]
# With OpenMP the kernel shares torch's own threads, which else would spin beside it for a while. A compiler
# without it builds for one thread.
_THREADS: tuple[list[str], ...] = (["-fopenmp"], [])
_WIDE = {
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "AVX2": ["-mavx2", "-mfma"],
}
# Each thread sums into its own copy of a (J, K) face: together they stay under 256 MiB.
_SHARED_CELLS = 2**26
_LOG2E = 1 / math.log(2)


class Sampled(NamedTuple):
    """Cross-entropies (I,) of a sample, and their derivatives by its cosines (I, 3, stride) and rate (I,)."""

    loss: Tensor
    slopes: Tensor
    by_rate: Tensor


def forward(cube: Cube) -> tuple[Tensor, Tensor, Tensor]:
    """The three faces of `contrastive.kernels.faces`; float32 on a CPU."""
    return _run("cube_forward", cube)


def backward(cube: Cube, grads: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of the faces' sums weighted by `grads`."""
    return _run("cube_backward", cube, [2 * cube.rate * grad for grad in grads])


def sampled_forward(sample: Sample) -> Sampled:
    """The cross-entropies of `contrastive.kernels.sampled`, with their derivatives."""
    rows, each = sample.second.shape
    stride = _stride(each)
    new = sample.a.new_empty
    result = Sampled(new(rows), new(rows, 3, stride), new(rows))
    rate = sample.rate.item() * _LOG2E
    members = _pointers(sample.second, sample.third, sample.masked)
    cosines = _pointers(sample.a, sample.b, sample.c)
    shape = (rows, each, stride, *sample.c.shape)
    parts = max(1, min(torch.get_num_threads(), rows))
    _function("sampled_forward")(*cosines, *shape, rate, *members, parts, *_pointers(*result))
    return result


def sampled_backward(
    slopes: Tensor, second: Tensor, third: Tensor, shape: Sequence[int], grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of the cross-entropies weighted by `grad`; `shape` is that of c."""
    rows, each = second.shape
    da, db, dc = (slopes.new_zeros(size) for size in ((rows, shape[0]), (rows, shape[1]), shape))
    grad = grad.contiguous()
    shapes = (rows, each, slopes.shape[2], *shape)
    parts = min(2, torch.get_num_threads())
    members = _pointers(second, third)
    _function("sampled_backward")(*_pointers(slopes, grad), *shapes, *members, parts, *_pointers(da, db, dc))
    return da, db, dc


def _run(name: str, cube: Cube, grads: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor, Tensor]:
    """Call a kernel that reads a cube, and weights of its faces, and adds to three tensors like those faces.

    Parts of the first axis, one a thread, depend on the thread count alone, so that the same machine gives
    the same bits again.
    """
    size, (rows, columns) = len(cube.a), cube.c.shape
    stride = _stride(columns)
    parts = max(1, min(torch.get_num_threads(), size, _SHARED_CELLS // max(1, rows * stride)))
    ab = torch.empty_like(cube.a)
    ac, bc = cube.a.new_zeros(size, stride), cube.a.new_zeros(parts, rows, stride)
    same = (None, None, None) if cube.same is None else _padded(*(mask.float() for mask in cube.same))
    inputs, weights = _padded(*cube[:3]), _padded(*grads) if grads else ()
    _function(name)(
        *_pointers(*inputs), size, rows, columns, stride,
        cube.rate.item() * _LOG2E, cube.shift.item() * _LOG2E,
        *_pointers(*same), parts, *_pointers(*weights, ab, ac, bc),
    )  # fmt: skip
    return ab, ac[:, :columns], (bc[0] if parts == 1 else bc.sum(0))[:, :columns]


def _padded(ab: Tensor, ac: Tensor, bc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Contiguous, with rows along the third axis filled up to whole registers by zeros."""
    more = _stride(bc.shape[1]) - bc.shape[1]
    if more:
        ac, bc = pad(ac, (0, more)), pad(bc, (0, more))
    return ab.contiguous(), ac.contiguous(), bc.contiguous()


def _stride(columns: int) -> int:
    """The length of a row of so many columns, in whole registers."""
    lanes: int = _function("lanes")()
    return max(1, -(-columns // lanes)) * lanes


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(library(), name)
    return found


def _pointers(*tensors: Tensor | None) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be built."""
    try:
        return _load(_build())
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # RuntimeError: no home folder
        reason = getattr(error, "stderr", None) or error
        _log.warning("no compiled kernel for all negatives (slower, same result): %s", str(reason).strip())
        return None


def _build() -> Path:
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise OSError("install g++ or clang++, or point CXX at a C++17 compiler")
    flags = _FLAGS + _WIDE.get(torch.backends.cpu.get_cpu_capability(), [])
    for threads in _THREADS:
        try:
            return _compiled(compiler, [*flags, *threads])
        except subprocess.CalledProcessError as error:
            refused = error
    raise refused


def _compiled(compiler: str, flags: list[str]) -> Path:
    """The library that these flags give, built unless it was before."""
    recipe = "\0".join([compiler, platform.machine(), *flags]).encode()
    recipe += _SOURCE.read_bytes() + _LANES.read_bytes()
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
    pointer: type = ctypes.c_void_p
    index: type = ctypes.c_int64
    real: type = ctypes.c_float
    cube = [pointer] * 3 + [index] * 4 + [real] * 2 + [pointer] * 3 + [index]
    signatures: dict[str, list[type]] = {
        "cube_forward": cube + [pointer] * 3,
        "cube_backward": cube + [pointer] * 6,
        "sampled_forward": [pointer] * 3 + [index] * 5 + [real] + [pointer] * 3 + [index] + [pointer] * 3,
        "sampled_backward": [pointer] * 2 + [index] * 5 + [pointer] * 2 + [index] + [pointer] * 3,
    }
    for name, arguments in signatures.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, None
    return loaded
