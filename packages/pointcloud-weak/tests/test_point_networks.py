"""Point-cloud networks: what they must not depend on, that they learn, and that pictures are optional."""

import pytest
import torch
from pointcloud_weak.interaction import Interaction
from pointcloud_weak.networks import ClipTransformer, PointNet2

NETWORKS = {
    "clip": lambda: ClipTransformer(3, dim=32, layers=1, heads=2, references=8, neighbours=8),
    "pointnet2": lambda: PointNet2(3, width=8, neighbours=4),
}


def clips(count, generator, points=96):
    """Bars of random place, direction and length: joints are their ends and middle."""
    middle = torch.randn(count, 1, 1, 3, generator=generator) + torch.tensor([0.0, 0.0, 4.0])
    along = torch.nn.functional.normalize(torch.randn(count, 1, 1, 3, generator=generator), dim=-1)
    along = along * along[..., :1].sign()  # the first end is that on the right
    half = along * (0.3 + 0.3 * torch.rand(count, 1, 1, 1, generator=generator))
    at = torch.rand(count, 2, points, 1, generator=generator) * 2 - 1
    cloud = middle + at * half + 0.01 * torch.randn(count, 2, points, 3, generator=generator)
    joints = torch.cat([middle + half, middle, middle - half], dim=2).expand(-1, 2, -1, -1)
    return cloud, joints


@pytest.mark.parametrize("name", NETWORKS)
def test_clouds_and_joints_move_together(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for parameter in network.parameters():  # some last layers begin at zero
        torch.nn.init.normal_(parameter, std=0.2)
    cloud, _ = clips(2, torch.Generator().manual_seed(0))
    away = torch.tensor([0.7, -0.2, 1.5])
    found, moved = network(cloud), network(cloud + away)
    assert found.shape == (2, 2, 3, 3)
    torch.testing.assert_close(moved - away, found, atol=2e-4, rtol=1e-4)


def test_frames_are_told_apart_by_the_clip_network_only_in_time():
    """Frames of one clip see each other; clips of one batch do not."""
    torch.manual_seed(0)
    network = NETWORKS["clip"]().eval()
    torch.nn.init.normal_(network.vote.weight, std=0.2)
    cloud, _ = clips(2, torch.Generator().manual_seed(0))
    before = network(cloud)
    changed = cloud.clone()
    changed[1, 1] += 0.3 * torch.randn(96, 3, generator=torch.Generator().manual_seed(1))
    after = network(changed)
    assert torch.equal(after[0], before[0])
    assert (after[1, 0] - before[1, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_they_learn_where_bars_end(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(80):
        cloud, joints = clips(12, generator)
        loss = (network(cloud) - joints).norm(dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cloud, joints = clips(64, generator)
    with torch.no_grad():
        error = (network.eval()(cloud) - joints).norm(dim=-1).mean()
    centre = (cloud.mean((1, 2))[:, None, None] - joints).norm(dim=-1).mean()
    assert error < centre / {"clip": 2.5, "pointnet2": 1.6}[name]


def test_points_ask_pictures_only_where_there_are_some():
    torch.manual_seed(0)
    interaction = Interaction(16, 16, heads=2)
    tokens, places = torch.randn(3, 10, 16), torch.rand(3, 10, 2) * 16
    images = torch.randint(0, 255, (2, 2, 3, 16, 16), dtype=torch.uint8)
    seen = torch.tensor([True, False, True])
    # nothing is added at first: training starts from the network on points alone
    assert torch.equal(interaction(tokens, places, images, seen), tokens)
    torch.nn.init.normal_(interaction.out.weight)
    found = interaction(tokens, places, images, seen)
    assert torch.equal(found[1], tokens[1])
    assert (found[0] - tokens[0]).abs().max() > 0.01
    # a clip's points see their own clip's frame: changing another's picture, or another frame's, is nothing
    other = images.clone()
    other[1], other[0, 1] = 0, 255
    again = interaction(tokens, places, other, seen)
    torch.testing.assert_close(again[0, :5], found[0, :5])
    assert (again[0, 5:] - found[0, 5:]).abs().max() > 1e-3
    nobody = interaction(tokens, places, images[:0], torch.zeros(3, dtype=torch.bool))
    assert nobody is tokens
    with pytest.raises(ValueError, match="multiple"):
        Interaction(16, 20)
