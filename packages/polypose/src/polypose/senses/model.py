"""What a user holds of a space of several senses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from posedata.geometry.aim import aim
from posedata.views.batch import Views
from poseenc import Embedded
from poseenc.parts import View
from poseenc.space import of_pose
from torch import Tensor

from polypose.comparing import COSINE
from polypose.config import ModelConfig, Settings
from polypose.held import Held
from polypose.inputs import Say, warn
from polypose.packed import as_schema, without_weights
from polypose.senses.config import SpaceConfig
from polypose.senses.handed import take_views
from polypose.senses.network import Senses


@dataclass(frozen=True)
class Understood:
    """What some senses of N people say.

    Attributes:
        vectors: (N, D) unit directions of all that was there, fused; NaN where nothing was. With the view
            "invariant" their part that depends on the pose alone, (N, d), and so `by`.
        concentration: (N,) how sure that is (von Mises-Fisher); 0 where nothing was there.
        by: (N, D) by sense; NaN where it was missing.
        used: how many rows each sense was there in.
        joints: (N, 17, 3) metres about the pelvis, in the camera's frame; NaN where nothing was.
        sd: (N, 17) their standard deviation, metres.
        body: (N, 17, 3) metres about the pelvis, in the body's own frame
            (`posedata.geometry.canonical.body_rotation`), by the part that depends on the pose alone; None of
            a model without one.
    """

    vectors: Tensor
    concentration: Tensor
    by: dict[str, Tensor]
    used: dict[str, int]
    joints: Tensor
    sd: Tensor
    body: Tensor | None = None

    def __str__(self) -> str:
        rows = len(self.vectors)
        return "used " + ", ".join(f"{name} ({count} of {rows})" for name, count in self.used.items())


class SensesModel(Held[Senses]):
    """Any of image, keypoints, pose, depth and cloud in one space, and 3D out of what they say together."""

    kind = "senses"
    compared = COSINE

    def __init__(self, network: Senses, settings: Settings | None = None, source: str = "") -> None:
        super().__init__(network, source)
        self.settings = settings or Settings()

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.network.modalities

    def embed(self, *, say: Say = warn, view: View = "camera", **handed: Any) -> Tensor:
        """Unit embeddings (N, D) of people of whom any senses are given, fused: `understand`'s vectors."""
        return self.understand(say=say, view=view, **handed).vectors

    def understand(self, *, say: Say = warn, view: View = "camera", **handed: Any) -> Understood:
        """Embed, fuse and lift people of whom any senses are given (`polypose.senses.handed.take_views`).

        Args:
            view: "invariant" for embeddings of the pose alone, whoever saw it.
            handed: `image` (N, H, W, 3); `keypoints` (N, J, 2 or 3) pixels; `pose` (N, 17, 3) and `cloud`
                (N, P, 3), metres in the camera's frame; `depth` (N, H, W), metres or uint16 millimetres;
                `intrinsics`, `size` and `skeleton` as of `polypose.Model.lift`.

        Raises:
            ValueError: nothing is given, this model lacks such a sense or a view-invariant part, or what is
                given is not what it is called.
        """
        called = {"image": "image", "keypoints": "2d", "pose": "3d", "depth": "depth", "cloud": "cloud"}
        for name, sense in called.items():
            if handed.get(name) is not None and sense not in self.modalities:
                raise ValueError(f"{name}: this model has {', '.join(self.modalities)}; leave it out")
        return self.of(take_views(**handed, image_size=self.settings.image_size, say=say), view)

    @torch.no_grad()
    def of(self, views: Views, view: View = "camera") -> Understood:
        """The same of views, whose keypoints are "mixed"."""
        rows = torch.arange(len(views)).split(self.settings.batch)
        found = Embedded.cat([self.network(views[some].to(self.device)) for some in rows])
        fused = self.network.fuse(found.agreeing())
        turn = (aim(views.camera, views.box).rotation @ views.camera.rotation.mT).to(self.device)
        joints = self.network.decode("3d", fused) @ turn
        invariant = self.network.space.invariant
        body = self.network.decode("body", fused) if invariant else None
        compared, belief = found, fused.belief
        if view == "invariant":
            compared, belief = found.of_pose(), of_pose(belief, invariant)
        by = {
            name: torch.where(there[:, None], compared.beliefs[name].mean, torch.nan).cpu()
            for name, there in found.present.items()
            if bool(there.any())
        }
        return Understood(
            torch.where(fused.there[:, None], belief.mean, torch.nan).cpu(),
            belief.concentration.cpu(),
            by,
            {name: int(found.present[name].sum()) for name in by},
            (joints - joints[:, :1]).cpu(),
            self.network.deviation(fused).square().mean(-1).sqrt().cpu(),
            None if body is None else (body - body[:, :1]).cpu(),
        )

    def about(self) -> dict[str, Any]:
        network = self.network
        config = asdict(network.config) | {"image_weights": None}
        return {"model": config, "space": asdict(network.space_config), **asdict(self.settings)}

    @classmethod
    def described(cls, about: dict[str, Any], source: str) -> SensesModel:
        config, space = as_schema(ModelConfig, about.pop("model")), as_schema(SpaceConfig, about.pop("space"))
        settings = as_schema(Settings, about)
        with without_weights():
            network = Senses(config, space)
        return cls(network, settings, source)
