"""Files of any senses through `polypose senses`: what is read, what was used, what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polypose
import pytest
import torch
from polypose.cli import app
from polypose.config import ModelConfig, Settings
from polypose.senses.config import SpaceConfig
from polypose.senses.handed import take_views
from polypose.senses.model import SensesModel
from polypose.senses.network import Senses
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.views.batch import MIXED, see
from poseenc.modality import DEPTH
from poseenc.modality import JOINTS as POSES
from typer.testing import CliRunner

ROWS = 5
SMALL = ModelConfig(dim=32, hidden=32, decoder_hidden=32, pose_encoder="mlp", norm="layer", regression=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's file, and people standing before a camera in files."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("senses")
    network = Senses(SMALL, SpaceConfig(("image", "2d", "3d", "depth")))
    SensesModel(network, Settings(image_size=(24, 32))).save(path / "model.safetensors")
    joints = standing()
    camera = Camera(
        torch.tensor([500.0, 500.0]),
        torch.tensor([319.5, 239.5]),
        torch.eye(3),
        torch.zeros(3),
        size=(640, 480),
    )
    points = camera.project(joints)
    np.save(path / "pose.npy", joints.numpy())
    np.save(path / "points.npy", points.numpy())
    np.save(path / "image.npy", np.random.default_rng(0).integers(0, 256, (ROWS, 40, 30, 3)).astype(np.uint8))
    np.save(
        path / "depth.npy", (4000 + 100 * np.random.default_rng(1).random((ROWS, 40, 30))).astype(np.uint16)
    )
    return path


def standing() -> torch.Tensor:
    """Upright people of a metre and a half, 4 m before a camera, each in its own pose."""
    generator = torch.Generator().manual_seed(0)
    skeleton = get_skeleton("h36m17")
    joints = torch.zeros(ROWS, 17, 3)
    for joint, parent in enumerate(skeleton.parents):
        step = torch.randn(ROWS, 3, generator=generator) * 0.05
        down = {"knee": 0.4, "ankle": 0.4}.get(skeleton.joints[joint].split("_")[-1], -0.15)
        if parent >= 0:
            joints[:, joint] = joints[:, parent] + step + torch.tensor([0.0, down, 0.0])
    return joints + torch.tensor([0.0, 0.0, 4.0])


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def command(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["senses", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


CAMERA = ("--skeleton", "h36m17", "--intrinsics", 500, 500, 319.5, 239.5, "--size", 640, 480)


def test_several_senses_are_fused_and_told(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.npz"
    files = (
        "--image",
        folder / "image.npy",
        "--keypoints",
        folder / "points.npy",
        "--depth",
        folder / "depth.npy",
    )
    told = command("embed", out, "-m", folder / "model.safetensors", *files, *CAMERA)
    assert "used image (5 of 5), 2d (5 of 5), depth (5 of 5)" in told
    found = read(out)
    assert set(found) == {"fused", "image", "2d", "depth", "concentration", "valid"}
    np.testing.assert_allclose(np.linalg.norm(found["fused"], axis=1), 1, rtol=1e-5)
    model = polypose.load(folder / "model.safetensors")
    alone = model.understand(image=np.load(folder / "image.npy"))
    np.testing.assert_allclose(found["image"], alone.by["image"].numpy(), atol=1e-5)
    np.testing.assert_allclose(alone.vectors.numpy(), alone.by["image"].numpy(), atol=1e-6)


def test_poses_are_lifted_from_what_is_given(folder: Path, tmp_path: Path) -> None:
    model = polypose.load(folder / "model.safetensors")
    told = command(
        "lift", tmp_path / "a.npz", "-m", folder / "model.safetensors", "--pose", folder / "pose.npy"
    )
    assert "used 3d (5 of 5)" in told
    found = read(tmp_path / "a.npz")
    expected = model.understand(pose=np.load(folder / "pose.npy"))
    np.testing.assert_allclose(found["joints"], expected.joints.numpy(), atol=1e-5)
    np.testing.assert_allclose(found["joints"][:, 0], 0, atol=1e-6)
    decoder = model.network.decoder("3d")
    sd = decoder.std * decoder.spread[0b100 - 1] * decoder.profile[0b100 - 1].square().mean(-1).sqrt()
    np.testing.assert_allclose(found["sd"], sd.expand(ROWS, -1).numpy(), rtol=1e-5)


def test_the_same_people_are_retrieved(folder: Path, tmp_path: Path) -> None:
    model = ("-m", folder / "model.safetensors", "--pose", folder / "pose.npy")
    command("embed", tmp_path / "gallery.npz", *model)
    command("retrieve", tmp_path / "gallery.npz", tmp_path / "hits.npz", *model, "--k", 2)
    hits = read(tmp_path / "hits.npz")
    assert hits["row"][:, 0].tolist() == list(range(ROWS))
    np.testing.assert_allclose(hits["cosine"][:, 0], 1, atol=1e-5)
    assert (hits["cosine"][:, 1] < 1 - 1e-6).all()


def test_faults_are_one_line_and_a_cure(folder: Path, tmp_path: Path) -> None:
    model, out = ("-m", folder / "model.safetensors"), tmp_path / "out.npz"
    (tmp_path / "clip.mp4").write_bytes(b"no array")
    np.save(tmp_path / "two.npy", np.load(folder / "pose.npy")[:2])
    depth = ("--depth", folder / "depth.npy")
    for words, said in (
        (("--image", tmp_path / "clip.mp4"), r"clip.mp4: --image reads RGB crops (N, H, W, 3) in an .npy"),
        (("--depth", tmp_path / "clip.mp4"), r"--depth reads depth crops (N, H, W) in an .npy"),
        ((), "give image, keypoints, pose, depth or cloud"),
        (depth, "depth: give intrinsics too"),
        ((*depth, "--pose", tmp_path / "two.npy"), "2 of 3d and 5 of depth; together they must be as many"),
        (("--cloud", folder / "pose.npy"), "cloud: this model has image, 2d, 3d, depth; leave it out"),
        (("--image", folder / "depth.npy"), "image: shape is"),
    ):
        told = command("embed", out, *model, *words, code=2)
        assert said in told
        assert "Traceback" not in told
        assert not out.exists()
    wrong = CliRunner().invoke(
        app, ["lift", str(folder / "points.npy"), str(out), "-m", str(folder / "model.safetensors")]
    )
    assert wrong.exit_code == 2
    assert "its commands are those of polypose senses" in wrong.output


def test_pictures_without_keypoints_are_whole_and_metres_are_metres() -> None:
    depth = np.full((2, 40, 30), 3000, ">u2")  # as some readers of PNG and PGM give it
    depth[:, :5] = 9000  # a wall
    views = take_views(depth=depth, intrinsics=(500, 500, 14.5, 19.5), size=(30, 40), say=print)
    assert views.box.tolist() == [[-0.5, -0.5, 29.5, 39.5]] * 2
    assert views.depth is not None
    assert views.mask is not None
    assert views.depth[0, 20, 5].item() == 3
    assert views.mask[0, 20, 5]
    assert not views.mask[0, 2].any()
    token = DEPTH.take(views)["box_token"][0]
    torch.testing.assert_close(token, torch.tensor([0.0, 0.0, 40 / 500]))


def test_what_no_sensor_measured_is_a_hole_and_other_numbers_are_refused() -> None:
    lens: dict[str, Any] = {"intrinsics": (500, 500, 14.5, 19.5), "size": (30, 40), "say": print}
    depth = np.full((2, 40, 30), 3.0, np.float32)
    depth[0, 0, :3] = np.inf, np.nan, -np.inf
    views = take_views(depth=depth, **lens)
    assert views.depth is not None
    assert views.mask is not None
    assert views.depth[0, 0, :4].tolist() == [0, 0, 0, 3]
    assert views.mask[0, 0, :4].tolist() == [False, False, False, True]
    with pytest.raises(ValueError, match="depth: holds uint8; give metres as floats"):
        take_views(depth=np.full((2, 40, 30), 3, np.uint8), **lens)
    with pytest.raises(ValueError, match="intrinsics: of 3 people, of 2 given; give one or as many"):
        take_views(depth=depth, **(lens | {"intrinsics": np.tile(lens["intrinsics"], (3, 1))}))
    cloud = np.full((2, 64, 3), 3000.0)
    cloud[:, 0] = np.nan
    with pytest.raises(ValueError, match=r"cloud: 3e\+03 before the camera; give metres"):
        take_views(cloud=cloud, say=print)


def test_a_pose_without_its_cloud_has_a_box_of_its_own() -> None:
    joints = standing()
    cloud = joints.repeat(1, 4, 1) + 0.01
    alone = take_views(pose=joints.numpy(), say=print)
    both = take_views(cloud=cloud.numpy(), say=print)
    cloud[1] = torch.nan
    mixed = take_views(pose=joints.numpy(), cloud=cloud.numpy(), say=print)
    torch.testing.assert_close(mixed.box[1], alone.box[1])
    torch.testing.assert_close(mixed.box[0], both.box[0])
    assert POSES.present(mixed).all()


def test_a_pose_is_the_same_wherever_it_stands() -> None:
    joints = standing()
    found = []
    for angle in (0.0, 0.4):
        c, s = math.cos(angle), math.sin(angle)
        turned = joints @ torch.tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        views = take_views(pose=turned.numpy(), say=print)
        assert POSES.present(views).all()
        found.append(POSES.take(views)["pose"])
    torch.testing.assert_close(found[0], found[1], atol=0.05, rtol=0)


def test_keypoints_and_pose_share_the_keypoints_camera() -> None:
    joints = standing()
    camera = Camera(
        torch.tensor([500.0, 500.0]),
        torch.tensor([319.5, 239.5]),
        torch.eye(3),
        torch.zeros(3),
        size=(640, 480),
    )
    true = see(joints, Camera.stack([camera] * ROWS))
    views = take_views(
        pose=joints.numpy(),
        keypoints=camera.project(joints).numpy(),
        skeleton="h36m17",
        intrinsics=(500, 500, 319.5, 239.5),
        size=(640, 480),
        say=print,
    )
    torch.testing.assert_close(views.box, true.box)
    torch.testing.assert_close(views.keypoints[MIXED], true.keypoints["true"], atol=1e-3, rtol=0)
    torch.testing.assert_close(POSES.take(views)["pose"], POSES.take(true)["pose"])


@pytest.fixture(scope="module")
def in_two_parts(folder: Path) -> Path:
    """The file of a model with a part of the pose alone."""
    torch.manual_seed(0)
    network = Senses(SMALL, SpaceConfig(("2d", "3d"), invariant=16))
    return SensesModel(network, Settings()).save(folder / "invariant.safetensors")


def test_the_pose_alone_is_embedded_and_found(in_two_parts: Path, folder: Path, tmp_path: Path) -> None:
    model, given = polypose.load(in_two_parts), {"pose": np.load(folder / "pose.npy")}
    whole, alone = model.understand(**given), model.understand(**given, view="invariant")
    assert whole.vectors.shape == (ROWS, 32)
    part = torch.nn.functional.normalize(whole.vectors[:, :16], dim=1)
    torch.testing.assert_close(alone.vectors, part)
    torch.testing.assert_close(alone.by["3d"], part)
    torch.testing.assert_close(alone.concentration, whole.concentration / 2)
    torch.testing.assert_close(model.embed(**given, view="invariant"), part)
    torch.testing.assert_close(alone.joints, whole.joints)
    assert alone.body is not None
    body = model.network.decoder("body").mean(4 * part, 0)
    torch.testing.assert_close(alone.body, body - body[:, :1])
    asked = ("-m", in_two_parts, "--pose", folder / "pose.npy", "--view", "invariant")
    command("embed", tmp_path / "gallery.npz", *asked)
    np.testing.assert_allclose(read(tmp_path / "gallery.npz")["fused"], part.numpy(), atol=1e-5)
    command("retrieve", tmp_path / "gallery.npz", tmp_path / "hits.npz", *asked, "--k", 1)
    hits = read(tmp_path / "hits.npz")
    assert hits["row"][:, 0].tolist() == list(range(ROWS))
    np.testing.assert_allclose(hits["cosine"], 1, atol=1e-5)


def test_views_are_not_mixed_up(in_two_parts: Path, folder: Path, tmp_path: Path) -> None:
    pose = ("--pose", folder / "pose.npy")
    whole = tmp_path / "camera.npz"
    command("embed", whole, "-m", in_two_parts, *pose)
    out = tmp_path / "hits.npz"
    asked = ("-m", in_two_parts, *pose, "--view", "invariant")
    told = " ".join(command("retrieve", whole, out, *asked, code=2).split())
    assert "fused has 32 numbers a row, embeddings of --view invariant by this model 16" in told
    plain = ("-m", folder / "model.safetensors", *pose, "--view", "invariant")
    told = " ".join(command("embed", out, *plain, code=2).split())
    assert "no view-invariant part; train one with senses.space.invariant above 0" in told
    assert not out.exists()
