"""V-VIPE in the hand: embedding, lifting, retrieval and generation against the networks asked directly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polypose
import pytest
import torch
from people import COCO, H36M, SIZE, people
from polypose import InputWarning, ViewInvariant
from polypose.loading import INVARIANT as PACKAGED
from polypose.packed import read_packed
from poseenc import EmbeddingIndex
from poseenc.canonical import Body, read_keypoints
from poseenc.seen import Normalised
from small_model import INVARIANT, invariant

PRVIPE = replace(INVARIANT, method="prvipe")
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])


@pytest.fixture(scope="module")
def vvipe() -> ViewInvariant:
    return invariant()


def body(model: ViewInvariant) -> Body:
    return model.network.body.get()


def test_keypoints_are_embedded_and_lifted_as_in_training(vvipe: ViewInvariant) -> None:
    points = torch.cat([torch.from_numpy(people().pixels), torch.ones(24, 17, 1)], -1)
    with torch.no_grad():
        wanted = vvipe.network.embed(Normalised.of(read_keypoints(points, H36M)))
        poses = body(vvipe).torso * vvipe.network.decode(wanted)
    found = vvipe.embed(keypoints=people().pixels, skeleton="h36m17")
    np.testing.assert_allclose(found.vectors, wanted.numpy(), atol=1e-6)
    lifted = vvipe.lift(people().pixels, skeleton="h36m17")
    np.testing.assert_allclose(lifted.joints, poses.numpy(), atol=1e-6)
    assert lifted.joints.dtype == np.float32
    assert repr(lifted) == "BodyPoses(24 people, h36m17, body frame)"
    coco = people().coco.copy()
    coco[:, COCO.index("nose")] = people().pixels[:, H36M.index("neck")]  # which stands for it
    lifted_coco = vvipe.lift(coco, size=SIZE, skeleton="coco17")
    np.testing.assert_allclose(lifted_coco.joints, lifted.joints, atol=1e-6)


def test_place_and_size_in_the_picture_do_not_matter(vvipe: ViewInvariant) -> None:
    here = vvipe.embed(keypoints=people().pixels, skeleton="h36m17").vectors
    there = vvipe.embed(keypoints=2.5 * people().pixels + [30, -40], skeleton="h36m17").vectors
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_a_pose_is_one_place_however_it_is_turned_placed_and_measured(vvipe: ViewInvariant) -> None:
    joints = people().joints
    wanted = vvipe.network.embed_pose(body(vvipe).pose(torch.from_numpy(joints))).detach().numpy()
    for same in (joints, joints @ TURN.T, 1000 * joints, joints + np.array([0.5, 0, 0.25])):
        found = vvipe.embed(pose=same)
        np.testing.assert_allclose(found.by["3d"], wanted, atol=1e-4)
    turned = invariant(align=False)
    assert np.abs(turned.embed(pose=joints @ TURN.T).vectors - turned.embed(pose=joints).vectors).max() > 0.01
    assert turned.frame.startswith("world")


def test_together_a_row_is_in_the_middle_of_what_is_known(vvipe: ViewInvariant) -> None:
    points, joints = people().pixels.copy(), people().joints.copy()
    points[1] = points[2] = joints[2] = joints[3] = np.nan
    found = vvipe.embed(keypoints=points, pose=joints, skeleton="h36m17")
    assert np.flatnonzero(~found.valid).tolist() == [2]
    np.testing.assert_allclose(found.vectors[0], (found.by["2d"][0] + found.by["3d"][0]) / 2, atol=1e-6)
    np.testing.assert_allclose(found.vectors[1], found.by["3d"][1], atol=1e-6)
    np.testing.assert_allclose(found.vectors[3], found.by["2d"][3], atol=1e-6)
    lifted = vvipe.lift(points, skeleton="h36m17")
    assert np.flatnonzero(~lifted.valid).tolist() == [1, 2]
    assert np.isnan(lifted.joints[1]).all()
    assert repr(lifted).endswith("body frame, 2 without a person)")


def test_retrieval_is_by_distance_from_arrays_and_from_an_index(vvipe: ViewInvariant, tmp_path: Path) -> None:
    gallery = vvipe.embed(pose=people().joints)
    queries = vvipe.embed(keypoints=people().pixels, skeleton="h36m17")
    apart = np.linalg.norm(queries.vectors[:, None] - gallery.vectors, axis=-1)
    hits = vvipe.retrieve(queries, gallery, k=4)
    np.testing.assert_array_equal(hits.row, apart.argsort(1)[:, :4])
    np.testing.assert_allclose(-hits.similarity, np.sort(apart, 1)[:, :4], rtol=1e-4)
    index = vvipe.index(gallery)
    index.save(tmp_path / "g.index", index.about)
    kept = EmbeddingIndex.load(tmp_path / "g.index")
    assert kept.about == vvipe.made_by()
    again = vvipe.retrieve(queries, kept, k=4)
    np.testing.assert_array_equal(again.row, hits.row)
    np.testing.assert_allclose(again.similarity, hits.similarity, rtol=1e-4)
    few = vvipe.retrieve(queries.vectors[:2], gallery.vectors[:3], k=5)
    assert (few.row[:, 3:] == -1).all()
    assert (few.similarity[:, 3:] == -np.inf).all()
    gaps = gallery.vectors.copy()
    gaps[5] = np.nan
    assert 5 not in vvipe.retrieve(queries, gaps, k=23).row
    with pytest.raises(ValueError, match="frame 5 without a person, and an index has no gaps"):
        vvipe.index(gaps)


def test_new_poses_begin_at_the_pose_and_are_of_the_seed(vvipe: ViewInvariant) -> None:
    pose = people().joints[3]
    around = vvipe.generate(3, around=pose, amounts=[0, 0.5], seed=1)
    assert around.shape == (3, 2, 17, 3)
    with torch.no_grad():
        own = vvipe.network.decode(torch.from_numpy(vvipe.embed(pose=pose[None]).vectors)).numpy()
    np.testing.assert_allclose(around[:, 0], np.repeat(vvipe.torso * own, 3, 0), atol=1e-5)
    prior = vvipe.generate(4, seed=1)
    directions = torch.randn(4, vvipe.network.dim, generator=torch.Generator().manual_seed(1))
    wanted = vvipe.torso * vvipe.network.decode(directions).detach().numpy()
    np.testing.assert_allclose(prior, wanted, atol=1e-6)
    assert np.abs(prior - vvipe.generate(4, seed=2)).max() > 1e-3


def test_tensors_come_back_as_tensors_and_files_say_what_they_are(
    vvipe: ViewInvariant, tmp_path: Path
) -> None:
    points = torch.from_numpy(people().pixels)
    assert isinstance(vvipe.lift(points, skeleton="h36m17").joints, torch.Tensor)
    assert isinstance(vvipe.embed(keypoints=points, skeleton="h36m17").vectors, torch.Tensor)
    lifted = vvipe.lift(people().pixels, skeleton="h36m17")
    with np.load(lifted.save(tmp_path / "p.npz")) as file:
        np.testing.assert_array_equal(file["joints"], lifted.joints)
        assert str(file["frame"]).startswith("body: hips along y")


@pytest.mark.parametrize("config", [INVARIANT, PRVIPE])
def test_a_saved_model_is_the_same_model(config: polypose.config.InvariantConfig, tmp_path: Path) -> None:
    encodes = ("2d",) if config is PRVIPE else ("2d", "3d")
    model = invariant(config=config, encodes=encodes, align=False, data="abc")
    found = polypose.load(model.save(tmp_path))
    assert isinstance(found, ViewInvariant)
    assert (found.config, found.settings) == (model.config, model.settings)
    assert found.made_by()["weights"] == model.made_by()["weights"]
    assert not found.network.training
    one, other = (m.embed(keypoints=people().pixels, skeleton="h36m17").vectors for m in (model, found))
    np.testing.assert_array_equal(one, other)
    half = polypose.load(model.save(tmp_path / "h.safetensors", half=True))
    near = half.embed(keypoints=people().pixels, skeleton="h36m17").vectors
    np.testing.assert_allclose(near, one, rtol=0.05, atol=0.01)
    assert half.made_by()["run"] == "h.safetensors"
    assert found.made_by()["run"] == tmp_path.name


def test_weights_of_its_own_come_by_name_or_are_told_how_to_get() -> None:
    if PACKAGED.is_file():
        model = polypose.load("view-invariant")
        assert isinstance(model, ViewInvariant)
        assert 0.4 < model.torso < 0.7
    else:
        with pytest.raises(FileNotFoundError, match="no view-invariant weights come with this version"):
            polypose.load("view-invariant")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, p: m.embed(), "give keypoints or pose, or both"),
        (
            lambda m, p: m.embed(keypoints=p, pose=people().joints[:3], skeleton="h36m17"),
            "24 of 2d and 3 of 3d",
        ),
        (lambda m, p: m.embed(pose=people().joints[0]), r"of one pose give pose\[None\]"),
        (
            lambda m, p: m.lift(p),
            "17 joints have h36m17 and coco17: name the skeleton; these look like h36m17",
        ),
        (lambda m, p: m.lift(p / 1000, skeleton="h36m17"), "they look scaled; give pixels"),
        (lambda m, p: m.lift(p, SIZE[::-1], "coco17"), "look like h36m17, not coco17"),
        (lambda m, p: m.generate(0), "count is 0; draw one pose"),
        (lambda m, p: m.generate(1, amounts=[np.nan]), "amount nan: give numbers up to 100"),
        (lambda m, p: m.generate(1, around=np.full((17, 3), np.nan)), "a joint is not finite"),
        (lambda m, p: invariant(encodes=("3d",)).lift(p, skeleton="h36m17"), "has only the autoencoder"),
        (lambda m, p: invariant(config=PRVIPE, encodes=("2d",)).generate(1), "somewhere: is a PR-VIPE run"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(
    call: Callable[[ViewInvariant, np.ndarray], object], message: str, vvipe: ViewInvariant
) -> None:
    with pytest.raises(ValueError, match=message) as told:
        call(vvipe, people().pixels)
    assert "\n" not in str(told.value)


def test_what_is_odd_is_told(vvipe: ViewInvariant) -> None:
    points = people().coco.copy()
    lower = [i for i, name in enumerate(COCO.joints) if name.endswith(("_hip", "_knee", "_ankle"))]
    points[:, lower] = points[:, [COCO.mirror[i] for i in lower]]
    with pytest.warns(InputWarning, match="left and right of hips and shoulders are opposite"):
        vvipe.lift(points, skeleton="coco17")


def test_the_header_is_for_anybody(vvipe: ViewInvariant, tmp_path: Path) -> None:
    packed = read_packed(vvipe.save(tmp_path))
    assert packed.kind == "vvipe"
    assert packed.about["model"]["dim"] == INVARIANT.dim
    assert (packed.about["encodes"], packed.about["align"]) == (["2d", "3d"], True)
