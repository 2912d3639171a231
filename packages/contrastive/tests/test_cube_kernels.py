"""Every kernel against one sum written out cell by cell in float64."""

import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from contrastive import leading_eigenvalue_of_three
from contrastive.kernels import Cube, Sample, faces, native, sampled, tiled

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C++ compiler on this machine")


def make(shape: tuple[int, int, int], *, masked: bool, rate: float = 5.0) -> Cube:
    generator = torch.Generator().manual_seed(sum(shape))
    x, y, z = (torch.randn(n, 16, generator=generator) for n in shape)
    x, y, z = (v / v.norm(dim=1, keepdim=True) for v in (x, y, z))
    a, b, c = x @ y.mT, x @ z.mT, y @ z.mT
    same = tuple(torch.rand(part.shape, generator=generator) < 0.4 for part in (a, b, c)) if masked else None
    return Cube(a, b, c, torch.tensor(rate), torch.tensor(rate), same)  # type: ignore[arg-type]


def naive(cube: Cube) -> tuple[torch.Tensor, ...]:
    a, b, c = cube.a[:, :, None], cube.b[:, None, :], cube.c[None]
    weight = ((leading_eigenvalue_of_three(a, b, c) - 1) * cube.rate - cube.shift).exp()
    if cube.same is not None:
        ab, ac, bc = cube.same
        weight = weight * ~(ab[:, :, None] & ac[:, None, :] & bc)
    return weight.sum(2), weight.sum(1), weight.sum(0)


def naive_gradients(cube: Cube, grads: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    leaves = [part.double().requires_grad_() for part in cube[:4]]
    outputs = naive(Cube(*leaves, cube.shift.double(), cube.same))
    return torch.autograd.grad(outputs, leaves, [grad.double() for grad in grads])


def close(ours: tuple[torch.Tensor, ...], true: tuple[torch.Tensor, ...], tolerance: float) -> None:
    for x, y in zip(ours, true, strict=True):
        assert ((x.double() - y).abs().max() / y.abs().max()).item() < tolerance


FOR_X86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="instructions of another machine"
)
COMPILED = [
    pytest.param("native", marks=needs_compiler),
    pytest.param("AVX2", marks=[needs_compiler, FOR_X86]),  # as on machines that have no more than that
    pytest.param("DEFAULT", marks=needs_compiler),
]


@pytest.fixture(params=["tiled", *COMPILED])
def kernel(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    if request.param in ("tiled", "native"):
        yield {"tiled": tiled, "native": native}[request.param]
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
        native.library.cache_clear()
        yield native
    native.library.cache_clear()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(7, 33, 20), (1, 1, 1), (5, 300, 130)])
def test_kernels_match_the_cell_by_cell_sum(
    kernel: ModuleType, shape: tuple[int, int, int], masked: bool
) -> None:
    cube = make(shape, masked=masked)
    grads = tuple(torch.rand_like(part) for part in cube[:3])
    close(kernel.forward(cube), naive(Cube(*(x.double() for x in cube[:5]), cube.same)), 2e-6)
    close(kernel.backward(cube, grads), naive_gradients(cube, grads)[:3], 1e-4)


def test_single_cells_hold_the_root(kernel: ModuleType) -> None:
    """A cube one deep is its own face: the root of every cell, over the whole cube of cosines."""
    steps = torch.linspace(-1, 1, 41)
    b, c = steps[None].repeat(41, 1).flatten()[None], steps.repeat_interleave(41)[None]
    for a in (-1.0, -0.7, -1e-3, 0.0, 0.3, 1.0):
        face = kernel.forward(Cube(torch.tensor([[a]]), b, c, torch.tensor(4.0), torch.tensor(0.0)))[2]
        x, y = b.double(), c.double()
        root = leading_eigenvalue_of_three(torch.full_like(x, a), x, y) - 1
        assert (face.double().log() / 4 - root).abs().max() < 1.2e-6


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
def test_gradients_stay_right_next_to_the_double_root(kernel: ModuleType, noise: float) -> None:
    check_next_to_the_double_root(kernel, noise)


def check_next_to_the_double_root(kernel: ModuleType, noise: float, count: int = 500) -> None:
    """Cells near cosines (-s, -s, -s), one at a time: slopes of λ1, which are at most 1."""
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(count, generator=generator) * 0.49 + 0.01
    a, b, c = -size * (1 + noise * torch.randn(3, count, generator=generator))
    leaves = [part.double().requires_grad_() for part in (a, b, c)]
    root = leading_eigenvalue_of_three(*leaves) - 1
    true = torch.stack(torch.autograd.grad(root.sum(), leaves))
    # The diagonal of a cube of (count, 1, count) cells.
    cube = Cube(a[:, None], torch.diag(b), c[None], torch.tensor(4.0), torch.tensor(0.0))
    diagonal = torch.eye(count)
    weight = torch.diag(torch.exp(-4 * root.detach().float()) / 4)
    none = torch.zeros(count, 1), torch.zeros(1, count)
    da, db, dc = kernel.backward(cube, (none[0], weight * diagonal, none[1]))
    ours = torch.stack((da[:, 0], db.diagonal(), dc[0])).double()
    assert ours.abs().max() < 1 + 1e-3
    # A slope is a quotient by this gap, so that rounding goes with one over it. Plain torch comes near the
    # subgradient at the double root a little early.
    gap = (3 * root**2 - a * a - b * b - c * c) / size**2
    assert ((ours - true).abs() * gap).max() < (1e-4 if kernel is tiled else 1e-5)


def test_tiles_do_not_change_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    cube = make((9, 11, 13), masked=True)
    whole = tiled.forward(cube)
    monkeypatch.setattr(tiled, "_CELLS", 2 * 11 * 13)
    close(tiled.forward(cube), tuple(x.double() for x in whole), 1e-6)


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3])
def test_native_repeats_to_the_bit(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        cube = make((10, 40, 30), masked=False)
        grads = tuple(torch.rand_like(part) for part in cube[:3])
        once, twice = native.backward(cube, grads), native.backward(cube, grads)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(once, twice, strict=True))
    close(once, naive_gradients(cube, grads)[:3], 1e-4)


@needs_compiler
def test_threads_do_not_change_the_sampled_loss() -> None:
    cube = make((7, 9, 8), masked=False)
    second, third = torch.randint(9, (7, 40)), torch.randint(8, (7, 40))
    before, results = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            leaves = [part.clone().requires_grad_() for part in cube[:4]]
            loss = sampled(Sample(*leaves, second, third))
            results.append((loss, *torch.autograd.grad((loss * torch.arange(1, 8)).sum(), leaves)))
        finally:
            torch.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))


@needs_compiler
def test_native_passes_nan_on() -> None:
    cube = make((3, 4, 5), masked=False)
    cube.c[1, 2] = torch.nan
    ab, _, bc = native.forward(cube)
    assert ab[:, 1].isnan().all()
    assert bc[1, 2].isnan()
    assert ab[:, 0].isfinite().all()


@pytest.mark.parametrize("kernel", COMPILED, indirect=True)
def test_sampled_gradients_stay_right_next_to_the_double_root(kernel: ModuleType) -> None:
    """One row whose sample is of cells near (-s, -s, -s), against float64."""
    size = torch.rand(300) * 0.49 + 0.01
    b, c = (-size * (1 + 1e-2 * torch.randn(300)) for _ in range(2))
    index, results = torch.arange(300)[None], []
    for dtype in (torch.float32, torch.float64):
        # cell (0, n, n) has cosines (-s_n, b_n, c_nn)
        leaves = [part.to(dtype).requires_grad_() for part in (-size[None], b[None], torch.diag(c))]
        rate = torch.tensor(5.0, dtype=dtype)
        loss = sampled(Sample(*leaves, rate, index, index, None))
        results.append((loss, *torch.autograd.grad(loss.sum(), leaves)))
    close(results[0], results[1], 2e-3)


def test_faces_gradcheck_including_the_rate() -> None:
    cube = make((3, 4, 5), masked=True)
    leaves = tuple(part.double().requires_grad_() for part in cube[:4])
    shift = cube.shift.double()
    assert torch.autograd.gradcheck(lambda *x: faces(Cube(*x, shift, cube.same)), leaves)


@pytest.mark.parametrize("kernel", COMPILED, indirect=True)
@pytest.mark.parametrize("masked", [False, True])
def test_sampled_kernel_matches_plain_torch(kernel: ModuleType, masked: bool) -> None:
    cube = make((6, 9, 8), masked=False)
    second, third = torch.randint(9, (6, 300)), torch.randint(8, (6, 300))
    mask = torch.rand(6, 300) < 0.5 if masked else None
    if mask is not None:
        mask[:, 0] = False
    results = []
    for dtype in (torch.float32, torch.float64):  # float64 takes the plain path
        leaves = [part.to(dtype).requires_grad_() for part in cube[:4]]
        loss = sampled(Sample(*leaves, second, third, mask))
        results.append((loss, *torch.autograd.grad((loss * torch.arange(1, 7)).sum(), leaves)))
    close(results[0], results[1], 1e-4)


@needs_compiler
def test_a_compiler_without_openmp_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    script = f'#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec {compiler} "$@"\n'
    (tmp_path / "cc").write_text(script)
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cc"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.library.cache_clear()
    try:
        assert native.library() is not None
        cube = make((9, 8, 7), masked=False)
        close(native.forward(cube), naive(Cube(*(x.double() for x in cube[:5]), None)), 2e-6)
    finally:
        native.library.cache_clear()


def test_without_a_home_folder_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a user whom no passwd file knows, in a container."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 3)
    native.library.cache_clear()
    try:
        assert native.library() is None
    finally:
        native.library.cache_clear()


def test_without_a_compiler_it_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    native.library.cache_clear()
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    try:
        with caplog.at_level(logging.WARNING, "contrastive"):
            cube = make((4, 5, 6), masked=False)
            result = faces(cube)
            faces(cube)
    finally:
        native.library.cache_clear()
    assert caplog.text.count("install g++ or clang++") == 1
    close(result, naive(Cube(*(x.double() for x in cube[:5]), None)), 2e-6)


TRITON = """
import torch
from contrastive.kernels import cuda
from test_cube_kernels import check_next_to_the_double_root, close, make, naive, naive_gradients
from contrastive.kernels import Cube
for shape in ((5, 19, 70), (1, 3, 2)):
    for masked in (False, True):
        cube = make(shape, masked=masked)
        grads = tuple(torch.rand_like(part) for part in cube[:3])
        close(cuda.forward(cube), naive(Cube(*(x.double() for x in cube[:5]), cube.same)), 2e-6)
        close(cuda.backward(cube, grads), naive_gradients(cube, grads)[:3], 1e-4)
for noise in (0.0, 1e-5, 1e-3):
    check_next_to_the_double_root(cuda, noise, count=40)  # the interpreter takes 5 s for 500
print("same")
"""


def test_triton_kernel_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    folder = os.path.dirname(__file__)  # noqa: PTH120
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": folder}
    run = subprocess.run(
        [sys.executable, "-c", TRITON], env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.stdout.strip() == "same", run.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("masked", [False, True])
def test_triton_kernel_on_a_gpu(masked: bool) -> None:
    cube = make((50, 190, 130), masked=masked)
    grads = tuple(torch.rand_like(part) for part in cube[:3])
    there = Cube(*(x.cuda() for x in cube[:5]), cube.same and tuple(x.cuda() for x in cube.same))
    from contrastive.kernels import cuda

    close(
        tuple(x.cpu() for x in cuda.forward(there)),
        naive(Cube(*(x.double() for x in cube[:5]), cube.same)),
        2e-6,
    )
    ours = cuda.backward(there, tuple(x.cuda() for x in grads))
    close(tuple(x.cpu() for x in ours), naive_gradients(cube, grads)[:3], 1e-4)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
