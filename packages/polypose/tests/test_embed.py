"""Embedding and retrieval: each modality against the network, together, and with nobody in a row."""

import numpy as np
import pytest
import torch
from people import INTRINSICS, people
from polypose import Embeddings, Model
from polypose.embedding import take_images
from polypose.samples import Sample
from posedata.geometry.camera import Camera
from posedata.views.batch import GIVEN, Views, given
from poseenc import EmbeddingIndex
from small_model import small
from torch.nn.functional import normalize


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 64, 48, 3), np.uint8)


def seen(frame: str) -> Sample:
    """Everything about the people at once, as training has it."""
    focal, centre = torch.tensor(INTRINSICS, dtype=torch.float32).split(2)
    camera = Camera(focal, centre, torch.eye(3), torch.zeros(3), size=(1000, 800))
    points = torch.cat([torch.from_numpy(people().pixels), torch.ones(24, 17, 1)], -1)
    found = given(points, camera)
    views = Views(found.camera, found.box, found.keypoints, joints=torch.from_numpy(people().joints))
    return Sample.of(views, frame, GIVEN)  # type: ignore[arg-type]


@pytest.mark.parametrize("frame", ["aimed", "crop"])
def test_each_modality_is_embedded_as_in_training(frame: str, images: np.ndarray) -> None:
    model, sample = small(frame=frame), seen(frame)
    found = model.embed(
        image=images,
        keypoints=people().pixels,
        pose=people().joints,
        intrinsics=INTRINSICS,
        skeleton="h36m17",
    )
    with torch.no_grad():
        for name in ("2d", "3d"):
            wanted = model.network.embed(name, sample)
            np.testing.assert_allclose(found.by[name], wanted.numpy(), atol=1e-5)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        np.testing.assert_allclose(
            found.by["image"], normalize(model.network.encoders["image"](pixels), dim=-1).numpy(), atol=1e-5
        )
    total = sum(found.by[name] for name in ("image", "2d", "3d"))
    np.testing.assert_allclose(found.vectors, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-5)
    assert repr(found) == "Embeddings(24 rows, 32 wide, from image and 2d and 3d)"


def test_a_pose_alone_is_seen_from_where_it_stands(model: Model) -> None:
    """By a camera of another focal length, whose box is the same up to perspective."""
    alone = model.embed(pose=people().joints).vectors
    beside = model.embed(
        pose=people().joints, keypoints=people().pixels, intrinsics=INTRINSICS, skeleton="h36m17"
    ).by["3d"]
    np.testing.assert_allclose(alone, beside, atol=0.02)
    still = people().joints - people().joints[:, :1]
    centred = model.embed(pose=still).vectors
    with torch.no_grad():
        plain = normalize(model.network.encoders["3d"](torch.from_numpy(still)), dim=-1)
    np.testing.assert_allclose(centred, plain.numpy(), atol=1e-5)


def test_images_of_any_size_and_layout(model: Model, images: np.ndarray) -> None:
    channels_first = images.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(take_images(images, (48, 64)), take_images(channels_first, (48, 64)))
    one = model.embed(image=images).vectors
    np.testing.assert_allclose(model.embed(image=images / 255.0).vectors, one, atol=1e-4)
    y, x = np.mgrid[:128, :96] / 128
    large = np.stack([y, x, (x + y) / 2], -1)[None]
    small_one = large.reshape(1, 64, 2, 48, 2, 3).mean((2, 4))
    np.testing.assert_allclose(
        model.embed(image=large).vectors, model.embed(image=small_one).vectors, atol=3e-3
    )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 48, 3), np.uint8), r"of one image give image\[None\]"),
        (np.zeros((2, 64, 48), np.uint8), r"give RGB crops \(N, height, width, 3\)"),
        (np.full((2, 64, 48, 3), 255.0), "values run from 255 to 255; give uint8, or 0 to 1"),
        (np.zeros((2, 64, 48, 3), np.int32), "holds int32; give uint8"),
    ],
)
def test_pictures_that_are_none_are_refused(image: np.ndarray, message: str, model: Model) -> None:
    with pytest.raises(ValueError, match=message):
        model.embed(image=image)


def test_rows_must_be_as_many_and_something_must_be_given(model: Model, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="23 of 3d and 24 of image"):
        model.embed(image=images, pose=people().joints[:-1])
    with pytest.raises(ValueError, match="give image, keypoints or pose"):
        model.embed()


def test_a_row_has_what_is_known_of_it(model: Model) -> None:
    points, joints = people().pixels.copy(), people().joints.copy()
    points[1] = points[2] = np.nan
    joints[2] = joints[3] = np.nan
    found = model.embed(keypoints=points, pose=joints, intrinsics=INTRINSICS, skeleton="h36m17")
    assert np.flatnonzero(~found.valid).tolist() == [2]
    np.testing.assert_allclose(found.vectors[1], found.by["3d"][1], atol=1e-6)
    np.testing.assert_allclose(found.vectors[3], found.by["2d"][3], atol=1e-6)
    assert repr(found).endswith("from 2d and 3d, 1 without a person)")


def test_rows_find_themselves_and_nobody_is_never_found(model: Model) -> None:
    joints = people().joints.copy()
    joints[5] = np.nan
    found = model.embed(pose=joints)
    hits = model.retrieve(found, found, k=3)
    rows = np.arange(24)
    assert (hits.row[:, 0] == rows)[rows != 5].all()
    assert (hits.row[5] == -1).all()
    assert 5 not in hits.row
    cosines = found.vectors @ found.vectors.T
    assert hits.similarity[0, 1] == pytest.approx(np.sort(np.nan_to_num(cosines[0], nan=-2))[-2], abs=1e-5)
    known = model.embed(pose=people().joints)
    index = EmbeddingIndex(known.vectors)
    np.testing.assert_array_equal(
        model.retrieve(known, index, k=2).row, model.retrieve(known, known, k=2).row
    )
    few = model.retrieve(known.vectors[:2], known.vectors[:3], k=5)
    assert (few.row[:, 3:] == -1).all()


def test_together_or_as_tensors_it_is_the_same(model: Model, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = model.embed(pose=torch.from_numpy(people().joints))
    assert isinstance(found.vectors, torch.Tensor)
    assert np.asarray(found).shape == (24, 32)
    assert isinstance(model.retrieve(found, found, k=1).row, torch.Tensor)
    with np.load(Embeddings.save(found, tmp_path / "e.npz")) as file:
        np.testing.assert_array_equal(file["3d"], found.by["3d"].numpy())


def test_an_arc_begins_and_ends_in_its_poses(model: Model) -> None:
    found = model.embed(pose=people().joints)
    arc = model.interpolate(found.vectors[0], found.vectors[9], steps=5)
    with torch.no_grad():
        ends = model.network.decode("3d", torch.from_numpy(found.vectors[[0, 9]]), "3d")
    np.testing.assert_allclose(arc[[0, -1]], ends.numpy(), atol=1e-5)
    assert arc.shape == (5, 17, 3)
