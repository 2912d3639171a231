"""The command line of V-VIPE, which is not built yet: every call says so and exits with 2."""

import sys

import typer

app = typer.Typer(help="V-VIPE is not built yet; apps/vvipe/README.md says what is there.")


@app.callback(invoke_without_command=True)
def refuse() -> None:
    """Say that there is nothing to run."""
    print(
        "error: V-VIPE is not built yet; apps/vvipe/README.md says which of its parts are there",
        file=sys.stderr,
    )
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
