"""ONNX by onnxruntime equals torch, at batches that the exporter never saw."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from polypose.config import ModelConfig
from polypose.export import PARTS, Part, example, export_onnx, module_of
from small_model import SMALL, small

TRANSFORMER = ModelConfig(
    **{**vars(SMALL), "pose_encoder": "transformer", "width": 32, "layers": 1, "heads": 2}
)


@pytest.mark.parametrize("config", [SMALL, TRANSFORMER], ids=["mlp", "transformer"])
@pytest.mark.parametrize("part", PARTS)
def test_onnx_is_torch(part: Part, config: ModelConfig, tmp_path: Path) -> None:
    if part == "image" and config is TRANSFORMER:
        pytest.skip("the same image encoder")
    model = small(config=config)
    path = export_onnx(model, part, tmp_path / "m.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]  # weights inside
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        inputs = example(model, part, count)
        with torch.no_grad():
            wanted = module_of(model, part)(*inputs.values()).numpy()
        (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert session.get_outputs()[0].name == ("pose" if part == "lifter" else "embedding")


def test_a_name_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write to a file that ends in \.onnx"):
        export_onnx(small(), "lifter", tmp_path / "m.pt")
    with pytest.raises(ValueError, match="no part is called legs; choose one of lifter, image, 2d, 3d"):
        export_onnx(small(), "legs", tmp_path / "m.onnx")  # type: ignore[arg-type]
