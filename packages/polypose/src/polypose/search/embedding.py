"""Rows to places: one by the pose alone, one by the pose and the side that it is seen from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from posedata.keypoints import convert_keypoints, holds_person
from posedata.views.batch import GIVEN, given
from torch import Tensor

from polypose.embedding import embedded, pose_sample
from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import POSE_SKELETON
from polypose.samples import Sample
from polypose.search.rows import Rows

View = Literal["invariant", "camera"]
VIEWS: tuple[View, ...] = ("invariant", "camera")
"""Names of the places, and of their files."""


@dataclass(frozen=True)
class Embedder:
    """The two models of an index.

    Attributes:
        invariant: by whose places poses are alike whatever side they are seen from (Euclidean distance).
        camera: by whose places they are alike as they are seen (cosine).
    """

    invariant: ViewInvariant
    camera: Model

    @classmethod
    def load(cls, invariant: str | Path | None = None, camera: str | Path | None = None) -> Embedder:
        """The package's models, or others (`polypose.load`).

        Raises:
            FileNotFoundError, ValueError: there is no such model, or it is of the other kind.
        """
        from polypose.loading import load

        found, other = load(invariant or "view-invariant"), load(camera)
        if not isinstance(found, ViewInvariant) or set(found.modalities) != {"2d", "3d"}:
            raise ValueError(f"{invariant}: is no view-invariant model of 2D and 3D; give a run of V-VIPE")
        if not isinstance(other, Model):
            raise ValueError(f"{camera}: is no model of UniHPR; give one of those")
        return cls(found, other)

    def made_by(self) -> dict[str, dict[str, str]]:
        """What an index says of them."""
        return {"invariant": self.invariant.made_by(), "camera": self.camera.made_by()}

    def embed(self, rows: Rows) -> dict[View, np.ndarray]:
        """(n, D) float32 by view, NaN where nobody is; of rows that no camera saw only the invariant one."""
        if rows.joints is not None:
            found: dict[View, Tensor] = {"invariant": self.invariant.embed_joints(rows.joints)}
        elif rows.points is not None and rows.skeleton is not None:
            points = convert_keypoints(rows.points, rows.skeleton, self.invariant.takes)
            found = {"invariant": self.invariant.embed_points(points)}
        else:
            raise ValueError("rows: have neither joints nor keypoints; give one of them")
        if (seen := self._by_camera(rows)) is not None:
            found["camera"] = seen
        return {view: vectors.float().numpy() for view, vectors in found.items()}

    def _by_camera(self, rows: Rows) -> Float[Tensor, "n D"] | None:
        network, settings = self.camera.network, self.camera.settings
        if rows.local is not None:
            sample = pose_sample(rows.local, settings.frame)
            return embedded(network, sample, "3d", settings.batch).cpu()
        if rows.points is None or rows.skeleton is None or rows.seen_by is None:
            return None
        points = convert_keypoints(rows.points, rows.skeleton, POSE_SKELETON)
        able = holds_person(points, POSE_SKELETON)
        out = torch.full((len(points), network.config.dim), torch.nan)
        if bool(able.any()):
            seen = Sample.of(given(points[able], rows.seen_by), settings.frame, GIVEN)
            out[able] = embedded(network, seen, "2d", settings.batch).cpu()
        return out

    def figures(self, places: Float[Tensor, "n D"]) -> Float[Tensor, "n 17 3"]:
        """The poses of invariant places as the model knows them, metres, in the body's frame."""
        with torch.no_grad():
            return self.invariant.torso * self.invariant.decoding().decode(places).cpu()
