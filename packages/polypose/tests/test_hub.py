"""The hub's mixin on a local folder; nothing here needs a network."""

from pathlib import Path

import polypose
import pytest
import torch
from polypose import Model
from polypose.hub import Shared


def test_a_folder_for_the_hub_is_a_model(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").is_file()
    assert "license: apache-2.0" in (tmp_path / "m" / "README.md").read_text()
    file = Shared.from_pretrained(str(tmp_path / "m")).file
    assert file == tmp_path / "m" / "model.safetensors"
    for found in (polypose.load(file), polypose.load(tmp_path / "m")):
        for name, value in model.network.state_dict().items():
            assert torch.equal(found.network.state_dict()[name], value)


def test_a_name_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"nobody/nothing: no folder or file, and could not be had"):
        polypose.load("nobody/nothing")
