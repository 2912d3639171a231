"""UniPose on a device that is not the host's: one that is only pretended, so that no GPU is needed.

Run as a script this file registers a device `elsewhere`, whose tensors lie in host memory but may not meet
the host's in any operation, and trains and evaluates on it beside the CPU. In a process of its own: torch
keeps a registered device.
"""

import json
import sys
from pathlib import Path
from typing import Any

import nursery
import pytest
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ATEN = torch.ops.aten
COPIES = (ATEN._to_copy.default, ATEN.copy_.default)
INDEXING = (ATEN.index.Tensor, ATEN.index_put_.default)
MARK = 1 << 40
"""Added to the seeds of the generators elsewhere: what tells them in an operation."""


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch registers no device from Python",
)
def test_it_trains_and_evaluates_elsewhere_as_on_the_cpu(tmp_path: Path) -> None:
    """Every stage's batch, loss and gradient, the evaluation and the pseudo labels: the same to the bit."""
    done = nursery.run(Path(__file__), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    here, elsewhere = json.loads((tmp_path / "found.json").read_text())
    assert sorted(here["losses"]) == [
        *("student_depth", "student_depth_twin", "student_rgb", "student_rgb_twin"),
        *("teacher", "teacher_twin"),
    ]
    assert all(values["gradient"] > 0 for values in here["losses"].values())
    assert elsewhere == here
    refused = json.loads((tmp_path / "refused.json").read_text())
    assert refused == ["tensors on two devices"] * 2 + ["is on one device, its generator is not"]


class Far(torch.Tensor):
    """A tensor elsewhere; `near` holds its numbers."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> "Far":
        far = torch.Tensor._make_wrapper_subclass(
            cls, near.size(), strides=near.stride(), dtype=near.dtype, device=torch.device("elsewhere", 0)
        )
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """Within it tensors can be made elsewhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class FarGenerator(torch.Generator):
    """A generator elsewhere."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("elsewhere", 0)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the numbers themselves; RuntimeError where it would mix devices."""
    leaves = tree_leaves((args, kwargs))
    far = any(isinstance(leaf, Far) for leaf in leaves)
    near = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, Far)]
    near = [leaf for leaf in near if leaf.ndim]  # a number may be anywhere
    if func in INDEXING and isinstance(args[0], Far):  # so may what indexes a tensor elsewhere
        near = [leaf for leaf in near if not any(leaf is index for index in args[1])]
    if far and near and func not in COPIES:
        raise RuntimeError(f"{func}: tensors on two devices")
    to_far = far if kwargs.get("device") is None else torch.device(kwargs["device"]).type == "elsewhere"
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    drawing = [leaf for leaf in leaves if isinstance(leaf, torch.Generator)]
    if drawing and (drawing[0].initial_seed() >= MARK) != to_far:
        raise RuntimeError(f"{func}: is on one device, its generator is not")
    found = func(*tree_map(_near, args), **tree_map(_near, kwargs))
    if func._schema.is_mutable and func._schema.name.endswith("_"):
        return args[0]
    return tree_map(lambda value: Far(value) if isinstance(value, torch.Tensor) and to_far else value, found)


def _near(value: Any) -> Any:
    return value.near if isinstance(value, Far) else value


def _register() -> torch.library.Library:
    """Make torch know the device, and how to make and copy its tensors where no mode is asked."""

    class Module(backend_registration._DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16]

    backend_registration._setup_privateuseone_for_python_backend("elsewhere", Module())

    def empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> Far:
        return Far(torch.empty_strided(size, stride, dtype=dtype))

    def copy_from(source: Any, to: Any, non_blocking: bool = False) -> Any:
        _near(to).copy_(_near(source))
        return to

    library = torch.library.Library("aten", "IMPL")
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return library


def _found(cache: Path, device: torch.device) -> dict[str, Any]:
    """A step of every stage, without the loop, and what the evaluation says of the networks."""
    from contrastive.whole import WholeBatch
    from pointcloud_weak.frames import Frames
    from pointcloud_weak.pseudo import Labels
    from pointcloud_weak.scores import evaluate, label_errors
    from unipose import steps
    from unipose.data import prepare
    from unipose.model import build
    from unipose_tiny import tiny

    class Alone:
        """What the stages ask of a trainer."""

        def __init__(self) -> None:
            self.device, self.whole = device, WholeBatch(1, 0)

        def share(self, rows: torch.Tensor) -> torch.Tensor:
            return rows

    recipe, trainer = tiny(cache, "data.clips=4", "data.test_clips=2"), Alone()
    data = prepare(recipe.data, say=lambda text: None)
    models = build(recipe).to(device)
    students = [name for name in models if name.startswith("student")]
    told = Labels.taught(models.get_teacher(), data.train, recipe.pseudo)
    frames = Frames.of(data.train)
    stages = [
        steps.teacher(models.get_teacher(), data.train, recipe, trainer),
        steps.teacher_twin(models.get_teacher("teacher_twin"), data.train, recipe, trainer),
        *(
            steps.student(name, models.get_student(name), frames, told.joints, told.weight, recipe, trainer)
            for name in students
        ),
    ]
    losses = {}
    for stage in stages:
        kind = FarGenerator if device.type == "elsewhere" else torch.Generator
        drawing, losing = kind(), kind()
        drawing.manual_seed(MARK + 5)
        losing.manual_seed(MARK + 6)
        values = stage.loss(stage.batch(0, drawing), losing)
        assert values["loss"].device == device
        values["loss"].backward()
        gradients = [p.grad.abs().sum() for p in stage.modules["model"].parameters() if p.grad is not None]
        losses[stage.name] = {"gradient": float(sum(gradients)), **{k: float(v) for k, v in values.items()}}
    return {
        "losses": losses,
        "test": evaluate(models, data.test),
        "pseudo": label_errors(models, data.train, told),
    }


def _refused(device: torch.device) -> list[str]:
    """That the pretended device is as strict as a real one."""
    far, near = torch.zeros(3, device=device), torch.zeros(3)
    said = []
    for wrong in (
        lambda: far + near,
        lambda: near[torch.zeros(1, dtype=torch.long, device=device)],
        lambda: torch.rand(3, generator=torch.Generator().manual_seed(MARK)),
    ):
        try:
            wrong()
        except RuntimeError as error:
            said.append(str(error).partition(": ")[2])
    return said


def main(folder: Path) -> None:
    """Write found.json, of the CPU and of elsewhere, and refused.json."""
    library, device = _register(), torch.device("elsewhere", 0)
    here = _found(folder, torch.device("cpu"))
    with Elsewhere():
        elsewhere = _found(folder, device)
        refused = _refused(device)
    del library  # which takes its operations along
    (folder / "found.json").write_text(json.dumps([here, elsewhere]))
    (folder / "refused.json").write_text(json.dumps(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
