"""Results are data: a measuring command writes docs/results/NAME.json, tables in prose are rendered from it.

A table stands between markers, each at the start of a line, and is rewritten in place:

    <!-- results: unihpr_mocap columns="model:Method,lift.mpjpe_mm:MPJPE (mm)" where=split:test -->
    <!-- /results -->

    columns  keys of a row, each with an optional `:Heading`; all scalar keys by default
    where    key:value, comma-separated: the rows to keep
    sort     the key to sort by; `-key` for the largest first
    digits   decimals of floats, 1 by default
    layout   `long` turns one row into two columns, key and value; keys may then end in `*`
    caption  `no` leaves out the line that says where the numbers come from

and a number in a sentence:

    <!-- value: NAME key=lift.mpjpe_mm where=split:test -->31.4<!-- /value -->

`python -m posedata.results README.md docs/pages/*.md` renders; `--check` says what is stale, exit code 1.
"""

import argparse
import datetime
import fnmatch
import json
import math
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posedata.errors import one_line
from posedata.machine import command_line, commit, library_versions, machine
from posedata.readers.files.safe_text import read_json
from posedata.terminal import print_line, visible
from posedata.writing import write_text

_TABLE = re.compile(r"^(<!-- results: (?P<spec>.*?) -->\n).*?^(<!-- /results -->)", re.DOTALL | re.MULTILINE)
_VALUE = re.compile(r"(<!-- value: (?P<spec>.*?) -->).*?(<!-- /value -->)", re.DOTALL)
_OPTIONS = {"columns", "where", "sort", "digits", "layout", "caption", "key"}

Row = Mapping[str, Any]


def write_results(
    path: Path, rows: Sequence[Row], *, data: str = "", seeds: Sequence[int] = (), **more: Any
) -> dict[str, Any]:
    """Write measured rows with where they come from; return what was written.

    Args:
        path: the JSON file, docs/results/NAME.json for a published one.
        rows: dicts of scalars; nested dicts are flattened to dotted keys.
        data: fingerprint of the data measured on.
        seeds: the seeds used.
        **more: further top-level entries of the file.
    """
    results = {
        "command": command_line(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": library_versions(),
        "data": data,
        "seeds": list(seeds),
        "rows": [flatten(row) for row in rows],
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(_known(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return results


def render_tables(markdown: Path, check: bool = False) -> bool:
    """Rewrite the tables and numbers of a Markdown file; True where it was stale.

    Raises:
        FileNotFoundError: a results file is absent.
        ValueError: a marker names an unknown option or key, or selects no row.
    """
    text = markdown.read_text()

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{render(match['spec'], markdown)}\n{match[3]}"

    def value(match: re.Match[str]) -> str:
        return f"{match[1]}{_value(match['spec'], markdown)}{match[3]}"

    rendered = _VALUE.sub(value, _TABLE.sub(table, text))
    stale = rendered != text
    if stale and not check:
        write_text(markdown, rendered)
    return stale


def render(spec: str, markdown: Path) -> str:
    """The Markdown table that a marker's text asks for."""
    name, options = _parse(spec, markdown)
    results = _read(name, markdown)
    rows = _select(results["rows"], options, f"{markdown}: {name}")
    digits = int(options.get("digits", 1))
    if options.get("layout") == "long":
        head, body = ["", ""], _long(rows, options, digits)
    else:
        columns = _columns(rows, options)
        body = [[_format(row.get(key), digits) for key in columns] for row in rows]
        head = list(columns.values())
        for key in columns:
            if all(key not in row for row in results["rows"]):
                raise ValueError(f"{markdown}: docs/results/{name}.json has no key {key}")
    lines = [_line(head), f"|{'---|' * len(head)}", *map(_line, body)]
    if options.get("caption") != "no":
        lines += ["", _caption(results)]
    return "\n".join(lines)


def _known(value: Any) -> Any:
    """The same with null for NaN, an interval of one person for instance, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m posedata.results FILES [--check]`: exit code 1 where `--check` finds a stale
    file, 2 where one cannot be rendered."""
    parser = argparse.ArgumentParser(
        prog="python -m posedata.results", description="Render tables from results."
    )
    parser.add_argument("files", nargs="+", type=Path, help="Markdown files")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a table is stale")
    options = parser.parse_args(arguments)
    try:
        stale = [file for file in options.files if render_tables(file, options.check)]
    except (ValueError, OSError) as error:
        print(visible(f"error: {one_line(error)}"), file=sys.stderr)
        return 2
    for file in stale:
        said = f"stale, run python -m posedata.results {file}" if options.check else "rendered"
        print_line(f"{file}: {said}")
    return 1 if options.check and stale else 0


def _parse(spec: str, markdown: Path) -> tuple[str, dict[str, str]]:
    name, *pairs = shlex.split(spec)
    options = dict(pair.partition("=")[::2] for pair in pairs)
    for key in options.keys() - _OPTIONS:
        raise ValueError(
            f"{markdown}: results {name}: unknown option {key}; known: {', '.join(sorted(_OPTIONS))}"
        )
    return name, options


def _read(name: str, markdown: Path) -> dict[str, Any]:
    for folder in markdown.resolve().parents:
        path = folder / "docs" / "results" / f"{name}.json"
        if path.is_file():
            cure = "run the command that measures it"
            found = read_json(path, constants=True, cure=cure)
            rows = found.get("rows")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(f"{path}: is damaged: its rows should be a list of objects; {cure}")
            return found
    raise FileNotFoundError(
        f"{markdown}: docs/results/{name}.json does not exist; run the command that measures it"
    )


def _select(rows: list[Row], options: Mapping[str, str], source: str) -> list[Row]:
    for condition in filter(None, options.get("where", "").split(",")):
        key, _, value = condition.partition(":")
        rows = [row for row in rows if str(row.get(key)) == value]
    if not rows:
        raise ValueError(f"{source}: no row where {options.get('where')}")
    if "sort" in options:
        key = options["sort"].lstrip("-")
        rows = sorted(rows, key=lambda row: row[key], reverse=options["sort"].startswith("-"))
    return rows


def _columns(rows: list[Row], options: Mapping[str, str]) -> dict[str, str]:
    if "columns" not in options:
        return {key: key for row in rows for key in row}
    pairs = [column.partition(":") for column in options["columns"].split(",")]
    return {key.strip(): heading or key.strip() for key, _, heading in pairs}


def _long(rows: list[Row], options: Mapping[str, str], digits: int) -> list[list[str]]:
    found = []
    for pattern, heading in _columns(rows, options).items():
        for key in fnmatch.filter(rows[0], pattern):
            found.append([heading if heading != pattern else key, _format(rows[0][key], digits)])
    return found


def _value(spec: str, markdown: Path) -> str:
    name, options = _parse(spec, markdown)
    rows = _select(_read(name, markdown)["rows"], options, f"{markdown}: {name}")
    key = options.get("key", "")
    if key not in rows[0]:
        raise ValueError(f"{markdown}: docs/results/{name}.json has no key {key}")
    return _format(rows[0][key], int(options.get("digits", 1)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _format(value: Any, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def _caption(results: Mapping[str, Any]) -> str:
    versions = results["versions"]
    return (
        f"*Measured {results['date']} on {results['machine']}, torch {versions.get('torch')}, "
        f"by `{results['command']}`.*"
    )


def flatten(tree: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{at}{key}.") if isinstance(value, Mapping) else {f"{at}{key}": value}
    return flat


if __name__ == "__main__":
    sys.exit(main())
