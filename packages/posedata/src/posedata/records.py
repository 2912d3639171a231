"""What was measured of many runs, side by side: flattened, and averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from posedata.results import flatten

Record = dict[str, Any]


def summarise(records: Iterable[Record], labels: Sequence[str]) -> list[Record]:
    """One row for all records with the same labels; seeds are left out."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[label] for label in labels), []).append(record)
    return [
        dict(zip(labels, values, strict=True))
        | {key: spread([m[key] for m in members], key) for key in members[0] if key not in (*labels, "seed")}
        for values, members in groups.items()
    ]


def spread(values: Sequence[float], key: str = "") -> float | str:
    """A number where all are the same, else mean ± standard deviation, of cosines with three decimals."""
    digits = 3 if "cosine" in key else 1
    return values[0] if len(set(values)) == 1 else f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def flat(metrics: Mapping[str, Any], within: str = "") -> Record:
    """The numbers among nested metrics by dotted key; entries of a list by their place.

    Args:
        within: the dotted key of the part that is taken.

    Raises:
        ValueError: there is no such part, as where the data have no 3D labels.
    """
    for part in filter(None, within.split(".")):
        if not isinstance(metrics, list) and part not in metrics:
            raise ValueError(f"{within} was not measured, so there is nothing to compare; see metrics.json")
        metrics = metrics[int(part)] if isinstance(metrics, list) else metrics[part]
    found = flatten(_numbered(metrics))
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


def _numbered(value: Any) -> Any:
    """Nested metrics with lists as dicts by place."""
    if isinstance(value, list):
        value = {str(i): entry for i, entry in enumerate(value)}
    return {k: _numbered(v) for k, v in value.items()} if isinstance(value, dict) else value
