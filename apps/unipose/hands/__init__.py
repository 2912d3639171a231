"""Two interacting hands by A2J-Transformer: `typer apps/unipose hands train`."""
