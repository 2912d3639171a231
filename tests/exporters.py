"""Tries real files of many exporters: `python tests/exporters.py FOLDER --json docs/results/exporters.json`.

FOLDER holds copies of the repositories in `SOURCES` as OWNER+NAME, at the newest commit or the one named.
Each file is read as `posedata prepare` does and compared with a naive reader of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/posedata/tests"))


class Source(NamedTuple):
    """Files of a repository, what exported them, its licence, what of ours they mended.

    `files` are globs within the repository, with spaces between; `form` is the format, where the extension
    does not tell it; `commit` is one that has the files, where the newest no longer does.
    """

    repository: str
    files: str
    exporter: str
    licence: str
    mended: str = ""
    form: str = ""
    commit: str = ""


def _samples(names: str) -> str:
    return " ".join(f"tests/data/*/test_{name}.json" for name in names.split())


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
    Source(
        "AnyBody/ammr",
        "**/BVH_NeuronMoCap/**/*.bvh",
        "Perception Neuron",
        "AMMR licence",
        commit="50c516f85e80",
    ),
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
    Source(
        "perfanalytics/pose2sim",
        "Pose2Sim/S00*/**/*_0-1??.trc",
        "Pose2Sim",
        "BSD-3-Clause",
        commit="a948c205cfe4",
    ),
    Source("nghorbani/amass", "**/amass_sample.npz", "AMASS (MoSh++)", "AMASS, non-commercial"),
    Source("trettenbrein/OpenPoseR", "demo/data/*", "OpenPose (BODY_25)", "GPL-3.0", form="openpose"),
    Source(
        "Ekskie/arnis-trainer",
        "alphapose-results.json",
        "AlphaPose (COCO-17, tracked)",
        "none stated",
        form="alphapose",
    ),
    Source(
        "MVIG-SJTU/AlphaPose",
        "trackers/PoseFlow/alpha-pose-results-sample.json",
        "AlphaPose (an abridged sample)",
        "AlphaPose, non-commercial",
        form="alphapose",
    ),
    Source(
        "eloisesallet/projet-midl-2",
        "vis_results/predictions/*.json",
        "MMPose 1.x inferencer",
        "none stated",
        form="mmpose",
    ),
    Source(
        "cocodataset/cocoapi",
        "results/person_keypoints_*.json",
        "pycocotools' example",
        "BSD-2-Clause",
        form="coco_results",
    ),
    Source(
        "546-final/mmpose",
        _samples("coco coco_wholebody halpe ochuman aic crowdpose exlpose jhmdb_sub1 mhp mpii_trb")
        + " tests/data/posetrack18/annotations/test_posetrack18_val.json",
        "MMPose's samples of people",
        "Apache-2.0",
        form="coco",
    ),
    Source(
        "546-final/mmpose",
        _samples("humanart"),
        "MMPose's samples of people",
        "Apache-2.0",
        "refused: 21 names for 17 keypoints",
        form="coco",
    ),
    Source(
        "546-final/mmpose",
        _samples("animalkingdom animalpose ap10k atrw horse10 macaque zebra fly locust 300w wflw rhd fld"),
        "MMPose's samples of animals, faces, hands and clothes",
        "Apache-2.0",
        form="coco",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the repositories lie, as OWNER+NAME")
    parser.add_argument("--json", type=Path, help="write the results there")
    args = parser.parse_args()
    rows = [row for source in SOURCES for row in tried(source, args.folder)]
    if args.json:
        from posedata.results import write_results

        write_results(args.json, sorted(rows, key=lambda row: (row["format"], row["exporter"], row["file"])))


def tried(source: Source, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each file; ends the command where the folder has none of them, so that no row is lost."""
    import exporters_check
    import exporters_keypoints

    top = folder / source.repository.replace("/", "+")
    files = sorted(file for glob in source.files.split() for file in top.glob(glob))
    if not files:
        at = f" at {source.commit}" if source.commit else ""
        raise SystemExit(f"{top}: has no {source.files}; copy {source.repository}{at} there")
    for file in files:
        name = file.relative_to(top).as_posix()
        keypoints = source.form in exporters_keypoints.FORMS
        found = exporters_keypoints.check(source.form, file) if keypoints else exporters_check.check(file)
        form = {"format": found.pop("format"), "exporter": source.exporter, "file": name}
        row = form | {"repository": source.repository, "licence": source.licence} | found
        print(row["exporter"], name, found["outcome"][:100])
        yield row | {"mended": source.mended}


if __name__ == "__main__":
    main()
