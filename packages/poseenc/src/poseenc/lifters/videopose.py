"""VideoPose3D: temporal convolutions over keypoints."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class VideoPose3D(nn.Module):
    """Pavllo, Feichtenhofer, Grangier, Auli: "3D human pose estimation in video with temporal convolutions
    and semi-supervised training", CVPR 2019, section 3: the single-output form that training uses.

    With three blocks of three frames, 27 in all, and 17 joints it has 8.56 M parameters (table 3); with
    blocks of one frame it is their single-frame model.

    Args:
        joints: number of joints J.
        widths: frames that each convolution takes; their product is T.
        channels, dropout: of the trunk.
    """

    def __init__(
        self,
        joints: int = 17,
        widths: tuple[int, ...] = (3, 3, 3),
        channels: int = 1024,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.joints, self.widths = joints, widths
        self.frames = int(torch.tensor(widths).prod())
        self.drop = nn.Dropout(dropout)
        self.expand = nn.Conv1d(2 * joints, channels, widths[0], stride=widths[0], bias=False)
        self.expand_norm = nn.BatchNorm1d(channels)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for width in widths[1:]:
            self.convs.append(nn.Conv1d(channels, channels, width, stride=width, bias=False))
            self.convs.append(nn.Conv1d(channels, channels, 1, bias=False))
            self.norms.extend(nn.BatchNorm1d(channels) for _ in range(2))
        self.shrink = nn.Conv1d(channels, 3 * joints, 1)

    def forward(self, keypoints: Float[Tensor, "B T J 2"]) -> Float[Tensor, "B J 3"]:
        """Joints of the middle frame.

        Raises:
            ValueError: the network was built for another number of frames or joints.
        """
        if keypoints.shape[-3:-1] != (self.frames, self.joints):
            wanted = f"{self.frames} frames of {self.joints} joints"
            raise ValueError(
                f"keypoints has shape {tuple(keypoints.shape)}; the network was built for {wanted}"
            )
        x = self._step(self.expand(keypoints.flatten(-2).mT), self.expand_norm)
        for block, width in enumerate(self.widths[1:]):
            kept = x[..., width // 2 :: width]
            for part in (2 * block, 2 * block + 1):
                x = self._step(self.convs[part](x), self.norms[part])
            x = kept + x
        return self.shrink(x)[..., 0].unflatten(-1, (self.joints, 3))

    def _step(self, x: Tensor, norm: nn.Module) -> Tensor:
        return self.drop(torch.relu(norm(x)))
