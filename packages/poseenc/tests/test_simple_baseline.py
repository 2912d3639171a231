"""SimpleBaseline against the paper's description, written out."""

import pytest
import torch
from poseenc import SimpleBaseline
from poseenc.baseline import ClippedLinear, Lifter


def naive(net: SimpleBaseline, keypoints: torch.Tensor) -> torch.Tensor:
    """Figure 2 of the paper in evaluation mode, one operation a line."""

    def layer(x, block):
        linear, bn = block[0], block[1]
        weight = linear.weight
        if isinstance(linear, ClippedLinear) and weight.norm() > 1:
            weight = weight / weight.norm()
        x = x @ weight.T + linear.bias
        x = (x - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
        return x.clamp(min=0)

    x = layer(keypoints.flatten(1), net.trunk.first)
    for first, second in net.trunk.blocks:
        x = x + layer(layer(x, first), second)
    weight = net.out.weight
    if isinstance(net.out, ClippedLinear) and weight.norm() > 1:
        weight = weight / weight.norm()
    return (x @ weight.T + net.out.bias).view(len(x), -1, 3)


@pytest.mark.parametrize("max_norm", [False, True])
def test_equals_the_paper_written_out(max_norm):
    torch.manual_seed(1)
    net = SimpleBaseline(6, 32, 2, max_norm=max_norm).double()
    for _ in range(3):
        net(torch.randn(16, 6, 2, dtype=torch.float64))
    net.eval()
    x = torch.randn(4, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(net(x), naive(net, x))


def test_size_is_the_papers():
    assert sum(p.numel() for p in SimpleBaseline(16).parameters()) == 4_291_632


def test_clipping_leaves_small_weights_alone():
    layer = ClippedLinear(3, 2)
    x = torch.randn(5, 3)
    with torch.no_grad():
        layer.weight.mul_(0.5 / layer.weight.norm())
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)


def test_wrong_joints_are_named():
    with pytest.raises(ValueError, match="5 joints, the network was built for 6"):
        SimpleBaseline(6)(torch.randn(2, 5, 2))


def test_a_lifter_speaks_in_the_unit_of_its_joints() -> None:
    """Where the network says 0, the mean of the joints; its loss is in their standard deviations."""
    generator = torch.Generator().manual_seed(0)
    pixels = 300 + 50 * torch.randn(40, 17, 2, generator=generator)
    joints = 2 + 0.3 * torch.randn(40, 17, 3, generator=generator)
    joints[:, 0] = 0
    lifter = Lifter(pixels, joints, 8).eval()
    torch.nn.init.zeros_(lifter.network.out.weight)
    found = lifter(pixels)
    torch.testing.assert_close(found, joints.mean(0).expand_as(found))
    error = ((joints - joints.mean(0)) / joints.std(0).clamp(min=1e-6)) ** 2
    torch.testing.assert_close(lifter.loss(pixels, joints), error.mean())
