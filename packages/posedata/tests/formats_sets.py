"""Makes a small data set of every format, for damaging: `SETS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import formats_detections
import formats_h36m
import formats_photo
import formats_rgbd
import marker_files
import numpy as np
from test_readers_interhand import write_interhand


class DataSet(NamedTuple):
    """Where to read, the files that are worth damaging, and the format's options."""

    source: Path
    files: list[Path]
    options: Mapping[str, Any] = MappingProxyType({})


BVH = """HIERARCHY
ROOT Hips
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
%s}
MOTION
Frames: 3
Frame Time: 0.0333333
%s
"""
_BVH_CHAINS = {
    "0 20 0": "Spine Spine1 Neck1 Head",
    "-10 0 0": "RightUpLeg RightLeg RightFoot",
    "10 0 0": "LeftUpLeg LeftLeg LeftFoot",
    "15 60 0": "LeftArm LeftForeArm LeftHand",
    "-15 60 0": "RightArm RightForeArm RightHand",
}


def write_bvh(folder: Path) -> DataSet:
    """A figure with the node names that the reader knows, three frames."""
    tree, count = "", 6
    for offset, chain in _BVH_CHAINS.items():
        names, step = chain.split(), "0 20 0" if "Spine" in chain else "0 -42 0"
        for i, name in enumerate(names):
            tree += f"JOINT {name}\n{{\nOFFSET {offset if i == 0 else step}\n"
            tree += "CHANNELS 3 Zrotation Xrotation Yrotation\n"
            count += 3
        tree += f"End Site\n{{\nOFFSET {step}\n}}\n" + "}\n" * len(names)
    rows = [" ".join(f"{np.sin(i * j):.3f}" for j in range(count)) for i in range(3)]
    path = folder / "07_01.bvh"
    path.write_text(BVH % (tree, "\n".join(rows)))
    return DataSet(folder, [path])


def write_asf_amc(folder: Path) -> DataSet:
    """A skeleton with CMU's bones, and a motion of two frames."""
    chains = (
        "root lowerback upperback thorax lowerneck upperneck head",
        "thorax lclavicle lhumerus lradius lwrist",
        "thorax rclavicle rhumerus rradius rwrist",
        "root lhipjoint lfemur ltibia lfoot",
        "root rhipjoint rfemur rtibia rfoot",
    )
    bones = [bone for chain in chains for bone in chain.split()[1:]]
    data = "".join(
        f"  begin\n     id {i + 1}\n     name {bone}\n     direction 0.1 {-1 if 'f' in bone else 1} 0\n"
        f"     length {3 + i % 5}\n     axis {i} 0 {-i} XYZ\n     dof rx ry rz\n  end\n"
        for i, bone in enumerate(bones)
    )
    tree = "".join(
        f"    {a} {b}\n" for chain in chains for a, b in zip(chain.split(), chain.split()[1:], strict=False)
    )
    head = ":version 1.10\n:units\n  mass 1.0\n  length 0.45\n  angle deg\n:root\n  order TX TY TZ RX RY RZ\n"
    skeleton, motion = folder / "07.asf", folder / "07_01-walk.amc"
    skeleton.write_text(
        f"{head}  axis XYZ\n  position 0 0 0\n:bonedata\n{data}:hierarchy\n  begin\n{tree}  end\n"
    )
    frames = [
        f"{n}\nroot 1 17 2 0 {n} 0\n" + "".join(f"{bone} {i} {n} {-i}\n" for i, bone in enumerate(bones))
        for n in (1, 2)
    ]
    motion.write_text("#!OML:ASF F\n:FULLY-SPECIFIED\n:DEGREES\n" + "".join(frames))
    return DataSet(folder, [skeleton, motion])


_MARKED = ["HJC", "KJC", "AJC", "SJC", "EJC", "WJC"]


def _centres() -> tuple[list[str], np.ndarray]:
    """Joint centres of a figure in metres, three frames."""
    labels = [*(side + part for side in "LR" for part in _MARKED), "Neck", "Head"]
    heights = [0.9, 0.5, 0.1, 1.4, 1.1, 0.8]
    places = [(0.1 * sign, 0.0, z) for sign in (1, -1) for z in heights] + [(0, 0, 1.5), (0, 0, 1.7)]
    return labels, np.array([places] * 3) + np.arange(3)[:, None, None] * 0.01


def write_c3d(folder: Path) -> DataSet:
    labels, places = _centres()
    return DataSet(folder, [marker_files.write_c3d(folder / "07_01.c3d", labels, places * 1000)])


def write_trc(folder: Path) -> DataSet:
    labels, places = _centres()
    return DataSet(folder, [marker_files.write_trc(folder / "07_01.trc", labels, places)])


def write_joints(folder: Path) -> DataSet:
    arrays = {
        "joints": np.random.default_rng(0).normal(size=(6, 17, 3)).astype(np.float32),
        "seq": np.array([0, 0, 0, 0, 1, 1]),
        "subject": np.zeros(6, np.int16),
        "action": np.zeros(6, np.int16),
        "seq_names": np.array(["a", "b"]),
        "subject_names": np.array(["ann"]),
        "action_names": np.array(["walk"]),
        "fps": np.float64(30),
    }
    path = folder / "joints.npz"
    np.savez_compressed(path, **arrays)
    return DataSet(path, [path])


def write_h36m(folder: Path) -> DataSet:
    writer = formats_h36m.H36mWriter(folder)
    writer.metadata()
    world = writer.poses(3)
    place = folder / "S1" / "MyPoseFeatures"
    files = [place / "D3_Positions" / "Walking 1.cdf", place / "D2_Positions" / "Walking 1.54138969.cdf"]
    formats_h36m.write_cdf(files[0], world.reshape(3, 96))
    formats_h36m.write_cdf(files[1], writer.project(world, 1, "54138969").reshape(3, 64), Compressed=6)
    return DataSet(folder, [*files, folder / "metadata.xml"], {"cameras": "54138969"})


def write_h36m_npz(folder: Path) -> DataSet:
    rng = np.random.default_rng(3)
    poses, seen = rng.normal(size=(3, 32, 3)), [rng.uniform(0, 900, (3, 17, 2))]
    files = [folder / "data_3d_h36m.npz", folder / "data_2d_h36m_cpn.npz", folder / "cameras.json"]
    np.savez(files[0], positions_3d=np.array({"S9": {"Walking 1": poses}}, dtype=object))
    np.savez(
        files[1], positions_2d=np.array({"S9": {"Walking 1": seen}}, dtype=object), metadata=np.array({})
    )
    camera = {
        "orientation": [1.0, 0, 0, 0],
        "translation": [0.0, 0, -5000],
        "focal_length": [1000.0, 1000],
        "center": [500.0, 500],
        "radial_distortion": [0.0, 0, 0],
        "tangential_distortion": [0.0, 0],
        "res_w": 1000,
        "res_h": 1000,
    }
    files[2].write_text(json.dumps({"S9": [camera]}))
    return DataSet(files[0], files, {"cameras": files[2], "keypoints": files[1]})


def write_mpi_inf_3dhp(folder: Path) -> DataSet:
    rng = np.random.default_rng(2)
    world = rng.normal(size=(2, 28, 3)) * 300 + [0, 1000, 0]
    cameras = formats_photo.hp_cameras(rng)
    formats_photo.write_hp_training(folder, "S2", "Seq1", world, cameras)
    formats_photo.write_hp_training(folder, "S3", "Seq1", world, cameras, do_compression=False)
    local = rng.normal(size=(4, 17, 3)) * 400 + [0, 0, 3500]
    lens = np.array([[1683.5, 0, 939.9], [0, 1672.0, 560.2], [0, 0, 1]])
    formats_photo.write_hp_test(folder, "TS5", local, lens, np.array([0, 1, 1, 1]), np.array([1, 1, 1, 2]))
    files = [
        folder / "S2/Seq1/annot.mat",
        folder / "S3/Seq1/annot.mat",
        folder / "S2/Seq1/camera.calibration",
        folder / "TS5/annot_data.mat",
        folder / "TS5/annot_data.mat",
    ]
    return DataSet(folder, files, {"cameras": "0,13"})


def write_3dpw(folder: Path) -> DataSet:
    data = formats_photo.tdpw_sequence(np.random.default_rng(4), frames=3)
    return DataSet(folder, [formats_photo.write_tdpw(folder, "test", "downtown_walking_00", data)])


def write_coco(folder: Path) -> DataSet:
    data = formats_photo.coco_annotations(np.random.default_rng(6), images=1)
    return DataSet(folder, [formats_photo.write_coco(folder, "val2017", data)])


def write_amass(folder: Path) -> DataSet:
    rng = np.random.default_rng(8)
    model, motion = folder / "model.npz", folder / "raw" / "07_01_poses.npz"
    motion.parent.mkdir()
    np.savez_compressed(model, **formats_photo.smplh_model(rng, vertices=20))
    np.savez(motion, **formats_photo.amass_motion(rng, frames=2))
    return DataSet(motion.parent, [motion, model], {"model": model})


def write_hands(folder: Path) -> DataSet:
    write_interhand(folder)
    files = sorted((folder / "annotations").rglob("*.json")) + sorted((folder / "images").rglob("*.jpg"))[:1]
    return DataSet(folder, files, {"size": "8x8"})


def write_openpose(folder: Path) -> DataSet:
    seen = formats_detections.people(np.random.default_rng(9), 3, 25)
    frames = {i: [person] for i, person in enumerate(seen)}
    return DataSet(folder, formats_detections.write_openpose(folder, frames), {"rate": 30.0})


def write_alphapose(folder: Path) -> DataSet:
    seen = formats_detections.people(np.random.default_rng(9), 3, 17)
    entries = [formats_detections.alphapose_entry(f"{i}.jpg", person, idx=1) for i, person in enumerate(seen)]
    file = formats_detections.write(folder / "alphapose-results.json", entries)
    return DataSet(folder, [file], {"rate": 30.0})


def write_mmpose(folder: Path) -> DataSet:
    seen = formats_detections.people(np.random.default_rng(9), 2, 17)
    frames = [
        {"frame_id": i, "instances": [formats_detections.mmpose_instance(p)]} for i, p in enumerate(seen)
    ]
    meta = formats_detections.mmpose_meta(formats_detections.COCO_17)
    file = formats_detections.write(folder / "results_a.json", {"meta_info": meta, "instance_info": frames})
    return DataSet(folder, [file], {"rate": 30.0})


def write_coco_results(folder: Path) -> DataSet:
    seen = formats_detections.people(np.random.default_rng(9), 2, 17)
    entries = [formats_detections.alphapose_entry(i, person) for i, person in enumerate(seen)]
    return DataSet(folder, [formats_detections.write(folder / "results.json", entries)])


def _depth(name: str, **options: Any) -> Callable[[Path], DataSet]:
    def write(folder: Path) -> DataSet:
        return DataSet(folder, formats_rgbd.WRITERS[name](folder), options)

    return write


SETS: dict[str, Callable[[Path], DataSet]] = {
    "joints": write_joints,
    "bvh": write_bvh,
    "asf_amc": write_asf_amc,
    "c3d": write_c3d,
    "trc": write_trc,
    "h36m": write_h36m,
    "h36m_npz": write_h36m_npz,
    "mpi_inf_3dhp": write_mpi_inf_3dhp,
    "3dpw": write_3dpw,
    "coco": write_coco,
    "coco_results": write_coco_results,
    "openpose": write_openpose,
    "alphapose": write_alphapose,
    "mmpose": write_mmpose,
    "amass": write_amass,
    "interhand": write_hands,
    "itop": lambda folder: DataSet(
        folder, formats_rgbd.write_itop(folder, frames=formats_rgbd.itop_frames(1)), {"size": "16x16"}
    ),
    "ntu": _depth("ntu", size="16x16"),
    "panoptic": _depth("panoptic", size="16x16"),
    "rgbd": _depth("rgbd", size="16x16"),
}
