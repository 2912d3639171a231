"""Calibrations of other programs: read to the same cameras, and what is wrong is told by file and field."""

from pathlib import Path

import numpy as np
import pytest
import torch
from polypose.capture.calibration import Calibrated, cameras_of, read_calibration, rodrigues
from posedata.geometry.camera import Camera

NAMES = ("cam01", "cam02")
MATRIX = np.array([[900.0, 0, 320], [0, 910, 250], [0, 0, 1]])
BENT = (-0.05, 0.1, 0.001, -0.002, 0.01)
VECTORS = np.array([[1.2, 0.1, -0.3], [0.4, -2.0, 1.0]])
PLACES = np.array([[0.1, 1.2, 3.0], [-0.5, 0.8, 4.0]])
SIZE = (640, 480)
POINTS = np.array([[0.3, -0.2, 1.0], [-0.4, 0.1, 1.7]])


def row(values: object) -> str:
    return ", ".join(map(str, np.ravel(np.asarray(values)).tolist()))


def toml(unit: float = 1.0) -> str:
    tables = [
        f'[cam_{i}]\nname = "{name}"\nsize = [640, 480]\n'
        f"matrix = [{', '.join(f'[{row(line)}]' for line in MATRIX)}]\ndistortions = [{row(BENT)}]\n"
        f"rotation = [{row(VECTORS[i])}]\ntranslation = [{row(PLACES[i] * unit)}]\n"
        for i, name in enumerate(NAMES)
    ]
    return "\n".join([*tables, "[metadata]\nadjusted = false\nerror = 0.2\n"])


def yaml_matrix(name: str, values: np.ndarray) -> str:
    values = np.atleast_2d(values)
    shape = f"   rows: {values.shape[0]}\n   cols: {values.shape[1]}\n   dt: d\n"
    return f"{name}: !!opencv-matrix\n{shape}   data: [ {row(values)} ]\n"


def yaml(i: int) -> str:
    parts = [yaml_matrix("camera_matrix", MATRIX), yaml_matrix("distortion_coefficients", np.array(BENT))]
    parts += [yaml_matrix("rvec", VECTORS[i][:, None]), yaml_matrix("tvec", PLACES[i][:, None])]
    return "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\n" + "".join(parts)


def xml(i: int) -> str:
    def matrix(name: str, values: np.ndarray) -> str:
        rows, cols = np.atleast_2d(values).shape
        data = row(values).replace(",", "")
        return (
            f'<{name} type_id="opencv-matrix"><rows>{rows}</rows><cols>{cols}</cols><dt>d</dt>'
            f"<data>{data}</data></{name}>"
        )

    parts = matrix("Camera_Matrix", MATRIX) + matrix("Distortion_Coefficients", np.array([BENT]))
    parts += matrix("R", rodrigues(VECTORS[i])) + matrix("T", PLACES[i])
    head = "<image_Width>640</image_Width><image_Height>480</image_Height>"
    return f'<?xml version="1.0"?><opencv_storage>{head}{parts}</opencv_storage>'


def qualisys(left: int = 0) -> str:
    cameras = []
    for i, name in enumerate(NAMES):
        turn = rodrigues(VECTORS[i])
        stands = -turn.T @ PLACES[i] * 1000
        r = np.diag([1, -1, -1]) @ turn
        turned = " ".join(f'r{a + 1}{b + 1}="{r[a, b]}"' for a in range(3) for b in range(3))
        values = {
            "focalLengthU": MATRIX[0, 0] * 64,
            "focalLengthV": MATRIX[1, 1] * 64,
            "centerPointU": (MATRIX[0, 2] + left) * 64,
            "centerPointV": MATRIX[1, 2] * 64,
            "radialDistortion1": BENT[0],
            "radialDistortion2": BENT[1],
            "radialDistortion3": BENT[4],
            "tangentalDistortion1": BENT[2],
            "tangentalDistortion2": BENT[3],
        }
        inner = " ".join(f'{key}="{value}"' for key, value in values.items())
        cameras.append(
            f'<camera model="none" serial="{name}">'
            f'<fov_video left="{left}" right="{left + 639}" top="0" bottom="479"/>'
            f'<transform x="{stands[0]}" y="{stands[1]}" z="{stands[2]}" {turned}/>'
            f"<intrinsic {inner}/></camera>"
        )
    marker = '<camera model="Oqus 300" serial="marker"/>'
    return f"<calibration><cameras>{marker}{''.join(cameras)}</cameras></calibration>"


def by_hand(i: int) -> np.ndarray:
    """(N, 2) pixels by OpenCV's formula."""
    x = POINTS @ rodrigues(VECTORS[i]).T + PLACES[i]
    a, b = (x[:, :2] / x[:, 2:]).T
    r2, (k1, k2, p1, p2, k3) = a * a + b * b, BENT
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)
    v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b
    return np.stack([u, v], -1) * MATRIX[[0, 1], [0, 1]] + MATRIX[:2, 2]


def same(found: list[Calibrated]) -> None:
    assert [one.name for one in found] == list(NAMES)
    for i, one in enumerate(found):
        assert one.posed
        assert one.camera.size.tolist() == [640, 480]
        np.testing.assert_allclose(
            one.camera.project(torch.from_numpy(POINTS)).numpy(), by_hand(i), atol=1e-6
        )


@pytest.mark.parametrize("unit", [1.0, 1000.0], ids=["Pose2Sim", "anipose in millimetres"])
def test_toml(unit: float, tmp_path: Path) -> None:
    (tmp_path / "Calib.toml").write_text(toml(unit))
    same(read_calibration(tmp_path / "Calib.toml"))


@pytest.mark.parametrize("left", [0, 16])
def test_qualisys_without_its_marker_cameras(left: int, tmp_path: Path) -> None:
    (tmp_path / "Calib.qca.txt").write_text(qualisys(left))
    same(read_calibration(tmp_path))


@pytest.mark.parametrize(("ending", "write"), [("yml", yaml), ("yaml", yaml), ("xml", xml)])
def test_opencv_a_camera_a_file(ending: str, write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for i, name in enumerate(NAMES):
        (tmp_path / f"{name}.{ending}").write_text(write(i))
    same(read_calibration(tmp_path))


def test_opencv_intrinsics_and_extrinsics_in_two_files(tmp_path: Path) -> None:
    names = "%YAML:1.0\n---\nnames:\n" + "".join(f'  - "{name}"\n' for name in NAMES)
    inner = "".join(yaml_matrix(f"K_{n}", MATRIX) + yaml_matrix(f"dist_{n}", np.array(BENT)) for n in NAMES)
    outer = "".join(
        yaml_matrix(f"R_{n}", VECTORS[i][:, None])
        + yaml_matrix(f"Rot_{n}", rodrigues(VECTORS[i]))
        + yaml_matrix(f"T_{n}", PLACES[i][:, None])
        for i, n in enumerate(NAMES)
    )
    sides = "".join(f"W_{n}: 640\nH_{n}: 480\n" for n in NAMES)
    (tmp_path / "intri.yml").write_text(names + inner + sides)
    (tmp_path / "extri.yml").write_text(names + outer)
    same(read_calibration(tmp_path))
    (tmp_path / "extri.yml").unlink()
    assert not any(one.posed for one in read_calibration(tmp_path))
    (tmp_path / "extri.yml").write_text(names + outer)
    (tmp_path / "intri.yml").unlink()
    with pytest.raises(ValueError, match=r"extri.yml: camera 'cam01' has no matrix"):
        read_calibration(tmp_path)


def test_rotation_vectors_are_exponentials() -> None:
    for vector in (*VECTORS, np.zeros(3), np.array([1e-9, 0, 0]), np.array([np.pi, 0, 0])):
        x, y, z = vector
        series = torch.linalg.matrix_exp(
            torch.tensor([[0.0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        )
        np.testing.assert_allclose(rodrigues(vector), series.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("900.0", "nan", 1), "camera 'cam01': matrix holds NaN"),
        (lambda t: t.replace("900.0", "-900.0", 1), "is no intrinsic matrix"),
        (lambda t: t.replace("900.0", "3.5", 1), "looks like a lens in millimetres"),
        (lambda t: t.replace("[900.0", "[[1, 2]", 1), "matrix is not numbers"),
        (lambda t: t.replace("[640, 480]", "[640]", 1), r"size has shape \(1,\)"),
        (lambda t: t.replace("[640, 480]", "[640, 0]", 1), "size is 640x0"),
        (lambda t: t.replace("[640, 480]", "[9, 8]", 1), "looks like|far outside"),
        (lambda t: t.replace("-0.05", "-500.0", 1), "distortion reaches 500"),
        (lambda t: t.replace('"cam02"', '"cam01"'), "'cam01' stands twice"),
        (lambda t: t.replace("size", "fisheye = true\nsize", 1), "cam_0: fisheye lenses are not known"),
        (lambda t: t.replace("matrix", "matrices"), "has no table with a camera's matrix"),
        (lambda t: t[:120], r"Calib.toml: is not TOML"),
        (lambda t: "a = " + "[" * 5000, "is not TOML"),
        (lambda t: t.replace("[640, 480]", str([1] * 5000), 1), "too many numbers"),
        (lambda t: t.replace(f"[{row(VECTORS[0])}]", "[[1, 0, 0], [0, 1, 0], [0, 0, 2]]"), "not a rotation"),
        (lambda t: t.replace(f"[{row(VECTORS[0])}]", "[1, 0]"), r"rotation has shape \(2,\)"),
    ],
)
def test_what_no_camera_is_is_refused_by_file_and_field(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "Calib.toml").write_text(change(toml()))
    with pytest.raises(ValueError, match=message) as error:
        read_calibration(tmp_path / "Calib.toml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.xml", "<svg/>", "neither OpenCV's nor Qualisys' XML"),
        ("c.xml", "<!DOCTYPE a><opencv_storage/>", "declares a document type"),
        ("c.xml", "<opencv_storage><a></opencv_storage>", "is not XML"),
        ("c.yml", "%YAML:1.0\n", "has no camera_matrix"),
        (
            "c.yml",
            "K: !!opencv-matrix\n rows: 3\n cols: 3\n dt: d\n data: [1, 2]\n",
            "K has 2 numbers for 3 x 3",
        ),
        ("c.qca.txt", qualisys().replace('serial="cam01"', ""), "camera '' lacks serial"),
        ("c.qca.txt", qualisys().replace("57600.0", "wide"), "intrinsic focalLengthU is 'wide'"),
        ("c.json", "{}", "is no calibration that is read; give a .qca.txt"),
    ],
)
def test_other_files_are_refused_too(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_calibration(tmp_path / name)


def test_a_folder_without_a_calibration(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no calibration"):
        read_calibration(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_calibration(tmp_path / "Calib.toml")


def test_films_find_their_cameras_by_name_then_in_order(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml())
    both = read_calibration(tmp_path / "c.toml")
    found, notes = cameras_of(both, [("CAM02", SIZE), ("cam01", SIZE)], "c.toml")
    assert [one.name for one in found] == ["cam02", "cam01"]
    assert notes == []
    found, notes = cameras_of(both, [("left", SIZE), ("right", SIZE)], "c.toml")
    assert [one.name for one in found] == ["cam01", "cam02"]
    assert notes == ["cameras matched to films in order: left is cam01, right is cam02"]
    _, notes = cameras_of(both, [("cam01", (632, 480))], "c.toml")
    assert notes == ["cam01: 632x480, calibrated at 640x480: taken as padding"]
    with pytest.raises(ValueError, match=r"c.toml: has no camera 'cam03', it has cam01, cam02"):
        cameras_of(both, [("cam01", SIZE), ("cam03", SIZE)], "c.toml")
    with pytest.raises(ValueError, match=r"camera cam02 is calibrated at 640x480, film cam02 has 480x640"):
        cameras_of(both, [("cam01", SIZE), ("cam02", SIZE[::-1])], "c.toml")
    assert isinstance(found[0].camera, Camera)
