"""The pairwise cosine matrices of a batch: computed once, read by every loss."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastive.checks import check_batch, check_rows, check_shapes
from contrastive.gather import Gather

Present = Sequence[Tensor] | Tensor


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

    `local` rows are this process's b, `all` the B of all processes, whose own part is `own`.
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        *,
        present: Present | None = None,
        positives: Tensor | None = None,
        gather: bool | Gather = False,
    ) -> None:
        check_shapes(features)
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
        check_rows(local, local_present, unit=True)
        self.local = local
        self.all = [self.all_rows(x) for x in local]
        self.same = None if positives is None else self._mask(positives)
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

    def masked(
        self, logits: Tensor, candidates: Tensor | None, whole: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (b, B) with what is no negative at -inf, and which rows count.

        Args:
            candidates: (B,), which columns hold something; None where all do.
            whole: (B,), which samples can be anchors; None where all can.
        """
        if self.same is not None:
            own = torch.arange(self.own.start, self.own.stop, device=logits.device)
            logits = logits.masked_fill(self.same[self.own].scatter(1, own[:, None], False), -torch.inf)
        if whole is None or candidates is None:
            return logits, None
        # Rows that do not count become constant, lest 0 x inf spoil the gradient.
        counted = whole[self.own]
        return torch.where(counted[:, None], logits.masked_fill(~candidates, -torch.inf), 0), counted

    def _mask(self, positives: Tensor) -> Tensor:
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
            every = every[:, None] == every
        elif every.device.type == "cpu" and not torch.equal(every, every.mT):
            raise ValueError("positives: the mask is not symmetric; use mask | mask.T")
        return every | torch.eye(self.size, dtype=torch.bool, device=every.device)


def _kept(products: dict[tuple[int, int], Tensor], key: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    if key in products:
        return products[key]
    product = _product(x, y)
    if torch.is_grad_enabled() or not (x.requires_grad or y.requires_grad):
        products[key] = product
    return product


def _product(x: Tensor, y: Tensor) -> Tensor:
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
