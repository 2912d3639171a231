"""AMASS: joints of a made-up SMPL+H body against homogeneous matrices."""

from pathlib import Path

import numpy as np
import pytest
from formats_photo import amass_motion, smplh_model, smplh_pose
from posedata.prepare import prepare
from posedata.readers.amass import rotations
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.store import PoseStore
from scipy.spatial.transform import Rotation

KEPT = [*range(22), 25, 40]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def test_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    models = {gender: smplh_model(rng) for gender in ("female", "male")}
    for gender, model in models.items():
        (tmp_path / "smplh" / gender).mkdir(parents=True)
        np.savez(tmp_path / "smplh" / gender / "model.npz", **model)
    folder = tmp_path / "raw" / "CMU" / "07"
    folder.mkdir(parents=True)
    walk, run = amass_motion(rng), amass_motion(rng, gender="male")
    np.savez(folder / "07_01_poses.npz", **walk)
    np.savez_compressed(folder / "07_02_poses.npz", **run)
    np.savez(folder / "shape.npz", betas=np.zeros(16))
    options = {"model": tmp_path / "smplh", "strict": True}
    store = PoseStore.open(prepare("amass", tmp_path / "raw", tmp_path / "out", **options))
    assert (store.meta["fps"], store.meta["skeleton"], len(store)) == (120, "smpl24", 12)
    assert store.names("subject") == ["CMU/07"]
    assert store.names("sequence") == ["CMU/07/07_01_poses", "CMU/07/07_02_poses"]
    for name, motion, gender in (("07_01", walk, "female"), ("07_02", run, "male")):
        expected = smplh_pose(models[gender], motion["poses"], motion["trans"], motion["betas"])[:, KEPT]
        rows = store.rows(sequences=[f"CMU/07/{name}_poses"])
        np.testing.assert_allclose(store.column("joints")[rows], expected, atol=2e-6)
    half = PoseStore.open(prepare("amass", folder / "07_01_poses.npz", tmp_path / "half", fps=40, **options))
    np.testing.assert_array_equal(half.column("joints"), store.column("joints")[[0, 3]])


@pytest.mark.parametrize(("betas", "directions"), [(16, 16), (10, 16), (300, 16), (16, 10)])
def test_as_many_betas_count_as_both_have(
    tmp_path: Path, rng: np.random.Generator, betas: int, directions: int
) -> None:
    model, motion = smplh_model(rng), amass_motion(rng)
    motion["betas"], model["shapedirs"] = rng.normal(size=betas), model["shapedirs"][..., :directions]
    np.savez(tmp_path / "model.npz", **model)
    np.savez(tmp_path / "a.npz", **motion)
    (clip,) = _clips(tmp_path / "a.npz", model=tmp_path / "model.npz")
    count = min(betas, directions)
    shown = model | {"shapedirs": model["shapedirs"][..., :count]}
    expected = smplh_pose(shown, motion["poses"], motion["trans"], motion["betas"][:count])[:, KEPT]
    np.testing.assert_allclose(clip.joints, expected, atol=2e-6)


def test_a_rate_within_the_tolerance_is_the_one_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    np.savez(tmp_path / "model.npz", **smplh_model(rng))
    for name, rate in (("a", 120.0), ("b", 59.94)):
        np.savez(tmp_path / f"{name}.npz", **amass_motion(rng, rate=rate))
    options = {"model": tmp_path / "model.npz", "fps": 30}
    store = PoseStore.open(prepare("amass", tmp_path, tmp_path / "out", **options))
    assert store.meta["fps"] == 30
    assert np.bincount(store.column("sequence")).tolist() == [2, 3]


def test_rotations_are_scipys_and_smooth_at_zero(rng: np.random.Generator) -> None:
    turns = np.concatenate([rng.normal(size=(50, 3)) * 2, rng.normal(size=(5, 3)) * 1e-9, np.zeros((1, 3))])
    np.testing.assert_allclose(rotations(turns), Rotation.from_rotvec(turns).as_matrix(), atol=1e-14)


def test_faults_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    np.savez(tmp_path / "a.npz", **amass_motion(rng))
    with pytest.raises(ValueError, match=r"joints need the SMPL\+H body model; .*give --model"):
        _clips(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no \{female,male,neutral\}/model.npz"):
        _clips(tmp_path, model=tmp_path / "nowhere")
    model = smplh_model(rng)
    for change, message in (
        ({"J_regressor": np.zeros((24, 80))}, r"is not an SMPL\+H model of 52 joints"),
        ({"v_template": np.array("x")}, "has no array v_template"),
        ({"v_template": np.full((80, 3), 1e300)}, "v_template holds numbers that no body has"),
        ({"kintree_table": np.full((2, 52), 51)}, "kintree_table does not put parents first"),
    ):
        np.savez(tmp_path / "model.npz", **(model | change))
        with pytest.raises(ValueError, match=message):
            _clips(tmp_path / "a.npz", model=tmp_path / "model.npz")
        (tmp_path / "model.npz").unlink()
    np.savez(tmp_path / "good.npz", **model)
    for change, message in (
        ({"poses": np.zeros((6, 165))}, r"poses \(6, 165\).*SMPL-X has others"),
        ({"poses": np.full((6, 156), np.inf)}, "poses holds numbers"),
        ({"trans": np.zeros((5, 3))}, r"trans \(5, 3\)"),
        ({"mocap_framerate": np.array(-1.0)}, "has no mocap_framerate"),
        ({"betas": np.array([{}], dtype=object)}, "holds pickled objects"),
    ):
        np.savez(tmp_path / "b.npz", **(amass_motion(rng) | change))
        with pytest.raises(ValueError, match=message) as caught:
            _clips(tmp_path / "b.npz", model=tmp_path / "good.npz")
        assert str(caught.value).startswith(str(tmp_path / "b.npz"))


def test_a_gender_without_a_model_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "m" / "neutral").mkdir(parents=True)
    np.savez(tmp_path / "m" / "neutral" / "model.npz", **smplh_model(rng))
    np.savez(tmp_path / "a.npz", **amass_motion(rng, gender="female"))
    notes: list[str] = []
    (clip,) = _clips(tmp_path / "a.npz", notes, model=tmp_path / "m")
    assert clip.joints.shape == (6, 24, 3)
    assert "no model for gender 'female'; read with neutral's" in notes[0]


def _clips(source: Path, notes: list[str] | None = None, **options: object) -> list:  # type: ignore[type-arg]
    context = Context(Path("unused"), ([] if notes is None else notes).append)
    form = get_format("amass", **options)
    return [clip for unit in form.plan(source, context).units for clip in form.read(unit, context)]
