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
        return functional.linear(input, self.clipped(), self.bias)

    def clipped(self) -> Float[Tensor, "out in"]:
        """The weight that is used."""
        return self.weight / torch.linalg.matrix_norm(self.weight).clamp(min=1.0)


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
        self.first = _Layer(inputs, hidden, dropout, max_norm, first=True)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _Layer(hidden, hidden, dropout, max_norm), _Layer(hidden, hidden, dropout, max_norm)
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
    standard deviation, as `Lifter` does.

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


class Lifter(nn.Module):
    """SimpleBaseline with its standardisation, by the training set's mean and standard deviation.

    Args:
        pixels, joints: of the training set.
        hidden: of the network.
    """

    pixels_mean: Tensor
    pixels_std: Tensor
    joints_mean: Tensor
    joints_std: Tensor

    def __init__(self, pixels: Float[Tensor, "N J 2"], joints: Float[Tensor, "N J 3"], hidden: int) -> None:
        super().__init__()
        self.network = SimpleBaseline(pixels.shape[1], hidden)
        for name, values in (("pixels", pixels), ("joints", joints)):
            self.register_buffer(f"{name}_mean", values.mean(0))
            self.register_buffer(f"{name}_std", values.std(0).clamp(min=1e-6))

    def forward(self, pixels: Float[Tensor, "B J 2"]) -> Float[Tensor, "B J 3"]:
        """Camera-frame joints, metres relative to the root."""
        lifted = self.network((pixels - self.pixels_mean) / self.pixels_std)
        return lifted * self.joints_std + self.joints_mean

    def loss(self, pixels: Float[Tensor, "B J 2"], joints: Float[Tensor, "B J 3"]) -> Float[Tensor, ""]:
        """Mean squared error of standardised joints."""
        return (((self(pixels) - joints) / self.joints_std) ** 2).mean()


def linear(inputs: int, outputs: int, max_norm: bool = False) -> nn.Linear:
    """A linear map with He-normal weights (the authors' initialisation) and zero bias."""
    layer = (ClippedLinear if max_norm else nn.Linear)(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class _Layer(nn.Sequential):
    """Linear, BN, ReLU, dropout.

    In training the statistics of the batch take off again what is the same for all rows: the bias, and inputs
    that do not vary, such as the flags of joints that all have. Their gradients would be zero but for
    rounding, of which an adaptive optimiser makes whole steps, other ones on every machine. So the bias has
    none then, and the inputs of the first layer count from their mean, which changes no value.
    """

    def __init__(
        self, inputs: int, outputs: int, dropout: float, max_norm: bool, first: bool = False
    ) -> None:
        super().__init__(
            linear(inputs, outputs, max_norm), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
        )
        self.from_mean = first

    def forward(self, x: Float[Tensor, "B inputs"]) -> Float[Tensor, "B outputs"]:
        layer, norm, *rest = self
        if not norm.training:
            return super().forward(x)
        assert isinstance(layer, nn.Linear)
        weight = layer.clipped() if isinstance(layer, ClippedLinear) else layer.weight
        if self.from_mean:
            mean = _batch_mean(x.detach())
            x = functional.linear(x - mean, weight) + functional.linear(mean, weight, layer.bias).detach()
        else:
            x = functional.linear(x, weight, layer.bias.detach())
        for part in (norm, *rest):
            x = part(x)
        return x


def _batch_mean(x: Float[Tensor, "B inputs"]) -> Float[Tensor, " inputs"]:
    """By batch normalisation, which knows the whole batch where several processes share one."""
    mean, var = torch.zeros_like(x[0]), torch.ones_like(x[0])
    functional.batch_norm(x, mean, var, training=True, momentum=1.0)
    return mean
