"""Two hands end to end, small: train, evaluate and predict as commands, and what they leave behind."""

import json
import math
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hands_tiny import TINY
from PIL import Image
from posedata.hand_source import open_hands
from posedata.store import PoseStore
from posedata.synthetic.hands import build_hands
from posedata.views.hand_pictures import Hands
from posedata.views.hands import encode
from poseenc.anchor.hands import check_box, evaluate, open_picture, predict
from poseenc.anchor.hands_network import hands_network
from posetrain.recipe import load_recipe
from safetensors.torch import save_file
from typer.testing import CliRunner
from unipose.hands.recipe import RECIPES, Recipe
from unipose.hands.task import open_run
from unipose.hands_cli import app

SAMPLE = Path(__file__).resolve().parents[1] / "../shared/data/interhand"


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def overrides(cache: Path) -> list[str]:
    return [part for item in (*TINY, f"data.cache={cache}") for part in ("--set", item)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hands")


@pytest.fixture(scope="module")
def trained(cache: Path) -> Path:
    command("train", "--runs", cache, "--name", "tiny", "--json", cache / "r.json", *overrides(cache))
    return cache / "tiny"


def test_training_measures_itself_beside_what_costs_nothing(trained: Path, cache: Path) -> None:
    results = json.loads((cache / "r.json").read_text())
    ours, flat, mean, named = results["rows"]
    assert named["epe_px"] <= ours["epe_px"]
    assert named["single_swapped_percent"] == named["two_swapped_percent"] == 0
    assert 0 <= ours["two_swapped_percent"] <= 100
    for row in (ours, flat, mean):
        low, high = sorted((row["single_mpjpe_mm"], row["two_mpjpe_mm"]))
        assert (
            0 < 0.9 * low < row["all_mpjpe_mm"] < 1.1 * high
        )  # joints are known in unequal numbers of scenes
    # a hand is 0.2 m long: its mean pose is off by centimetres, and so are true pixels without depth
    assert 40 < mean["all_mpjpe_mm"] < 120
    assert 15 < flat["all_mpjpe_mm"] < mean["all_mpjpe_mm"]
    assert json.loads((trained / "metrics.json").read_text())["rows"] == results["rows"]
    assert str(cache) not in json.dumps(results["rows"])


def test_evaluating_the_saved_run_repeats_its_numbers(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())["rows"][0]
    command("evaluate", trained, "--json", tmp_path / "again.json")
    after = json.loads((tmp_path / "again.json").read_text())["rows"][0]
    assert after["all_mpjpe_mm"] == pytest.approx(before["all_mpjpe_mm"], rel=1e-4)


def test_resuming_repeats_to_the_bit(trained: Path, cache: Path) -> None:
    """Two steps of four, then the rest, against four in one."""
    halves = [*overrides(cache), "--set", "train.steps=4"]
    command("train", "--runs", cache, "--name", "again", *halves)
    step = sorted((cache / "again" / "checkpoints" / "hands").glob("step-*"))[-1]
    shutil.rmtree(step)
    assert "stage hands is at step 2 of 4" in " ".join(command("evaluate", cache / "again", code=2).split())
    command("train", "--runs", cache, "--name", "again", "--resume", *halves)
    a, b = (open_run(cache / name).model.state_dict() for name in ("tiny", "again"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_it_began_from_is_not_needed_any_more(cache: Path, tmp_path: Path) -> None:
    """Neither to measure a run nor to go on with it; and its batch norms, frozen or not, are as they were."""
    weights = tmp_path / "lite0.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict(), weights)
    more = ("model.backbone=efficientnet_lite0", f"model.weights={weights}", "train.steps=1")
    given = ("train", "--runs", tmp_path, "--name", "r", *overrides(cache))
    given += tuple(part for item in more for part in ("--set", item))
    command(*given)
    before = json.loads((tmp_path / "r" / "metrics.json").read_text())["rows"][0]
    weights.unlink()
    for words in (("evaluate", tmp_path / "r"), (*given, "--resume")):
        command(*words)
        after = json.loads((tmp_path / "r" / "metrics.json").read_text())["rows"][0]
        assert after["all_mpjpe_mm"] == pytest.approx(before["all_mpjpe_mm"], rel=1e-4)
    assert "lite0.safetensors" in " ".join(command(*given, "--overwrite", code=2).split())
    command("evaluate", tmp_path / "r")


def test_a_perfect_prediction_has_no_error(trained: Path, cache: Path) -> None:
    """Evaluated on its own targets, a network that says them is at 0 mm: decoding inverts encoding."""
    store = PoseStore.open(next(cache.glob("hands-test-*")))
    hands = Hands.open(store)

    class Oracle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = 0

        def forward(self, images: torch.Tensor) -> object:
            from poseenc.anchor import Estimate

            said = hands.targets[self.at : self.at + len(images)]
            self.at += len(images)
            return Estimate(said, said)

    rows = evaluate(Oracle(), hands, hands)  # type: ignore[arg-type]
    assert rows[0]["all_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert rows[0]["epe_px"] == 0


def test_prediction_in_a_crop_is_prediction_of_the_crop(trained: Path, tmp_path: Path) -> None:
    """A picture put into a larger one, with its box: the same hands, moved."""
    run = open_run(trained).model
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    large = np.zeros((60, 80, 3), np.uint8)
    large[10:42, 20:52] = pixels
    Image.fromarray(large).save(tmp_path / "large.png")
    alone = predict(run, tmp_path / "small.png")
    inside = predict(run, tmp_path / "large.png", (19.5, 9.5, 51.5, 41.5))
    np.testing.assert_allclose(inside["pixels"], alone["pixels"] + [20, 10], atol=1e-3)
    np.testing.assert_allclose(inside["depth"], alone["depth"], atol=1e-6)
    command("predict", trained, tmp_path / "large.png", tmp_path / "out" / "p.npz", "--hands", "left")
    with np.load(tmp_path / "out" / "p.npz") as found:
        whole = predict(run, tmp_path / "large.png")
        np.testing.assert_allclose(found["pixels"], whole["pixels"], atol=1e-4)
        assert found["depth"].shape == (42, 1)
        assert found["joint_names"][20] == "right_wrist"
        assert str(found["skeleton"]) == "interhand42"
        assert str(found["unit"]) == "pixels; depth in metres"
    assert (tmp_path / "out" / "p.png").stat().st_size > 1000


def test_bad_input_is_one_line_that_names_the_cure(trained: Path, cache: Path, tmp_path: Path) -> None:
    said = command("train", "--runs", cache, "--name", "tiny", *overrides(cache), code=2)
    assert "holds a run" in said
    said = command("train", "--set", "data.format=interhand", "--runs", tmp_path, code=2)
    assert "data.path is not set; give InterHand2.6M's folder" in said
    said = command("predict", trained, tmp_path / "no.png", tmp_path / "o.npz", code=2)
    assert "no.png: no such picture" in said
    (tmp_path / "bad.png").write_bytes(b"none")
    said = command("predict", trained, tmp_path / "bad.png", tmp_path / "o.npz", code=2)
    assert "bad.png: not a readable picture" in said
    assert not (tmp_path / "o.npz").exists()
    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    said = command("predict", trained, tmp_path / "good.png", tmp_path / "hands2", code=2)
    assert "write to a file that ends in .npz" in " ".join(said.split())
    for box in ((5, 5, 5, 9), (9, 5, 5, 9), (5, 9, 8, 5), (5, 5, "nan", 9)):
        words = ("predict", trained, tmp_path / "good.png", tmp_path / "o.npz", "--box", *box)
        assert "is empty; give x0 < x1 and y0 < y1" in " ".join(command(*words, code=2).split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "good.png"]
    said = command("evaluate", tmp_path / "nothing", code=2)
    assert "no such run" in said


def test_a_picture_is_turned_as_its_exif_says(trained: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    upright, turned, out = Image.fromarray(pixels), tmp_path / "turned.png", tmp_path / "o.npz"
    upright.save(tmp_path / "upright.png")
    run = open_run(trained).model
    wanted = predict(run, tmp_path / "upright.png", (5, 5, 30, 30))
    ways = Image.Transpose
    for orientation, way in ((6, ways.ROTATE_90), (3, ways.ROTATE_180), (8, ways.ROTATE_270)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright.transpose(way).save(turned, exif=exif)
        np.testing.assert_array_equal(np.asarray(open_picture(turned)), pixels)
        np.testing.assert_array_equal(predict(run, turned, (5, 5, 30, 30))["pixels"], wanted["pixels"])
    command("predict", trained, turned, out)
    with Image.open(out.with_suffix(".png")) as drawn:
        assert drawn.width > drawn.height


def sixteen_bits(path: Path, pixels: np.ndarray) -> Path:
    """A PNG of 16 bits a channel, (H, W, 1 or 3), which Pillow does not write in colour."""
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_colour_of_sixteen_bits_is_scaled_and_told_and_one_channel_refused(
    trained: Path, tmp_path: Path
) -> None:
    small = np.random.default_rng(0).integers(0, 256, (40, 16, 3), np.uint8)
    Image.fromarray(small).save(tmp_path / "small.png")
    deep = sixteen_bits(tmp_path / "deep.png", small.astype(np.uint16) * 257)
    said: list[str] = []
    np.testing.assert_array_equal(np.asarray(open_picture(deep, said.append)), small)
    assert said == [f"note: {deep}: has 16 bits a channel, of which the upper 8 are taken"]
    open_picture(tmp_path / "small.png", said.append)
    assert len(said) == 1
    assert "has 16 bits a channel" in " ".join(command("predict", trained, deep, tmp_path / "o.npz").split())
    grey = sixteen_bits(tmp_path / "grey.png", small[..., :1].astype(np.uint16))
    text = " ".join(command("predict", trained, grey, tmp_path / "g.npz", code=2).split())
    assert "grey.png: has one channel of more than 8 bits, as depth has; give a colour picture" in text
    assert not (tmp_path / "g.npz").exists()


def test_the_picture_that_is_read_is_not_drawn_over(trained: Path, tmp_path: Path) -> None:
    picture = tmp_path / "hand.png"
    Image.new("RGB", (40, 40)).save(picture)
    before = picture.read_bytes()
    (tmp_path / "link.png").symlink_to(picture)
    for out in ("hand.npz", "link.npz"):
        said = " ".join(command("predict", trained, picture, tmp_path / out, code=2).split())
        assert "is read, and would be written over; write to a file of another name" in said
        assert not (tmp_path / out).exists()
    assert picture.read_bytes() == before


OUTSIDE = [
    ((100, 100, 140, 140), "lies outside {}, which has 80x60 pixels; give x0, y0, x1, y1 in them"),
    ((-90, -90, 2, 2), "lies to 100% outside {}, which has 80x60 pixels"),
    ((-1e9, -1e9, 1e9, 1e9), "lies to 100% outside"),
    ((0.1, 0.2, 0.6, 0.9), "is smaller than 4 pixels; give pixels, not shares of the picture"),
    ((5, 5, math.inf, 9), "is not finite; give four numbers of pixels"),
    ((30, 30, 20, 20), "(x, y, width, height is x y x+width y+height)"),
]


@pytest.mark.parametrize(("box", "said"), OUTSIDE)
def test_a_box_that_is_not_of_its_picture_is_refused(
    tmp_path: Path, box: tuple[float, float, float, float], said: str
) -> None:
    with pytest.raises(ValueError, match=r"^--box ") as error:
        check_box(box, Path("p.png"), (-0.5, -0.5, 79.5, 59.5))
    assert said.format("p.png") in str(error.value)


def test_a_box_partly_outside_is_told_and_one_to_the_edge_is_not(trained: Path, tmp_path: Path) -> None:
    whole, picture = (-0.5, -0.5, 79.5, 59.5), Path("p.png")
    for within in ((0, 0, 80, 60), (10, 10, 40, 40), whole):
        assert check_box(within, picture, whole) is None
    said = check_box((-20.5, -0.5, 19.5, 39.5), picture, whole)
    assert said == (
        "--box -20.5 -0.5 19.5 39.5: lies to 50% outside p.png, which has 80x60 pixels; that part is black"
    )
    Image.new("RGB", (80, 60)).save(tmp_path / "p.png")
    heard: list[str] = []
    predict(open_run(trained).model, tmp_path / "p.png", (-20.5, -0.5, 19.5, 39.5), heard.append)
    assert [text.partition(":")[0] for text in heard] == ["--box -20.5 -0.5 19.5 39.5"]
    words = ("predict", trained, tmp_path / "p.png", tmp_path / "o.npz", "--box", 90, 70, 120, 100)
    assert "lies outside" in " ".join(command(*words, code=2).split())
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.skipif(not SAMPLE.exists(), reason="the shared InterHand2.6M sample is not here")
def test_it_trains_on_interhand_in_its_published_layout(tmp_path: Path, cache: Path) -> None:
    """The sample's four real pictures, put where the data set has them, as training and as test."""
    for part in ("train", "test", "val"):
        (tmp_path / "annotations" / part).mkdir(parents=True)
        (tmp_path / "images" / part).mkdir(parents=True)
        for file in SAMPLE.glob("*.jpg"):
            (tmp_path / "images" / part / file.name).symlink_to(file)
        for kind in ("data", "camera", "joint_3d"):
            place = tmp_path / "annotations" / part / f"InterHand2.6M_{part}_{kind}.json"
            place.symlink_to(SAMPLE / f"test_interhand2.6m_{kind}.json")
    real = ["--set", "data.format=interhand", "--set", f"data.path={tmp_path}"]
    command("train", "--runs", tmp_path, "--name", "real", *overrides(tmp_path / "cache"), *real)
    ours, flat, *_ = json.loads((tmp_path / "real" / "metrics.json").read_text())["rows"]
    assert 20 < flat["all_mpjpe_mm"] < 60
    assert ours["all_mpjpe_mm"] > 0
    command("evaluate", tmp_path / "real", "--part", "validation")
    kept = json.loads((tmp_path / "real" / "metrics-validation.json").read_text())["rows"]
    assert kept[0]["all_mpjpe_mm"] == pytest.approx(ours["all_mpjpe_mm"], rel=1e-4)  # the same pictures
    (tmp_path / "annotations" / "val" / "InterHand2.6M_val_data.json").unlink()
    said = command("evaluate", tmp_path / "real", "--part", "validation", code=2)
    assert "InterHand2.6M_val_data.json: no such file" in " ".join(said.split())


def test_the_varied_recipe_draws_pairs_that_touch_and_arms(tmp_path: Path) -> None:
    more = (f"data.cache={tmp_path}", "data.images=6", "data.size=32", "data.workers=1", "data.interacting=1")
    recipe = load_recipe("varied", Recipe, more, RECIPES)
    assert recipe.train.augmentation.blur > 0
    meta = open_hands(recipe.data, "train", lambda text: None).meta
    assert (meta["synthetic"]["touching"], meta["render"]["arms"]) == (0.5, True)


def test_published_recipe_is_the_published_network() -> None:
    recipe = load_recipe("interhand", Recipe, (), RECIPES)
    model = hands_network(recipe.model, recipe.data.size)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(42e6, rel=0.01)
    assert len(model.anchors) == 768
    config = recipe.train
    assert (config.lr, config.weight_decay, recipe.data.size) == (1e-4, 0.0, 256)
    per_epoch = config.steps / 42
    assert [drop / per_epoch for drop in config.drops] == pytest.approx([24, 35], rel=1e-3)


def test_joints_that_leave_the_crop_or_the_depth_axis_are_not_trained_on(tmp_path: Path) -> None:
    store = PoseStore.open(build_hands(tmp_path / "s", 12, seed=5, size=32))
    hands = Hands.open(store)
    assert torch.equal(hands.trained, encode(hands.joints, hands.valid, hands.camera)[1])
    assert hands.trained[hands.valid].float().mean() > 0.98
    assert not hands.trained[~hands.valid].any()
    batch = hands.draw(6, torch.Generator().manual_seed(0), lambda rows: rows, Recipe().train.augmentation)
    assert batch["images"].shape == (6, 3, 32, 32)
    assert 0 <= batch["images"].min() <= batch["images"].max() <= 1
    assert batch["valid"].any()
