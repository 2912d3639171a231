"""Pictures of synthetic people: RGB, depth, mask and which joints can be seen, by casting rays with Open3D.

Everything is traced in the camera frame from the origin along (x/z, y/z, 1), so that a ray's hit parameter
is the depth along z and nothing need be converted.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8, UInt16
from numpy.typing import NDArray
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.open3d_loader import open3d
from posedata.synthetic.background import KINDS, backdrop
from posedata.synthetic.flesh import JOINT_RADII, Flesh
from posedata.synthetic.sensor import kinect_noise

Array = NDArray[np.float32]
_NEAREST = 0.05
_SLACK = 0.03
_SOLE = 0.08


@dataclass(frozen=True)
class Rendered:
    """rgb (H, W, 3) uint8; depth (H, W) uint16 millimetres along z, 0 where nothing is measured; mask (H, W)
    uint8, 1 on the person; visible (17,) bool: in the image and hidden by nothing but the joint's own
    flesh."""

    rgb: UInt8[np.ndarray, "H W 3"]
    depth: UInt16[np.ndarray, "H W"]
    mask: UInt8[np.ndarray, "H W"]
    visible: Bool[np.ndarray, " joints"]


class Surface(NamedTuple):
    """Triangles in the camera frame: vertices and their normals (V, 3), triangles (F, 3), colours (F, 3)."""

    vertices: Array
    normals: Array
    triangles: NDArray[np.uint32]
    colours: Array


class Hits(NamedTuple):
    """The rays of a window (two slices) that meet the surface: `on` (h, w) bool, and for these, in row
    order, depth (n,) in metres, unit normals and colours (n, 3)."""

    window: tuple[slice, slice]
    on: NDArray[np.bool_]
    depth: Array
    normals: Array
    colours: Array


class Renderer:
    """Renders people at one image size, (width, height) in pixels, on one thread."""

    def __init__(self, size: tuple[int, int] = (192, 256)) -> None:
        self.size = size
        columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        self._pixels = np.stack([columns, rows], -1).astype(np.float32)

    def render(
        self,
        joints_world: Float[Tensor, "17 3"],
        flesh: Flesh,
        camera: Camera,
        *,
        generator: torch.Generator,
        background: str | None = None,
        kinect: bool = False,
        noise: torch.Generator | None = None,
    ) -> Rendered:
        """One person before one camera, under a random light.

        joints_world: metres, h36m17 order, z up; camera: unbatched, of this renderer's size; background: one
        of `posedata.synthetic.background.KINDS`, a random one if None; kinect: depth as a Kinect would
        measure it; noise: for the sensor's noise, `generator` if None. Raises ValueError if the camera's
        size differs or a joint is not finite.
        """
        if tuple(camera.size.tolist()) != self.size:
            raise ValueError(
                f"the camera's images are {camera.size.tolist()}, the renderer's {list(self.size)}:"
                " use camera.crop(box, size)"
            )
        joints = joints_world.detach().cpu().numpy().astype(np.float32)
        if not np.isfinite(joints).all():
            raise ValueError("joints_world has a NaN or infinite coordinate: leave such frames out")
        rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
        rotation, shift = (x.cpu().numpy().astype(np.float32) for x in (camera.rotation, camera.translation))
        mesh = flesh.mesh(joints)
        surface = Surface(
            mesh.vertices @ rotation.T + shift, mesh.normals @ rotation.T, mesh.triangles, mesh.colours
        )
        seen = joints @ rotation.T + shift
        height = -float(rotation[:, 2] @ shift) - float(joints[:, 2].min()) + _SOLE
        return self.picture(
            surface,
            camera,
            seen,
            JOINT_RADII * mesh.scale + _SLACK,
            height=height,
            rng=rng,
            background=background,
            noise=(noise or generator) if kinect else None,
        )

    def picture(
        self,
        surface: Surface,
        camera: Camera,
        points: Array,
        radii: Array,
        *,
        height: float,
        rng: np.random.Generator,
        background: str | None = None,
        noise: torch.Generator | None = None,
    ) -> Rendered:
        """Any surface before one camera, under a random light.

        surface, points: in the camera's frame; points (P, 3): those whose visibility is asked for, the first
        of which tells how far away the subject is; radii (P,): metres of flesh that do not hide a point;
        height: of the camera above the floor, metres; background: one of `KINDS`, a random one if None;
        noise: given, depth is as a Kinect would measure it. Pixels to which the lens bends no ray stay 0.
        """
        rays, up = self._rays(camera), camera.rotation[:, 2].cpu().numpy().astype(np.float32)
        dark = np.isnan(rays).any(-1)
        rays[dark] = (0, 0, 1)
        hits, visible = trace(surface, rays, _window(surface.vertices, camera), points, radii)
        kind = KINDS[rng.integers(len(KINDS))] if background is None else background
        behind = backdrop(kind, rays, up, height, float(points[0, 2]), rng)
        rgb, depth, mask = self._image(hits, behind.rgb, behind.depth, rng)
        if noise is not None:
            depth = self._measured(depth, hits, rays, float(camera.focal.mean()), noise)
        for image in (rgb, depth, mask):
            image[dark] = 0
        return Rendered(rgb, depth, mask, visible & self._inside(points, camera))

    def _rays(self, camera: Camera) -> Array:
        if camera.distortion.any():
            pixels = torch.from_numpy(self._pixels.reshape(-1, 2))
            return camera.rays(pixels).numpy().astype(np.float32).reshape(*self._pixels.shape[:2], 3)
        rays = np.ones((*self._pixels.shape[:2], 3), np.float32)
        (cx, cy), (fx, fy) = camera.centre.tolist(), camera.focal.tolist()
        rays[..., 0] = (self._pixels[0, :, 0] - cx) / fx
        rays[..., 1] = ((self._pixels[:, 0, 1] - cy) / fy)[:, None]
        return rays

    def _inside(self, seen: Array, camera: Camera) -> NDArray[np.bool_]:
        pixels = camera.project_camera(torch.from_numpy(seen)).numpy()
        inside = (pixels >= -0.5) & (pixels < np.array(self.size) - 0.5)
        return np.asarray(inside.all(-1) & (seen[:, 2] > _NEAREST))

    def _image(self, hits: Hits, rgb: Array, depth: Array, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        light = rng.normal(size=3) + np.array([0, -0.6, -1.2])
        light = (light / np.linalg.norm(light)).astype(np.float32)
        ambient, tint = rng.uniform(0.3, 0.6), rng.uniform(0.9, 1.08, 3).astype(np.float32)
        shade = ambient + (1.1 - ambient) * (hits.normals @ light).clip(0)
        colours = hits.colours * (shade[:, None].astype(np.float32) * tint)
        mask = np.zeros(rgb.shape[:2], np.uint8)
        mask[hits.window] = hits.on
        rgb[hits.window][hits.on] = colours
        depth[hits.window][hits.on] = hits.depth
        millimetres = np.rint(depth * 1000).clip(0, 65535).astype(np.uint16)
        return np.clip(rgb, 0, 255).astype(np.uint8), millimetres, mask

    def _measured(
        self, depth: Any, hits: Hits, rays: Array, focal: float, generator: torch.Generator
    ) -> NDArray[np.uint16]:
        towards = rays[hits.window][hits.on]
        cosine = -(towards * hits.normals).sum(-1) / np.linalg.norm(towards, axis=-1)
        incidence = np.zeros(depth.shape, np.float32)
        incidence[hits.window][hits.on] = np.arccos(cosine.clip(0, 1))
        noisy = kinect_noise(
            torch.from_numpy(depth), generator, incidence=torch.from_numpy(incidence), focal=focal
        )
        return noisy.numpy()


def trace(
    surface: Surface, rays: Array, window: tuple[slice, slice], points: Array, radii: Array
) -> tuple[Hits, NDArray[np.bool_]]:
    """What the rays (H, W, 3) of a window meet, and which points (P, 3) of the camera frame are not hidden
    by more than the flesh around them, `radii` (P,) metres thick."""
    chosen = rays[window]
    count = chosen.shape[0] * chosen.shape[1]
    bundle = np.zeros((count + len(points), 6), np.float32)
    bundle[:count, 3:] = chosen.reshape(-1, 3)
    bundle[count:, 3:] = points
    core = open3d().core
    scene = open3d().t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(core.Tensor.from_numpy(surface.vertices), core.Tensor.from_numpy(surface.triangles))
    found = scene.cast_rays(core.Tensor.from_numpy(bundle), nthreads=1)
    distance = found["t_hit"].numpy()
    gap = (1 - distance[count:]) * np.linalg.norm(points, axis=-1)
    on = np.isfinite(distance[:count])
    triangle = found["primitive_ids"].numpy()[:count][on].astype(np.int64)
    uv = found["primitive_uvs"].numpy()[:count][on]
    corner = surface.normals[surface.triangles[triangle]]
    normals = (
        corner[:, 0] + uv[:, :1] * (corner[:, 1] - corner[:, 0]) + uv[:, 1:] * (corner[:, 2] - corner[:, 0])
    )
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    hits = Hits(
        window, on.reshape(chosen.shape[:2]), distance[:count][on], normals, surface.colours[triangle]
    )
    return hits, gap <= radii


def _window(vertices: Array, camera: Camera) -> tuple[slice, slice]:
    """The rows and columns in which the person can appear; the whole image where that is not sure."""
    width, height = camera.size.tolist()
    z = vertices[:, 2]
    if z.min() < _NEAREST or camera.distortion.any():
        return slice(0, height), slice(0, width)
    pixels = vertices[:, :2] / z[:, None] * camera.focal.numpy() + camera.centre.numpy()
    low = np.floor(pixels.min(0)).clip(0, (width - 1, height - 1)).astype(int)
    high = (np.ceil(pixels.max(0)) + 1).clip(low + 1, (width, height)).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])
