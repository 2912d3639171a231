"""Tries real files of many exporters: `python tests/exporters.py FOLDER --json docs/results/exporters.json`.

FOLDER holds copies of the repositories in `SOURCES` as OWNER+NAME. Each file is read as `posedata prepare`
does and compared with a naive reader of it. Rows are merged by file with those that the JSON has, so that
other tools' rows stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/posedata/tests"))


class Source(NamedTuple):
    """Files of a repository (a glob within it), what exported them, its licence, what of ours they mended."""

    repository: str
    files: str
    exporter: str
    licence: str
    mended: str = ""


SOURCES = (
    Source("20tab/bvh-python", "tests/test_freebvh.bvh", "Mixamo", "MIT"),
    Source("20tab/bvh-python", "tests/test_mocapbank.bvh", "Mocapbank (MotionBuilder)", "MIT"),
    Source(
        "AnyBody/ammr",
        "**/BVH_Xsens/BVH-files/S0?_Trial01.bvh",
        "Xsens MVN",
        "AMMR licence",
        "spine: was the lowest of the chest, is half-way up",
    ),
    Source(
        "AnyBody/ammr",
        "**/BVH_Xsens_Opt*/**/*.bvh",
        "Xsens MVN",
        "AMMR licence",
        "spine: was the lowest of the chest, is half-way up",
    ),
    Source(
        "AnyBody/ammr",
        "**/BVH_BoxLift/**/S01_T0[16].bvh",
        "Xsens MVN",
        "AMMR licence",
        "spine, and the unit of a 595 mm thigh, which was refused",
    ),
    Source("AnyBody/ammr", "**/BVH_NeuronMoCap/**/*.bvh", "Perception Neuron", "AMMR licence"),
    Source(
        "facebookresearch/AnimatedDrawings",
        "examples/bvh/rokoko/*.bvh",
        "Rokoko",
        "MIT",
        "spine: was the lowest of four, is half-way up",
    ),
    Source(
        "facebookresearch/AnimatedDrawings",
        "examples/bvh/cmu1/*.bvh",
        "CMU's names",
        "MIT",
        "head: half of it was estimated without a word",
    ),
    Source(
        "facebookresearch/AnimatedDrawings",
        "examples/bvh/fair1/[dw]*.bvh",
        "Own rig, z up",
        "MIT",
        "a unit was guessed (inches); refused now, given by --unit 0.04",
    ),
    Source(
        "AnyBody/ammr",
        "**/c3d_data/*3d",
        "Vicon, Qualisys and others",
        "AMMR licence",
        "type3: header and POINT:USED disagree on the points; the header is right",
    ),
    Source("AnyBody/ammr", "**/c3d_data/*3D", "Vicon, Qualisys and others", "AMMR licence"),
    Source("AnyBody/ammr", "**/Plug-in-gait_Simple/**/*.c3d", "Vicon Plug-in Gait", "AMMR licence"),
    Source("AnyBody/ammr", "**/ADL_Gait*/**/*_C1_01.c3d", "Vicon, ISB landmarks", "AMMR licence"),
    Source("AnyBody/ammr", "**/S1_FlywheelSquat.c3d", "Qualisys", "AMMR licence"),
    Source(
        "orangeduck/lafan1-resolved",
        "*.bvh",
        "LAFAN1 (MotionBuilder)",
        "CC BY-NC-ND 4.0",
        "head: half of it, without a word; now estimated and told",
    ),
    Source(
        "DeepMotionEditing/deep-motion-editing",
        "**/xia_test/angry_13_000.bvh",
        "Xia (CMU's names)",
        "BSD-2-Clause",
        "head: lay on the neck; now estimated and told",
    ),
    Source("DeepMotionEditing/deep-motion-editing", "blender_rendering/*.bvh", "CMU's names", "BSD-2-Clause"),
    Source(
        "VictorS-67/pybvh",
        "bvh_data/bvh_test[123].bvh",
        "Unknown",
        "MIT",
        "its Neck1 made its head CMU's, without a word; told now, and that people lie",
    ),
    Source("VictorS-67/pybvh", "bvh_data/cmu_12_01_walk.bvh", "CMU (amc2bvh)", "MIT"),
    Source(
        "gsimchoni/mocap",
        "**/*.amc",
        "CMU (Vicon)",
        "GPL-3, recordings free",
        "refused: several skeletons in a folder; now found by name",
    ),
    Source("opensim-org/opensim-models", "Pipelines/Rajagopal/ExpData/*.trc", "OpenSim", "CC BY 3.0"),
    Source("opensim-org/opensim-models", "Pipelines/Hamner/*.trc", "OpenSim (Cortex)", "CC BY 3.0"),
    Source("opensim-org/opensim-models", "Gait2392_Simbody/*.trc", "OpenSim", "CC BY 3.0"),
    Source("perfanalytics/pose2sim", "Pose2Sim/S00*/**/*_0-1??.trc", "Pose2Sim", "BSD-3-Clause"),
    Source("nghorbani/amass", "**/amass_sample.npz", "AMASS (MoSh++)", "AMASS, non-commercial"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the repositories lie, as OWNER+NAME")
    parser.add_argument("--json", type=Path, help="results; rows of other files in it stay")
    args = parser.parse_args()
    from exporters_check import check

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    if args.json and args.json.is_file():
        rows = {(row["repository"], row["file"]): row for row in json.loads(args.json.read_text())["rows"]}
    for source in SOURCES:
        folder = args.folder / source.repository.replace("/", "+")
        for file in sorted(folder.glob(source.files)):
            name = file.relative_to(folder).as_posix()
            found = check(file)
            form = {"format": found.pop("format"), "exporter": source.exporter, "file": name}
            row = form | {"repository": source.repository, "licence": source.licence} | found
            row["mended"] = source.mended
            rows[source.repository, name] = row
            print(row["exporter"], name, row["largest_deviation_mm"], row["outcome"][:100])
    if args.json:
        from trainer.results import write_results

        write_results(
            args.json, sorted(rows.values(), key=lambda row: (row["format"], row["exporter"], row["file"]))
        )


if __name__ == "__main__":
    main()
