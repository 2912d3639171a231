"""BVH and GLB of a motion: joints agree to 0.1 mm where bones are constant, and bodies move with them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from independent import H36M_NODES, Glb, read_bvh, z_up
from polypose.capture.motion import Motion, Person
from polypose.capture.write.glb import quaternions
from polypose.capture.write.rig import rig_of
from posedata.readers.bvh import read_bvh as posedata_bvh
from posedata.skeleton import get_skeleton
from walkers import RATE, walkers

TENTH_OF_A_MILLIMETRE = 1e-4
H36M = get_skeleton("h36m17")


def near(found: np.ndarray, true: np.ndarray) -> None:
    np.testing.assert_allclose(found, true, rtol=0, atol=TENTH_OF_A_MILLIMETRE)


def test_bvh_by_bvhio(tmp_path):
    motion = walkers()
    first = motion.save(tmp_path / "walk.bvh")
    for person, path in zip(motion.people, (first, tmp_path / "walk.person2.bvh"), strict=True):
        joints, seconds = read_bvh(path)
        assert seconds == pytest.approx(1 / RATE)
        near(joints, person.joints)


def test_bvh_by_posedata(tmp_path):
    motion = walkers()
    motion.save(tmp_path / "walk.bvh")
    for person, name in zip(motion.people, ("walk.bvh", "walk.person2.bvh"), strict=True):
        read = posedata_bvh(tmp_path / name)
        near(read.columns["joints"], person.joints)
        assert read.meta["fps"] == pytest.approx(RATE)


def test_bvh_has_offsets_of_the_person_in_centimetres(tmp_path):
    text = walkers().save(tmp_path / "walk.bvh").read_text(encoding="ascii")
    shank = np.linalg.norm(walkers().people[0].joints[0, 5] - walkers().people[0].joints[0, 6])
    found = re.search(r"JOINT LeftFoot\s*\{\s*OFFSET (\S+) (\S+) (\S+)", text)
    assert [float(x) for x in found.groups()] == pytest.approx([0, -100 * shank, 0], abs=1e-4)
    assert text.count("End Site") == 5


def test_glb_by_pygltflib(tmp_path):
    motion = walkers()
    file = Glb(motion.save(tmp_path / "walk.glb"))
    for person in motion.people:
        times, nodes, _ = file.globals(f"person{person.id}")
        near(times, motion.times[person.frames] - motion.times[0])
        found = np.stack([nodes[name][:, :3, 3] for name in H36M_NODES], axis=1)
        near(z_up(found), person.joints)


def test_glb_bodies_lie_about_the_bones_in_every_frame(tmp_path):
    """Skinned vertices of a shin are as far from it as the capsule is thick."""
    motion = walkers()
    file = Glb(motion.save(tmp_path / "walk.glb"))
    _, _, world = file.globals("person1")
    node = next(node for node in file.file.nodes if node.name == "person1_body")
    skin, mesh = file.file.skins[node.skin], file.file.meshes[node.mesh].primitives[0].attributes
    moved_by = file.values(mesh.JOINTS_0)[:, 0]
    knee = next(k for k, n in enumerate(skin.joints) if file.file.nodes[n].name == "LeftLeg")
    place = file.values(mesh.POSITION)[moved_by == knee]
    unbind = file.values(skin.inverseBindMatrices)[knee].reshape(4, 4).T
    whole = np.concatenate([place, np.ones((len(place), 1))], axis=1)
    for frame in (0, 20, 39):
        skinned = z_up((whole @ (world[skin.joints[knee]][frame] @ unbind).T)[:, :3])
        start, end = motion.people[0].joints[frame, [5, 6]]
        share = np.clip((skinned - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
        away = np.linalg.norm(skinned - start - share[:, None] * (end - start), axis=1)
        np.testing.assert_allclose(away, 0.05, atol=1e-3)
    assert file.values(mesh.WEIGHTS_0).sum(1).tolist() == [1.0] * len(moved_by)


def test_glb_triangles_face_outwards(tmp_path):
    file = Glb(walkers().save(tmp_path / "walk.glb"))
    primitive = file.file.meshes[0].primitives[0]
    place, normal = (file.values(getattr(primitive.attributes, n)) for n in ("POSITION", "NORMAL"))
    a, b, c = place[file.values(primitive.indices).reshape(-1, 3)].swapaxes(0, 1)
    facing = np.cross(b - a, c - a)
    whole = np.linalg.norm(facing, axis=1) > 1e-8
    outward = normal[file.values(primitive.indices).reshape(-1, 3)].mean(1)
    assert ((facing * outward).sum(1)[whole] > 0).all()


def test_glb_hides_people_outside_their_frames_and_colours_them_apart(tmp_path):
    motion = walkers()
    file = Glb(motion.save(tmp_path / "walk.glb"))
    sizes = [(t, v) for (_, path), (t, v) in file.channels().items() if path == "scale"]
    (first_times, first), (second_times, second) = sizes
    assert first[:, 0].tolist() == [1, 0]
    assert first_times.tolist() == pytest.approx([0, 40 / RATE])
    assert second[:, 0].tolist() == [0, 1]
    assert second_times.tolist() == pytest.approx([0, 8 / RATE])
    colours = [m.pbrMetallicRoughness.baseColorFactor for m in file.file.materials]
    assert len(colours) == 2
    assert np.abs(np.subtract(*colours)).max() > 0.2


def test_rotations_in_glb_are_continuous(tmp_path):
    file = Glb(walkers(1, 120).save(tmp_path / "walk.glb"))
    turns = [values for (_, path), (_, values) in file.channels().items() if path == "rotation"]
    assert len(turns) == 22
    for values in turns:
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
        assert ((values[1:] * values[:-1]).sum(1) > 0.9).all()


@pytest.mark.parametrize("way", [*np.eye(4).tolist(), [0.5, -0.5, 0.5, 0.5], [0.6, 0.8, 0, 1e-9]])
def test_quaternions_of_any_turn(way):
    x, y, z, w = np.array(way) / np.linalg.norm(way)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    assert abs(quaternions(turn[None])[0] @ (x, y, z, w)) == pytest.approx(1)


def test_gaps_are_filled_between_their_ends(tmp_path):
    truth, motion = walkers().people[0].joints, walkers(gaps=True)
    joints, _ = read_bvh(motion.save(tmp_path / "walk.bvh"))
    known = np.isfinite(motion.people[0].joints).all(-1)
    near(joints[known], truth[known])
    assert np.linalg.norm(joints[4, 13] - truth[4, 13]) < 0.05
    assert np.linalg.norm(joints[8] - truth[8], axis=-1).max() < 0.05


def test_a_bone_that_changes_keeps_its_direction_and_ends_off_by_the_difference(tmp_path):
    person = walkers().people[0]
    longer = person.joints.copy()
    way = longer[5, 6] - longer[5, 5]
    longer[5, 6] += 0.03 * way / np.linalg.norm(way)
    motion = replace(walkers(), people=(replace(person, joints=longer),))
    joints, _ = read_bvh(motion.save(tmp_path / "walk.bvh"))
    away = np.linalg.norm(joints - longer, axis=-1)
    assert away[5, 6] == pytest.approx(0.03, abs=1e-4)
    away[5, 6] = 0
    assert away.max() < TENTH_OF_A_MILLIMETRE


def test_a_limb_that_turns_around_does_not_flip():
    """An arm that circles in a plane, past straight back from its rest: no step is larger than the arm's."""
    angle = np.linspace(0, 4 * np.pi, 201)
    joints = np.tile(walkers().people[0].joints[:1], (201, 1, 1))
    arm = np.stack([np.cos(angle), np.full(201, 0.01), np.sin(angle)], axis=-1)
    joints[:, 12] = joints[:, 11] + 0.3 * arm / np.linalg.norm(arm, axis=1, keepdims=True)
    joints[:, 13] = joints[:, 12] + 0.25 * arm / np.linalg.norm(arm, axis=1, keepdims=True)
    rig = rig_of(joints, H36M, 30.0)
    upper = next(i for i, bone in enumerate(rig.bones) if bone.name == "LeftArm")
    step = np.einsum("tij,tij->t", rig.turns[1:, upper], rig.turns[:-1, upper])
    turned = np.degrees(np.arccos(np.clip((step - 1) / 2, -1, 1)))
    assert turned.max() < 12


def test_twist_fades_rather_than_adds_up():
    """A thigh that swings in small circles comes back with the twist it had, not more at every round."""
    angle = np.linspace(0, 100 * np.pi, 3001)
    joints = np.tile(walkers().people[0].joints[:1], (3001, 1, 1))
    cone = np.stack([0.4 * np.cos(angle), 0.4 * np.sin(angle), -np.ones(3001)], axis=-1)
    way = cone / np.linalg.norm(cone, axis=1, keepdims=True)
    joints[:, 5] = joints[:, 4] + 0.4 * way
    joints[:, 6] = joints[:, 4] + 0.8 * way
    rig = rig_of(joints, H36M, 60.0)
    thigh = next(i for i, bone in enumerate(rig.bones) if bone.name == "LeftUpLeg")
    start, end = rig.turns[1800, thigh], rig.turns[3000, thigh]
    np.testing.assert_allclose(start, end, atol=0.02)


@pytest.mark.parametrize("name", ["coco17", "smpl24", "openpose25", "itop15"])
def test_other_skeletons_are_written_by_their_own_names(tmp_path, name):
    skeleton = get_skeleton(name)
    joints = np.random.default_rng(1).normal(size=(1, len(skeleton), 3))
    turned = np.stack([joints[0], joints[0] @ np.diag([-1.0, -1.0, 1.0])])
    person = Person(1, 0, turned, np.zeros(turned.shape[:2]))
    motion = Motion(np.array([0.0, 0.1]), (person,), skeleton=skeleton)
    _, nodes, _ = Glb(motion.save(tmp_path / "any.glb")).globals("person1")
    near(z_up(np.stack([nodes[joint][:, :3, 3] for joint in skeleton.joints], axis=1)), turned)
    near(read_bvh(motion.save(tmp_path / "any.bvh"), skeleton.joints)[0], turned)


def test_an_arm_straight_up_and_down_is_exact(tmp_path):
    """Where BVH's three angles lose one."""
    joints = np.tile(walkers().people[0].joints[:1], (5, 1, 1))
    for frame, way in enumerate(([0, 0, 1], [0, 0, -1], [1e-5, 0, 1], [0, 1, 0], [0, -1, 1e-6])):
        joints[frame, 12] = joints[frame, 11] + 0.3 * np.array(way) / np.linalg.norm(way)
        joints[frame, 13] = joints[frame, 12] + 0.25 * np.array(way) / np.linalg.norm(way)
    motion = Motion(np.arange(5) / 10, (Person(1, 0, joints, np.zeros((5, 17))),))
    near(read_bvh(motion.save(tmp_path / "up.bvh"))[0], joints)


def test_one_frame_is_enough(tmp_path):
    person = walkers().people[0]
    pose = Person(1, 0, person.joints[:1], person.sd[:1])
    motion = Motion(np.array([0.0]), (pose,))
    near(read_bvh(motion.save(tmp_path / "pose.bvh"))[0], pose.joints)
    _, nodes, _ = Glb(motion.save(tmp_path / "pose.glb")).globals("person1")
    near(z_up(nodes["HeadTop_End"][:, :3, 3]), pose.joints[:, 10])
