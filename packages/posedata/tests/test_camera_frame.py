"""What is measured where some true joints are not known."""

import torch
from posedata.scoring.camera_frame import errors
from posedata.skeleton import get_skeleton

ITOP = get_skeleton("itop15")


def test_joints_without_a_truth_do_not_count() -> None:
    """Off by 50 mm and by 300 mm; one joint, one root and one whole pose of the truth are not known."""
    truth = torch.randn(4, 15, 3, generator=torch.Generator().manual_seed(0))
    said = truth + torch.tensor([0.05, 0, 0])
    said[1] = truth[1] + torch.tensor([0, 0.3, 0])
    root, hand = ITOP.root, ITOP.index("left_hand")
    said[0, hand] += torch.tensor([9.0, 9, 9])
    truth[0, hand] = torch.nan
    truth[1, root] = torch.nan
    truth[3] = torch.nan
    found = errors(said, truth, ITOP)
    assert abs(found["mpjpe_mm"] - (50 + 300 + 50) / 3) < 1e-3
    assert abs(found["map"] - 100 * (14 + 15) / (14 + 14 + 15)) < 1e-9
    assert found["relative_mpjpe_mm"] < 1e-3  # all of the second pose hangs on a root that is not known
    assert found["relative_map"] == 100


def test_a_prediction_that_is_no_number_is_not_hidden() -> None:
    truth = torch.zeros(2, 15, 3)
    said = truth.clone()
    said[1, 3] = torch.nan
    assert errors(said, truth, ITOP)["mpjpe_mm"] != errors(said, truth, ITOP)["mpjpe_mm"]
