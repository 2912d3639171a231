"""Between two embeddings."""

import pytest
import torch
from poseenc.interpolate import great_arc


@pytest.mark.parametrize("kind", ["apart", "close", "opposite"])
def test_great_arc_has_equal_angles_and_its_ends(kind: str) -> None:
    a = torch.nn.functional.normalize(
        torch.randn(8, dtype=torch.float64, generator=torch.manual_seed(0)), dim=0
    )
    b = {"apart": a.roll(1), "close": a + 1e-5 * a.roll(1), "opposite": -a}[kind]
    b = b / b.norm()
    arc = great_arc(a, b, 5)
    torch.testing.assert_close(arc[[0, -1]], torch.stack([a, b]), atol=1e-9, rtol=0)
    torch.testing.assert_close(arc.norm(dim=1), torch.ones(5, dtype=torch.float64))
    steps = (arc[1:] - arc[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(4), atol=1e-12, rtol=1e-6)
