"""Pictures against closed forms: depth and area of spheres and capsules, occlusion, determinism."""

import math

import numpy as np
import pytest
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic import Flesh, Renderer, generate_motion
from posedata.synthetic.background import KINDS
from posedata.synthetic.flesh import bone_frames, capsule_mesh
from posedata.synthetic.render import Surface, trace

H36M = get_skeleton("h36m17")
J = {name: H36M.index(name) for name in H36M.joints}
SIZE = (96, 128)


@pytest.fixture(scope="module")
def joints():
    """Someone who stands at the origin facing +x, arms hanging."""
    place = {
        "pelvis": (0, 0, 0.95), "spine": (0, 0, 1.2), "thorax": (0, 0, 1.45), "neck": (0.02, 0, 1.57),
        "head": (0.02, 0, 1.75), "hip": (0, 0.09, 0.95), "knee": (0.02, 0.09, 0.5), "ankle": (0, 0.09, 0.08),
        "shoulder": (0, 0.17, 1.43), "elbow": (-0.02, 0.24, 1.15), "wrist": (0.03, 0.26, 0.9),
    }  # fmt: skip
    rows = []
    for name in H36M.joints:
        side, _, part = name.rpartition("_")
        x, y, z = place[part]
        rows.append((x, -y if side == "right" else y, z))
    return torch.tensor(rows, dtype=torch.float32)


def camera_at(azimuth, distance=4.0, focal=190.0, height=1.0, size=SIZE):
    eye = torch.tensor([distance * math.cos(azimuth), distance * math.sin(azimuth), height])
    return Camera.look_at(eye, torch.tensor([0.0, 0.0, 0.9]), torch.tensor([focal, focal]), size)


def person():
    return Flesh.sample(torch.Generator().manual_seed(5))


def render(joints, camera, seed=0, **options):
    renderer = Renderer(tuple(camera.size.tolist()))
    return renderer.render(joints, person(), camera, generator=torch.Generator().manual_seed(seed), **options)


def cast_capsule(start, end, radius, focal=200.0):
    """Depth image (H, W), NaN off the capsule, and its rays."""
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    rays = np.stack([(columns - 47.5) / focal, (rows - 63.5) / focal, np.ones(SIZE[::-1])], -1)
    rays = rays.astype(np.float32)
    vertices, normals, triangles = capsule_mesh(np.array([start, end], np.float32), radius, 48, 12)
    surface = Surface(vertices, normals, triangles, np.zeros((len(triangles), 3), np.float32))
    everything = (slice(0, SIZE[1]), slice(0, SIZE[0]))
    hits, _ = trace(surface, rays, everything, np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    depth = np.full(hits.on.shape, np.nan)
    depth[hits.on] = hits.depth
    return depth, rays, hits


def test_depth_and_normals_of_a_sphere_are_analytic():
    centre, radius = np.array([0.1, -0.2, 3.0]), 0.4
    depth, rays, hits = cast_capsule(centre, centre, radius)
    a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - radius**2
    root = b**2 - a * c
    expected = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.nan)
    well_inside = root > 0.15 * root.max()
    assert np.abs(depth - expected)[well_inside].max() < 0.004
    at = rays[hits.on] * hits.depth[:, None]
    inside = well_inside[hits.on]
    outward = (at - centre) / np.linalg.norm(at - centre, axis=-1, keepdims=True)
    cosine = (outward * hits.normals).sum(-1)
    assert cosine[inside].min() > 0.999


def test_area_of_a_sphere_is_that_of_its_ellipse():
    radius, distance, focal = 0.5, 3.0, 200.0
    depth, _, _ = cast_capsule([0, 0, distance], [0, 0, distance], radius, focal)
    expected = math.pi * focal**2 * radius**2 / (distance**2 - radius**2)
    assert np.isfinite(depth).sum() == pytest.approx(expected, rel=0.01)


def test_depth_of_a_capsule_across_the_view_is_a_cylinders():
    radius, distance = 0.3, 2.5
    depth, rays, _ = cast_capsule([-1, 0, distance], [1, 0, distance], radius)
    y = rays[..., 1]
    root = distance**2 - (1 + y**2) * (distance**2 - radius**2)
    expected = (distance - np.sqrt(np.maximum(root, 0))) / (1 + y**2)
    assert np.abs(depth - expected)[root > 0.15 * root.max()].max() < 0.003


def test_depth_and_mask_of_a_person_surround_the_joints(joints):
    camera = camera_at(0.3)
    image = render(joints, camera, background="gradient")
    seen = camera.world_to_camera(joints)
    pixels = camera.project(joints).round().long()
    for name in ("pelvis", "spine", "left_knee", "right_knee", "left_elbow", "right_shoulder"):
        u, v = pixels[J[name]].tolist()
        assert image.mask[v, u] == 1, name
        assert 0 < 1000 * seen[J[name], 2] - int(image.depth[v, u]) < 250, name
    assert ((image.depth > 0) == (image.mask == 1)).all()
    assert 0.05 < image.mask.mean() < 0.3


def test_far_arm_is_hidden_by_the_trunk_and_near_arm_is_not(joints):
    for azimuth, near, far in ((math.pi / 2, "left", "right"), (-math.pi / 2, "right", "left")):
        visible = render(joints, camera_at(azimuth)).visible
        for part in ("shoulder", "elbow", "wrist"):
            assert visible[J[f"{near}_{part}"]], part
        for part in ("shoulder", "elbow", "hip"):
            assert not visible[J[f"{far}_{part}"]], part
    assert render(joints, camera_at(0.0)).visible.all()


def test_joints_off_the_image_are_not_visible(joints):
    camera = camera_at(0.0)
    upper = camera.crop(torch.tensor([20.0, 0.0, 76.0, 64.0]), SIZE)
    visible = render(joints, upper).visible
    assert visible[J["head"]]
    assert not visible[[J["left_ankle"], J["right_ankle"]]].any()


def test_face_is_in_front_and_hair_behind(joints):
    flesh = person()
    counts = {}
    for view, azimuth in (("front", 0.0), ("back", math.pi)):
        camera = camera_at(azimuth, height=1.66, focal=900.0, distance=4.0)
        camera = camera.crop(torch.tensor([0.0, -100.0, 96.0, 28.0]), SIZE)
        image = Renderer(SIZE).render(joints, flesh, camera, generator=torch.Generator().manual_seed(1))
        above = int(camera.project(joints)[J["neck"], 1])
        hue = image.rgb[:above][image.mask[:above] == 1].astype(float)
        hue /= hue.sum(-1, keepdims=True) + 1
        skin, hair = (c / c.sum() for c in flesh.colours[:2])
        counts[view] = (np.abs(hue - skin).sum(-1) < np.abs(hue - hair).sum(-1)).mean()
    assert counts["front"] > counts["back"] + 0.3


def test_bone_frames_point_forward(joints):
    frames = bone_frames(joints.numpy())
    np.testing.assert_allclose(frames @ frames.transpose(0, 2, 1), np.tile(np.eye(3), (15, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(frames), 1, atol=1e-5)
    toes = frames[[9, 14], 2]
    assert (toes[:, 0] > 0.9).all()
    assert (frames[[0, 1, 4], 0, 0] > 0.9).all()


def test_frames_of_any_pose_are_rotations():
    for joints in generate_motion(2, 14, 3, seed=1).joints:
        frames = bone_frames(joints)
        np.testing.assert_allclose(
            frames @ frames.transpose(0, 2, 1), np.tile(np.eye(3), (15, 1, 1)), atol=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes(joints, kind):
    one, two = (render(joints, camera_at(1.0), seed=3, background=kind, kinect=True) for _ in range(2))
    for field in ("rgb", "depth", "mask", "visible"):
        assert getattr(one, field).tobytes() == getattr(two, field).tobytes()
    assert render(joints, camera_at(1.0), seed=4, background=kind).rgb.tobytes() != one.rgb.tobytes()


def test_room_has_a_floor_at_the_feet(joints):
    camera = camera_at(0.0, height=2.0)
    image = render(joints, camera, background="floor")
    v, u = 125, 5
    assert image.mask[v, u] == 0
    depth = torch.tensor([float(image.depth[v, u]) / 1000])
    point = camera.camera_to_world(camera.unproject(torch.tensor([[float(u), float(v)]]), depth))
    assert point[0, 2].item() == pytest.approx(0.0, abs=0.005)


def test_pixels_without_a_ray_stay_dark(joints):
    """The lens folds at 0.88 of a focal length from the centre; the image's corners lie farther."""
    camera = camera_at(0.0, focal=60.0).replace(distortion=torch.tensor([0.1, -0.3, 0.0, 0.0, 0.0]))
    picture = render(joints, camera, background="room")
    v, u = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")
    dark = camera.rays(torch.stack([u, v], -1).flatten(0, 1)).isnan().any(-1).view(128, 96).numpy()
    assert 0.2 < dark.mean() < 0.8
    assert not picture.rgb[dark].any()
    assert not picture.depth[dark].any()
    assert picture.depth[~dark].all()


def test_a_distorted_camera_agrees_with_its_projection(joints):
    camera = camera_at(0.0)
    camera = camera.replace(distortion=torch.tensor([-0.2, 0.05, 0.001, -0.002, 0.0]))
    image = render(joints, camera)
    u, v = camera.project(joints)[J["left_knee"]].round().long().tolist()
    assert image.mask[v, u] == 1
    assert image.visible.all()


def test_a_wrong_size_and_a_nan_are_refused(joints):
    with pytest.raises(ValueError, match="crop"):
        Renderer((64, 64)).render(joints, person(), camera_at(0.0), generator=torch.Generator())
    broken = joints.clone()
    broken[3, 1] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        render(broken, camera_at(0.0))
    with pytest.raises(ValueError, match="checkers"):
        render(joints, camera_at(0.0), background="beach")
