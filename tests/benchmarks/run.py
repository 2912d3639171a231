"""Runs benchmarks, each with its JSON in a folder: all of them, those named, or those that a device is for.

    python tests/benchmarks/run.py                         every benchmark, on the CPU
    python tests/benchmarks/run.py store samplers          these
    python tests/benchmarks/run.py --device cuda           every row that is a GPU's, in one visit

One that fails does not keep the others from running; the exit code tells.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ON_GPU = {
    "gpu": (),
    "contrastive": ("--batch", "180", "512", "2048", "4096"),
    "contrastive_modalities": (),
}
"""Benchmarks that take `--device`, and what else they are given on a GPU."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="of benchmarks, bench_NAME.py")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="where results are written")
    parser.add_argument("--tiny", action="store_true", help="only what can run at tiny sizes, so")
    options = parser.parse_args()
    every = {file.stem.removeprefix("bench_"): file for file in sorted(HERE.glob("bench_*.py"))}
    if unknown := set(options.names) - set(every):
        parser.error(f"no benchmark is called {sorted(unknown)[0]}; there are {', '.join(every)}")
    gpu = options.device == "cuda"
    names = options.names or (["gpu"] if options.tiny else list(ON_GPU) if gpu else list(every))
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in names:
        json = options.folder / f"{name}{'_cuda' if gpu and name != 'gpu' else ''}.json"
        words = [sys.executable, str(every[name]), "--json", str(json)]
        if name in ON_GPU:
            words += ["--device", options.device, *(ON_GPU[name] if gpu else ())]
        if options.tiny and name == "gpu":
            words += ["--tiny", "--rounds", "1"]
        print(f"{name}: {json}", flush=True)
        if subprocess.run(words, check=False).returncode:
            failed.append(name)
    for name in failed:
        print(f"{name}: failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
