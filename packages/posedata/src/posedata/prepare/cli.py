"""`posedata prepare FORMAT SRC OUT`: a command per format, whose options are the format's fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from posedata.prepare.offers import KINDS, kept_offers
from posedata.store.names import unknown_format
from posedata.terminal import visible

Run = Callable[..., None]
"""Called as `run(name, source, out, strict=, workers=, shards=, overwrite=, **options)`."""

_FIXED: dict[str, Any] = {
    "source": Annotated[Path, typer.Argument(metavar="SRC", help="File or folder to read.")],
    "out": Annotated[Path, typer.Argument(metavar="OUT", help="The store to make.")],
    "strict": Annotated[bool, typer.Option("--strict", help="Fail where anything is missing or odd.")],
    "workers": Annotated[
        int, typer.Option(min=0, help="Processes; 0: one per core. They change nothing else.")
    ],
    "shards": Annotated[bool, typer.Option("--shards", help="Pictures as PNG in tar files (WebDataset).")],
    "overwrite": Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is a store.")],
}
_DEFAULTS: dict[str, Any] = {"strict": False, "workers": 0, "shards": False, "overwrite": False}


class _Formats(TyperGroup):
    """Names a format that is not known as everywhere else."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            typer.echo(visible(f"posedata: {unknown_format(args[0], self.commands)}"), err=True)
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)


def prepare_app(run: Run) -> typer.Typer:
    """The group of commands `prepare`."""
    app = typer.Typer(
        cls=_Formats, no_args_is_help=True, help="Read a data set, as its owners distribute it, into a store."
    )
    for name, offer in kept_offers().items():
        command = _command(name, offer["options"], run)
        app.command(name, help=f"{offer['title']}.", no_args_is_help=True)(command)
    return app


def _command(name: str, offered: dict[str, Any], run: Run) -> Callable[..., None]:
    def command(source: Path, out: Path, **given: Any) -> None:
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items() if v is not None}
        run(name, source, out, **options)

    parameters = [
        inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=_FIXED[n])
        for n in ("source", "out")
    ]
    options = {key: (_annotation(option), option["default"]) for key, option in offered.items()}
    for key, (kind, default) in {**options, **{n: (_FIXED[n], d) for n, d in _DEFAULTS.items()}}.items():
        parameters.append(
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _annotation(option: dict[str, Any]) -> Any:
    kind: Any = KINDS[option["kind"]]
    kind = list[kind] if option["many"] else kind | None if option["default"] is None else kind
    return Annotated[kind, typer.Option(help=option["help"])]
