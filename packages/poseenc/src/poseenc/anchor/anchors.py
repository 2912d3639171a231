"""Anchors: a regular grid of points over the crop, in the plane or in the plane and in depth.

Coordinates are (x, y) in pixels, the centre of the top-left pixel at (0, 0), and depth in the unit that
the caller chooses (metres everywhere in this project). An anchor's cell is a block of ``stride`` pixels,
and grids are listed rows first, then columns, then what lies within a cell: `AnchorGrid2D.flatten_map`
brings a convolution's output into that order, so that nobody else needs to know it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

INTERHAND_RANGE = (-0.2, 0.2)
"""Metres about the wrist that A2J-Transformer's depth axis of 256 bins spans on InterHand2.6M."""

INTERHAND_DEPTHS = tuple((63.5 + 64 * k) / 256 * 0.4 - 0.2 for k in range(3))
"""Its three depth anchors, bins 63.5 + 64 k, in metres: about -0.101, -0.001 and 0.099."""


@dataclass(frozen=True)
class AnchorGrid2D:
    """Anchors in the plane, ``per_axis`` by ``per_axis`` in every cell (A2J, section 4.1).

    Args:
        size: width and height of the crop, px; multiples of ``stride``.
        stride: side of a cell, px: the output stride of the network.
        per_axis: anchors along either side of a cell. A2J has 4 by 4 in cells of 16, at 1.5, 5.5, 9.5 and
            13.5 where pixel centres are whole numbers (its code counts from the corner: 2, 6, 10, 14).

    Raises:
        ValueError: the size is no multiple of the stride.
    """

    size: tuple[int, int]
    stride: int = 16
    per_axis: int = 4

    def __post_init__(self) -> None:
        if self.size[0] % self.stride or self.size[1] % self.stride:
            raise ValueError(
                f"crops of {self.size[0]}x{self.size[1]} px do not divide into cells of {self.stride}: "
                f"give multiples of {self.stride}"
            )

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells: the shape of the network's map."""
        return self.size[1] // self.stride, self.size[0] // self.stride

    @property
    def per_cell(self) -> int:
        return self.per_axis**2

    def __len__(self) -> int:
        return self.cells[0] * self.cells[1] * self.per_cell

    def points(self) -> Float[Tensor, "A 2"]:
        """Every anchor's (x, y), px."""
        rows, columns = (self._axis(count) for count in self.cells)
        y = rows[:, None, :, None]
        x = columns[None, :, None, :]
        return torch.stack([x + 0 * y, y + 0 * x], -1).reshape(-1, 2)

    def flatten_map(
        self, output: Float[Tensor, "B channels h w"], values: int
    ) -> Float[Tensor, "B A values"]:
        """A convolution's output, ``per_cell`` times ``values`` channels, as one row an anchor."""
        maps = output.unflatten(1, (self.per_cell, values))
        return maps.permute(0, 3, 4, 1, 2).flatten(1, 3)

    def _axis(self, cells: int) -> Tensor:
        within = (torch.arange(self.per_axis) + 0.5) * (self.stride / self.per_axis)
        return torch.arange(cells)[:, None] * float(self.stride) + within - 0.5


@dataclass(frozen=True)
class AnchorGrid3D:
    """One anchor at the middle of every cell at each of several depths (A2J-Transformer, section 3.3).

    Args:
        size: width and height of the crop, px.
        stride: side of a cell, px.
        depths: where the anchors lie in depth; the same at every cell.
    """

    size: tuple[int, int]
    stride: int = 16
    depths: tuple[float, ...] = INTERHAND_DEPTHS

    def __len__(self) -> int:
        return len(self._plane) * len(self.depths)

    def points(self) -> Float[Tensor, "A 3"]:
        """Every anchor's (x, y, depth), depths innermost."""
        plane = self._plane.points()
        depths = torch.tensor(self.depths)
        pairs = plane[:, None].expand(-1, len(depths), 2), depths[None, :, None].expand(len(plane), -1, 1)
        return torch.cat(pairs, -1).flatten(0, 1)

    @property
    def _plane(self) -> AnchorGrid2D:
        return AnchorGrid2D(self.size, self.stride, 1)
