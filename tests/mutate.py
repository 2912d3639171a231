"""Mutates the code and counts the mutants that the tests notice:
`python tests/mutate.py --json docs/results/mutation.json`.

Each module of `MODULES` is mutated by mutmut, one change at a time, and its own quick test files run against
every change. What survives is printed as a difference, unless it only changes the words of a message or the
device of a tensor, or `equivalent_mutants.json` says why nothing can notice it. Name modules to run only
those: the rows of the others are kept. docs/pages/mutation.md has the results and how to read them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from posedata.results import write_results
from posetrain.errors import plain_errors

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tests/equivalent_mutants.json"
CONTRASTIVE = ("test_info_nce.py", "test_checks.py")

MODULES: dict[str, tuple[str, ...]] = {
    "contrastive.checks": ("test_checks.py",),
    "contrastive.cubic": ("test_cubic.py",),
    "contrastive.similarity": ("test_similarity.py",),
    "contrastive.cosines": CONTRASTIVE,
    "contrastive.negatives": CONTRASTIVE,
    "contrastive.losses": CONTRASTIVE,
    "contrastive.tuples": ("test_tuple_losses.py", "test_checks.py"),
    "contrastive.temperature": ("test_info_nce.py",),
    "contrastive.margin": ("test_margin.py", "test_checks.py"),
    "contrastive.euclidean": ("test_euclidean_info_nce.py", "test_checks.py"),
    "posediff.sampler": ("test_posediff_sampler.py", "test_posediff_values.py"),
    "posediff.schedule": ("test_posediff_sde.py", "test_posediff_values.py"),
    "posediff.sde": ("test_posediff_sde.py",),
    "posediff.denoiser": ("test_posediff_network.py", "test_posediff_difference.py"),
    "posediff.guidance": ("test_posediff_guidance.py", "test_posediff_values.py"),
    "posediff.hypotheses": ("test_posediff_hypotheses.py", "test_posediff_values.py"),
    "posediff.likelihood": ("test_posediff_likelihood.py", "test_posediff_values.py"),
    "posediff.difference": ("test_posediff_difference.py",),
    "posediff.conditioned": ("test_posediff_decoder.py",),
    "posediff.draws": ("test_posediff_draws.py",),
    "posediff.decoder": (
        "test_posediff_decoder.py",
        "test_posediff_spread.py",
        "test_posediff_loss.py",
        "test_posediff_sample.py",
    ),
    "posedata.scoring.metrics": ("test_metrics.py", "test_metrics_values.py", "test_metrics_refuse.py"),
    "posedata.geometry.camera": ("test_camera.py", "test_camera_values.py"),
    "posedata.geometry.align": ("test_align.py", "test_align_values.py"),
}
"""Module: the test files of its package that are about it; one that is absent is left out."""

CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["{source}"]
also_copy = ["tests"]
pytest_add_cli_args = ["-p", "no:dash", "-p", "no:cacheprovider", "-p", "no:randomly"]
pytest_add_cli_args_test_selection = {tests}
use_git_change_detection = false
track_dependencies = false
[tool.pytest.ini_options]
filterwarnings = ["error", "ignore:Failed to initialize NumPy"]
addopts = ["--import-mode=importlib"]
pythonpath = ["tests"]
"""

SURVIVED, NO_TEST, NOT_RUN = 0, (5, 33), None
"""mutmut's exit codes of what was not noticed; every other is a mutant that was."""


class Mutant(NamedTuple):
    """One change, as lines that were and that are, with the function it is in."""

    function: str
    was: str
    now: str

    @property
    def kind(self) -> str:
        """What alone differs: "wording" of a string, or the "device" where a tensor lies; else nothing."""
        if re.sub(_STRING, "", self.was) == re.sub(_STRING, "", self.now.replace("XX", "")):
            return "wording"
        was, now = (re.sub(_DEVICE, "", line).replace(", )", ")") for line in (self.was, self.now))
        return "device" if was == now or self.was.startswith("device = ") else ""


_STRING = re.compile(r"""f?r?("[^"]*"|'[^']*')""")
_DEVICE = re.compile(r",? ?device=[\w.\[\]]+|\.to\(([\w.]+\.device|None)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("modules", nargs="*", default=[*MODULES], help="such as contrastive.cubic")
    parser.add_argument("--json", type=Path, help="results; rows of modules that are not run are kept")
    parser.add_argument("--work", type=Path, default=ROOT / "build/mutation", help="folder for the mutants")
    options = parser.parse_args()
    with plain_errors():
        if unknown := set(options.modules) - MODULES.keys():
            raise ValueError(f"{', '.join(sorted(unknown))}: not in MODULES of {Path(__file__).name}")
        for module in options.modules:
            row = measure(module, options.work)
            if options.json:
                kept = json.loads(options.json.read_text())["rows"] if options.json.is_file() else []
                rows = {row["module"]: row for row in kept} | {module: row}
                write_results(options.json, [rows[name] for name in MODULES if name in rows])


def measure(module: str, work: Path) -> dict[str, Any]:
    """Mutate one module; print its survivors; return its row."""
    began = time.monotonic()
    codes, survivors = mutate(module, work)
    reasons = [entry for entry in json.loads(EQUIVALENT.read_text()) if re.fullmatch(entry["module"], module)]
    count = {"wording": 0, "device": 0, "equivalent": 0, "survived": 0}
    for mutant in survivors:
        known = any(re.search(entry["change"], f"{mutant.was} -> {mutant.now}") for entry in reasons)
        kind = mutant.kind or ("equivalent" if known else "survived")
        count[kind] += 1
        if kind == "survived":
            print(f"{module}.{mutant.function}\n  - {mutant.was}\n  + {mutant.now}")
    row = {
        "module": module,
        "mutants": len(codes),
        "killed": len(codes) - len(survivors),
        **count,
        "score": (len(codes) - len(survivors)) / max(1, len(codes)),
        "seconds": round(time.monotonic() - began),
    }
    print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def mutate(module: str, work: Path) -> tuple[dict[str, int | None], list[Mutant]]:
    """Run mutmut over one module: the exit code of each mutant, and what survived."""
    package, _, name = module.partition(".")
    folder = ROOT / "packages" / package
    tests = [f"tests/{file}" for file in MODULES[module] if (folder / "tests" / file).is_file()]
    place, source = work / module, f"src/{package}/{name.replace('.', '/')}.py"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(folder / "tests", place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "pyproject.toml").write_text(CONFIG.format(source=source, tests=json.dumps(tests)))
    # The packages on PYTHONPATH would hide the mutants.
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and not _is_of(p, package)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", "run", "--max-children", "1"],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    meta = place / "mutants" / f"{source}.meta"
    codes = json.loads(meta.read_text())["exit_code_by_key"] if meta.is_file() else {}
    if not codes or NOT_RUN in codes.values():
        tail = "\n".join(done.stdout.replace("\r", "\n").splitlines()[-15:])
        raise ValueError(f"{module}: mutmut did not finish\n{tail}\n{done.stderr[-2000:]}")
    left = [key for key, code in codes.items() if code == SURVIVED or code in NO_TEST]
    return codes, list(differences(place, left))


def _is_of(path: str, package: str) -> bool:
    return (Path(path) / package / "__init__.py").is_file()


def differences(place: Path, keys: list[str]) -> Iterator[Mutant]:
    """What each mutant changed, its lines joined by a space."""
    with contextlib.chdir(place):
        from mutmut.__main__ import get_diff_for_mutant
        from mutmut.configuration import reset_config

        reset_config()  # it is of another folder
        for key in keys:
            lines = get_diff_for_mutant(key).splitlines()
            parts = {
                sign: " ".join(
                    line[1:].strip()
                    for line in lines
                    if line.startswith(sign) and line[:3] not in ("---", "+++")
                )
                for sign in "-+"
            }
            function = re.sub(r"^x_?|__mutmut_\d+$", "", key.rpartition(".")[2]).replace("ǁ", ".").strip(".")
            yield Mutant(function, parts["-"], parts["+"])


if __name__ == "__main__":
    main()
