"""What is particular to a task; how its runs live is in `posetrain.lifecycle` and `posetrain.commands`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from posedata.splits import Elsewhere, Part
    from torch import nn

    from posetrain.ablation import Comparison
    from posetrain.lifecycle import Trained
    from posetrain.loop import Trainer
    from posetrain.runs import Existing
    from posetrain.stage import LoopConfig, Stage

Metrics = dict[str, Any]
Row = dict[str, Any]
Say = Callable[[str], None]


class AnyRecipe(Protocol):
    """What every recipe has."""

    @property
    def data(self) -> Any: ...
    @property
    def loop(self) -> LoopConfig: ...


RecipeT = TypeVar("RecipeT", bound=AnyRecipe)
ModelT = TypeVar("ModelT", bound="nn.Module")
DataT = TypeVar("DataT")


@dataclass(frozen=True)
class About:
    """What a command line knows of a task before it imports what trains it.

    Attributes:
        task: where it is, MODULE:NAME.
        app: on the card of every checkpoint, by which another app's run is refused.
        label: of the method, in tables.
        schema: of its recipes.
        recipes: the folder of those with a name.
        recipe: the one that is taken where none is named.
        prefix, suffix: what a run's name has about its recipe's.
        groups: what `--stage` may name, each so many of the stages in their order.
        unmeasured: of these, those that leave nothing to measure.
        reports: whether there is a report.
        variants: the named comparisons of `ablate`.
        beside: what else `--beside` is called.
    """

    task: str
    app: str
    label: str
    schema: type[Any]
    recipes: Path
    recipe: str = "quickstart"
    prefix: str = ""
    suffix: str = ""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()
    reports: bool = True
    variants: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def load(self) -> Task[Any, Any, Any]:
        """Import the task."""
        module, _, name = self.task.partition(":")
        task: Task[Any, Any, Any] = getattr(import_module(module), name)
        return task

    def run_name(self, recipe: str, ending: str = "") -> str:
        """The name of a run for which none is given."""
        return f"{self.prefix}{Path(recipe).stem}{self.suffix}{ending}"


class Table(NamedTuple):
    """A table for the screen."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


class Scored(NamedTuple):
    """What a published protocol says of a run.

    Attributes:
        shown: tables and lines for the screen.
        rows: ours, for the results file; `more`: its further entries.
    """

    shown: list[Table | str]
    rows: list[Row]
    more: dict[str, Any]


class Task(ABC, Generic[RecipeT, ModelT, DataT]):
    """One kind of training: its data, its model, its stages, and what is measured and shown.

    Attributes:
        about: for the command line.
        siblings: further tasks of the same app and schema, whose runs its commands take too.
        comparisons: what `ablate --variants` names, as in `About.variants`.
        headline: what `ablate --over` shows, dotted keys of metrics and their headings; all, if empty.
    """

    about: ClassVar[About]
    siblings: tuple[Task[Any, Any, Any], ...] = ()
    comparisons: Mapping[str, Comparison] = {}
    headline: Mapping[str, str] = {}

    def of(self, recipe: RecipeT) -> Task[Any, Any, Any]:
        """The task that a recipe is of: this one, or one of its siblings."""
        return self

    # ---- data

    @abstractmethod
    def open(self, recipe: RecipeT, device: torch.device, say: Say) -> DataT:
        """The data that a recipe names, made or found in its cache: to train on, and the test.

        Raises:
            ValueError, FileNotFoundError: they cannot be had; the message says what to set.
        """

    def fingerprint(self, data: DataT) -> str:
        """Of everything that training and measuring see."""
        return data.fingerprint  # type: ignore[attr-defined]

    def on(self, data: DataT, part: Part, say: Say) -> DataT:
        """The same training data with another part of the split to measure on."""
        return data.on(part)  # type: ignore[attr-defined]

    def elsewhere(self, trained: Trained[RecipeT, ModelT, DataT], place: Elsewhere, part: Part) -> DataT:
        """Other data than the run's own, to measure on.

        Raises:
            ValueError, FileNotFoundError: there are none, or none that such a run can be measured on.
        """
        raise ValueError(
            f"--data {place.store}: {self.about.label} is measured on its own data; leave it out"
        )

    # ---- model and training

    @abstractmethod
    def build(self, recipe: RecipeT, data: DataT | None, begun: Collection[str]) -> ModelT:
        """The model.

        Args:
            data: to take from them what the model knows of its data; None where it is filled from a run.
            begun: stages that will be filled from their checkpoints: weights that they began from are not
                looked for.
        """

    @abstractmethod
    def steps(self, recipe: RecipeT) -> dict[str, int]:
        """How many steps each of the stages has, in their order; 0 leaves one out."""

    @abstractmethod
    def stages(
        self, model: ModelT, data: DataT, recipe: RecipeT, trainer: Trainer
    ) -> Mapping[str, Callable[[], Stage]]:
        """By name what makes each stage: called when those before it are trained."""

    @abstractmethod
    def restore(self, model: ModelT, run: Any) -> None:
        """Fill a model from the checkpoints of its run."""

    def check(self, recipe: RecipeT, folder: Path, existing: Existing, group: str | None) -> None:
        """Raise a ValueError where such a training makes no sense, before anything is touched."""

    def needed(self, recipe: RecipeT, begun: Collection[str]) -> dict[str, int]:
        """Steps of the stages that a run must have finished before it is used."""
        return self.steps(recipe)

    def shared(self, recipe: RecipeT) -> dict[str, Hashable]:
        """All that a stage's result depends on, for stages that other variants of a recipe may take over."""
        return {}

    def pack(self, trained: Trained[RecipeT, ModelT, DataT]) -> Path | None:
        """Write the weights that evaluation uses for those who hold no trainer; None where nobody could."""
        return None

    # ---- measuring and showing

    @abstractmethod
    def watch(self, model: ModelT, held_out: DataT, recipe: RecipeT) -> Callable[[str], dict[str, float]]:
        """What says of a stage in training, by its name, how the model does on held-out data."""

    @abstractmethod
    def measure(self, trained: Trained[RecipeT, ModelT, DataT], held_out: DataT, part: Part) -> Metrics:
        """Everything that is measured, nested by name; every process calls it and does its part."""

    def row(self, trained: Trained[RecipeT, ModelT, DataT], metrics: Metrics) -> Row:
        """A run's row of a results file, beside other methods'."""
        return {"method": self.about.label, "run": trained.run.name, **metrics}

    def rows(self, trained: Trained[RecipeT, ModelT, DataT], metrics: Metrics, part: Part) -> list[Row]:
        """All rows of a results file that are of this run."""
        return [self.row(trained, metrics)]

    def joined(self, own: list[Row], others: list[Row]) -> list[Row]:
        """The rows of this run and those of other runs, in the order of the table."""
        return [*own, *others]

    def comparison(self, name: str, recipe: RecipeT) -> Comparison:
        """A named comparison, for a recipe."""
        return self.comparisons[name]

    def more(self, trained: Trained[RecipeT, ModelT, DataT], metrics: Metrics, part: Part) -> dict[str, Any]:
        """Further entries of the results file."""
        return {}

    def comparable(self, recipe: RecipeT) -> object:
        """What two recipes must have in common, beside the fingerprint of the data, to stand in one table."""
        return None

    @abstractmethod
    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterable[Table | str]:
        """Tables and lines for the screen."""

    def report(self, trained: Trained[RecipeT, ModelT, DataT], metrics: Metrics) -> Path:
        """Write the report into the run folder; return its path."""
        raise ValueError(f"{trained.run.path}: {self.about.label} has no report; see its metrics.json")

    def score(self, trained: Trained[RecipeT, ModelT, DataT], protocol: str) -> Scored:
        """What a published protocol says of a run, on its test or elsewhere (`Trained.place`).

        Raises:
            ValueError: there is no such protocol, or it scores something else.
        """
        raise ValueError(f"--protocol {protocol}: no protocol scores {self.about.label}; leave it out")
