"""Alignment: what weights do, and what is kept of the points' own precision."""

import torch
from posedata.geometry.align import align, kabsch, procrustes, root_relative


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_weights_of_every_function_are_repetitions() -> None:
    source, target = points(5, 7, 3), points(5, 7, 3, seed=1)
    counts = torch.tensor([1, 3, 0, 2, 1, 4, 1])
    rows = torch.repeat_interleave(torch.arange(7), counts)
    weights = counts.double().expand(5, 7)
    many, goals = source[:, rows], target[:, rows]
    torch.testing.assert_close(kabsch(source, target, weights), kabsch(many, goals))
    assert not torch.allclose(kabsch(source, target, weights), kabsch(source, target), atol=1e-2)
    for scale in (True, False):
        moved = align(source, target, scale=scale, weights=weights)
        torch.testing.assert_close(moved[:, rows], align(many, goals, scale=scale))
        found = procrustes(source, target, scale=scale, weights=weights)
        for ours, theirs in zip(found, procrustes(many, goals, scale=scale), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_answers_are_in_the_precision_of_the_points() -> None:
    source, target = points(4, 3).float(), points(4, 3, seed=1).float()
    assert kabsch(source, target).dtype == torch.float32
    assert align(source, target).dtype == torch.float32
    assert procrustes(source, target).scale.dtype == torch.float32


def test_the_first_joint_is_the_root_unless_another_is_named() -> None:
    joints = points(6, 3)
    torch.testing.assert_close(root_relative(joints), joints - joints[0])
    torch.testing.assert_close(root_relative(joints, 2), joints - joints[2])
