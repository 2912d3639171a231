"""A pre-norm transformer block on fused attention."""

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from poseenc.heads import check_heads


class Block(nn.Module):
    """Pre-norm transformer layer: ``x += attention(norm(x))``, ``x += mlp(norm(x))``.

    The function of ``nn.TransformerEncoderLayer(norm_first=True, activation="gelu")``; weights of
    one can be copied to the other (the tests do).

    Args:
        width: token width.
        heads: attention heads; must divide ``width``.
        expand: hidden width of the MLP over ``width``.
        dropout: on the attention weights, the MLP's hidden units and both residual branches.
    """

    def __init__(self, width: int, heads: int, *, expand: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads("width", width, heads)
        hidden = width * expand
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(
        self, x: Float[Tensor, "B T width"], first: int | None = None
    ) -> Float[Tensor, "B tokens width"]:
        """New tokens; only the ``first`` so many where given, exactly and for less work.

        A last layer whose [CLS] alone is read costs a sixth that way: keys and values of the rest.
        """
        x = x[:, :first] + self._drop(self.out(self._attend(self.norm_attention(x), first)))
        return x + self._drop(self.down(self._drop(functional.gelu(self.up(self.norm_mlp(x))))))

    def _attend(self, x: Tensor, first: int | None) -> Tensor:
        width = x.shape[-1]
        weight_q, weight_kv = self.qkv.weight.split((width, 2 * width))
        bias_q, bias_kv = self.qkv.bias.split((width, 2 * width))
        q = functional.linear(x[:, :first], weight_q, bias_q).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        kv = functional.linear(x, weight_kv, bias_kv)
        k, v = kv.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


@contextlib.contextmanager
def quick_attention(device: torch.device) -> Iterator[None]:
    """On a CPU, plain matrix products: for so few tokens flash attention's backward takes several times as
    long in bfloat16."""
    if device.type == "cpu":
        with sdpa_kernel(SDPBackend.MATH):
            yield
    else:
        yield
