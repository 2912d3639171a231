"""Recipes: YAML files validated against nested frozen dataclasses.

A schema is a frozen dataclass whose fields are bool, int, float, str, Path, Literal, `X | None`, tuples,
dicts by string or further frozen dataclasses; `Annotated[float, Range(above=0)]` bounds a number. Every value
can be set from the command line as `train.steps=100`.
"""

import contextlib
import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import yaml
from posedata.ranges import Range
from posedata.readers.files.safe_text import read_text
from posedata.readers.files.safe_yaml import TextError, load_yaml, shown
from posedata.results import flatten
from posedata.terminal import visible

Schema = TypeVar("Schema")
_BYTES = 1 << 20
"""The most that a recipe may weigh."""


class _Text(str):
    """A value as typed on the command line: its type is decided by the field it is for."""


def load_recipe(
    path_or_name: str | Path,
    schema: type[Schema],
    overrides: Iterable[str] = (),
    folder: Path | None = None,
    *,
    tell: bool = True,
) -> Schema:
    """Read a recipe, apply `key=value` overrides and validate it.

    Args:
        path_or_name: a YAML file, or the name of one in `folder` without its suffix.
        schema: the frozen dataclass to fill; keys the file leaves out take the dataclass's defaults.
        overrides: texts such as "train.steps=100".
        folder: where named recipes lie.
        tell: say where it writes outside the working folder.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: an unknown key (the near one is named), a wrong type, a value out of range.
    """
    path = find_recipe(path_or_name, folder)
    try:
        values = load_yaml(read_text(path, _BYTES))
    except TextError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(values, dict | None):
        raise ValueError(f"{path}: a recipe is a mapping of keys to values, not {_word(values)}")
    stored = values = values or {}
    recipe = _build(schema, values, schema, (), str(path))
    for override in overrides:
        values = _merge(values, override, schema)
        recipe = _build(schema, values, schema, (), f"--set {shown(override)[1:-1]}")
    if tell:
        _tell_caches(stored, values, path)
    return recipe


def changed(recipe: Schema, overrides: Iterable[str]) -> Schema:
    """A recipe with `key=value` texts taken over, as `load_recipe` takes them.

    Raises:
        ValueError: an unknown key, a wrong type, a value out of range.
    """
    values, schema = to_plain(recipe), type(recipe)
    for override in overrides:
        values = _merge(values, override, schema)
        recipe = _build(schema, values, schema, (), shown(override)[1:-1])
    return recipe


def tell_caches(path: Path) -> None:
    """Say where a recipe file writes outside the working folder, before it does."""
    values = load_yaml(read_text(path, _BYTES)) or {}
    _tell_caches(values, values, path)


def _tell_caches(stored: Any, values: Any, source: Path, at: tuple[str, ...] = ()) -> None:
    """Say where a recipe file, which may be a stranger's, writes outside the working folder unasked."""
    for key, value in stored.items():
        now = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, dict):
            _tell_caches(value, now, source, (*at, str(key)))
        elif key == "cache" and now == value and not Path(str(value)).resolve().is_relative_to(Path.cwd()):
            name = _dotted(at, key)
            said = f"note: {source}: {name} is {value}, so what is prepared is written there, outside this"
            print(visible(f"{said} folder; --set {name}=data keeps it here"), file=sys.stderr)


def find_recipe(path_or_name: str | Path, folder: Path | None = None) -> Path:
    """The file that a path or a recipe's name stands for."""
    path = Path(path_or_name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such recipe file")
        return path
    named = sorted(p.stem for p in folder.glob("*.yaml")) if folder else []
    if folder is None or str(path_or_name) not in named:
        raise FileNotFoundError(
            f"no recipe is called {path_or_name}; give a .yaml file or one of: {', '.join(named) or '(none)'}"
        )
    return folder / f"{path_or_name}.yaml"


def to_yaml(recipe: Any) -> str:
    """The recipe with every value spelled out; `load_recipe` reads it back equal."""
    return yaml.safe_dump(to_plain(recipe), sort_keys=False, allow_unicode=True)


def to_plain(value: Any) -> Any:
    """Recipe as nested dicts and lists, for YAML and JSON."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: to_plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def differences(old: Any, new: Any) -> list[str]:
    """Dotted keys at which two recipes differ, as "train.steps: 100 -> 200"."""
    a, b = flatten(to_plain(old)), flatten(to_plain(new))
    return [f"{key}: {a.get(key)} -> {b.get(key)}" for key in {**a, **b} if a.get(key) != b.get(key)]


def _build(kind: Any, values: dict[str, Any], root: Any, at: tuple[str, ...], source: str) -> Any:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            named = _dotted(at, shown(str(key))[1:-1])
            raise ValueError(f"{source}: unknown key {named}{_suggest(named, root)}")
    built = {key: _convert(hints[key], value, root, (*at, key), source) for key, value in values.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in built:
            if not dataclasses.is_dataclass(hints[name]):
                raise ValueError(f"{source}: {_dotted(at, name)} is missing; give it a value")
            built[name] = _build(hints[name], {}, root, (*at, name), source)
    try:
        return kind(**built)
    except ValueError as error:
        raise ValueError(f"{source}: {_dotted(at) or 'recipe'}: {error}") from None


def _convert(kind: Any, value: Any, root: Any, at: tuple[str, ...], source: str) -> Any:
    """`value` as the field's type, or a ValueError that names file and key."""

    def wrong(expected: str) -> ValueError:
        return ValueError(f"{source}: {_dotted(at)} must be {expected}, not {shown(value)}")

    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        result = _convert(arguments[0], value, root, at, source)
        for bound in (a for a in arguments[1:] if isinstance(a, Range)):
            for number in result if isinstance(result, tuple) else [result]:
                if number is not None and (expected := bound.broken(number)):
                    raise ValueError(f"{source}: {_dotted(at)} must be {expected}, not {shown(number)}")
        return result
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, _Text) and _is_null(value)):
            if type(None) in arguments:
                return None
            raise wrong(_name(kind))
        (inner,) = [a for a in arguments if a is not type(None)]
        return _convert(inner, value, root, at, source)
    if typed := isinstance(value, _Text):
        if kind in (str, Path):
            return kind(str(value))
        try:
            value = load_yaml(value)
        except TextError as error:
            cure = error if "deep" in str(error) or "alias" in str(error) else "close its brackets"
            raise ValueError(f"{source}: {_dotted(at)} is no YAML: {shown(str(value))}; {cure}") from None
    if dataclasses.is_dataclass(kind) and isinstance(value, dict if typed else dict | None):
        return _build(kind, value or {}, root, at, source)
    if origin is Literal:
        if value is False and "no" in arguments:
            return "no"  # which YAML 1.1 reads as False
        if any(value == a and type(value) is type(a) for a in arguments):
            return value
        raise wrong("one of " + ", ".join(map(str, arguments)))
    if origin is tuple and isinstance(value, list):
        return _tuple(arguments, value, root, at, source)
    if origin is dict and isinstance(value, dict):
        return {str(k): _convert(arguments[1], v, root, (*at, str(k)), source) for k, v in value.items()}
    return _scalar(kind, value, wrong)


def _tuple(arguments: Any, value: list[Any], root: Any, at: tuple[str, ...], source: str) -> tuple[Any, ...]:
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        raise ValueError(f"{source}: {_dotted(at)} must hold {len(kinds)} values, not {len(value)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_convert(k, v, root, (*at, str(i)), source) for i, (k, v) in pairs)


def _scalar(kind: Any, value: Any, wrong: Any) -> Any:
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except (TypeError, ValueError):
            pass
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is int and isinstance(value, str) and value.replace("_", "").isdigit():
        return int(value)
    elif kind in (bool, int, str) and type(value) is kind:
        return value
    raise wrong(_name(kind))


def _merge(values: dict[str, Any], override: str, schema: Any) -> dict[str, Any]:
    """A copy of `values` with one dotted key set; of a section, the keys that the text names."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(
            f"--set {shown(override)[1:-1]}: write it as key=value, for instance train.steps=100"
        )
    names = key.strip().split(".")
    value: Any = _Text(text.strip())
    if _is_mapping(schema, names):
        with contextlib.suppress(TextError):  # which is told when the value is converted
            parsed = load_yaml(value)
            value = parsed if isinstance(parsed, dict) else value
    return _put(values, names, value)


def _put(values: dict[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    head, *rest = names
    below = values[head] if isinstance(values.get(head), dict) else {}
    if rest:
        value = _put(below, rest, value)
    elif isinstance(value, dict):
        for name, item in value.items():
            below = _put(below, [name], item)
        value = below
    return {**values, head: value}


def _is_mapping(kind: Any, names: list[str]) -> bool:
    """Whether a key, one name a level, is a section or a dict."""
    for name in names:
        kind = typing.get_type_hints(kind).get(name) if dataclasses.is_dataclass(kind) else None
    return dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict


def _suggest(key: str, root: Any) -> str:
    keys = _keys(root, ())
    near = difflib.get_close_matches(key, keys, n=1)
    if not near:
        leaf = key.rpartition(".")[2]
        leaves = difflib.get_close_matches(leaf, [k.rpartition(".")[2] for k in keys], n=1, cutoff=0.75)
        near = [k for k in keys if k.rpartition(".")[2] in leaves][:1]
    return f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(keys)}"


def _keys(kind: Any, at: tuple[str, ...]) -> list[str]:
    keys = []
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            keys += _keys(hint, (*at, name))
        else:
            keys.append(_dotted(at, name))
    return keys


def _dotted(at: tuple[str, ...], *more: str) -> str:
    return ".".join((*at, *more))


def _word(value: Any) -> str:
    return "a list" if isinstance(value, list) else shown(value)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind).replace("typing.", "")


def _is_null(text: str) -> bool:
    return text in ("", "~", "null", "Null", "NULL")
