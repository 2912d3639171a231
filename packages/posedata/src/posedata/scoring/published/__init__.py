"""What papers report: their tables as data, each with paper and table, to print beside our own numbers.

One JSON file per paper. A column's name says data set and metric (`h36m_pa_mpjpe_mm`, `3dpw_pa_mpjpe_mm`,
`itop_side_map`), so that the numbers of one protocol are found in all papers; percent are percent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from posedata.store.names import did_you_mean

_LABELS = ("method", "input", "frames", "retrieval", "encoder", "encoder_2d", "decoder_3d", "loss")


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper.

    Attributes:
        name: "unihpr/lifting".
        paper, table: "UniHPR", "II".
        what: what is measured, on what, in which unit.
        note: what should be known of single cells, or "".
        rows: a mapping per row, None where the paper has no number.
    """

    name: str
    paper: str
    table: str
    what: str
    note: str
    rows: tuple[dict[str, Any], ...]

    @property
    def source(self) -> str:
        """Paper and table, in words."""
        return (
            f"{self.paper}, table {self.table}"
            if self.table[0] in "0123456789IVX"
            else f"{self.paper}, {self.table}"
        )


@cache
def published_tables() -> dict[str, PublishedTable]:
    """Every table by name, paper by paper."""
    found = {}
    files = (file for file in resources.files(__package__).iterdir() if file.name.endswith(".json"))
    for file in sorted(files, key=lambda file: file.name):
        content = json.loads(file.read_text(encoding="utf-8"))
        for table in content["tables"]:
            rows = tuple(dict(zip(table["columns"], row, strict=True)) for row in table["rows"])
            name = f"{file.name.removesuffix('.json')}/{table['id']}"
            found[name] = PublishedTable(
                name, content["paper"], table["table"], table["what"], table.get("note", ""), rows
            )
    return found


def published_table(name: str) -> PublishedTable:
    """The table of this name. Raises ValueError, with the nearest name, for one that is not known."""
    if name not in published_tables():
        near = did_you_mean(name, published_tables())
        raise ValueError(
            f"published table {name!r} is not known{near}; use one of {', '.join(published_tables())}"
        )
    return published_tables()[name]


def published_values(columns: Iterable[str]) -> list[dict[str, Any]]:
    """Every published row that has one of these columns: `method`, `source`, `table` (its name), the columns.

    Ablations, whose rows are not methods, are left out.
    """
    columns = list(columns)
    out = []
    for table in published_tables().values():
        for row in table.rows:
            values = {column: row.get(column) for column in columns}
            if "method" not in row or all(value is None for value in values.values()):
                continue
            labels = {key: row[key] for key in _LABELS if key in row}
            out.append({**labels, "source": table.source, "table": table.name, **values})
    return out
