"""MkDocs hook: puts what the code says into pages: recipe keys of the schema, benchmarks of their scripts."""

import ast
import dataclasses
import inspect
import json
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import griffe
from griffe_reference import split_groups
from posedata.ranges import Range
from posetrain.recipe import load_recipe, to_plain

BENCHMARKS = Path(__file__).parents[1] / "tests" / "benchmarks"
RECIPE_KEYS = "<!-- recipe keys: unihpr -->"
BENCHMARK_KEYS = "<!-- benchmarks -->"
FORMAT_KEYS = "<!-- formats -->"
PROTOCOL_KEYS = "<!-- protocols -->"
PUBLISHED_KEYS = "<!-- published tables -->"
Key = tuple[str, Any, Any, str]
"""Dotted key, type, default, description."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page: puts tables where it has a marker."""
    from unihpr.recipe import RECIPES, Recipe

    if RECIPE_KEYS in markdown:
        markdown = markdown.replace(RECIPE_KEYS, tables(Recipe, RECIPES))
    if BENCHMARK_KEYS in markdown:
        markdown = markdown.replace(BENCHMARK_KEYS, benchmarks(BENCHMARKS))
    if FORMAT_KEYS in markdown:
        markdown = markdown.replace(FORMAT_KEYS, formats())
    if PROTOCOL_KEYS in markdown:
        markdown = markdown.replace(PROTOCOL_KEYS, protocols())
    if PUBLISHED_KEYS in markdown:
        markdown = markdown.replace(PUBLISHED_KEYS, published())
    return markdown


def formats() -> str:
    """Every format that `posedata prepare` takes, with its page, terms and published counts."""
    from posedata.readers.registry import FORMATS

    folder = Path(__file__).parent / "pages" / "datasets"
    pages = {page.name: page.read_text() for page in sorted(folder.glob("*.md")) if page.stem != "index"}
    lines = ["| format | what | terms | published rows |", "|---|---|---|---|"]
    for name, form in sorted(FORMATS.items()):
        page = next((page for page, text in pages.items() if f"prepare {name} " in text), None)
        shown = f"[`{name}`]({page})" if page else f"`{name}`"
        totals = "; ".join(f"{total.what} {total.rows:,}" for total in form.totals)
        lines.append(f"| {shown} | {form.title} | {form.terms} | {totals} |")
    return "\n".join(lines)


def protocols() -> str:
    """Every protocol by name."""
    from posedata.scoring.protocols import PROTOCOLS

    lines = ["| protocol | what | defined in |", "|---|---|---|"]
    lines += [f"| `{p.name}` | {p.title} | {p.source} |" for p in PROTOCOLS.values()]
    return "\n".join(lines)


def published() -> str:
    """Every published table by name."""
    from posedata.scoring.published import published_tables

    lines = ["| table | of | what |", "|---|---|---|"]
    lines += [f"| `{t.name}` | {t.source} | {t.what} |" for t in published_tables().values()]
    return "\n".join(lines)


def benchmarks(folder: Path) -> str:
    """A section for every benchmark: what its script says of itself."""
    scripts = sorted(folder.glob("bench_*.py"))
    texts = {s.stem.removeprefix("bench_"): ast.get_docstring(ast.parse(s.read_text())) for s in scripts}
    return "\n\n".join(f"### `{name}`\n\n{text}" for name, text in texts.items())


def tables(schema: type, folder: Path) -> str:
    """A section for every part of a recipe: its keys, what they may be, and what the named recipes say."""
    recipes: dict[str, Any] = {path.stem: load_recipe(path, schema) for path in sorted(folder.glob("*.yaml"))}
    hints = typing.get_type_hints(schema)
    parts = []
    for name, kind in hints.items():
        if dataclasses.is_dataclass(kind):
            keys = _keys(typing.cast(type, kind), f"{name}.")
            parts += [f"### `{name}`", _summary(typing.cast(type, kind)), _table(keys, recipes)]
    alone = [key for key in _keys(schema) if key[0] in hints]
    parts += ["### Beside them", _table(alone, recipes)] if alone else []
    return "\n\n".join(part for part in parts if part)


def _table(keys: Iterable[Key], recipes: dict[str, Any]) -> str:
    head = ["key", "type", "default", *recipes]
    lines = [_line(head), _line(["---"] * len(head))]
    for key, hint, default, text in keys:
        cells = [f"`{key}`", _words(hint), _value(default)]
        for recipe in recipes.values():
            value = _at(to_plain(recipe), key)
            cells.append("" if value == to_plain(default) else _value(value))
        lines.append(_line(cells))
        if text:
            lines[-1] = lines[-1].replace(f"`{key}`", f"`{key}`<br>{text}", 1)
    return "\n".join(lines)


def _keys(kind: type, at: str = "") -> Iterator[Key]:
    """Of every value, nested parts included."""
    hints, texts = typing.get_type_hints(kind, include_extras=True), _texts(kind)
    for field in dataclasses.fields(kind):
        key, hint = f"{at}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _keys(hint, f"{key}.")
        else:
            factory = field.default_factory
            default = field.default if factory is dataclasses.MISSING else factory()
            yield key, hint, default, texts.get(field.name, "")


def _summary(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\nAttributes:")[0]


def _texts(kind: type) -> dict[str, str]:
    """What the docstrings of a class and of those that it derives from say of its fields."""
    found = {}
    for part in reversed(kind.__mro__[:-1]):
        docstring = griffe.Docstring(split_groups(inspect.cleandoc(part.__doc__ or "")), parser="google")
        found |= {
            entry.name: " ".join(entry.description.split())
            for section in docstring.parse(warnings=False)
            if section.kind is griffe.DocstringSectionKind.attributes
            for entry in section.value
        }
    return found


def _words(hint: Any) -> str:
    """A type with its bounds, as a reader of YAML would say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        bounds = [b for b in arguments[1:] if isinstance(b, Range)]
        limits = [
            f"{name.replace('_', ' ')} {value:g}"
            for bound in bounds
            for name, value in dataclasses.asdict(bound).items()
            if value is not None
        ]
        return ", ".join([_words(arguments[0]), *limits])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        inner = [a for a in arguments if a is not Ellipsis]
        many = "any number" if Ellipsis in arguments else str(len(inner))
        return f"{many} of: {_words(inner[0])}"
    if type(None) in arguments:
        return " or ".join(["`null`", *(_words(a) for a in arguments if a is not type(None))])
    return {"str": "text", "float": "number", "int": "whole number", "bool": "yes or no", "Path": "path"}.get(
        hint.__name__, hint.__name__
    )


def _value(value: Any) -> str:
    plain = to_plain(value)
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"


def _at(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        tree = tree[key]
    return tree


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
