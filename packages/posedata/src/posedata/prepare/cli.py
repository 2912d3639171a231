"""`posedata prepare FORMAT SRC OUT`: a command per format, whose options are the format's fields."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperGroup

import posedata.readers  # noqa: F401  (registers the formats)
from posedata.prepare.format import FORMATS, Format, get_format

Run = Callable[..., None]
"""Called as `run(name, source, out, strict=, workers=, overwrite=, **options)`."""

_FIXED: dict[str, Any] = {
    "source": Annotated[Path, typer.Argument(metavar="SRC", help="File or folder to read.")],
    "out": Annotated[Path, typer.Argument(metavar="OUT", help="The store to make.")],
    "strict": Annotated[bool, typer.Option("--strict", help="Fail where anything is missing or odd.")],
    "workers": Annotated[
        int, typer.Option(min=0, help="Processes; 0: one per core. They change nothing else.")
    ],
    "overwrite": Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is a store.")],
}
_DEFAULTS: dict[str, Any] = {"strict": False, "workers": 0, "overwrite": False}


class _Formats(TyperGroup):
    """Names a format that is not known as everywhere else."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            try:
                get_format(args[0])
            except ValueError as error:
                typer.echo(f"posedata: {error}", err=True)
                raise typer.Exit(2) from None
        return super().resolve_command(ctx, args)


def prepare_app(run: Run) -> typer.Typer:
    """The group of commands `prepare`."""
    app = typer.Typer(
        cls=_Formats, no_args_is_help=True, help="Read a data set, as its owners distribute it, into a store."
    )
    for name, form in FORMATS.items():
        app.command(name, help=f"{form.title}.", no_args_is_help=True)(_command(name, form, run))
    return app


def _command(name: str, form: type[Format], run: Run) -> Callable[..., None]:
    def command(source: Path, out: Path, **given: Any) -> None:
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items() if v is not None}
        run(name, source, out, **options)

    hints = get_type_hints(form)
    offered = {
        field.name: (
            Annotated[_kind(hints[field.name]), typer.Option(help=field.metadata.get("help", ""))],
            list(field.default) if isinstance(field.default, tuple) else field.default,
        )
        for field in dataclasses.fields(form)
    }
    parameters = [
        inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=_FIXED[n])
        for n in ("source", "out")
    ]
    for key, (kind, default) in {**offered, **{n: (_FIXED[n], d) for n, d in _DEFAULTS.items()}}.items():
        parameters.append(
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _kind(hint: Any) -> Any:
    """What typer can parse for a field of this type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        known = [part for part in parts if part is not type(None)]
        kind = float if set(known) == {int, float} else known[0]
        return kind | None if type(None) in parts else kind
    if origin in (tuple, Sequence):
        return list[parts[0]]  # type: ignore[valid-type]
    return str if origin is Literal else hint
