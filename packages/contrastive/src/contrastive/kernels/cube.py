"""What a kernel is told: the cosines that span a cube of triplets, and which cells count."""

from typing import NamedTuple

from torch import Tensor


class Cube(NamedTuple):
    """Cell (i, j, k) weighs exp(t rate - shift), with t = λ1 - 1 of the cosines a[i, j], b[i, k], c[j, k].

    a: (I, J), b: (I, K), c: (J, K), contiguous. rate: 1 / τ and shift: scalar tensors. same: three boolean
    masks of the shapes of a, b, c, or None; a cell where all three hold weighs nothing.
    """

    a: Tensor
    b: Tensor
    c: Tensor
    rate: Tensor
    shift: Tensor
    same: tuple[Tensor, Tensor, Tensor] | None = None


class Sample(NamedTuple):
    """Cells (i, second[i, n], third[i, n]) of such a cube, N of them for every row i; n = 0 is the positive.

    second, third: integers (I, N). masked: boolean (I, N), true where a cell does not count, or None.
    """

    a: Tensor
    b: Tensor
    c: Tensor
    rate: Tensor
    second: Tensor
    third: Tensor
    masked: Tensor | None = None
