"""What was found as a table: on the screen, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posedata.errors import check_new_file
from posedata.writing import write_text

if TYPE_CHECKING:
    from rich.table import Table

    from polypose.search.embedding import View
    from polypose.search.finding import Hit
    from polypose.search.index import Place
    from polypose.search.movement import Movement

Row = dict[str, Any]


def check_out(out: Path | None) -> None:
    """Refuse, before any work, a file that cannot be written. ValueError says why."""
    if out is not None and out.suffix not in (".csv", ".json"):
        raise ValueError(f"{out}: write what is found to a .csv or a .json")
    check_new_file(out)


def moments(hits: Sequence[Hit], view: View) -> list[Row]:
    """Rows of a search for a pose."""
    name = "distance" if view == "invariant" else "cosine"
    return [
        {**_place(hit.place), "start": hit.start, "end": hit.end, name: round(hit.near, 4)} for hit in hits
    ]


def movements(found: Sequence[Movement]) -> list[Row]:
    """Rows of a search for a movement."""
    return [
        {**_place(each.place), "start": each.start, "end": each.end, "distance": round(each.distance, 4)}
        for each in found
    ]


def shown(rows: Sequence[Row]) -> Table:
    """For the screen."""
    from rich.table import Table

    table = Table(show_edge=False)
    names = [name for name in (rows[0] if rows else {}) if name not in ("source", "frame")]
    kept = [name for name in names if any(row[name] not in ("", None) for row in rows)]
    for name in kept or ["nothing is found"]:
        number = bool(rows) and isinstance(rows[0][name], int | float)
        table.add_column(name, overflow="fold", no_wrap=number, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v := row[name], float) else str(v) for name in kept))
    return table


def write(out: Path, rows: Sequence[Row]) -> None:
    """Write a .csv or .json, best first."""
    if out.suffix == ".json":
        write_text(out, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return
    text = io.StringIO()
    names = list(rows[0]) if rows else ["row"]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_text(out, text.getvalue())


def _place(place: Place) -> Row:
    return {
        "row": place.row,
        "source": place.source,
        "recording": place.recording,
        "person": place.person,
        "action": place.action,
        "camera": place.camera,
        "frame": place.frame,
        "time": round(place.time, 3),
    }
