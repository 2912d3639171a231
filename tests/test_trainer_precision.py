"""`loop.precision: auto`: bf16 where the device computes in it, float32 elsewhere, the same on resuming."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainer_lesser
from posedata.machine import native_bf16
from posetrain.precision import choose_precision
from posetrain.recipe import load_recipe
from posetrain.stage import LoopConfig

CPU = torch.device("cpu")
LESSER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def test_auto_is_float32_on_a_cpu_that_imitates_bf16_and_a_resumed_run_keeps_its_own(tmp_path: Path) -> None:
    began = trainer_lesser.train(tmp_path / "bf16", "bf16", 2)
    script = Path(trainer_lesser.__file__)
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, **LESSER}, check=True,
    )  # fmt: skip
    *said, last = result.stdout.splitlines()
    told = json.loads(last)
    assert not told["native"]
    assert "precision no: this CPU device has no native bf16" in said
    assert told["auto"]["losses"] == told["no"]["losses"]
    assert told["auto"]["card"] == told["no"]["card"] == "no"
    assert "torch.bfloat16" not in told["auto"]["dtypes"]
    assert told["resumed"]["card"] == began.card == "bf16"
    assert told["resumed"]["losses"][:2] == began.losses
    assert "torch.bfloat16" in told["resumed"]["dtypes"]
    assert any("as this run began, but this CPU device only imitates bf16" in line for line in said)


def test_auto_asks_this_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    assert native_bf16(CPU) == native
    told = trainer_lesser.train(tmp_path / "run", "auto", 1)
    assert told.card == ("bf16" if native else "no")
    assert ("torch.bfloat16" in told.dtypes) == native
    assert f"precision {told.card}: " in capsys.readouterr().out


def test_devices_that_are_not_known_to_compute_it_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not native_bf16(torch.device("mps"))
    assert not native_bf16(torch.device("xla"))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not native_bf16(CPU)


@pytest.mark.parametrize(
    ("wanted", "native", "began", "chosen", "said"),
    [
        ("auto", True, None, "bf16", "native to"),
        ("auto", False, None, "no", "no native bf16"),
        ("auto", True, "no", "no", "as this run began"),
        ("auto", False, "bf16", "bf16", "as this run began, but"),
        ("bf16", False, None, "bf16", "many times longer than in float32; leave loop.precision at auto"),
        ("bf16", True, None, "bf16", ""),
        ("no", True, None, "no", ""),
        ("fp16", False, None, "fp16", ""),
    ],
)
def test_what_is_chosen(
    monkeypatch: pytest.MonkeyPatch, wanted: str, native: bool, began: str | None, chosen: str, said: str
) -> None:
    monkeypatch.setattr("posetrain.precision.native_bf16", lambda device: native)
    found, why = choose_precision(wanted, CPU, began)
    assert found == chosen
    assert said in why if said else not why


def test_every_recipe_leaves_it_to_the_machine() -> None:
    from unihpr.recipe import RECIPES as UNIHPR
    from unihpr.recipe import Recipe as UniHPR
    from unipose.hands.recipe import RECIPES as HANDS
    from unipose.hands.recipe import Recipe as Hands
    from unipose.recipe import RECIPES as UNIPOSE
    from unipose.recipe import Recipe as UniPose
    from vvipe.recipe import RECIPES as VVIPE
    from vvipe.recipe import Recipe as VVipe

    found = {
        file.stem: load_recipe(file, schema).loop.precision  # type: ignore[attr-defined]
        for folder, schema in ((UNIHPR, UniHPR), (VVIPE, VVipe), (UNIPOSE, UniPose), (HANDS, Hands))
        for file in folder.glob("*.yaml")
    }
    assert set(found.values()) == {"auto"}
    assert LoopConfig().precision == "auto"
