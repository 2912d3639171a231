"""Views to train on: rows of a store, views by cameras drawn anew in every step, or some of each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from posedata.views.ahead import Ahead
from posedata.views.batch import DETECTED, Views
from posedata.views.order import StreamOrder
from posedata.views.recorded import RecordedViews
from posedata.views.virtual import VirtualViews

Share = Callable[[Tensor], Tensor]
"""What of a batch's rows a process keeps."""


@dataclass(frozen=True, eq=False)
class MixedViews:
    """Where batches come from. Keypoints are "mixed" of exact ones and a detector's.

    Every process draws the whole batch, cameras included, and keeps its share: the batch does not depend on
    how many processes there are.

    Attributes:
        rows: views of a store, recorded or rendered.
        virtual: poses seen by cameras drawn anew, changed as its `bodies` say; `rows` are mirrored alike.
        detector: of `rows`, whose keypoints stand for a detector's; `virtual.noise` where it is empty.
        recorded: share of the views without a picture that are of `rows`.
        pictures: kinds that are read of `rows`.
        stream: seed of the order of the store's shards (`posedata.views.order`) in which views with pictures
            come; at random without one.
    """

    rows: RecordedViews
    virtual: VirtualViews
    detector: str = ""
    recorded: float = 0.0
    pictures: tuple[str, ...] = ("rgb",)
    stream: int | None = None

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        *,
        noise: float = 0.0,
        augment: bool = False,
        frames: int = 1,
    ) -> Views:
        """Views at random, without pictures.

        Args:
            noise: share of views with a detector's keypoints.
            augment: on other bodies.
            frames: of clips, which are virtual all: so many rows of each, side by side.
        """
        recorded = round(count * self.recorded) if frames == 1 else 0
        parts: list[Views] = []
        if recorded:
            views = self._seen(self._at_random(recorded, generator), noise, generator)
            turned = self._turned(recorded, generator) if augment else None
            parts.append(views if turned is None else views.mirrored(turned))
        if recorded < count:
            virtual = self.virtual.draw(
                count - recorded, generator, noise=noise, augment=augment, frames=frames
            )
            parts.append(virtual)
        return Views.cat(parts)

    def draw_pictured(
        self,
        count: int,
        generator: torch.Generator,
        share: Share,
        step: int | None = None,
        *,
        noise: float = 0.0,
    ) -> Views:
        """A process's share of rows with their pictures, at random, or as a stream those of a step.

        Args:
            noise: share of views with a detector's keypoints.
        """
        following = None
        if self.stream is None or step is None:
            rows = self._at_random(count, generator)
        else:
            rows, following = self._of_step(count, step), share(self._of_step(count, step + 1))
        turned = self._turned(count, generator)
        seen = self._seen(rows, noise, generator)
        shown = self._shown(share(rows), following)  # what follows is read while this is learnt from
        if turned is not None:
            seen, shown = seen.mirrored(turned), shown.mirrored(share(turned))
        kept = share(torch.arange(count, device=self.rows.device))
        return replace(seen[kept], image=shown.image, depth=shown.depth, mask=shown.mask)

    def _of_step(self, count: int, step: int) -> Tensor:
        return torch.from_numpy(self._stream(count).rows(step)).to(self.rows.device)

    @functools.cached_property
    def _shown(self) -> Ahead[Views]:
        return Ahead(functools.partial(self.rows.views, images=self.pictures))

    def _at_random(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.rows), (count,), generator=generator, device=self.rows.device)

    def _seen(self, rows: Tensor, noise: float, generator: torch.Generator) -> Views:
        views = self.rows.views(rows)
        if noise and not self.detector:
            views = views.detected(self.virtual.noise, generator)
        return views.mixed(self.detector or DETECTED, noise, generator)

    def _turned(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Which views of a batch are mirrored."""
        mirror = self.virtual.bodies.mirror
        if not mirror:
            return None
        return torch.rand(count, generator=generator, device=self.rows.device) < mirror

    @functools.cache  # noqa: B019 (as long as the views)
    def _stream(self, batch: int) -> StreamOrder:
        assert self.stream is not None
        return StreamOrder(self.rows.store.shards(self.rows.rows), batch, self.stream)
