"""Depth in another unit, and intrinsics of another camera, are refused by name; what is lost is counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import formats_rgbd as formats
import numpy as np
import pytest
from PIL import Image
from posedata.cli import app
from posedata.prepare import prepare
from posedata.readers import open_rgbd
from posedata.store import PoseStore
from typer.testing import CliRunner

FLOAT_MM = Path(__file__).resolve().parents[3] / "../shared/cases/float_mm"
DEPTH = formats.rgbd_depth(0).astype(np.float64)  # 1.5 to 1.9 m, in millimetres


def recording(folder: Path, *frames: np.ndarray, names: tuple[str, ...] = (), **camera: Any) -> Path:
    """Frames as .npy, or as 16-bit PNG where they are uint16."""
    (folder / "depth").mkdir(parents=True)
    for number, frame in enumerate(frames):
        name = names[number] if names else f"{number:06d}"
        if frame.dtype == np.uint16:
            Image.fromarray(frame).save(folder / "depth" / f"{name}.png")
        else:
            np.save(folder / "depth" / f"{name}.npy", frame)
    (folder / "intrinsics.json").write_text(json.dumps(formats.RGBD_CAMERA | camera))
    return folder


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (DEPTH, "values of 1518 to 1924 metres; these look like millimetres; save uint16 millimetres, divide"
                " by 1000, or give --depth-scale 1000"),
        (DEPTH / 10, "values of 151.8 to 192.4 metres; these look like centimetres; save uint16 millimetres,"
                     " divide by 100, or give --depth-scale 100"),
        (DEPTH * 1e5, "metres, which no depth camera sees; save uint16 millimetres, or give --depth-scale"),
        (DEPTH / 2e4, "save metres, not a share of a range"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_that_are_no_metres_are_refused(
    tmp_path: Path, values: np.ndarray, said: str, dtype: type
) -> None:
    with pytest.raises(ValueError, match=r"000000\.npy: values of") as error:
        open_rgbd(recording(tmp_path, values.astype(dtype)))[0]
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (16, "at 1000 units a metre, which no depth camera sees; give --depth-scale, the units of a metre"),
        (0.002, "these look like metres; give --depth-scale 1, or depth_scale in the intrinsics"),
        (0.05, "give --depth-scale"),
    ],
)
def test_integers_that_are_no_millimetres_are_refused(tmp_path: Path, factor: float, said: str) -> None:
    with pytest.raises(ValueError, match=r"000000\.png: values of") as error:
        open_rgbd(recording(tmp_path, np.rint(DEPTH * factor).astype(np.uint16)))[0]
    assert said in str(error.value)


@pytest.mark.parametrize(("scale", "unit"), [(1000.0, 1.0), (5000.0, 5.0), (100.0, 0.1)])
def test_the_scale_that_is_given_holds_for_integers_and_floats(
    tmp_path: Path, scale: float, unit: float
) -> None:
    whole = np.rint(DEPTH * unit)
    folder = recording(tmp_path, whole.astype(np.uint16), whole.astype(np.float32), whole.astype(np.int32))
    expected = np.rint(whole * 1000 / scale)
    for frame in open_rgbd(folder, depth_scale=scale):
        np.testing.assert_array_equal(frame.depth, expected)
    with pytest.raises(ValueError, match=r"--depth-scale: depth_scale is -1(\.0)?; give a positive number"):
        open_rgbd(folder, depth_scale=-1.0)


def test_tums_recordings_are_known_by_their_layout_or_named_by_their_names(tmp_path: Path) -> None:
    times = ("1305031102.160407", "1305031102.226738")
    frames = [np.rint(DEPTH * 10).astype(np.uint16)] * 2  # 3 to 3.8 m at 5000 a metre
    folder = recording(tmp_path / "bare", *frames, names=times)
    with pytest.raises(
        ValueError, match="TUM's recordings, which have 5000 units a metre: --depth-scale 5000"
    ):
        open_rgbd(folder)[0]
    np.testing.assert_array_equal(open_rgbd(folder, depth_scale=5000.0)[1].depth, np.rint(DEPTH * 2))
    whole = recording(tmp_path / "whole", *frames, names=times)
    (whole / "depth.txt").write_text("# depth maps\n")
    clip = open_rgbd(whole)
    np.testing.assert_array_equal(clip[0].depth, np.rint(DEPTH * 2))
    assert clip.notes[0].endswith("so depth has 5000 units a metre; else give --depth-scale")
    told = recording(tmp_path / "told", DEPTH.astype(np.uint16), names=times[:1], depth_scale=1000)
    (told / "depth.txt").write_text("# depth maps\n")
    np.testing.assert_array_equal(open_rgbd(told)[0].depth, DEPTH)


def test_what_is_lost_is_counted_and_told(tmp_path: Path) -> None:
    metres = DEPTH / 1000
    metres[10, :5], metres[11, :3], metres[12, 0], metres[13, :2] = -1.0, np.nan, np.inf, 70.0
    empty = np.zeros_like(metres)
    folder = recording(tmp_path / "raw", metres, empty, DEPTH / 1000)
    clip = open_rgbd(folder)
    depth = clip[0].depth
    assert (depth[10, :5] == 0).all()
    assert clip.losses() == "pixels of depth left out: 5 negative, 4 not finite, 2 beyond 65.5 m"
    notes: list[str] = []
    prepare("rgbd", folder, tmp_path / "store", say=notes.append)
    assert any("depth is 0 everywhere in 1 of 3 frames, first 000001" in note for note in notes)
    assert any("left out: 5 negative, 4 not finite, 2 beyond 65.5 m" in note for note in notes)


def test_a_recording_without_depth_is_no_store(tmp_path: Path) -> None:
    folder = recording(tmp_path / "raw", *[np.zeros((48, 64), np.uint16)] * 2)
    with pytest.raises(ValueError, match="depth is 0 everywhere in all of 2 frames, first 000000"):
        prepare("rgbd", folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_the_command_takes_a_scale(tmp_path: Path) -> None:
    folder = recording(tmp_path / "raw", DEPTH.astype(np.float32))
    words = ["prepare", "rgbd", str(folder), str(tmp_path / "store"), "--workers", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "these look like millimetres" in " ".join(result.output.split())
    assert not (tmp_path / "store").exists()
    assert CliRunner().invoke(app, [*words, "--depth-scale", "1000"]).exit_code == 0
    store = PoseStore.open(tmp_path / "store")
    np.testing.assert_array_equal(store.images(np.array([0]), "depth")[0], DEPTH)


def eight_bits(folder: Path) -> Path:
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "depth/000000.png")
    return folder / "depth/000000.png"


def cut(folder: Path) -> Path:
    file = folder / "depth/000000.png"
    file.write_bytes(file.read_bytes()[:60])
    return file


def text(folder: Path) -> Path:
    (folder / "depth/000000.png").write_text("none")
    return folder / "depth/000000.png"


def eight_bit_array(folder: Path) -> Path:
    np.save(folder / "depth/000000.npy", np.full((120, 160), 200, np.uint8))
    return folder / "depth/000000.npy"


def pickled(folder: Path) -> Path:
    np.save(folder / "depth/000000.npy", np.array([{}]), allow_pickle=True)
    return folder / "depth/000000.npy"


UNREADABLE = {
    eight_bits: "is not a depth image: has mode L, wanted 16-bit grey; save it so",
    cut: "is not a depth image: it is damaged, cut short, or no PNG; copy it again",
    text: "is not a depth image: it is damaged, cut short, or no PNG; copy it again",
    eight_bit_array: "is uint8 (120, 160), wanted (H, W) of uint16 or floats; save it so",
    pickled: "is not an .npy array of numbers, or cut short; save it with numpy.save, or copy it again",
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_what_does_not_open_is_said_in_our_own_words(tmp_path: Path, damage: Callable[[Path], Path]) -> None:
    folder = recording(tmp_path, DEPTH.astype(np.uint16))
    file = damage(folder)
    with pytest.raises(ValueError, match=r"000000") as error:
        open_rgbd(file, folder / "intrinsics.json")[0]
    assert str(error.value) == f"{file}: {UNREADABLE[damage]}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda told: told["annotations"][1].update(image_id=99),
            "annotations 1 is of image_id 99, which is no",
        ),
        (
            lambda told: told["images"][2].update(file_name="elsewhere.jpg"),
            "is of image 'elsewhere', which is no",
        ),
        (lambda told: told["annotations"][1].pop("keypoints"), "annotations 1 lacks image_id or keypoints"),
        (lambda told: told["images"][0].pop("id"), "images 0 lacks id or file_name"),
        (lambda told: told["annotations"][0].update(image_id=[1]), "annotations 0 is of image_id [1], which"),
    ],
)
def test_keypoints_that_name_no_frame_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    formats.write_rgbd(tmp_path / "clip")
    table = tmp_path / "clip/keypoints.json"
    told = json.loads(table.read_text())
    change(told)
    table.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"keypoints\.json: ") as error:
        prepare("rgbd", tmp_path / "clip", tmp_path / "store")
    assert said in str(error.value)


CAMERAS = {
    "twice the size": ({"fx": 105, "fy": 104, "cx": 63.5, "cy": 47.5}, "the centre of about 128x96, not of"
                       " 64x48; divide fx, fy, cx and cy by 2,"),
    "half the size": ({"fx": 26, "fy": 26, "cx": 15.5, "cy": 11.5}, "about 32x24, not of 64x48; divide fx,"
                      " fy, cx and cy by 0.5,"),
    "another shape": ({"cx": 95.0, "cy": 23.5}, "cx 95, cy 23.5 lie outside the image of 64x48"),
    "negative": ({"cx": -3.0}, "lie outside the image of 64x48"),
    "lens": ({"fx": 4.4, "fy": 4.4}, "fx 4.4 sees 164 degrees in 64 pixels; give the focal length of this"
             " image (it is in pixels, not millimetres)"),
    "telescope": ({"fx": 525, "fy": 525}, "fx 525 sees 6.98 degrees"),
    "uneven": ({"fx": 52, "fy": 104}, "fx 52 and fy 104 are of no lens"),
    "open3d": ({"fx": None, "intrinsic_matrix": [105, 0, 0, 0, 104, 0, 63.5, 47.5, 1]}, "divide fx, fy"),
}  # fmt: skip


@pytest.mark.parametrize("case", CAMERAS)
def test_intrinsics_of_another_camera_are_refused(tmp_path: Path, case: str) -> None:
    change, said = CAMERAS[case]
    folder = recording(tmp_path, DEPTH.astype(np.uint16))
    told = {key: value for key, value in (formats.RGBD_CAMERA | change).items() if value is not None}
    (folder / "intrinsics.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"intrinsics\.json: ") as error:
        open_rgbd(folder)
    assert said in str(error.value)


def test_intrinsics_of_one_frame_and_of_the_colour_camera_are_looked_at_too(tmp_path: Path) -> None:
    wide = {"cx": 63.5, "cy": 47.5}
    for change in ({"frames": {"000000": wide}}, {"rgb": formats.RGBD_CAMERA | wide}):
        folder = recording(tmp_path / next(iter(change)), DEPTH.astype(np.uint16), **change)
        with pytest.raises(ValueError, match="are the centre of about 128x96, not of 64x48"):
            open_rgbd(folder)


def test_an_image_of_another_size_names_the_factor(tmp_path: Path) -> None:
    folder = recording(tmp_path, np.kron(DEPTH, np.ones((2, 2))).astype(np.uint16))
    with pytest.raises(ValueError, match=r"is 128x96, the intrinsics say 64x48; multiply .* cx and cy by 2,"):
        open_rgbd(folder)[0]


def test_visibility_beyond_cocos_is_named(tmp_path: Path) -> None:
    formats.write_rgbd(tmp_path / "clip")
    table = tmp_path / "clip/keypoints.json"
    told = json.loads(table.read_text())
    told["annotations"][1]["keypoints"][2] = 90
    table.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="keypoint 0 of 000002 has visibility 90; give COCO's 0, 1, 2"):
        prepare("rgbd", tmp_path / "clip", tmp_path / "store")


def test_itops_depth_is_metres(tmp_path: Path) -> None:
    frames = formats.itop_frames()
    frames["depth"] = frames["depth"].astype(np.float32) * 1000
    formats.write_itop(tmp_path / "itop", frames=frames)
    with pytest.raises(ValueError, match=r"depth_map\.h5: values of .* metres; these look like millimetres"):
        prepare("itop", tmp_path / "itop", tmp_path / "store")


@pytest.mark.skipif(not FLOAT_MM.is_dir(), reason="needs ../shared/cases")
def test_float_millimetres(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 2467 to 5265 metres; these look like millimetres; save uint16"):
        prepare("rgbd", FLOAT_MM, tmp_path / "store")
    assert not (tmp_path / "store").exists()
