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
