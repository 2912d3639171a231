"""Protocols by name: their rows, their scores by closed form and naive twin, and the published numbers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from posedata.scoring.metrics import pa_mpjpe_mm
from posedata.scoring.protocols import (
    PROTOCOLS,
    THREEDPW_14,
    HitProtocol,
    PoseProtocol,
    Selection,
    get_protocol,
)
from posedata.scoring.published import published_table, published_tables, published_values
from posedata.skeleton import SKELETONS
from posedata.store import PoseStore, write_store
from posedata.views import RIGS, add_views
from posedata.views.noise import DetectorNoise

H36M = SKELETONS["h36m17"]
ITOP = Path(__file__).resolve().parents[3] / "../shared/data/itop"


def poses(count: int, seed: int = 0, joints: int = 17) -> torch.Tensor:
    return torch.randn(count, joints, 3, generator=torch.Generator().manual_seed(seed)) * 0.3


def pose_protocol(name: str) -> PoseProtocol:
    protocol = get_protocol(name)
    assert isinstance(protocol, PoseProtocol)
    return protocol


def store(folder: Path, subjects: list[str], **meta: Any) -> PoseStore:
    """Two frames of each subject, a sequence named after each."""
    index = np.repeat(np.arange(len(subjects)), 2)
    columns = {"joints": np.zeros((len(index), 17, 3)), "subject": index, "sequence": index}
    known = {"skeleton": "h36m17", "fps": 50, "source": "test", "licence": "none", "subjects": subjects}
    known["sequences"] = [f"test {name}" if name.islower() else name for name in subjects]
    return PoseStore.open(write_store(folder / "store", columns, known | meta))


def test_human36m_is_split_by_its_subjects(tmp_path: Path) -> None:
    opened = store(tmp_path, ["S1", "S11", "S5", "S9"], format="h36m")
    protocol = get_protocol("h36m-p1")
    split = protocol.split(opened)
    assert (split["train"].tolist(), split["test"].tolist()) == ([0, 1, 4, 5], [2, 3, 6, 7])
    assert protocol.applies_to(opened)
    assert not get_protocol("3dhp-pck-auc").applies_to(opened)
    with pytest.raises(ValueError, match="has no row of 3dhp-pck-auc's test part; prepare mpi_inf_3dhp"):
        get_protocol("3dhp-pck-auc").split(opened)


def test_selections_join_their_conditions(tmp_path: Path) -> None:
    opened = store(tmp_path, ["ann", "bob", "CEM"], split={"test": ["bob", "CEM"]})
    assert Selection().rows(opened).tolist() == [0, 1, 2, 3, 4, 5]
    assert Selection(part="test").rows(opened).tolist() == [2, 3, 4, 5]
    assert Selection(part="test", sequence_starts=("test",)).rows(opened).tolist() == [2, 3]
    assert Selection(subjects=("CEM", "dan")).rows(opened).tolist() == [4, 5]
    assert Selection(part="validation").rows(opened).tolist() == []


def test_protocol_1_is_relative_to_the_pelvis_and_averaged_twice() -> None:
    true = poses(4)
    away = torch.tensor([0.01, 0.01, 0.01, 0.05])  # metres along x of every joint but the pelvis
    predicted = true + 7.0  # where the person stands does not count
    predicted[:, 1:, 0] += away[:, None]
    actions = ["Walking", "Walking", "Walking", "Sitting"]
    found = pose_protocol("h36m-p1").score(predicted, true, H36M, groups={"action": actions})
    assert found["frames"] == 4
    assert found["mpjpe_mm"] == pytest.approx(16 / 17 * 20, rel=1e-4)
    assert found["mpjpe_mm_by_action"] == pytest.approx({"Walking": 160 / 17, "Sitting": 800 / 17}, rel=1e-4)
    assert found["mpjpe_mm_mean_of_actions"] == pytest.approx(16 / 17 * 30, rel=1e-4)


def test_protocol_2_forgives_a_similarity() -> None:
    true = poses(3)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    score = pose_protocol("h36m-p2").score(0.5 * true @ turn.T + 1.0, true, H36M)
    assert score["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert set(score) == {"frames", "pa_mpjpe_mm"}  # no actions were given


def test_joints_of_two_skeletons_are_matched_by_name() -> None:
    smpl = SKELETONS["smpl24"]
    true, predicted = poses(5, 1, 24), poses(5, 2)
    found = pose_protocol("3dpw-pa").score(predicted, true, H36M, true_skeleton=smpl)
    ours = predicted[:, [H36M.index(name) for name in THREEDPW_14]]
    theirs = true[:, [smpl.index(name) for name in THREEDPW_14]]
    assert found["pa_mpjpe_mm"] == pytest.approx(float(pa_mpjpe_mm(ours, theirs).mean()), rel=1e-5)


def test_3dhp_counts_joints_within_15_cm() -> None:
    true = torch.zeros(2, 17, 3)
    predicted = true.clone()
    predicted[0, H36M.index("left_wrist")] = torch.tensor([0.2, 0, 0])
    predicted[1, H36M.index("spine"), 2] = 1.0  # not among the fourteen
    found = pose_protocol("3dhp-pck-auc").score(predicted, true, H36M)
    assert found["pck_percent"] == pytest.approx(100 * 27 / 28)
    # at threshold 0 nothing is strictly nearer; 30 of 31 thresholds count the 27 exact joints
    assert found["auc_percent"] == pytest.approx(100 * 27 / 28 * 30 / 31)
    assert found["mpjpe_mm"] == pytest.approx(200 / 28)


def test_frames_without_a_valid_joint_are_left_out() -> None:
    true, valid = poses(3), torch.ones(3, 17, dtype=torch.bool)
    valid[1] = False
    valid[2, 3] = False
    predicted = true.clone()
    predicted[1] += 5
    predicted[2, 3] += 5
    found = pose_protocol("h36m-p1").score(predicted, true, H36M, valid=valid)
    assert (found["frames"], found["mpjpe_mm"]) == (2, 0)


@pytest.mark.skipif(not ITOP.is_dir(), reason="needs ../shared/data")
def test_itop_map_is_the_papers_number_on_the_papers_predictions() -> None:
    io = pytest.importorskip("scipy.io")
    true = torch.from_numpy(io.loadmat(ITOP / "itop_side_keypoints3D_test.mat")["keypoints3D"].astype(float))
    uvz = torch.from_numpy(io.loadmat(ITOP / "a2j_side_predictions.mat")["resultUVD"].astype(float))
    u, v, z = uvz.unbind(-1)
    predicted = torch.stack([(u - 160) * 0.0035 * z, (120 - v) * 0.0035 * z, z], dim=-1)
    found = pose_protocol("itop-map").score(predicted, true, SKELETONS["itop15"])
    assert found["map_percent"] == pytest.approx(88.0184, abs=1e-4)
    joints = found["map_percent_by_joint"]
    assert joints["head_centre"] == pytest.approx(98.54, abs=0.05)  # published by joint
    assert (joints["left_hand"] + joints["right_hand"]) / 2 == pytest.approx(68.35, abs=0.05)


def hit_protocol(name: str) -> HitProtocol:
    protocol = get_protocol(name)
    assert isinstance(protocol, HitProtocol)
    return protocol


def test_hits_agree_with_a_naive_twin() -> None:
    generator = torch.Generator().manual_seed(3)
    protocol = hit_protocol("prvipe-hit")
    embeddings = torch.randn(30, 3, 4, generator=generator)
    hits = torch.rand(30, 30, generator=generator) < 0.1
    found = protocol.score(embeddings, hits)
    for k in protocol.ks:
        total, count = 0, 0
        for a in range(3):
            for b in range(3):
                if a != b:
                    for i in range(30):
                        distance = [
                            math.dist(embeddings[i, a].tolist(), embeddings[j, b].tolist()) for j in range(30)
                        ]
                        near = sorted(range(30), key=lambda j: distance[j])[:k]
                        total, count = total + any(bool(hits[i, j]) for j in near), count + 1
        assert found[f"hit{k}"] == pytest.approx(100 * total / count)


def test_hits_are_poses_within_a_tenth_of_a_torso() -> None:
    protocol = hit_protocol("prvipe-hit")
    pose = poses(1)
    torso = float((pose[0, 7] - pose[0, 0]).norm() + (pose[0, 8] - pose[0, 7]).norm())
    near, far = pose.clone(), pose.clone()
    near[0, H36M.index("left_wrist"), 0] += 17 * 0.05 * torso
    far[0, H36M.index("left_wrist"), 0] += 17 * 1.0 * torso
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    everything = torch.cat([pose, near, far, 3 * pose @ turn.T])
    hits = protocol.hits(everything, H36M)
    assert hits[0].tolist() == [True, True, False, True]
    assert protocol.subset(everything, H36M).tolist() == [0, 1, 2]  # the fourth is the first again


def test_unseen_pairs_one_chest_camera_with_another() -> None:
    protocol = hit_protocol("prvipe-hit-3dhp")
    names = [str(i) for i in range(14)]
    assert len(protocol.pairs(names)) == 11 * 10  # the ceiling is left out
    unseen = protocol.pairs(names, unseen=True)
    assert len(unseen) == 2 * 5 * 6
    assert (0, 1) in unseen
    assert (0, 2) not in unseen
    with pytest.raises(ValueError, match="no pair of cameras"):
        protocol.score(torch.zeros(3, 1, 2), torch.eye(3, dtype=torch.bool))


PUBLISHED = [
    ("unihpr/lifting", {"method": "UniHPR"}, "h36m_mpjpe_mm", 52.6),
    ("unihpr/image", {"method": "UniHPR-w48"}, "h36m_pa_mpjpe_mm", 35.7),
    ("unihpr/pose-retrieval", {"retrieval": "2d_to_3d"}, "h36m_retrieval_mpjpe_mm", 9.2),
    ("unihpe/keypoints", {"method": "UniHPE-w32"}, "h36m_epe_px", 7.18),
    ("vvipe/hit", {"method": "V-VIPE", "input": "true 2D"}, "3dhp_unseen_hit10", 77.9),
    ("unipose/itop", {"method": "A2J"}, "itop_side_map", 88.0),
    ("a2j_transformer/interhand", {"method": "A2J-Transformer"}, "interhand_all_mpjpe_mm", 9.63),
]


@pytest.mark.parametrize(("table", "where", "column", "value"), PUBLISHED)
def test_published_numbers(table: str, where: dict[str, str], column: str, value: float) -> None:
    rows = published_table(table).rows
    (row,) = [row for row in rows if where.items() <= row.items()]
    assert row[column] == value


def test_every_published_table_names_its_source() -> None:
    for name, table in published_tables().items():
        assert table.source.startswith(table.paper), name
        assert table.what
        assert table.rows
    with pytest.raises(ValueError, match="published table 'unihpr/lift' is not known; did you mean"):
        published_table("unihpr/lift")


def test_every_column_of_a_protocol_is_published_by_somebody() -> None:
    for protocol in PROTOCOLS.values():
        for column in protocol.columns.values():
            assert published_values([column]), (protocol.name, column)


def test_ours_stand_above_the_published_ones() -> None:
    rows = get_protocol("h36m-p1").beside({"image": {"mpjpe_mm": 61.5}})
    assert rows[0] == {"method": "image", "input": "", "source": "this run", "mpjpe_mm": 61.5}
    ours = [row for row in rows if row["method"] == "UniHPR-w48"]
    assert [row["mpjpe_mm"] for row in ours] == [49.9]
    assert ours[0]["source"] == "UniHPR, table I"
    methods = [(row["method"], row["input"], row["mpjpe_mm"]) for row in rows]
    assert len(set(methods)) == len(methods)  # CLIFF stands in two papers and is told once


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"protocol 'h36m-p3' is not known; did you mean 'h36m-p2'\?"):
        get_protocol("h36m-p3")


def test_a_stores_rows_are_scored_in_their_cameras_frames_by_their_names(tmp_path: Path) -> None:
    """Two poses by two cameras each, predicted in the camera's frame with all joints but the pelvis away."""
    joints = poses(2).numpy()
    columns = {
        "joints": joints,
        "subject": np.zeros(2, np.int32),
        "action": np.array([0, 1], np.int32),
    }
    meta = {"skeleton": "h36m17", "fps": 50, "source": "test", "licence": "none", "subjects": ["S9"]}
    meta["actions"] = ["Walking", "Sitting"]
    folder = write_store(tmp_path / "poses", columns, meta)
    seen = PoseStore.open(add_views(folder, tmp_path / "views", RIGS["h36m"], 2, DetectorNoise(), 0))
    rows = np.array([3, 0, 1])
    own = torch.from_numpy(np.array(seen.column("joints")[rows]))
    predicted = seen.camera(rows).world_to_camera(own)
    predicted[:, 1:, 2] += torch.tensor([0.05, 0.01, 0.02])[:, None]
    found = pose_protocol("h36m-p1").score_rows(predicted, H36M, seen, rows)
    assert found["mpjpe_mm"] == pytest.approx(16 / 17 * 80 / 3, rel=1e-4)
    assert found["mpjpe_mm_by_action"] == pytest.approx({"Walking": 240 / 17, "Sitting": 800 / 17}, rel=1e-4)
