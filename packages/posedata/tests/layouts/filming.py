"""Films synthetic people: a ray for each block of pixels, so that pictures of any size are quickly made."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from formats_h36m import write_video
from posedata.geometry.camera import Camera
from posedata.synthetic import Flesh
from posedata.synthetic.background import backdrop
from posedata.synthetic.flesh import JOINT_RADII
from posedata.synthetic.render import Surface, trace

_SLACK = 0.03
_REACH = 0.35
"""Metres of flesh around the joints that must be in a person's window."""
_AMBIENT = 0.5
_LIGHT = np.array([0.3, -0.6, -0.75], np.float32)
"""From behind the camera, above."""


class Shot(NamedTuple):
    """The picture (H, W, 3) uint8; visible (people, 17): in the picture, and hidden by nothing else."""

    picture: np.ndarray
    visible: np.ndarray


class Studio:
    """Pictures by one lens before one grey background."""

    def __init__(self, lens: Camera, *, seed: int, block: int) -> None:
        """`lens`: an unbatched camera, of which only focal, centre, distortion and size matter; `block`: how
        many pixels a side a ray fills."""
        self._size, self._block = lens.size.tolist(), block
        columns, rows = (np.arange(0, side, block) + (block - 1) / 2 for side in self._size)
        grid = torch.from_numpy(np.stack(np.meshgrid(columns, rows), -1)).to(lens.focal)
        self._rays = lens.rays(grid.flatten(0, 1)).float().numpy().reshape(*grid.shape[:2], 3)
        assert np.isfinite(self._rays).all()
        colours = backdrop(
            "gradient", self._rays, self._rays[0, 0], 0.0, 0.0, np.random.default_rng(seed)
        ).rgb
        self._behind = np.repeat(colours.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
        self._whole = self._enlarged(self._behind)[: self._size[1], : self._size[0]]

    def shoot(self, people: Sequence[tuple[Flesh, np.ndarray]], camera: Camera) -> Shot:
        """People as flesh and joints (17, 3), world metres, before an unbatched camera of this lens."""
        picture, who = self._behind.copy(), np.full(self._behind.shape[:2], -1)
        windows = []
        places = [torch.from_numpy(joints).to(camera.focal) for _, joints in people]
        local = [camera.world_to_camera(joints).float().numpy() for joints in places]
        blocks = [np.rint((camera.project(p).numpy() - (self._block - 1) / 2) / self._block) for p in places]
        visible = np.zeros((len(people), 17), bool)
        for number in np.argsort([-joints[:, 2].mean() for joints in local]):  # the nearest is laid on last
            flesh, joints = people[number]
            mesh, turn = flesh.mesh(joints), camera.rotation.float().numpy()
            surface = Surface(
                mesh.vertices @ turn.T + camera.translation.float().numpy(), mesh.normals @ turn.T,
                mesh.triangles, mesh.colours,
            )  # fmt: skip
            window = self._window(blocks[number], local[number], camera)
            windows.append(window)
            radii = JOINT_RADII * mesh.scale + _SLACK
            hits, visible[number] = trace(surface, self._rays, window, local[number], radii)
            shade = _AMBIENT + (1 - _AMBIENT) * (hits.normals @ _LIGHT).clip(0)
            picture[window][hits.on] = (hits.colours * shade[:, None]).astype(np.uint8)
            who[window][hits.on] = number
        for number, (column, row) in enumerate(block.astype(int).T for block in blocks):
            inside = (column >= 0) & (row >= 0) & (column < who.shape[1]) & (row < who.shape[0])
            visible[number] &= inside
            visible[number, inside] &= who[row[inside], column[inside]] == number
        whole = self._whole.copy()
        for rows, columns in windows:
            part = whole[rows.start * self._block :, columns.start * self._block :]
            large = self._enlarged(picture[rows, columns])[: part.shape[0], : part.shape[1]]
            part[: large.shape[0], : large.shape[1]] = large
        return Shot(whole, visible)

    def _enlarged(self, picture: np.ndarray) -> np.ndarray:
        return picture.repeat(self._block, 1).repeat(self._block, 0)

    def _window(self, blocks: np.ndarray, local: np.ndarray, camera: Camera) -> tuple[slice, slice]:
        """The rows and columns of blocks in which a person can be."""
        reach = _REACH * float(camera.focal.max()) / (max(local[:, 2].min(), 0.5) * self._block)
        low, high = (blocks.min(0) - reach).astype(int), (blocks.max(0) + reach).astype(int)
        height, width = self._rays.shape[:2]
        (left, right), (top, bottom) = (
            (min(max(low[i], 0), end - 1), min(max(high[i], 1), end)) for i, end in enumerate((width, height))
        )
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def film(
    path: Path, studio: Studio, flesh: Flesh, clip: np.ndarray, camera: Camera, *, rate: int, bit_rate: int
) -> np.ndarray:
    """Write a video of one person's (T, 17, 3) before a camera that stands still; visible (T, 17)."""
    visible = []

    def pictures() -> Iterator[np.ndarray]:
        for joints in clip:
            shot = studio.shoot([(flesh, joints)], camera)
            visible.append(shot.visible[0])
            yield shot.picture

    write_video(path, pictures(), rate=rate, bit_rate=bit_rate)
    return np.stack(visible)
