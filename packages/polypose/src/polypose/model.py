"""What a user holds: a trained network, and how it is to be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from posedata.views.batch import GIVEN, given
from poseenc.interpolate import great_arc
from torch import Tensor, nn

from polypose.cameras import take_camera
from polypose.comparing import COSINE
from polypose.config import ModelConfig, Settings
from polypose.embedding import embedded, image_sample, pose_sample, take_images
from polypose.embeddings import Embeddings
from polypose.held import Held
from polypose.inputs import Like, Say, take_keypoints, take_poses, warn
from polypose.lifting import lift_points
from polypose.network import MODALITIES, Modality, UniHPR
from polypose.packed import as_schema, own_tensors, without_weights
from polypose.poses import Poses
from polypose.samples import Sample


class Model(Held[UniHPR]):
    """UniHPR: people lifted before the camera, and images, keypoints and poses in one sphere.

    Attributes:
        network: in evaluation mode.
        settings: how it was trained.
        source: where it came from, for messages.
    """

    kind = "unihpr"
    compared = COSINE

    def __init__(self, network: UniHPR, settings: Settings | None = None, source: str = "") -> None:
        super().__init__(network, source)
        self.settings = settings or Settings()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(name for name in MODALITIES if name in self.network.encoders)

    def lift(
        self,
        keypoints: Any,
        intrinsics: Any = None,
        size: tuple[int, int] | None = None,
        skeleton: str | None = None,
        confidence: Any = None,
        *,
        say: Say = warn,
    ) -> Poses:
        """3D poses of people in pictures, each by itself.

        Args:
            keypoints: (N, J, 2) pixels of the whole image, or (N, J, 3) with a confidence, 0 where not seen.
            intrinsics: fx, fy, cx, cy in pixels, or a 3x3 matrix; of all, or one each. A view 60 degrees wide
                where left out.
            size: width and height of the images in pixels; needed where there are no intrinsics.
            skeleton: of the keypoints, "coco17" for instance; needed where several have as many joints.
            confidence: (N, J) in [0, 1], instead of the third channel.
            say: told what is probably wrong; Python's warnings by default.

        Raises:
            ValueError: they are no keypoints of that skeleton in pixels; the message says what to do.
        """
        points = take_keypoints(keypoints, skeleton, confidence, size, say)
        camera = take_camera(intrinsics, size, points, say)
        return lift_points(self.network, self.settings, points, camera, Like.of(keypoints))

    def embed(
        self,
        *,
        image: Any = None,
        keypoints: Any = None,
        pose: Any = None,
        intrinsics: Any = None,
        size: tuple[int, int] | None = None,
        skeleton: str | None = None,
        confidence: Any = None,
        say: Say = warn,
    ) -> Embeddings:
        """Points of the shared sphere, of any modalities together or alone.

        Args:
            image: (N, H, W, 3) or (N, 3, H, W) RGB crops of people, uint8 or in [0, 1]; brought to the size
                of training.
            keypoints: with `intrinsics`, `size`, `skeleton` and `confidence` as of `lift`.
            pose: (N, 17, 3) of `h36m17`, metres in the camera's frame: about the pelvis, or where
                people stand.

        Raises:
            ValueError: nothing is given, or what is given cannot be what it is called.
        """
        handed = {"image": image, "2d": keypoints, "3d": pose}
        first = next((value for value in handed.values() if value is not None), None)
        if first is None:
            raise ValueError("embed: give image, keypoints or pose, any of them or together")
        samples: dict[Modality, Sample] = {}
        if keypoints is not None:
            points = take_keypoints(keypoints, skeleton, confidence, size, say)
            camera = take_camera(intrinsics, size, points, say)
            samples["2d"] = Sample.of(given(points, camera), self.settings.frame, GIVEN)
        if pose is not None:
            samples["3d"] = pose_sample(take_poses(pose, say=say), self.settings.frame, samples.get("2d"))
        if image is not None:
            samples["image"] = image_sample(take_images(image, self.settings.image_size))
        counts = {name: len(sample) for name, sample in samples.items()}
        if len(set(counts.values())) > 1:
            told = " and ".join(f"{count} of {name}" for name, count in counts.items())
            raise ValueError(f"embed: {told}; together they must be as many, one a row")
        found: dict[str, Tensor] = {}
        for modality in ("image", "2d", "3d"):
            if modality in samples:
                found[modality] = embedded(self.network, samples[modality], modality, self.settings.batch)
        return Embeddings.of(found, Like.of(first))

    @torch.no_grad()
    def interpolate(self, first: Any, last: Any, steps: int = 9) -> Any:
        """Poses (steps, 17, 3) along the great arc between two embeddings of poses (D,).

        Metres, about the pelvis, in the encoders' frame: person-centred where the settings say "aimed".
        """
        like = Like.of(first)
        start, end = (torch.as_tensor(x, dtype=torch.float32, device=self.device) for x in (first, last))
        return like.give(self.network.decode("3d", great_arc(start, end, steps), "3d"))

    def about(self) -> dict[str, Any]:
        config = dataclasses.replace(self.network.config, image_weights=None)
        spread = self.network.spread is not None
        return {"model": asdict(config), **asdict(self.settings), "spread": spread}

    def save(
        self,
        path: str | Path,
        *,
        half: bool = False,
        decodes: tuple[str, ...] | None = None,
        encodes: tuple[str, ...] | None = None,
    ) -> Path:
        """Write one file that `polypose.load` reads; returns its path.

        Args:
            path, half: as of `Kept.save`.
            decodes: leave other decoders out; lifting and retrieval need that of "3d" alone.
            encodes: leave other encoders out; lifting needs that of "2d" alone.

        Raises:
            ValueError: it has no such decoder or encoder.
        """
        kept = {
            "decodes": _kept("decodes", decodes, self.network.decoders),
            "encodes": _kept("encodes", encodes, self.network.encoders),
        }
        left_out = (
            *(f"decoders.{name}." for name in self.network.decoders if name not in kept["decodes"]),
            *(f"encoders.{name}." for name in self.network.encoders if name not in kept["encodes"]),
        )
        tensors = {n: x for n, x in own_tensors(self.network).items() if not n.startswith(left_out)}
        return self._write(path, {**self.about(), **kept}, tensors, half)

    @classmethod
    def described(cls, about: dict[str, Any], source: str) -> Model:
        config = as_schema(ModelConfig, about.pop("model"))
        settings = as_schema(Settings, about)
        with without_weights():
            network = UniHPR(config)
            if settings.spread:
                network.make_spread()
        for parts, kept in ((network.decoders, settings.decodes), (network.encoders, settings.encodes)):
            for name in parts.keys() - set(kept):
                del parts[name]
        return cls(network, settings, source)


def _kept(what: str, names: Iterable[str] | None, parts: nn.ModuleDict) -> tuple[str, ...]:
    """Which parts a file is to have: all that are there, or those named."""
    kept = tuple(parts) if names is None else (names,) if isinstance(names, str) else tuple(names)
    for name in kept or ("",):
        if name not in parts:
            raise ValueError(f"{what}: this model has no {name!r}; choose of {', '.join(parts)}")
    return kept
