"""What a user holds of V-VIPE: poses at one place whatever camera sees them, lifted, retrieved, made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from poseenc.canonical import KEYPOINTS
from poseenc.seen import Normalised
from poseenc.vvipe import PRVIPE, VVIPE, embed_views
from poseenc.vvipe import Model as Network
from poseenc.vvipe import around as move
from torch import Tensor

from polypose.comparing import DISTANCE
from polypose.config import InvariantConfig, InvariantSettings
from polypose.embeddings import Embeddings
from polypose.held import Held
from polypose.inputs import Like, Say, take_keypoints, take_poses, warn
from polypose.network import Modality
from polypose.packed import as_schema, without_weights
from polypose.poses import BODY, WORLD, BodyPoses

AMOUNTS = (0.2, 0.3, 0.4, 0.5)
"""By which noise is added to a pose (V-VIPE, section 4.6)."""
MOST = 100.0
"""By which it may be."""


class ViewInvariant(Held[Network]):
    """V-VIPE (Levy and Shrivastava, 2024), or its peer PR-VIPE, which knows keypoints alone.

    It needs no camera: neither heading nor size of a person nor where one stands is in what it embeds. Poses
    are of one universal skeleton, whose torso, from the pelvis over the spine to the thorax, says the metre.

    Attributes:
        network: in evaluation mode.
        config, settings: how it is built, and was trained.
        source: where it came from, for messages.
    """

    kind = "vvipe"
    compared = DISTANCE
    takes = KEYPOINTS

    def __init__(
        self,
        network: Network,
        config: InvariantConfig,
        settings: InvariantSettings | None = None,
        source: str = "",
    ) -> None:
        super().__init__(network, source)
        self.config, self.settings = config, settings or InvariantSettings()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return self.settings.encodes

    @property
    def torso(self) -> float:
        """Metres that a torso has, the unit of the network's poses."""
        return self.network.body.get().torso

    @property
    def frame(self) -> str:
        """Of poses, in words."""
        return BODY if self.settings.align else WORLD

    def embed(
        self,
        *,
        keypoints: Any = None,
        pose: Any = None,
        skeleton: str | None = None,
        confidence: Any = None,
        size: tuple[int, int] | None = None,
        say: Say = warn,
    ) -> Embeddings:
        """Places of poses, near where the poses are alike: by Euclidean distance.

        Args:
            keypoints: (N, J, 2) pixels, or (N, J, 3) with a confidence, 0 where not seen.
            pose: (N, 17, 3) of `h36m17`, in any unit and frame.
            skeleton: of the keypoints, "coco17" for instance; needed where several have as many joints.
            confidence: (N, J) in [0, 1], instead of the third channel.
            size: width and height of the images, to check keypoints by.
            say: told what is probably wrong; Python's warnings by default.

        Raises:
            ValueError: nothing is given, what is given cannot be what it is called, or the model does not
                embed it.
        """
        first = pose if keypoints is None else keypoints
        if first is None:
            raise ValueError("embed: give keypoints or pose, or both")
        found: dict[str, Tensor] = {}
        if keypoints is not None:
            points = take_keypoints(keypoints, skeleton, confidence, size, say, to=KEYPOINTS)
            found["2d"] = self.embed_points(points)
        if pose is not None:
            found["3d"] = self.embed_joints(take_poses(pose, say=say, anywhere=True))
        counts = {name: len(x) for name, x in found.items()}
        if len(set(counts.values())) > 1:
            told = " and ".join(f"{count} of {name}" for name, count in counts.items())
            raise ValueError(f"embed: {told}; together they must be as many, one a row")
        return Embeddings.of(found, Like.of(first), unit=False)

    @torch.no_grad()
    def lift(
        self,
        keypoints: Any,
        size: tuple[int, int] | None = None,
        skeleton: str | None = None,
        confidence: Any = None,
        *,
        say: Say = warn,
    ) -> BodyPoses:
        """3D poses of people in pictures, each by itself, in the body's own frame.

        The hips lie along y, the right one ahead, the spine points up z, and the person looks along -x;
        metres of the universal skeleton, about the pelvis.

        Args:
            keypoints, size, skeleton, confidence, say: as of `embed`.

        Raises:
            ValueError: they are no keypoints of that skeleton in pixels, or the model has no decoder
                (PR-VIPE).
        """
        points = take_keypoints(keypoints, skeleton, confidence, size, say, to=KEYPOINTS)
        return self.lift_points(points, Like.of(keypoints))

    @torch.no_grad()
    def generate(
        self, count: int = 8, *, around: Any = None, amounts: Sequence[float] = AMOUNTS, seed: int = 0
    ) -> np.ndarray:
        """New poses, in frame and unit of `lift`.

        Of the prior: (count, 17, 3). Around a pose: in `count` directions z, for each amount α the decoded
        μ + α z (section 4.6), (count, amounts, 17, 3).

        Args:
            around: (17, 3) of `h36m17`, in any unit and frame.
            amounts: α, up to `MOST` either way; the prior is 1 wide.
            seed: decides the noise.

        Raises:
            ValueError: `count` is below 1, an amount is none, the pose is not whole, or the model has no
                decoder (PR-VIPE).
        """
        network = self.decoding()
        check_amounts(amounts)
        if count < 1:
            raise ValueError(f"count is {count}; draw one pose at least")
        directions = torch.randn(count, network.dim, generator=torch.Generator().manual_seed(seed))
        directions = directions.to(self.device)
        if around is None:
            made = self._batched(network.decode, directions)
        else:
            joints = take_poses(np.asarray(around)[None], anywhere=True)
            if not bool(joints.isfinite().all()):
                raise ValueError("around: a joint is not finite; give a whole pose (17, 3)")
            made = move(network, self.poses(joints)[0].to(self.device), directions, [*amounts])
        return np.asarray((self.torso * made).cpu())

    def embed_points(self, points: Float[Tensor, "N 13 3"]) -> Float[Tensor, "N D"]:
        """Of keypoints that were found fit, of `poseenc.canonical.KEYPOINTS`; NaN where nobody is."""
        self.require("2d")
        views = Normalised.of(points)

        def known() -> Tensor:
            seen = views[views.valid].to(self.device)
            return embed_views(self.network, seen, self.settings.batch)

        return self._filled(views.valid, known)

    def embed_joints(self, joints: Float[Tensor, "N 17 3"]) -> Float[Tensor, "N D"]:
        """Of 3D poses in any unit and frame; NaN where one is not whole."""
        network = self.decoding()
        poses = self.poses(joints)
        whole = poses.isfinite().all(-1).all(-1)
        return self._filled(whole, lambda: self._batched(network.embed_pose, poses[whole].to(self.device)))

    def lift_points(self, points: Float[Tensor, "N 13 3"], like: Like) -> BodyPoses:
        """Of keypoints that were found fit."""
        network = self.decoding()
        embedded = self.embed_points(points)
        valid = embedded.isfinite().all(1)
        joints = points.new_full((len(points), len(self.skeleton), 3), torch.nan)
        if bool(valid.any()):
            joints[valid] = self.torso * self._batched(network.decode, embedded[valid].to(self.device)).cpu()
        return BodyPoses(like.give(joints), like.give(valid), self.frame)

    def poses(self, joints: Float[Tensor, "N 17 3"]) -> Float[Tensor, "N 17 3"]:
        """Poses as the network knows them, in torsos; NaN where one is not whole."""
        whole = joints.isfinite().all(-1).all(-1)
        poses = torch.full_like(joints, torch.nan)
        poses[whole] = self.network.body.get().pose(joints[whole], self.settings.align)
        return poses

    def require(self, modality: Modality) -> None:
        """Raise a ValueError that says what to do where the model does not embed a modality."""
        if modality in self.modalities:
            return
        if modality == "2d":
            lacks = "has only the autoencoder; go on with train --stage mapping --resume"
        elif modality == "3d":
            lacks = "is a PR-VIPE run, which knows 2D keypoints alone; name a V-VIPE run"
        else:
            lacks = f"embeds no {modality}; choose one of: {', '.join(self.modalities)}"
        raise ValueError(f"{self.source}: {lacks}")

    def decoding(self) -> VVIPE:
        """The network that knows 3D poses too; a ValueError where this is none."""
        self.require("3d")
        assert isinstance(self.network, VVIPE)
        return self.network

    def about(self) -> dict[str, Any]:
        return {"model": asdict(self.config), **asdict(self.settings)}

    @classmethod
    def described(cls, about: dict[str, Any], source: str) -> ViewInvariant:
        config = as_schema(InvariantConfig, about.pop("model"))
        with without_weights():
            network = built(config)
        return cls(network, config, as_schema(InvariantSettings, about), source)

    @torch.no_grad()
    def _batched(self, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        return torch.cat([function(part) for part in values.split(self.settings.batch)])

    def _filled(self, able: Tensor, function: Callable[[], Tensor]) -> Float[Tensor, "N D"]:
        out = torch.full((len(able), self.network.dim), torch.nan)
        if bool(able.any()):
            out[able] = function().cpu()
        return out


def built(config: InvariantConfig) -> Network:
    """The network that a config says."""
    return (VVIPE if config.method == "vvipe" else PRVIPE)(
        config.dim, config.hidden, config.blocks, dropout=config.dropout, confidence=config.confidence
    )


def check_amounts(amounts: Sequence[float], where: str = "amount") -> None:
    """Raise a ValueError for noise that is no amount."""
    for amount in amounts:
        if not abs(amount) <= MOST:
            raise ValueError(f"{where} {amount:g}: give numbers up to {MOST:g}; the prior is 1 wide")
