"""Published lifters: as large as their authors say, and layer by layer what their papers write."""

import pytest
import torch
from posedata.skeleton import get_skeleton
from poseenc import SimpleBaseline
from poseenc.lifters.d3dp import D3DP
from poseenc.lifters.dcgct import DCGCT
from poseenc.lifters.fmpose import FMPose3D
from poseenc.lifters.layers import Attention, PartitionConv, adjacent, hops, partitions
from poseenc.lifters.motionagformer import Graph, MotionAGFormer
from poseenc.lifters.semgcn import SemGCN, SemGraphConv
from poseenc.lifters.videopose import VideoPose3D

BODY = get_skeleton("h36m17")


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("network", "millions", "exact"),
    [
        (lambda: SimpleBaseline(16), 4.29, 4_291_632),  # SemGCN's README states it for 16 joints
        (VideoPose3D, 8.56, 8_555_571),  # Pavllo et al. 2019, table 3
        (SemGCN, 0.27, 267_373),  # README
        (MotionAGFormer, 2.2, 2_241_531),  # README, XS
        (DCGCT, 2.07, 2_069_827),  # its code, counted layer by layer with the options' defaults
        (FMPose3D, 16.05, 16_045_837),  # fmpose3d 0.0.10 from the registry, in the sizes it tries itself with
        (D3DP, 34.8, 34_835_459),  # its code, with the options' defaults: 243 frames
        (lambda: D3DP(frames=1), 34.7, 34_711_555),  # 242 places fewer, of 512
    ],
)
def test_networks_are_as_large_as_stated(network, millions, exact):
    found = parameters(network())
    assert round(found / 1e6, len(str(millions).partition(".")[2])) == millions
    assert found == exact


def test_graphs_of_the_body():
    away = dict(zip(BODY.joints, hops(BODY, "spine"), strict=True))
    assert [away[name] for name in ("spine", "pelvis", "thorax", "head", "left_ankle", "right_wrist")] == [
        0,
        1,
        1,
        3,
        4,
        4,
    ]
    assert int(adjacent(BODY).sum()) == 17 + 2 * 16
    itself, outwards, inwards, pairs = partitions(BODY)
    assert torch.equal(itself > 0, torch.eye(17, dtype=torch.bool))
    knee, hip = BODY.index("left_knee"), BODY.index("left_hip")
    assert outwards[knee, hip] > 0
    assert inwards[hip, knee] > 0
    assert outwards[hip, knee] == 0
    assert pairs[knee, BODY.index("right_knee")] > 0
    assert int((pairs > 0).sum()) == 12
    torch.testing.assert_close(partitions(BODY).sum((0, 1)), torch.ones(17))


def test_partition_convolution_against_a_loop():
    torch.manual_seed(0)
    graphs = torch.rand(3, 4, 4)
    layer, x = PartitionConv(2, 5, graphs), torch.randn(6, 4, 2)
    expected = torch.zeros(6, 4, 5)
    for k in range(3):
        weight, bias = layer.linear.weight[5 * k : 5 * k + 5], layer.linear.bias[5 * k : 5 * k + 5]
        for to in range(4):
            for source in range(4):
                expected[:, to] += graphs[k, source, to] * (x[:, source] @ weight.T + bias)
    torch.testing.assert_close(layer(x), expected)


def test_attention_against_torch():
    torch.manual_seed(0)
    ours, torchs = Attention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    torchs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x), torchs(x, x, x)[0])
    torch.testing.assert_close(ours(x[None])[0], ours(x))


def test_semantic_graph_convolution_against_a_loop():
    torch.manual_seed(0)
    links = adjacent(BODY)
    layer, x = SemGraphConv(3, 4, links), torch.randn(2, 17, 3)
    torch.nn.init.normal_(layer.edges)
    strength = dict(zip(map(tuple, links.nonzero().tolist()), layer.edges.exp(), strict=True))
    expected = layer.bias.expand(2, 17, 4).clone()
    for to in range(17):
        total = sum(strength[to, s] for s in range(17) if links[to, s])
        for source in links[to].nonzero()[:, 0].tolist():
            weight = layer.weight[0 if source == to else 1]
            expected[:, to] += strength[to, source] / total * (x[:, source] @ weight)
    torch.testing.assert_close(layer(x), expected)


def test_video_pose_is_the_dilated_network_at_its_middle():
    """What the paper trains in strides is, for one output, the convolution that it dilates to test."""
    torch.manual_seed(0)
    network = VideoPose3D(5, (3, 3, 3), 8).eval()
    for norm in (network.expand_norm, *network.norms):
        torch.nn.init.normal_(norm.running_mean)
    keypoints = torch.randn(2, 27, 5, 2)

    def dilated(x, conv, norm, dilation):
        return torch.relu(norm(torch.nn.functional.conv1d(x, conv.weight, dilation=dilation)))

    x = dilated(keypoints.flatten(2).mT, network.expand, network.expand_norm, 1)
    for block, dilation in enumerate((3, 9)):
        kept = x[..., dilation:-dilation]
        x = dilated(x, network.convs[2 * block], network.norms[2 * block], dilation)
        x = kept + dilated(x, network.convs[2 * block + 1], network.norms[2 * block + 1], 1)
    torch.testing.assert_close(network(keypoints), network.shrink(x)[..., 0].unflatten(1, (5, 3)))
    with pytest.raises(ValueError, match="built for 27 frames of 5 joints"):
        network(keypoints[:, 1:])


def test_a_graph_over_frames_links_the_most_alike():
    torch.manual_seed(0)
    layer = Graph(4, 6, None, 2).eval()
    x = torch.randn(1, 1, 6, 4)
    alike = x[0, 0] @ x[0, 0].T
    expected = torch.zeros(6, 4)
    links = torch.stack([row >= row.sort().values[-2] for row in alike])
    degree = links.sum(1).float()
    for to in range(6):
        for source in links[to].nonzero()[:, 0].tolist():
            expected[to] += layer.others(x[0, 0, source]) / (degree[to] * degree[source]).sqrt()
    expected = torch.relu(x[0, 0] + layer.norm((expected + layer.own(x[0, 0]))[None])[0])
    torch.testing.assert_close(layer(x)[0, 0], expected)


def test_rows_do_not_see_each_other():
    torch.manual_seed(0)
    keypoints = torch.randn(4, 17, 2)
    for network in (SemGCN(channels=16), DCGCT(width=40, layers=1)):
        network.eval()
        torch.testing.assert_close(network(keypoints)[1:2], network(keypoints[1:2]), rtol=1e-4, atol=1e-5)
    clips = torch.randn(2, 9, 17, 3)
    network = MotionAGFormer(frames=9, width=16, layers=1).eval()
    assert network(clips).shape == (2, 9, 17, 3)
    torch.testing.assert_close(network(clips)[1:], network(clips[1:]), rtol=1e-4, atol=1e-5)


def test_velocities_of_hypotheses_are_those_of_each_alone():
    torch.manual_seed(0)
    network = FMPose3D(width=32, layers=1).eval()
    x, keypoints, label = torch.randn(3, 4, 51), torch.randn(4, 17, 2), torch.tensor([100.0, 300, 500, 900])
    together = network(x, label[0], keypoints)
    torch.testing.assert_close(together[2], network(x[2], label[0], keypoints), rtol=1e-4, atol=1e-5)
    each = network(x[0], label, keypoints)
    torch.testing.assert_close(each[3:], network(x[0, 3:], label[3:], keypoints[3:]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(each[1:], together[0, 1:])


def test_d3dp_s_hypotheses_are_those_of_each_alone():
    torch.manual_seed(0)
    network = D3DP(5, 3, width=16, layers=2, heads=2).eval()
    torch.nn.init.normal_(network.frame)
    x, keypoints = torch.randn(4, 2, 3, 5, 3), torch.randn(2, 3, 5, 2)
    together = network(x, torch.tensor(100.0), keypoints)
    torch.testing.assert_close(together[2], network(x[2], torch.tensor(100.0), keypoints))
    each = network(x[0], torch.tensor([100.0, 700]), keypoints)
    torch.testing.assert_close(each[:1], together[0, :1])
    torch.testing.assert_close(each[1:], network(x[0, 1:], torch.tensor([700.0]), keypoints[1:]))
    assert float((each[1] - together[0, 1]).detach().abs().max()) > 1e-3


def test_d3dp_s_first_layer_against_torch_s():
    """Attention over joints in each frame, then over frames at each joint, with one norm for each."""
    torch.manual_seed(0)
    network = D3DP(4, 3, width=8, layers=1, heads=2).eval()
    torch.nn.init.normal_(network.frame)
    torch.nn.init.normal_(network.joint)
    x, keypoints = torch.randn(1, 3, 4, 3), torch.randn(1, 3, 4, 2)

    def block(ours, tokens):
        attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        attention.load_state_dict(
            {
                "in_proj_weight": ours.attention.qkv.weight,
                "in_proj_bias": ours.attention.qkv.bias,
                "out_proj.weight": ours.attention.out.weight,
                "out_proj.bias": ours.attention.out.bias,
            }
        )
        normal = ours.norm_attention(tokens)
        tokens = tokens + attention(normal, normal, normal)[0]
        return tokens + ours.mlp(ours.norm_mlp(tokens))

    angles = 7 * 10_000.0 ** -(torch.arange(4) / 3)
    time = network.time(torch.cat([angles.sin(), angles.cos()]))
    tokens = network.embed(torch.cat([keypoints, x], -1))[0] + network.joint + time
    tokens = network.norm_spatial(block(network.spatial[0], tokens)) + network.frame
    tokens = network.norm_temporal(block(network.temporal[0], tokens.transpose(0, 1))).transpose(0, 1)
    found = network(x, torch.tensor(7.0), keypoints)
    torch.testing.assert_close(found[0], network.out(tokens), atol=1e-5, rtol=1e-4)
