"""What a model's file keeps, and what is said of one that cannot be used."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polypose
import pytest
import small_model
import torch
from people import INTRINSICS, SIZE, people
from polypose.model import Model
from polypose.packed import read_packed, write_packed
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_model import SMALL, small


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_model_is_the_same_model(half: bool, tmp_path: Path) -> None:
    model = small(frame="crop", steps=3, data="abc")
    path = model.save(tmp_path / "m.safetensors", half=half)
    found = polypose.load(path)
    assert found.settings == model.settings
    assert found.network.config == model.network.config
    assert not found.network.training
    for name, value in model.network.state_dict().items():
        kept = found.network.state_dict()[name]
        assert kept.dtype == value.dtype
        wanted = value.half().float() if half and value.is_floating_point() else value
        assert torch.equal(kept, wanted), name


def test_a_spread_is_kept_with_the_model(tmp_path: Path) -> None:
    model = small()
    spread = model.network.make_spread().eval()
    spread.usual.fill_(0.03)
    found = polypose.load(model.save(tmp_path / "m.safetensors"))
    assert found.settings == replace(model.settings, spread=True)
    assert found.network.spread is not None
    assert torch.equal(found.network.spread.usual, spread.usual)


def test_a_file_may_leave_out_encoders_and_says_who_has_them(tmp_path: Path) -> None:
    model = small()
    model.network.make_spread().usual.fill_(0.03)
    found = polypose.load(model.save(tmp_path / "m.safetensors", encodes=("2d",)))
    assert found.modalities == ("2d",)
    again = polypose.load(found.save(tmp_path / "again.safetensors"))
    for lifter in (found, again):
        one, other = (m.lift(people().pixels, INTRINSICS, skeleton="h36m17") for m in (model, lifter))
        np.testing.assert_allclose(other.joints, one.joints, atol=1e-6)
        np.testing.assert_allclose(other.sd, one.sd, rtol=1e-6)
        np.testing.assert_allclose(other.sample(2), one.sample(2), atol=1e-5)
    for given in ({"image": np.zeros((2, 128, 96, 3), np.uint8)}, {"pose": people().joints}):
        with pytest.raises(ValueError, match=r"weights have no encoder of (image|3d); polypose.load\(\) has"):
            found.embed(**given)


@pytest.mark.parametrize("part", ["encodes", "decodes"])
@pytest.mark.parametrize("names", [("2D",), ("2d", "4d"), "4d", ("image",), ()])
def test_a_file_is_not_asked_for_parts_that_the_model_has_not(
    part: str, names: object, tmp_path: Path
) -> None:
    lifter = polypose.load(small().save(tmp_path / "m.safetensors", encodes=("2d",)))
    with pytest.raises(ValueError, match=f"{part}: this model has no .*; choose of 2d"):
        lifter.save(tmp_path / "again.safetensors", **{part: names})
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    assert polypose.load(lifter.save(tmp_path / "again.safetensors", **{part: "2d"})).modalities == ("2d",)


@pytest.mark.parametrize("name", ["smal", "../small"])
def test_a_name_that_is_almost_one_is_told_those_that_are(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file; .* a name: small, view-invariant, depth"):
        polypose.load(name)


def test_a_loaded_model_lifts_the_same_though_it_computes_less(tmp_path: Path) -> None:
    model = small()
    found = polypose.load(model.save(tmp_path))
    settled = found.network.decoders["3d"].network
    assert settled.settled_added is not None
    assert model.network.decoders["3d"].network.settled_added is None
    for count in (1, 24):
        points = people().pixels[:count]
        one, other = (m.lift(points, INTRINSICS, skeleton="h36m17") for m in (model, found))
        np.testing.assert_allclose(one.joints, other.joints, atol=1e-6)
        np.testing.assert_allclose(one.sample(2), other.sample(2), atol=1e-5)


def test_loading_and_lifting_import_no_compiler(tmp_path: Path) -> None:
    """Drawing weights without memory would, only to replace them: it takes seconds."""
    script = "import sys, polypose\n"
    for kind in ("small", "invariant"):
        path = getattr(small_model, kind)().save(tmp_path / f"{kind}.safetensors")
        script += f"model = polypose.load({str(path)!r})\n"
        script += f"model.lift({people().pixels.tolist()}, size={SIZE}, skeleton='h36m17')\n"
        script += "print(*{'torch._dynamo', 'sympy'} & {*sys.modules})\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n\n", "")


def test_half_is_half_as_large_and_says_so(model: Model, tmp_path: Path) -> None:
    whole = model.save(tmp_path / "w.safetensors").stat().st_size
    half = model.save(tmp_path / "h.safetensors", half=True).stat().st_size
    assert 0.45 < half / whole < 0.6


def test_a_folder_stands_for_the_file_in_it(model: Model, tmp_path: Path) -> None:
    assert model.save(tmp_path) == tmp_path / "model.safetensors"
    assert repr(polypose.load(str(tmp_path))).endswith(f"h36m17, {tmp_path / 'model.safetensors'})")


def test_weights_that_training_began_from_are_not_looked_for(tmp_path: Path) -> None:
    model = small()
    model.network.config = replace(model.network.config, image_weights="/nowhere.pth")
    assert polypose.load(model.save(tmp_path)).network.config.image_weights is None


def test_the_header_is_for_anybody(model: Model, tmp_path: Path) -> None:
    with safe_open(model.save(tmp_path), "pt") as file:
        header = file.metadata()
    assert (header["polypose"], header["kind"]) == ("1", "unihpr")
    about = json.loads(header["about"])
    assert (about["skeleton"], about["frame"], about["model"]["dim"]) == ("h36m17", "aimed", SMALL.dim)


def rewritten(path: Path, **changes: str) -> Path:
    """The file with other texts in its header, and nothing else changed."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
    save_file(load_file(path), path, {**header, **changes})
    return path


def test_one_bit_is_noticed(model: Model, tmp_path: Path) -> None:
    path = model.save(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: is damaged; copy it again from where"):
        polypose.load(path)


@pytest.mark.parametrize("length", [0, 7, 200, 5000])
def test_a_file_cut_short_is_damaged(length: int, model: Model, tmp_path: Path) -> None:
    path = model.save(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="is damaged; copy it again"):
        polypose.load(path)


def test_a_changed_header_is_damaged(model: Model, tmp_path: Path) -> None:
    path = rewritten(model.save(tmp_path), about=json.dumps({"frame": "crop"}))
    with pytest.raises(ValueError, match="is damaged"):
        polypose.load(path)


def test_a_later_version_is_told_from_damage(model: Model, tmp_path: Path) -> None:
    path = rewritten(model.save(tmp_path), polypose="2")
    with pytest.raises(ValueError, match="is of format 2, this polypose reads 1; pip install -U polypose"):
        polypose.load(path)


def test_tensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"holds tensors that polypose did not write; give a model\."):
        polypose.load(tmp_path / "a.safetensors")


def test_another_kind_is_named(model: Model, tmp_path: Path) -> None:
    path = model.save(tmp_path)
    write_packed(path, read_packed(path)._replace(kind="pony"))
    with pytest.raises(
        ValueError, match="holds a model of kind 'pony', this polypose loads unihpr, vvipe, senses, depth"
    ):
        polypose.load(path)


@pytest.mark.parametrize(
    ("key", "value"), [("nosuch", 1), ("dim", "many"), ("dim", 64), ("pose_encoder", "transformer")]
)
def test_what_this_version_does_not_know_is_refused(
    key: str, value: object, model: Model, tmp_path: Path
) -> None:
    path = model.save(tmp_path)
    packed = read_packed(path)
    packed.about["model"][key] = value
    write_packed(path, packed)
    with pytest.raises(ValueError, match="pip install -U polypose"):
        polypose.load(path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file; finish the training"):
        polypose.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors: no such file; give a model\.safetensors"):
        polypose.load(tmp_path / "a.safetensors")


def test_a_name_that_is_no_model_is_refused_before_anything_is_written(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write to a \.safetensors file"):
        model.save(tmp_path / "m.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_file_holds_each_tensor_once_and_may_leave_out_a_decoder(model: Model, tmp_path: Path) -> None:
    """A decoder's network is held by its denoiser too: the file has it once, what is loaded is one again."""
    whole = model.save(tmp_path / "whole.safetensors")
    part = model.save(tmp_path / "part.safetensors", decodes=("3d",))
    count = sum(p.numel() for p in model.network.parameters())  # counts a shared tensor once
    with safe_open(whole, "pt") as file:
        stored = [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    buffers = sum(b.numel() for b in model.network.buffers())
    assert sum(stored) == count + buffers
    found = polypose.load(part)
    left_out = sum(p.numel() for p in model.network.decoders["2d"].parameters())
    assert sum(p.numel() for p in found.network.parameters()) == count - left_out
    decoder = found.network.decoders["3d"]
    assert decoder.network is decoder.denoiser.network
    embedding = torch.eye(2, model.network.config.dim)
    poses, wanted = (net.decode("3d", embedding, "2d") for net in (found.network, model.network))
    torch.testing.assert_close(poses, wanted)
    with pytest.raises(ValueError, match="written without its decoder of 2d"):
        found.network.decode("2d", embedding, "image")
