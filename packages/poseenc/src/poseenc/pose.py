"""Encoders of one pose, 2D or 3D, to one embedding: a transformer and an MLP behind one interface."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .attention import Block
from .baseline import ResidualMLP
from .prenorm import PreNormMLP
from .tokens import PoseTokens, check_pose, exact


class PoseEncoder(nn.Module):
    """Transformer over joint tokens; the [CLS] token, projected, is the embedding (UniHPE, supplement C).

    Args:
        joints: number of joints J.
        dim: width of the embedding.
        width, layers, heads, expand, dropout: of the transformer.
        confidence: whether a joint has one more channel, in [0, 1].
        box: whether it takes a bounding-box token; by default as the subclass says.
        modalities: how many sources of poses it tells apart by a modality token; 0 for none.
    """

    coordinates: ClassVar[int]
    boxed: ClassVar[bool]

    def __init__(
        self,
        joints: int = 17,
        dim: int = 1024,
        width: int = 256,
        layers: int = 3,
        heads: int = 8,
        *,
        confidence: bool = False,
        expand: int = 4,
        dropout: float = 0.0,
        box: bool | None = None,
        modalities: int = 0,
    ) -> None:
        super().__init__()
        channels, box = self.coordinates + confidence, self.boxed if box is None else box
        self.dim = dim
        self.tokens = PoseTokens(joints, channels, width, box=box, modalities=modalities)
        self.blocks = nn.ModuleList(
            Block(width, heads, expand=expand, dropout=dropout) for _ in range(layers)
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def forward(
        self,
        pose: Float[Tensor, "B J C"],
        box_token: Float[Tensor, "B 3"] | None = None,
        present: Bool[Tensor, "B J"] | None = None,
        modality: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B dim"]:
        """Embedding, not normalised.

        Args:
            pose: keypoints or joints; see the subclass for units.
            box_token: (centre_x, centre_y, size) over the focal length (``posedata.geometry.boxes``).
            present: False for a joint that was not seen; its coordinates are then ignored.
            modality: index of the source, if the encoder was built with ``modalities``.

        Raises:
            ValueError: joints, channels or tokens are not those that the encoder was built for.
        """
        x = self.tokens(pose, box_token, present, modality)
        for block in self.blocks[:-1]:
            x = block(x)
        return self.out(self.norm(self.blocks[-1](x, first=1)[:, 0]))


class PoseEncoder2D(PoseEncoder):
    """Encoder of 2D keypoints, normalised in their box (``posedata.geometry.boxes.normalise_keypoints``).

    The box token tells apart 3D poses that look the same in the crop (UniHPE, supplement A); ``box=False``
    leaves it out.
    """

    coordinates, boxed = 2, True


class PoseEncoder3D(PoseEncoder):
    """Encoder of 3D joints in metres, relative to the root; no box token unless ``box=True``."""

    coordinates, boxed = 3, False


class MLPPoseEncoder(nn.Module):
    """The same interface on a residual MLP: much faster.

    The trunk is SimpleBaseline's (:class:`~poseenc.baseline.ResidualMLP`), normalised by the batch, or
    :class:`~poseenc.prenorm.PreNormMLP`, normalised by the row: call :meth:`fit_scale` before training then.

    Box token, ``present`` and a one-hot ``modality`` are further inputs; coordinates of a joint
    that is not present are zero.

    Args:
        joints: number of joints J.
        channels: numbers per joint C: 2 or 3, and one more with a confidence.
        dim: width of the embedding.
        hidden, blocks, dropout: of the trunk.
        box: whether it takes a bounding-box token.
        modalities: how many sources of poses it tells apart; 0 for none.
        norm: "batch" or "layer".
    """

    def __init__(
        self,
        joints: int = 17,
        channels: int = 2,
        dim: int = 1024,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.0,
        box: bool = True,
        modalities: int = 0,
        norm: Literal["batch", "layer"] = "batch",
    ) -> None:
        super().__init__()
        self.joints, self.channels, self.dim, self.box, self.modalities = (
            joints,
            channels,
            dim,
            box,
            modalities,
        )
        inputs = joints * (channels + 1) + 3 * box + modalities
        trunk = {"batch": ResidualMLP, "layer": PreNormMLP}[norm]
        self.trunk = trunk(inputs, hidden, blocks, dropout=dropout)
        self.out = nn.Linear(hidden, dim)

    def forward(
        self,
        pose: Float[Tensor, "B J C"],
        box_token: Float[Tensor, "B 3"] | None = None,
        present: Bool[Tensor, "B J"] | None = None,
        modality: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B dim"]:
        """Embedding, not normalised; arguments and errors as :meth:`PoseEncoder.forward`."""
        x = self._inputs(pose, box_token, present, modality)
        with exact(x):
            x = self.trunk.first(x)
        return self.out(self.trunk.rest(x))

    def fit_scale(self, pose: Float[Tensor, "N J C"], box_token: Float[Tensor, "N 3"] | None = None) -> None:
        """Take the scale of the inputs from training data, where the trunk keeps one.

        Raises:
            ValueError: as of :meth:`forward`.
        """
        if isinstance(self.trunk, PreNormMLP):
            source = None if not self.modalities else torch.zeros(len(pose), device=pose.device)
            self.trunk.fit_scale(self._inputs(pose, box_token, None, source))

    def _inputs(
        self, pose: Tensor, box_token: Tensor | None, present: Tensor | None, modality: Tensor | None
    ) -> Float[Tensor, "B inputs"]:
        check_pose(pose, self.joints, self.channels)
        if self.box != (box_token is not None):
            raise ValueError(
                f"box_token is {'missing' if self.box else 'given'}: the encoder has box={self.box}"
            )
        if bool(self.modalities) != (modality is not None):
            raise ValueError(
                f"modality is {'missing' if self.modalities else 'given'}: "
                f"the encoder has modalities={self.modalities}"
            )
        if present is None:
            present = torch.ones(pose.shape[:2], dtype=torch.bool, device=pose.device)
        parts = [torch.where(present[..., None], pose, 0.0).flatten(1), present.to(pose.dtype)]
        if box_token is not None:
            parts.append(box_token)
        if modality is not None:
            parts.append(nn.functional.one_hot(modality.long(), self.modalities).to(pose.dtype))
        return torch.cat(parts, dim=1)
