"""Pose encoders: what must matter matters, what must not does not."""

import pytest
import torch
from poseenc import MLPPoseEncoder, PoseEncoder2D, PoseEncoder3D
from poseenc.attention import Block
from torch import nn

SMALL = {"dim": 24, "width": 32, "layers": 2, "heads": 4}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make(kind, **options):
    if kind == "transformer":
        return PoseEncoder2D(5, **SMALL, **options).eval()
    if options.pop("confidence", False):
        options["channels"] = 3
    return MLPPoseEncoder(
        5, dim=24, hidden=32, norm="layer" if kind == "prenorm" else "batch", **options
    ).eval()


def test_block_is_torchs_pre_norm_layer():
    ours = Block(32, 4, expand=2).double()
    peer = nn.TransformerEncoderLayer(
        32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    pairs = {
        "self_attn.in_proj_weight": ours.qkv.weight, "self_attn.in_proj_bias": ours.qkv.bias,
        "self_attn.out_proj.weight": ours.out.weight, "self_attn.out_proj.bias": ours.out.bias,
        "linear1.weight": ours.up.weight, "linear1.bias": ours.up.bias,
        "linear2.weight": ours.down.weight, "linear2.bias": ours.down.bias,
        "norm1.weight": ours.norm_attention.weight, "norm1.bias": ours.norm_attention.bias,
        "norm2.weight": ours.norm_mlp.weight, "norm2.bias": ours.norm_mlp.bias,
    }  # fmt: skip
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    peer.load_state_dict({name: value.detach() for name, value in pairs.items()})
    x = torch.randn(3, 7, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(x), peer(x))
    torch.testing.assert_close(ours(x, first=2), peer(x)[:, :2])


def test_heads_must_divide_width():
    with pytest.raises(ValueError, match="width 32 is not a multiple of heads 5"):
        Block(32, 5)


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_missing_joint_is_ignored_and_told_from_zero(kind):
    encoder = make(kind)
    pose, box, present = torch.randn(4, 5, 2), torch.randn(4, 3), torch.ones(4, 5, dtype=torch.bool)
    torch.testing.assert_close(encoder(pose, box, present), encoder(pose, box))
    present[:, 2] = False
    other = pose.clone()
    other[:, 2] = torch.nan
    torch.testing.assert_close(encoder(other, box, present), encoder(pose, box, present))
    other[:, 2] = 0.0
    assert (encoder(other, box) - encoder(other, box, present)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_nan_of_a_missing_joint_leaves_gradients_finite(kind):
    encoder = make(kind)
    pose, present = torch.randn(4, 5, 2), torch.ones(4, 5, dtype=torch.bool)
    pose[1, 3], present[1, 3] = torch.nan, False
    encoder(pose, torch.randn(4, 3), present).square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_box_modality_and_confidence_are_read(kind):
    encoder = make(kind, modalities=3, confidence=True)
    pose, box, modality = torch.randn(4, 5, 3), torch.randn(4, 3), torch.zeros(4, dtype=torch.long)
    at = encoder(pose, box, None, modality)
    sure = pose.clone()
    sure[..., 2] += 1
    for other in (
        encoder(pose, box + 1, None, modality),
        encoder(pose, box, None, modality + 2),
        encoder(sure, box, None, modality),
    ):
        assert (at - other).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_rows_do_not_mix_and_order_of_joints_matters(kind):
    encoder = make(kind)
    pose, box = torch.randn(4, 5, 2), torch.randn(4, 3)
    whole = encoder(pose, box)
    torch.testing.assert_close(whole[1:2], encoder(pose[1:2], box[1:2]))
    assert (whole - encoder(pose.flip(1), box)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_errors_say_what_the_encoder_was_built_for(kind):
    encoder = make(kind)
    with pytest.raises(ValueError, match=r"\(4, 6, 2\).*\(B, 5, 2\)"):
        encoder(torch.randn(4, 6, 2), torch.randn(4, 3))
    with pytest.raises(ValueError, match="box_token is missing"):
        encoder(torch.randn(4, 5, 2))
    with pytest.raises(ValueError, match=r"modality (was|is) given"):
        encoder(torch.randn(4, 5, 2), torch.randn(4, 3), None, torch.zeros(4, dtype=torch.long))


def test_3d_encoder_needs_no_box_and_refuses_one():
    encoder = PoseEncoder3D(5, **SMALL)
    assert encoder(torch.randn(2, 5, 3)).shape == (2, 24)
    with pytest.raises(ValueError, match="box_token was given"):
        encoder(torch.randn(2, 5, 3), torch.randn(2, 3))


def test_defaults_are_the_papers_sizes():
    encoder = PoseEncoder2D()
    assert len(encoder.blocks) == 3
    assert encoder(torch.zeros(1, 17, 2), torch.zeros(1, 3)).shape == (1, 1024)


@pytest.mark.parametrize("kind", ["transformer", "mlp", "prenorm"])
def test_learns_a_function_of_the_pose(kind):
    """The distance between two joints, which no linear readout of the coordinates gives."""
    encoder = make(kind).train()
    readout = nn.Linear(24, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *readout.parameters()], 3e-3)
    for _ in range(150):
        pose = torch.randn(64, 5, 2)
        target = (pose[:, 0] - pose[:, 3]).norm(dim=1, keepdim=True)
        loss = (readout(encoder(pose, torch.zeros(64, 3))) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    variance = 4 - torch.pi  # of the Rayleigh distribution with sigma² = 2
    assert loss.item() < 0.4 * variance


@pytest.mark.parametrize("encoder", [PoseEncoder2D(width=32, layers=1), MLPPoseEncoder(hidden=64, blocks=1)])
def test_coordinates_are_not_rounded_under_autocast(encoder: torch.nn.Module) -> None:
    """Two poses that bfloat16 cannot tell apart (0.5 and 0.5 + 2^-10) must still differ to the encoder."""
    pose, token = torch.full((2, 17, 2), 0.5), torch.zeros(2, 3)
    pose[1] += 2**-10
    assert torch.equal(pose[0].bfloat16(), pose[1].bfloat16())
    read = []
    layer = encoder.tokens.joint if isinstance(encoder, PoseEncoder2D) else encoder.trunk.first[0]
    layer.register_forward_hook(lambda module, inputs, output: read.append(output))
    with torch.autocast("cpu", torch.bfloat16):
        encoder.eval()(pose, token)
    assert read[0].dtype == torch.float32
    assert not torch.equal(read[0][0], read[0][1])


def test_a_pre_norm_encoder_takes_inputs_in_any_unit():
    """Fitted to pixels or to metres, it sees the same; a flag that never varies keeps its own unit."""
    metres, box = torch.randn(64, 5, 2, dtype=torch.float64), torch.rand(64, 3, dtype=torch.float64)
    encoders = [make("prenorm").double() for _ in range(2)]
    encoders[1].load_state_dict(encoders[0].state_dict())
    encoders[0].fit_scale(metres, box)
    encoders[1].fit_scale(800 * metres + 300, 9 * box)
    torch.testing.assert_close(encoders[0](metres, box), encoders[1](800 * metres + 300, 9 * box))
    standard = (
        torch.cat([metres.flatten(1), torch.ones(64, 5), box], 1) - encoders[0].trunk.mean
    ) * encoders[0].trunk.gain
    torch.testing.assert_close(standard.std(0)[:10], torch.ones(10, dtype=torch.float64))
    assert standard[:, 10:15].abs().max() == 0
    torch.testing.assert_close(encoders[0].trunk.gain[10:15], torch.ones(5, dtype=torch.float64))


def test_rows_of_a_pre_norm_encoder_do_not_see_each_other():
    encoder = make("prenorm").train()
    pose, box = torch.randn(8, 5, 2), torch.randn(8, 3)
    torch.testing.assert_close(encoder(pose, box)[2:3], encoder(pose[2:3], box[2:3]))
