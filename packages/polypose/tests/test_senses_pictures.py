"""Pictures of a space of several senses: what is drawn is what was found, and as unsure as it was drawn."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Ellipse
from polypose.config import ModelConfig
from polypose.samples import Sample
from polypose.senses.config import SpaceConfig
from polypose.senses.held_out import HeldOut
from polypose.senses.invariance import azimuth
from polypose.senses.network import Senses, shown
from polypose.senses.pictures import across, deviation, ellipse, estimates, found_by, in_the_plane, uncertain
from polypose.senses.reporting import add_pictures, lifted_by, picked, write_report
from posedata.figures import POSE, colour, plt
from posedata.geometry.camera import Camera
from posedata.html import Report
from posedata.views.batch import TRUE, Views, see
from posedata.views.crops import depth_crop
from poseenc import Embedded, VonMisesFisher
from torch.nn.functional import normalize

NAMES = ("image", "2d", "3d", "depth")
ROWS, DIM = 7, 32
SMALL = ModelConfig(dim=DIM, hidden=32, decoder_hidden=32, pose_encoder="mlp", norm="layer", regression=True)
mpl.use("Agg")


@pytest.fixture(scope="module")
def network() -> Senses:
    torch.manual_seed(0)
    made = Senses(SMALL, SpaceConfig(NAMES)).eval()
    made.fit_scale(Sample.of(replace(held_out().views, image=None)))
    return made


def held_out() -> HeldOut:
    """Seven views; the second has no depth."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(ROWS, 17, 3, generator=generator) * 0.3 + torch.tensor([0.0, 4.0, 0.0])
    camera = Camera.look_at(torch.zeros(ROWS, 3), joints.mean(1), focal=500.0, size=(640, 480))
    depth = (3.5 + 0.1 * torch.arange(ROWS)[:, None, None] + torch.linspace(0, 0.8, 48)).repeat(1, 64, 1)
    depth[1] = 0
    tint = torch.randint(0, 256, (ROWS, 3, 1, 1), generator=generator, dtype=torch.uint8)
    image = tint.expand(ROWS, 3, 64, 48).contiguous()
    mask = torch.ones(ROWS, 64, 48, dtype=torch.bool)
    views = replace(shown(see(joints, camera), TRUE), image=image, depth=depth, mask=mask)
    return HeldOut(views, torch.arange(ROWS) // 3, TRUE)


def beliefs() -> Embedded:
    generator = torch.Generator().manual_seed(3)
    present = {name: torch.ones(ROWS, dtype=torch.bool) for name in NAMES}
    present["depth"][1] = False
    found = {}
    for name, there in present.items():
        mean = normalize(torch.randn(ROWS, DIM, generator=generator), dim=1) * there[:, None]
        found[name] = VonMisesFisher(mean, DIM * (0.5 + torch.rand(ROWS, generator=generator)) * there)
    return Embedded(found, present)


def test_what_is_drawn_beside_a_query_is_the_nearest() -> None:
    found, row = beliefs(), 4
    hits = found_by(found, row)
    assert len(hits) == 12
    for (source, target), hit in hits.items():
        cosines = found.beliefs[target].mean @ found.beliefs[source].mean[row]
        cosines[~(found.present[source] & found.present[target])] = -2
        assert hit == int(cosines.argmax()), (source, target)
    assert {pair for pair in hits if pair not in found_by(found, 1)} == {p for p in hits if "depth" in p}
    data = held_out()
    figure = across(found, data, row)
    depth = depth_crop(data.views).picture
    drawn = iter(figure.axes)
    for source in NAMES:
        for target in NAMES:
            axis, at = next(drawn), row if source == target else hits[source, target]
            if target == "image":
                shown_ = torch.from_numpy(axis.images[0].get_array().copy())
                assert torch.equal(shown_, data.views.image[at].permute(1, 2, 0))
            elif target == "depth":
                where = torch.from_numpy(axis.images[0].get_array().filled(torch.nan))
                assert torch.equal(where.isnan(), depth[at, 1] == 0)
                assert torch.equal(where[depth[at, 1] > 0], depth[at, 0][depth[at, 1] > 0])
            elif target == "2d":
                limb = torch.tensor(axis.lines[0].get_xydata()).float()
                torch.testing.assert_close(limb, Sample.of(data.views).keypoints[at][list(POSE.edges[0])])
            away = 1000 * (data.joints[at] - data.joints[row]).norm(dim=-1).mean().item()
            told = "asked" if source == target else "itself" if at == row else f"{away:.0f} mm"
            assert axis.get_title() == told
    plt.close(figure)


def test_half_of_an_ellipses_axes_are_standard_deviations() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200_000, 2, generator=generator) * torch.tensor([0.3, 0.1])
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])  # by 36.87 degrees
    long, short, angle = ellipse(points @ turn.T)
    assert long / 2 == pytest.approx(0.3, rel=0.01)
    assert short / 2 == pytest.approx(0.1, rel=0.01)
    assert angle % 180 == pytest.approx(36.87, abs=0.5)
    drawn = torch.zeros(4, 17, 3)
    drawn[:, 1] = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -2, 0]])
    assert deviation(drawn) == pytest.approx((10 / 3) ** 0.5 / 16)


@pytest.mark.parametrize("x", [0, 2])
def test_ellipses_stand_about_the_joints_of_the_estimate(x: int) -> None:
    generator = torch.Generator().manual_seed(1)
    pose, truth = torch.randn(2, 17, 3, generator=generator)
    pose[0] = truth[0] = 0
    sd = torch.rand(17, 3, generator=generator)
    drawn = pose + sd * torch.randn(100_000, 17, 3, generator=generator)
    drawn[:, 0] = 0
    figure, axis = plt.subplots()
    uncertain(axis, pose, drawn, truth, x)
    patches = [patch for patch in axis.patches if isinstance(patch, Ellipse)]
    assert len(patches) == 16
    for joint, patch in enumerate(patches, start=1):
        assert patch.center == pytest.approx(pose[joint, [x, 1]].tolist())
        assert to_hex(patch.get_facecolor()) == colour(POSE.joints[joint])
        wanted = sorted(sd[joint, [x, 1]].tolist())
        assert sorted((patch.width / 2, patch.height / 2)) == pytest.approx(wanted, rel=0.02)
    grey, limbs = axis.lines[: len(POSE.edges)], axis.lines[len(POSE.edges) :]
    for line, edge, body in zip((*grey, *limbs), POSE.edges * 2, [truth] * 16 + [pose] * 16, strict=True):
        torch.testing.assert_close(torch.tensor(line.get_xydata()).float(), body[list(edge)][:, [x, 1]])
    plt.close(figure)


def test_estimates_are_those_of_the_senses_that_they_are_called_by(network: Senses) -> None:
    data, found, row = held_out(), beliefs(), 5
    how = {"steps": 2}
    lifted = lifted_by(network, found, row, **how)
    assert list(lifted) == ["from image", "from depth", "all fused"]
    for title, senses in zip(lifted, (("image",), ("depth",), ("image", "2d", "depth")), strict=True):
        kept = {name: torch.ones(ROWS, dtype=torch.bool) for name in senses}
        pose = network.decode("3d", network.fuse(found.kept(kept).agreeing()))[row]
        torch.testing.assert_close(lifted[title][0], pose - pose[:1])
        drawn = lifted[title][1]
        assert drawn.shape == (100, 17, 3)
        assert not drawn[:, 0].any()
    figure = estimates(data.joints[row], lifted, data.views[torch.tensor([row])])
    titles = [axis.get_title() for axis in figure.axes]
    for title, (pose, drawn) in lifted.items():
        away = 1000 * (pose - data.joints[row]).norm(dim=-1).mean()
        assert f"{title}\n{away:.0f} mm off, sd {1000 * deviation(drawn):.0f} mm" in titles
    plt.close(figure)


def test_what_is_picked_is_typical(network: Senses) -> None:
    data, found = held_out(), beliefs()
    kept = {name: found.present[name] for name in ("image", "2d", "depth")}
    poses = network.decode("3d", network.fuse(found.kept(kept).agreeing()))
    errors = (poses - poses[:, :1] - data.joints).norm(dim=-1).mean(-1)
    errors[1] = torch.nan  # has no depth
    order = errors.argsort().tolist()[:-1]
    picks = picked(network, found, data)
    assert picks == {"Typical": order[2], "Doubtful": order[4]}  # halves are rounded to even


def test_colours_say_where_people_face() -> None:
    joints = torch.zeros(1, 17, 3)
    for name, place in {"left_hip": (-1, 0, 0), "right_hip": (1, 0, 0), "spine": (0, -1, 0)}.items():
        joints[0, POSE.index(name)] = 0.2 * torch.tensor(place)  # x right, y down: the back is seen
    towards = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    right = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]).T
    camera = Camera.look_at(
        torch.zeros(4, 3), torch.tensor([[0.0, 4, 0]]).expand(4, 3), focal=500.0, size=(64, 48)
    )
    in_camera = torch.cat([joints @ towards.T, joints @ right.T, joints, joints @ right])
    people = in_camera @ camera.rotation + torch.tensor([0.0, 4, 0])
    angle = azimuth(see(people, camera))
    points = torch.arange(16.0).view(2, 4, 2)
    figure = in_the_plane(points, ["2d", "image"], angle)
    by_sense, by_facing = figure.axes
    assert torch.equal(torch.tensor(by_sense.collections[1].get_offsets().data).float(), points[1])
    assert [text.get_text() for text in by_sense.get_legend().get_texts()] == ["2D", "image"]
    tints = by_facing.collections[0].get_facecolors()[:, :3]
    keys = [mark.get_facecolor()[0, :3] for mark in by_facing.collections[1:]]
    for i in range(4):
        for person in (i, 4 + i):
            assert tints[person].tolist() == pytest.approx(keys[i].tolist(), abs=0.05)
    plt.close(figure)


def test_a_report_has_its_pictures_as_files_and_its_numbers(network: Senses, tmp_path: Path) -> None:
    row = {"senses": "depth", "mpjpe_mm": 61.26, "low_mm": 1.0, "high_mm": 2.0, "inside_90": 0.914}
    logged = [{"stage": "senses", "step": i, "3d": 2.0 - i} for i in range(2)]
    how = {"batch": 4, "plane": lambda vectors: vectors[:, :2], "steps": 2}
    path = write_report(tmp_path, network, held_out(), {"estimate": [row]}, logged, "senses: <none>", **how)
    text = path.read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("doubtful.png", "fused.png", "query.jpg", "report.html", "space.png")
    ]
    assert all(1000 < file.stat().st_size < 200_000 for file in tmp_path.glob("*.?p*g"))
    assert text.count("<img") == 5
    assert "<td>depth</td><td>61.3</td><td>1.0</td><td>2.0</td><td></td><td>91%</td>" in text
    assert "3D from senses" in text
    assert "senses: &lt;none&gt;" in text


def test_nothing_whole_is_no_picture(network: Senses, tmp_path: Path) -> None:
    blind = held_out()
    views: Views = replace(blind.views, image=None)
    report = Report("blind")
    add_pictures(
        report, tmp_path, network, replace(blind, views=views), batch=4, plane=lambda vectors: vectors
    )
    assert not list(tmp_path.iterdir())
