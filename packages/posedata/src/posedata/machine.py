"""What this machine is: in words, where a number was measured; and whether it computes in bfloat16."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "torchvision", "numpy", "accelerate", "safetensors", "timm", "open3d-cpu", "open3d")
_CHANGED = ("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)docs/results")


def machine() -> str:
    """CPU model, cores this process may use, memory, accelerator."""
    import torch  # here, since rendering a table needs none of it

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = [f"{_cpu_model()}, {cores} cores"]
    if hasattr(os, "sysconf"):
        words.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB memory")
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def native_bf16(device: "torch.device") -> bool:
    """Whether the device computes in bfloat16, and does not merely hold it or imitate it.

    A CPU is asked through oneDNN, which does the products: one that it has no instructions for multiplies
    in a reference product, many times slower than float32. Devices not known here do not.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a number."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def commit() -> str | None:
    """This code's commit, with "-dirty" where tracked files differ; None where it lies in no repository.

    Files of results do not count: a run that writes them as it goes would call itself dirty.
    """
    if _git("ls-files", "--error-unmatch", __file__) is None:
        return None
    found = _git("rev-parse", "--short=12", "HEAD")
    if found is None:
        return None
    return found + ("-dirty" if _git(*_CHANGED) else "")


def command_line() -> str:
    """The command, to be typed again, without folders of this machine."""
    program = Path(sys.argv[0])
    name = f"python {_portable(str(program))}" if program.suffix == ".py" else program.name
    return " ".join([name, *(shlex.quote(_portable(argument)) for argument in sys.argv[1:])])


def _portable(argument: str) -> str:
    """An absolute path, KEY= before it or not, relative to the working folder or by its last name alone."""
    key, equals, value = argument.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return argument
    return key + equals + _relative(path)


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else f".../{path.name}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        here = Path(__file__).resolve().parent
        result = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
