"""SimpleBaseline: the residual MLP that lifts one 2D pose to 3D, and its trunk.

Martinez, Hossain, Romero, Little: "A simple yet effective baseline for 3d human pose estimation",
ICCV 2017. It is the peer that every lifter here is measured against.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ClippedLinear(nn.Linear):
    """A linear map whose weight is used at Frobenius norm at most 1 (``tf.clip_by_norm`` of the authors)."""

    def forward(self, input: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        scale = 1.0 / torch.linalg.matrix_norm(self.weight).clamp(min=1.0)
        return functional.linear(input, self.weight * scale, self.bias)


class ResidualMLP(nn.Module):
    """``inputs → hidden``, then residual blocks of two linears, each with BN, ReLU, dropout (section 3.2).

    Args:
        inputs: width of the input.
        hidden: width of the trunk.
        blocks: number of residual blocks.
        dropout: probability after every ReLU.
        max_norm: clip every weight matrix to Frobenius norm 1.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.5,
        max_norm: bool = False,
    ) -> None:
        super().__init__()
        self.first = _layer(inputs, hidden, dropout, max_norm)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _layer(hidden, hidden, dropout, max_norm), _layer(hidden, hidden, dropout, max_norm)
            )
            for _ in range(blocks)
        )

    def forward(self, x: Float[Tensor, "B inputs"]) -> Float[Tensor, "B hidden"]:
        return self.rest(self.first(x))

    def rest(self, x: Float[Tensor, "B hidden"]) -> Float[Tensor, "B hidden"]:
        """The residual blocks, after ``first``."""
        for block in self.blocks:
            x = x + block(x)
        return x


class SimpleBaseline(nn.Module):
    """Lift 2D keypoints to root-relative 3D joints.

    With the authors' sizes (16 joints, 1024, two blocks) it has 4.29 M parameters, as the paper's
    "4 to 5 million". The authors standardise inputs and outputs by the training set's mean and
    standard deviation: do that outside.

    Args:
        joints: number of joints J.
        hidden, blocks, dropout, max_norm: of the `ResidualMLP`.
    """

    def __init__(
        self,
        joints: int = 17,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.5,
        max_norm: bool = False,
    ) -> None:
        super().__init__()
        self.joints = joints
        self.trunk = ResidualMLP(2 * joints, hidden, blocks, dropout=dropout, max_norm=max_norm)
        self.out = linear(hidden, 3 * joints, max_norm)

    def forward(self, keypoints: Float[Tensor, "B J 2"]) -> Float[Tensor, "B J 3"]:
        """3D joints, in the unit in which the network was taught."""
        if keypoints.shape[-2] != self.joints:
            raise ValueError(
                f"keypoints has {keypoints.shape[-2]} joints, the network was built for {self.joints}"
            )
        return self.out(self.trunk(keypoints.flatten(1))).unflatten(1, (self.joints, 3))


def linear(inputs: int, outputs: int, max_norm: bool = False) -> nn.Linear:
    """A linear map with He-normal weights (the authors' initialisation) and zero bias."""
    layer = (ClippedLinear if max_norm else nn.Linear)(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _layer(inputs: int, outputs: int, dropout: float, max_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        linear(inputs, outputs, max_norm), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
    )
