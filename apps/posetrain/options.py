"""What the apps' command lines have in common, as `options.NAME`: options, how a run is begun, tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from posedata.errors import check_new_file
from posedata.splits import Part
from posedata.terminal import Terminal

from posetrain.errors import plain_errors

if TYPE_CHECKING:
    from polypose.retrieval import Hits

    from posetrain.runs import Existing

Views = Literal["recorded", "virtual"]

console = Terminal(soft_wrap=True)  # a path stays whole


@plain_errors()
def _new_file(path: Path | None) -> Path | None:
    check_new_file(path)
    return path


Recipe = Annotated[str, typer.Option("--recipe", "-r", help="a recipe's name, or a YAML file")]
Set = Annotated[list[str], typer.Option("--set", help="change a value: --set loop.seed=1; repeatable")]
Name = Annotated[str | None, typer.Option("--name", help="of the run; the recipe's by default")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the runs")]
Json = Annotated[
    Path | None, typer.Option("--json", callback=_new_file, help="also write what was measured here")
]
Picture = Annotated[
    Path | None, typer.Option("--picture", callback=_new_file, help="a PNG of the first poses")
]
OfPart = Annotated[
    Part, typer.Option("--part", help="of the split: the test, or validation, to choose settings by")
]
Protocol = Annotated[
    str | None,
    typer.Option("--protocol", help="score by a published protocol, its numbers beside: h36m-p1, ..."),
]
Data = Annotated[
    Path | None, typer.Option("--data", "--store", help="measure on this store, not on the run's own data")
]
Split = Annotated[Path | None, typer.Option("--split", help="with --data: a JSON file of its people")]
Keypoints = Annotated[
    str | None, typer.Option("--keypoints", help="of --data: its column keypoints_NAME, for a detector's")
]
SeenAs = Annotated[
    Views | None, typer.Option("--views", help="of --data: as recorded, or by the run's virtual cameras")
]
Seeds = Annotated[int, typer.Option("--seeds", help="runs of each variant", min=1)]
Over = Annotated[
    list[str], typer.Option("--over", help="vary a key: --over loop.ema=null,0.99; repeatable: the product")
]
Run = Annotated[Path, typer.Argument(help="a run folder, runs/NAME")]
Column = Annotated[str, typer.Option("--keypoints", help="the store's column: keypoints_NAME")]
Skeleton = Annotated[str, typer.Option(help="of the keypoints: coco17, h36m17, openpose25, ...")]
FROM, TO = (
    typer.Option(name, help=f"modality of the {whose}")
    for name, whose in (("--from", "queries"), ("--to", "gallery"))
)
K = Annotated[int, typer.Option("--k", "-k", min=1, help="how many to retrieve")]
Show = Annotated[int, typer.Option(min=0, help="queries to print")]
Resume = Annotated[bool, typer.Option("--resume", help="continue the run where it stopped")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="throw away a run of this name first")]


def existing(resume: bool, overwrite: bool) -> "Existing":
    """What to do with a run of this name. Raises ValueError where both are given."""
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other; give one")
    return "resume" if resume else "replace" if overwrite else "refuse"


def print_recipe(recipe: Any) -> None:
    """The whole recipe, every default spelled out."""
    from posetrain.recipe import to_yaml

    for line in to_yaml(recipe).splitlines():
        console.print(line, style="dim", highlight=False)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table with one decimal."""
    from rich.table import Table

    table = Table(title=title)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", overflow="ellipsis" if i else "fold")
    for row in rows:
        table.add_row(*(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table, soft_wrap=False)


def print_hits(hits: "Hits", title: str, show: int, json: Path | None) -> None:
    """The first of what a retrieval found, as a table; all of it into a results file."""
    from posedata.results import write_results

    if json:
        write_results(json, hits.records, data=hits.gallery, overall=hits.scores)
    print_table(title, hits.header, hits.rows[:show])
