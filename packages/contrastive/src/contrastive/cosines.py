"""The pairwise cosine matrices of a batch: computed once, read by every loss."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastive.checks import check_batch, check_rows, check_shapes
from contrastive.gather import Gather
from contrastive.tiles import fits

Present = Sequence[Tensor] | Tensor
Index = slice | Tensor


class Cosines:
    """Cosines between all rows of n modalities, lazily, in float32 at least.

    A product is kept for the next loss, unless it was made where gradients are switched off.

    Args:
        features: n tensors of unit rows (b, D); row r of each is the same sample. Half precision is
            accepted; products accumulate in float32.
        present: n boolean tensors (b,), or one (b, n); False where a sample lacks the modality. Its row is
            then neither an anchor nor a negative, and its features (NaN allowed) get no gradient.
        positives: which samples show the same thing and so are not each other's negatives: integer labels
            (b,), or a boolean mask (b, B) over the rows of all processes, symmetric as a whole; a sample is
            always its own positive.
        gather: True, or a `Gather`: rows of all processes form the batch. Losses then have the value of the
            whole batch in every process, and gradients to be averaged across processes.
        names: what an error calls each of the features.

    `local` rows are this process's b, `all` the B of all processes, whose own part is `own`; `whole` where
    matrices are small enough to be made once and kept, not tile by tile.
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        *,
        present: Present | None = None,
        positives: Tensor | None = None,
        gather: bool | Gather = False,
        names: Sequence[str] | None = None,
    ) -> None:
        check_shapes(features, names)
        self.gather = Gather() if gather is True else gather or None
        if self.gather is not None and self.gather.size == 1:
            self.gather = None
        rows = len(features[0])
        counts = self.gather.counts(rows, features[0].device) if self.gather else [rows]
        self._counts = counts
        start = sum(counts[: self.gather.rank]) if self.gather else 0
        self.own = slice(start, start + rows)
        self.n, self.size = len(features), sum(counts)
        check_batch(self.size)
        local_present = _columns(present, features)
        self.present = None if local_present is None else self.all_rows(local_present)
        local = [x if x.dtype == torch.float64 else x.float() for x in features]
        if local_present is not None:
            local = [
                torch.where(on[:, None], x, 0) for x, on in zip(local, local_present.unbind(1), strict=True)
            ]
        check_rows(local, local_present, unit=True, names=names)
        self.local = local
        self.all = [self.all_rows(x) for x in local]
        self._positives = None if positives is None else self._gathered(positives)
        self.whole = fits(rows * self.size, features[0].device)
        self._full: dict[tuple[int, int], Tensor] = {}
        self._rows: dict[tuple[int, int], Tensor] = {}

    @classmethod
    def of(
        cls,
        features: "Sequence[Tensor] | Cosines",
        *,
        present: Present | None = None,
        positives: Tensor | None = None,
        gather: bool | Gather = False,
    ) -> "Cosines":
        """`features` if they are cosines already (the rest must then be left out), else their cosines."""
        if not isinstance(features, Cosines):
            return cls(features, present=present, positives=positives, gather=gather)
        if present is not None or positives is not None or gather:
            raise ValueError(
                "present, positives and gather belong to the Cosines: pass them when you make it"
            )
        return features

    def rows(self, x: int, y: int) -> Tensor:
        """(b, B): this process's rows of modality x against all rows of modality y."""
        if self.gather is None:
            return self.full(x, y)
        if (x, y) in self._full:
            return self._full[x, y][self.own]
        if (y, x) in self._full:
            return self._full[y, x][:, self.own].mT
        return _kept(self._rows, (x, y), self.local[x], self.all[y])

    def full(self, x: int, y: int) -> Tensor:
        """(B, B): all rows of modality x against all rows of modality y, held once for (x, y) and (y, x)."""
        if (y, x) in self._full:
            return self._full[y, x].mT
        return _kept(self._full, (x, y), self.all[x], self.all[y])

    def all_rows(self, x: Tensor) -> Tensor:
        """Local rows (b, ...) to those of all processes (B, ...)."""
        return self.gather.rows(x, self._counts) if self.gather else x

    def total(self, x: Tensor) -> Tensor:
        """Sum over processes."""
        return self.gather.total(x) if self.gather else x

    def maximum(self, x: Tensor) -> Tensor:
        """Maximum over processes, without gradient."""
        return self.gather.maximum(x) if self.gather else x.detach()

    def mean(self, values: Tensor, counted: Tensor | None) -> Tensor:
        """Mean of a value per local row (b,) over the rows of all processes for which `counted` holds."""
        if counted is None:
            return self.total(values.sum()) / self.size if self.gather else values.mean()
        count = self.total(counted.sum().to(values.dtype))
        return self.total(torch.where(counted, values, 0).sum()) / count.clamp_min(1)

    def complete(self, *modalities: int) -> Tensor | None:
        """(B,): which samples have all of these modalities; None where all have."""
        return None if self.present is None else self.present[:, list(modalities)].all(1)

    def tile(self, x: int, y: int, rows: slice, columns: slice) -> Tensor:
        """Some of this process's rows of modality x against some of all rows of modality y."""
        if self.whole:
            return self.rows(x, y)[rows, columns]
        return product(self.local[x][rows], self.all[y][columns])

    def alike(self, rows: Index, columns: Index) -> Tensor | None:
        """Which of these rows, both of all processes, are `positives` of each other; None if none is said."""
        if self._positives is None:
            return None
        if self._positives.ndim == 1:
            return self._positives[rows][:, None] == self._positives[columns]
        return self._positives[rows][:, columns]

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """Which of the rows `x` are `positives` of their counterparts `y`, elementwise.

        Raises:
            ValueError: no positives are said.
        """
        if self._positives is None:
            raise ValueError("positives: none given; pass labels or a mask")
        if self._positives.ndim == 1:
            return self._positives[x] == self._positives[y]
        return self._positives[x, y]

    @property
    def same(self) -> Tensor | None:
        """(B, B): `alike` of all rows."""
        return self.alike(slice(None), slice(None))

    def counts(self, anchor: int, rest: Sequence[int], rows: slice, columns: slice) -> Tensor | None:
        """Which cells count of one modality's local rows against all rows of others (R, C); None for all.

        A cell does where both its members are there and are one sample, or no positives of each other.
        """
        here = slice(self.own.start + rows.start, self.own.start + rows.stop)
        alike, found = self.alike(here, columns), None
        if alike is not None:
            across = torch.arange(columns.start, columns.stop, device=alike.device)
            found = ~alike | (torch.arange(here.start, here.stop, device=alike.device)[:, None] == across)
        if self.present is not None:
            there = self.present[here, anchor, None] & self.present[columns][:, list(rest)].all(1)
            found = there if found is None else found & there
        return found

    def over_processes(self, sums: Tensor) -> Tensor:
        """Log-sum-exps of every process's own rows to those of all."""
        if self.gather is None:
            return sums
        top = self.maximum(sums)
        return self.total((sums - top).exp()).log() + top

    def _gathered(self, positives: Tensor) -> Tensor:
        """Labels (B,) or a mask (B, B) of the rows of all processes."""
        rows, kind = self.own.stop - self.own.start, positives.dtype
        labels = positives.shape == (rows,) and not (kind.is_floating_point or kind.is_complex)
        if kind == torch.bool:
            labels = False
        if not labels and (positives.shape != (rows, self.size) or kind != torch.bool):
            raise ValueError(
                f"positives: {tuple(positives.shape)} {kind}; pass integer labels ({rows},) "
                f"or a boolean mask ({rows}, {self.size})"
            )
        every = self.all_rows(positives)
        if labels:
            return every
        if every.device.type == "cpu" and not torch.equal(every, every.mT):
            raise ValueError("positives: the mask is not symmetric; use mask | mask.T")
        return every | torch.eye(self.size, dtype=torch.bool, device=every.device)


def _kept(products: dict[tuple[int, int], Tensor], key: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    if key in products:
        return products[key]
    made = product(x, y)
    if torch.is_grad_enabled() or not (x.requires_grad or y.requires_grad):
        products[key] = made
    return made


def product(x: Tensor, y: Tensor) -> Tensor:
    """x yᵀ, not in half precision even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return x @ y.mT


def _columns(present: Present | None, features: Sequence[Tensor]) -> Tensor | None:
    if present is None:
        return None
    columns = present if isinstance(present, Tensor) else torch.stack(list(present), 1)
    if columns.shape != (len(features[0]), len(features)) or columns.dtype != torch.bool:
        raise ValueError(
            f"present: {tuple(columns.shape)} {columns.dtype}; pass one boolean (rows,) per modality, "
            f"here {len(features)} of ({len(features[0])},)"
        )
    return columns
