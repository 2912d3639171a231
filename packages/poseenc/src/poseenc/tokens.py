"""What a pose becomes before attention: one token a joint, and the tokens that speak for the whole."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class PoseTokens(nn.Module):
    """Turn a pose into a sequence ``[CLS] [box] [modality] joint_1 … joint_J`` (UniHPE, supplement C).

    A joint token is a linear map of the joint's coordinates plus a learned position of its own.
    A missing joint keeps its position but has the learned ``missing`` token for coordinates, so
    whatever stands in its coordinates, NaN included, has no effect.

    Args:
        joints: number of joints J.
        channels: numbers per joint C (coordinates, then confidence if any).
        width: token width.
        box: whether a bounding-box token is part of the sequence.
        modalities: how many sources the poses can come from (a detector, the exact projection,
            …); 0 leaves the modality token out.
    """

    def __init__(self, joints: int, channels: int, width: int, *, box: bool, modalities: int = 0) -> None:
        super().__init__()
        self.joints, self.channels = joints, channels
        self.joint = nn.Linear(channels, width)
        self.position = nn.Parameter(torch.randn(joints, width) * 0.02)
        self.missing = nn.Parameter(torch.randn(width) * 0.02)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.box = nn.Linear(3, width) if box else None
        self.modality = nn.Embedding(modalities, width) if modalities else None

    def forward(
        self,
        pose: Float[Tensor, "B J C"],
        box_token: Float[Tensor, "B 3"] | None = None,
        present: Bool[Tensor, "B J"] | None = None,
        modality: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B T width"]:
        """Tokens in the order above; ``T = 1 + J`` plus one for each of box and modality that is on.

        Raises:
            ValueError: wrong number of joints or channels; a token that the module owns but was
                not given, or the other way round.
        """
        check_pose(pose, self.joints, self.channels)
        coordinates = pose if present is None else torch.where(present[..., None], pose, 0.0)
        with exact(coordinates):
            tokens = self.joint(coordinates)
        if present is not None:
            tokens = torch.where(present[..., None], tokens, self.missing.to(tokens.dtype))
        sequence = [self.cls.expand(pose.shape[0], -1, -1)]
        if (self.box is None) != (box_token is None):
            raise ValueError(_mismatch("box_token", "box=True", self.box is not None))
        if self.box is not None and box_token is not None:
            sequence.append(self.box(box_token)[:, None])
        if (self.modality is None) != (modality is None):
            raise ValueError(_mismatch("modality", "modalities=N", self.modality is not None))
        if self.modality is not None and modality is not None:
            sequence.append(self.modality(modality)[:, None])
        return torch.cat([*sequence, tokens + self.position], dim=1)


def exact(coordinates: Tensor) -> torch.autocast:
    """No autocast for the layer that reads coordinates: bfloat16 keeps 8 bits, a pixel or two of a crop."""
    return torch.autocast(coordinates.device.type, enabled=False)


def check_pose(pose: Tensor, joints: int, channels: int) -> None:
    """Raise a ``ValueError`` that says what the encoder was built for where ``pose`` is something else."""
    if pose.shape[-2:] != (joints, channels):
        raise ValueError(
            f"pose has shape {tuple(pose.shape)}, the encoder was built for (B, {joints}, {channels}): "
            "convert the skeleton, or build it with joints= and confidence= to match"
        )


def _mismatch(argument: str, option: str, owned: bool) -> str:
    if owned:
        return f"{argument} is missing: the encoder was built with {option}"
    return f"{argument} was given to an encoder built without it: build it with {option}"
