"""Writes Human3.6M as its archives unpack, from what the tests know: metadata.xml, CDF poses, videos.

The CDF files are written by cdflib, which the reader does not use; the cameras' angles are taken out of
rotations by scipy, and pixels are projected here, by Human3.6M's own formula.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cdflib.cdfwrite import CDF
from scipy.spatial.transform import Rotation

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
XML_ORDER = ("55011271", "54138969", "60457274", "58860488")
"""Not the order of the reader, so that a reader that trusts its own is found out."""
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
RIGHT_LEG, LEFT_LEG = (1, 2, 3), (6, 7, 8)


@dataclass
class H36mWriter:
    """A made-up Human3.6M with known cameras; `rotation` and `place` (millimetres) by subject and camera."""

    root: Path
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))
    rotation: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    place: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    lens: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in CAMERAS:
            distortion = self.rng.normal(size=5) * [0.1, 0.1, 0.01, 1e-3, 1e-3]
            self.lens[name] = np.array([1145, 1143, 512, 515, *distortion])
            for subject in range(1, 12):
                azimuth = self.rng.uniform(0, 2 * np.pi)
                back = np.array([np.cos(azimuth), np.sin(azimuth), 0.1])
                self.place[subject, name] = 5000 * back + [0, 0, 1000]
                forward = -back / np.linalg.norm(back)
                right = np.cross(forward, [0, 0, 1.0])
                right /= np.linalg.norm(right)
                self.rotation[subject, name] = np.stack([right, np.cross(forward, right), forward])

    def metadata(self) -> None:
        numbers: list[float] = []
        for name in XML_ORDER:
            for subject in range(1, 12):
                turn = Rotation.from_matrix(self.rotation[subject, name])
                numbers += [*turn.as_euler("XYZ"), *self.place[subject, name]]
        for name in XML_ORDER:
            numbers += self.lens[name].tolist()
        ids = "".join(f"<id>{name}</id>" for name in XML_ORDER)
        w0 = " ".join(repr(float(number)) for number in numbers)
        (self.root / "metadata.xml").write_text(
            f'<?xml version="1.0"?>\n<document><w0>[{w0}]</w0>\n<dbcameras><index2id>{ids}</index2id>'
            "</dbcameras></document>"
        )

    def project(self, world: np.ndarray, subject: int, camera: str) -> np.ndarray:
        local = (world - self.place[subject, camera]) @ self.rotation[subject, camera].T
        x, y = local[..., 0] / local[..., 2], local[..., 1] / local[..., 2]
        fx, fy, cx, cy, k1, k2, k3, p1, p2 = self.lens[camera]
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        tangential = p1 * y + p2 * x  # half of Brown's
        u = x * (radial + tangential) + p2 * r2
        v = y * (radial + tangential) + p1 * r2
        return np.stack([fx * u + cx, fy * v + cy], -1)

    def poses(self, frames: int) -> np.ndarray:
        """(T, 32, 3) millimetres: a person facing -y, who stands with both legs apart."""
        pose = self.rng.normal(size=(1, 32, 3)) * [300, 300, 500] + [0, 0, 900]
        pose[:, RIGHT_LEG, 0] = -150  # facing -y, one's right is towards -x
        pose[:, LEFT_LEG, 0] = 150
        return pose + self.rng.normal(size=(frames, 32, 3)) * 10

    def action(
        self,
        subject: int,
        name: str,
        world: np.ndarray,
        *,
        pixels: bool = True,
        kinds: Sequence[str] = ("D3_Positions",),
        lost: int = 0,
    ) -> None:
        """One action's CDF files; `lost` frames are missing in the 2D."""
        folder = self.root / f"S{subject}" / "MyPoseFeatures"
        if "D3_Positions" in kinds:
            write_cdf(folder / "D3_Positions" / f"{name}.cdf", world.reshape(len(world), 96))
        for camera in CAMERAS:
            if pixels:
                seen = self.project(world, subject, camera)[: len(world) - lost]
                write_cdf(folder / "D2_Positions" / f"{name}.{camera}.cdf", seen.reshape(len(seen), 64))
            if "D3_Positions_mono" in kinds:
                local = (world - self.place[subject, camera]) @ self.rotation[subject, camera].T
                write_cdf(
                    folder / "D3_Positions_mono" / f"{name}.{camera}.cdf", local.reshape(len(world), 96)
                )

    def video(self, subject: int, name: str, camera: str, frames: np.ndarray) -> Path:
        path = self.root / f"S{subject}" / "Videos" / f"{name}.{camera}.mp4"
        write_video(path, frames)
        return path


def write_cdf(path: Path, values: np.ndarray, **spec: object) -> None:
    """One variable "Pose" of one record, as MATLAB wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    file = CDF(path, cdf_spec={"Majority": "row_major", **spec})
    kind = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Compress": 6}
    file.write_var({**kind, "Dim_Sizes": list(values.shape)}, var_data=values.astype(np.float32)[None])
    file.close()


SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def write_detections(
    path: Path, seen: dict[str, dict[str, list[np.ndarray]]], layout: str = "h36m", **metadata: object
) -> None:
    """`positions_2d` (subject -> action -> a (T, 17, 2) a camera) with VideoPose3D's metadata."""
    told = {"layout_name": layout, "num_joints": 17, "keypoints_symmetry": SYMMETRY, **metadata}
    tables = {"positions_2d": seen, "metadata": told}
    np.savez_compressed(path, **{name: np.array(table, dtype=object) for name, table in tables.items()})


def write_video(
    path: Path, frames: Iterable[np.ndarray], *, rate: int = 50, bit_rate: int = 8_000_000
) -> None:
    """Pictures (H, W, 3) uint8, of even sizes, as a video in the container that the suffix tells."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        for number, picture in enumerate(frames):
            if not number:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt, stream.bit_rate = "yuv420p", bit_rate
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
