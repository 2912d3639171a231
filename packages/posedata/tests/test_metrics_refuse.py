"""What metrics and protocols refuse or leave out: NaN, unequal shapes, other units, roots that are not known.

Signatures are checked at run time while tests run, which would answer for the code: what is of the wrong
shape or type is tried in one process without that check.
"""

import subprocess
import sys

import pytest
import torch
from posedata import metrics as shorter
from posedata.geometry.align import procrustes, root_relative
from posedata.scoring import metrics
from posedata.scoring.hands import hand_errors
from posedata.scoring.protocols import HitProtocol, PoseProtocol, get_protocol
from posedata.scoring.similar import distinct, within
from posedata.skeleton import SKELETONS

H36M = SKELETONS["h36m17"]
NAN = float("nan")


def test_metrics_are_the_same_by_their_shorter_path() -> None:
    public = {
        name for name, value in vars(metrics).items() if getattr(value, "__module__", "") == metrics.__name__
    }
    assert set(shorter.__all__) == {name for name in public if not name.startswith("_")}
    assert all(getattr(shorter, name) is getattr(metrics, name) for name in shorter.__all__)


def poses(count: int, seed: int = 0, joints: int = 17) -> torch.Tensor:
    return torch.randn(count, joints, 3, generator=torch.Generator().manual_seed(seed)) * 0.3


@pytest.mark.parametrize("side", ["predicted", "true"])
def test_a_nan_that_counts_is_nan_in_every_metric_of_its_pose_alone(side: str) -> None:
    values = {"predicted": poses(3), "true": poses(3, 1)}
    clean = {name: each.clone() for name, each in values.items()}
    values[side][1, 5, 2] = NAN
    flat = {name: each[..., 1:] for name, each in values.items()}
    found = {
        "mpjpe": metrics.mpjpe_mm(**values),
        "pa": metrics.pa_mpjpe_mm(**values),
        "n": metrics.n_mpjpe_mm(**values),
        "pck3d": metrics.pck3d(**values),
        "auc3d": metrics.auc3d(**values),
        "epe": metrics.epe_px(**flat),
        "pck": metrics.pck(**flat, reference=torch.ones(3)),
    }
    for name, each in found.items():
        assert each.isnan().tolist() == [False, True, False], name
    torch.testing.assert_close(found["auc3d"][0], metrics.auc3d(**clean)[0])
    assert metrics.joint_map(**values).isnan()
    valid = torch.ones(3, 17, dtype=torch.bool)
    valid[1, 5] = False
    for metric in (metrics.mpjpe_mm, metrics.pck3d, metrics.auc3d, metrics.joint_map, metrics.pa_mpjpe_mm):
        assert metric(**values, valid=valid).isfinite().all()  # type: ignore[operator]


@pytest.mark.parametrize("metric", [metrics.pck3d, metrics.joint_map])
@pytest.mark.parametrize("threshold", [150.0, 5.1, 0.0, -0.1, NAN])
def test_thresholds_are_metres(metric: object, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold .*: give metres above 0, at most 5") as error:
        metric(poses(2), poses(2), threshold=threshold)  # type: ignore[operator]
    assert ("looks like millimetres" in str(error.value)) == (threshold > 5)


def test_a_share_is_not_percent_and_a_box_without_size_has_no_pck() -> None:
    flat = poses(2)[..., :2]
    with pytest.raises(ValueError, match="threshold 5: give a share of the reference"):
        metrics.pck(flat, flat, torch.ones(2), 5.0)
    found = metrics.pck(flat, flat, torch.tensor([0.0, 1.0]))
    assert (found[0].isnan().item(), found[1].item()) == (True, 1.0)


def test_empty_batches_have_empty_answers() -> None:
    none = poses(0)
    for metric in (metrics.mpjpe_mm, metrics.pa_mpjpe_mm, metrics.n_mpjpe_mm, metrics.pck3d, metrics.auc3d):
        assert metric(none, none).shape == (0,)
    assert metrics.nearest(torch.zeros(0, 4), torch.eye(4), 2).shape == (0, 2)
    with pytest.raises(ValueError, match="there is no hypothesis"):
        metrics.best_of(torch.zeros(0, 3))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_nearest_refuses_what_is_near_to_nothing(distance: str) -> None:
    whole = torch.eye(4)
    broken = whole.clone()
    broken[2, 1] = NAN
    with pytest.raises(ValueError, match="gallery: 1 of 4 embeddings are not finite, first row 2"):
        metrics.nearest(whole, broken, distance=distance)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="queries: 1 of 4 embeddings are not finite, first row 2"):
        metrics.nearest(broken, whole, distance=distance)  # type: ignore[arg-type]
    zero = whole.clone()
    zero[3] = 0
    if distance == "cosine":
        with pytest.raises(ValueError, match="gallery: 1 of 4 embeddings are zero, which have no cosine"):
            metrics.nearest(whole, zero)
    else:
        assert metrics.nearest(torch.zeros(1, 4), zero, distance="euclidean").tolist() == [[3]]


def test_hits_and_retrieval_refuse_poses_of_another_gallery() -> None:
    found = torch.tensor([[0], [4]])
    with pytest.raises(ValueError, match="found names entries 0 to 4, the gallery has 3 poses"):
        metrics.retrieval_mm(found, poses(2), poses(3))
    broken = poses(5)
    broken[4, 3] = NAN
    with pytest.raises(ValueError, match="query 1: its pose, or one found for it, holds NaN"):
        metrics.hit_at_k(found, poses(2), broken, 1)
    with pytest.raises(ValueError, match="threshold 0: give a positive distance"):
        metrics.hit_at_k(found, poses(2), poses(5), 1, threshold=0.0)


@pytest.mark.parametrize("root", [-1, 17, (0, 20)])
def test_a_root_is_a_joint(root: int | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give the index of a joint, 0 to 16"):
        root_relative(poses(2), root)


def test_nothing_is_known_of_an_alignment_without_weight() -> None:
    weights = torch.ones(2, 17)
    weights[1] = 0
    fitted = procrustes(poses(2), poses(2, 1), weights=weights)
    assert [bool(part[1].isnan().all()) for part in fitted] == [True, True, True]
    assert all(bool(part[0].isfinite().all()) for part in fitted)


def test_poses_that_are_not_finite_are_near_to_none() -> None:
    broken = poses(4)
    broken[2, 0, 0] = NAN
    with pytest.raises(ValueError, match="poses: 1 of 4 are not finite, first row 2"):
        distinct(broken)
    with pytest.raises(ValueError, match="threshold -1: give a positive distance"):
        within(poses(2), poses(2), -1.0)


def pose_protocol(name: str = "h36m-p1") -> PoseProtocol:
    protocol = get_protocol(name)
    assert isinstance(protocol, PoseProtocol)
    return protocol


@pytest.mark.parametrize("garbage", [NAN, 42.0])
def test_frames_whose_root_is_not_valid_are_left_out_and_counted(garbage: float) -> None:
    true, valid = poses(4), torch.ones(4, 17, dtype=torch.bool)
    predicted = true.clone()
    predicted[:, 1:, 0] += 0.017
    true[1, H36M.root] = garbage
    valid[1, H36M.root] = False
    found = pose_protocol().score(predicted, true, H36M, valid=valid)
    assert (found["frames"], found["left_out"]) == (3, 1)
    assert found["mpjpe_mm"] == pytest.approx(16.0, rel=1e-4)
    whole = pose_protocol().score(predicted[[0, 2, 3]], true[[0, 2, 3]], H36M)
    assert whole == {"frames": 3, "mpjpe_mm": pytest.approx(16.0, rel=1e-4)}


def test_a_protocol_without_a_root_asks_none() -> None:
    protocol = get_protocol("itop-map")
    assert isinstance(protocol, PoseProtocol)
    skeleton, true = SKELETONS["itop15"], poses(2, joints=15)
    valid = torch.ones(2, 15, dtype=torch.bool)
    valid[0, skeleton.root] = False
    found = protocol.score(true, true, skeleton, valid=valid)
    assert (found["frames"], found["map_percent"]) == (2, 100.0)


def test_protocols_name_frame_and_joint_of_what_is_not_finite() -> None:
    broken = poses(3)
    broken[1, H36M.index("left_knee")] = NAN
    with pytest.raises(ValueError, match="true: 1 joints are not finite, first left_knee of frame 1; mark"):
        pose_protocol().score(poses(3), broken, H36M)
    with pytest.raises(ValueError, match="predicted: 1 joints are not finite, first left_knee of frame 1"):
        pose_protocol().score(broken, poses(3), H36M)
    with pytest.raises(ValueError, match="none of 3 frames has a valid joint and a valid pelvis"):
        pose_protocol().score(poses(3), poses(3), H36M, valid=torch.zeros(3, 17, dtype=torch.bool))
    with pytest.raises(ValueError, match="groups: action names 2 frames of 3"):
        pose_protocol().score(poses(3), poses(3), H36M, groups={"action": ["a", "b"]})


def test_a_k_beyond_the_gallery_has_no_score_and_is_told() -> None:
    protocol = get_protocol("prvipe-hit")
    assert isinstance(protocol, HitProtocol)
    embeddings = torch.randn(12, 2, 4, generator=torch.Generator().manual_seed(0))
    hits = torch.eye(12, dtype=torch.bool)
    found = protocol.score(embeddings, hits)
    assert set(found) == {"hit1", "hit10", "left_out"}
    assert found["left_out"] == {"hit20": "the gallery has 12 poses"}
    assert found["hit10"] < 100
    with pytest.raises(ValueError, match="0 poses are fewer than k=1"):
        protocol.score(embeddings[:0], hits[:0, :0])
    broken = embeddings.clone()
    broken[3, 0] = NAN
    with pytest.raises(ValueError, match="queries: 1 of 12 embeddings are not finite, first row 3"):
        protocol.score(broken, hits)


def test_hands_name_scene_and_joint_of_what_is_not_finite() -> None:
    true, valid = poses(2, joints=42), torch.ones(2, 42, dtype=torch.bool)
    broken = true.clone()
    broken[1, 3] = NAN
    both = torch.tensor([True, False])
    with pytest.raises(ValueError, match="true: 1 joints are not finite, first right_thumb1 of frame 1"):
        hand_errors(true, broken, valid, both)
    with pytest.raises(ValueError, match="predicted: 1 joints are not finite, first right_thumb1 of frame 1"):
        hand_errors(broken, true, valid, both)
    valid[1, 3] = False
    assert hand_errors(true, broken, valid, both)["all_mpjpe_mm"] == 0


UNCHECKED = """
import numpy as np, torch
from posedata.scoring import metrics as m
from posedata.geometry.align import kabsch, procrustes
from posedata.scoring.protocols import get_protocol
from posedata.skeleton import SKELETONS
from posedata.scoring.similar import pose_distances
one, two, few, bare = torch.zeros(1, 17, 3), torch.zeros(2, 17, 3), torch.zeros(2, 16, 3), torch.zeros(17, 3)
h36m, ok = SKELETONS["h36m17"], torch.ones(2, 17, dtype=torch.bool)
score = get_protocol("h36m-p1").score
for call in (
    lambda: m.mpjpe_mm(one, two), lambda: m.mpjpe_mm(two, bare), lambda: m.pa_mpjpe_mm(two, one),
    lambda: m.n_mpjpe_mm(one, two), lambda: m.per_joint_mm(two, few), lambda: m.pck3d(one, two),
    lambda: m.auc3d(one, two), lambda: m.joint_map(one, two), lambda: m.epe_px(one[..., :2], two[..., :2]),
    lambda: m.mpjpe_mm(two, two, ok[:1]), lambda: m.pck(two[..., :2], two[..., :2], torch.ones(1)),
    lambda: m.mpjpe_mm(two.numpy(), two), lambda: m.pck3d(two, two.long()),
    lambda: m.mpjpe_mm(two, two, ok.int()), lambda: m.nearest(torch.ones(2, 3), torch.ones(2, 4)),
    lambda: m.nearest(np.ones((2, 3)), torch.ones(2, 3)),
    lambda: m.top_k(torch.zeros(2, 1), torch.zeros(3), 1),
    lambda: m.nearest(torch.ones(2, 3), torch.ones(2, 3), exclude=torch.zeros(1, 2, dtype=torch.bool)),
    lambda: m.retrieval_mm(torch.zeros(2, 1).long(), one, two),
    lambda: kabsch(two, few), lambda: procrustes(two[:, :0], two[:, :0]),
    lambda: procrustes(two, two, weights=torch.ones(2, 16)), lambda: pose_distances(two, few),
    lambda: score(one, two, h36m), lambda: score(few, two, h36m), lambda: score(two, two, h36m, valid=ok[:1]),
):
    try:
        print("taken:", call())
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)
"""
SAID = """
ValueError predicted has shape (1, 17, 3), true (2, 17, 3)
ValueError predicted has shape (2, 17, 3), true (17, 3)
ValueError predicted has shape (2, 17, 3), true (1, 17, 3)
ValueError predicted has shape (1, 17, 3), true (2, 17, 3)
ValueError predicted has shape (2, 17, 3), true (2, 16, 3)
ValueError predicted has shape (1, 17, 3), true (2, 17, 3)
ValueError predicted has shape (1, 17, 3), true (2, 17, 3)
ValueError predicted has shape (1, 17, 3), true (2, 17, 3)
ValueError predicted has shape (1, 17, 2), true (2, 17, 2)
ValueError valid has shape (1, 17), (2, 17) are due: one a joint
ValueError reference has shape (1,), (2,) are due: a length a pose
TypeError predicted is a numpy.ndarray; give a tensor of floats
TypeError true is a tensor of int64; give a tensor of floats
TypeError valid is a tensor of int32; give a bool tensor
ValueError queries have 3 numbers each, the gallery's 4
TypeError queries is a numpy.ndarray; give a tensor of floats
ValueError truth has 3 entries for 2 queries
ValueError exclude has shape (1, 2), (2, 2) are due
ValueError found has 2 rows for 1 query poses
ValueError source has 17 points, target 16
ValueError source has 0 points, target 0
ValueError weights are of 16 points, there are 17
ValueError poses have 17 joints, the others 16
ValueError predicted has shape (1, 17, 3), (2, 17, 3) are due: 2 true poses of h36m17
ValueError predicted has shape (2, 16, 3), (2, 17, 3) are due: 2 true poses of h36m17
ValueError valid has shape (1, 17), (2, 17) are due: 2 true poses of h36m17
"""


def test_unequal_shapes_and_what_is_no_tensor_of_floats_are_refused_by_name() -> None:
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True, check=True)
    for said, wanted in zip(done.stdout.splitlines(), SAID.strip().splitlines(), strict=True):
        assert said.startswith(wanted)
