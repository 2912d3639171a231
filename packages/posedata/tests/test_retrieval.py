"""Scores of a retrieval over all its queries, against counting by hand."""

import pytest
import torch
from posedata.geometry.canonical import torso_length
from posedata.scoring.retrieval import in_words, score_retrieval
from posedata.skeleton import get_skeleton

H36M = get_skeleton("h36m17")


def test_scores_are_those_counted_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    body = torch.randn(4, 17, 3, generator=generator, dtype=torch.float64)
    gallery = torch.cat([body, body[:1] * 2 + 5, body[1:2]])  # row 4: row 0, larger and elsewhere
    gallery[5, 3] += torso_length(body[1:2], H36M)[0] * torch.tensor([0.5, 0, 0])  # about 0.03 torsos a joint
    found = torch.tensor([[4, 1], [5, 0], [3, 2], [0, 3]])
    scores = score_retrieval(body, gallery, found, H36M, ks=(1, 2, 20))
    # 0: the same pose at twice the size hits; 1: one joint off hits; 2: only the second; 3: only the second
    assert scores["queries"] == 4
    assert scores["hit1"] == 50.0
    assert scores["hit2"] == 100.0
    assert "hit20" not in scores
    first = gallery[found[:, 0]]
    apart = ((first - first[:, :1]) - (body - body[:, :1])).norm(dim=-1).mean() * 1000
    assert scores["mpjpe_mm"] == pytest.approx(float(apart))
    assert scores["pa_mpjpe_mm"] < scores["mpjpe_mm"]


def test_what_is_not_known_does_not_count() -> None:
    poses = torch.randn(3, 17, 3, generator=torch.Generator().manual_seed(1))
    queries, gallery = poses.clone(), poses.clone()
    queries[0, 5] = torch.nan
    gallery[1] = torch.nan
    found = torch.tensor([[0], [1], [2]])
    scores = score_retrieval(queries, gallery, found, H36M)
    assert scores["queries"] == 1
    assert scores["hit1"] == 100.0
    assert scores["mpjpe_mm"] == pytest.approx(0, abs=1e-4)
    assert in_words(scores).endswith("of the first over 1 queries; Hit@1 100.0 %")
    nothing = score_retrieval(torch.full_like(poses, torch.nan), gallery, found, H36M)
    assert nothing == {"queries": 0}
    assert "nothing is scored" in in_words(nothing)
