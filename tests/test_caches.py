"""Pictures in a cache are found by what the rig holds and by the code that makes them, not by a name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from posedata import views
from unihpr.data import prepare_stores
from unihpr_tiny import tiny


def test_a_changed_rig_or_renderer_gives_new_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(tiny(tmp_path).data, images=3, test_images=2, workers=1)
    said: list[str] = []
    first = prepare_stores(config, said.append)
    again = prepare_stores(config, said.append)
    assert (len(said), again.fingerprint) == (3, first.fingerprint)  # people, train and test, made once
    rig = dataclasses.replace(views.RIGS[config.rig], elevation=(1.2, 1.3))
    monkeypatch.setitem(views.RIGS, config.rig, rig)
    above = prepare_stores(config, said.append)
    assert len(said) == 5
    assert above.fingerprint != first.fingerprint
    down = above.train_views.store.camera().rotation[:, 2, 2]  # the optical axis along the vertical
    np.testing.assert_array_less(down.numpy(), -np.sin(1.19))
    monkeypatch.setattr("posedata.synthetic.filming.code_key", lambda *modules: "another renderer")
    again = prepare_stores(config, said.append)
    assert (len(said), again.fingerprint) == (7, above.fingerprint)
    assert not list(tmp_path.glob(".*"))
