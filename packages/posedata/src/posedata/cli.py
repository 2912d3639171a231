"""The `posedata` command line: make, prepare, view, render and inspect pose stores."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from posedata.build import KINDS, build_synthetic, render_store
from posedata.inspect import contact_sheet, inspect_store
from posedata.noise import NOISES, DetectorNoise
from posedata.prepare.cli import prepare_app
from posedata.prepare.run import prepare
from posedata.store import PoseStore
from posedata.views import RIGS, add_views, get_rig

ALL_KINDS = ",".join(KINDS)
LARGEST = 8192
"""Pixels of an image's side."""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Pose stores: make, read, view, render, inspect."
)
console = Console()

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is a store.")]
Seed = Annotated[int, typer.Option(help="Decides everything random.")]
RigName = Annotated[str, typer.Option("--rig", help=f"Where cameras stand: {', '.join(RIGS)}.")]
NoiseName = Annotated[str, typer.Option("--noise", help=f"Detector noise: {', '.join(NOISES)}.")]
PerFrame = Annotated[int, typer.Option(min=1, help="Cameras per pose.")]
Every = Annotated[int, typer.Option(min=1, help="Take every n-th row.")]
Size = Annotated[str, typer.Option(help="Width x height of the images in pixels.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0: one per core. Results do not depend on it.")]
Kinds = Annotated[str, typer.Option(help="Which images to keep, of rgb,depth,mask.")]


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="The store to make.")],
    subjects: Annotated[int, typer.Option(min=1, help="People.")] = 12,
    clips: Annotated[int, typer.Option(min=1, help="Clips per person, each another action.")] = 9,
    frames: Annotated[int, typer.Option(min=2, help="Frames per clip.")] = 60,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 30.0,
    seed: Seed = 0,
    views: Annotated[int, typer.Option(min=0, help="Cameras per pose; 0: poses only.")] = 0,
    rig: RigName = "mocap",
    noise: NoiseName = "none",
    render: Annotated[bool, typer.Option("--render", help="Render images too (needs --views).")] = False,
    size: Size = "192x256",
    kinds: Kinds = ALL_KINDS,
    workers: Workers = 0,
    overwrite: Overwrite = False,
) -> None:
    """Make a store of synthetic people, optionally with views and images."""
    with _faults(), _progress("rendering") as progress:
        if render and not views:
            raise ValueError("--render needs cameras: give --views 1 or more too")
        build_synthetic(
            out,
            subjects=subjects,
            clips=clips,
            frames=frames,
            fps=fps,
            seed=seed,
            rig=get_rig(rig) if views else None,
            per_frame=max(views, 1),
            noise=_noise(noise),
            images=_size(size) if render else None,
            kinds=_kinds(kinds),
            workers=workers or _cores(),
            overwrite=overwrite,
            progress=progress,
        )
    _written(out)


def _prepare(
    name: str, source: Path, out: Path, *, workers: int, strict: bool, overwrite: bool, **options: Any
) -> None:
    with _faults(), _progress(f"reading {source.name}") as progress:
        prepare(
            name,
            source,
            out,
            overwrite=overwrite,
            strict=strict,
            workers=workers or _cores(),
            progress=progress,
            told=_note,
            **options,
        )
    _written(out)


app.add_typer(prepare_app(_prepare), name="prepare")


@app.command()
def views(
    store: Annotated[Path, typer.Argument(help="A store of poses.")],
    out: Annotated[Path, typer.Argument(help="The store to make.")],
    rig: RigName = "mocap",
    per_frame: PerFrame = 1,
    noise: NoiseName = "none",
    seed: Seed = 0,
    every: Every = 1,
    overwrite: Overwrite = False,
) -> None:
    """Look at poses with virtual cameras: projections, boxes and, with --noise, what a detector would see."""
    with _faults(), console.status(f"placing cameras around {store}"):
        rows = np.arange(0, len(PoseStore.open(store)), every)
        add_views(
            store,
            out,
            get_rig(rig),
            per_frame,
            _noise(noise),
            seed,
            rows=rows,
            overwrite=overwrite,
            told=_note,
        )
    _written(out)


@app.command()
def render(
    store: Annotated[Path, typer.Argument(help="A store with cameras.")],
    out: Annotated[Path, typer.Argument(help="The store to make.")],
    size: Size = "192x256",
    seed: Seed = 0,
    every: Every = 1,
    kinect: Annotated[bool, typer.Option("--kinect", help="Depth as a Kinect measures it.")] = False,
    kinds: Kinds = ALL_KINDS,
    workers: Workers = 0,
    overwrite: Overwrite = False,
) -> None:
    """Dress the people of a store and render what its cameras see."""
    with _faults(), _progress("rendering") as progress:
        source = PoseStore.open(store)
        rows = None if every == 1 else np.arange(0, len(source), every)
        render_store(
            source,
            out,
            rows=rows,
            size=_size(size),
            seed=seed,
            workers=workers or _cores(),
            kinect=kinect,
            kinds=_kinds(kinds),
            overwrite=overwrite,
            progress=progress,
        )
    _written(out)


@app.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="The store to look at.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a contact sheet here (PNG).")] = None,
    verify: Annotated[bool, typer.Option(help="Compare the content with the fingerprint.")] = True,
) -> None:
    """Whether a store can be right: counts, bodies, units, axes, motion, pixels, depth; and a picture.

    Exit code 1 where something is wrong, 2 where the store cannot be opened.
    """
    with _faults():
        opened = PoseStore.open(store, verify=verify)
        report = inspect_store(opened)
        if json_file is not None:
            json_file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if picture is not None:
            contact_sheet(opened).save(picture)
        _print(report)
    if report["faults"]:
        raise typer.Exit(1)


def _print(report: dict[str, Any]) -> None:
    for key in ("path", "rows", "skeleton", "fps", "source", "licence", "fingerprint", "sequences"):
        console.print(f"[bold]{key}[/]: {report[key]}", highlight=False)
    console.print(f"[bold]cameras[/]: {report['cameras']['count']}", highlight=False)
    for key in (
        *("images", "depth", "not_finite", "invalid_joints", "units", "stature", "sides", "reprojection"),
        *("proportions", "knees", "motion"),
    ):
        if report.get(key) not in (None, {}):
            console.print(f"[bold]{key}[/]: {report[key]}", highlight=False)
    if report["totals"]:
        table = Table("published count", "published", "found", "verdict", title="totals")
        for total in report["totals"]:
            counts = (f"{total['published']:,}", f"{total['found']:,}")
            table.add_row(f"{total['what']} ({total['source']})", *counts, total["verdict"])
        console.print(table)
    if 0 < len(report["cameras"].get("by_name", {})) <= 64:
        report["camera names"] = report["cameras"]["by_name"]
    for name in ("subjects", "actions", "camera names"):
        table = Table(name[:-1], "rows", title=name)
        for label, count in report.get(name, {}).items():
            table.add_row(label, str(count))
        if report.get(name):
            console.print(table)
    table = Table(
        Column("bone", no_wrap=True), "mean mm", "typical drift", "largest drift", "in", title="bone lengths"
    )
    for label, bone in report["bones"].items():
        drifts = (f"{bone['typical_drift'] or 0:.2%}", f"{bone['drift']:.2%}")
        table.add_row(label, str(bone["mean_mm"]), *drifts, bone["worst"])
    console.print(table)
    for text in report["notes"]:
        _note(text)
    for text in report["faults"]:
        console.print(f"[bold red]wrong[/] {escape(text)}", highlight=False, soft_wrap=True)
    for text in report["warnings"]:
        console.print(f"[bold yellow]odd[/] {escape(text)}", highlight=False, soft_wrap=True)
    if not report["faults"]:
        console.print(f"[green]nothing {'else ' if report['warnings'] else ''}wrong was found[/]")


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """What the user can mend becomes one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo("posedata: " + " ".join(str(error).split()), err=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Any]:
    with Progress(
        *Progress.get_default_columns()[:-1], TimeRemainingColumn(), TimeElapsedColumn(), console=console
    ) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield update


def _note(text: str) -> None:
    console.print(f"[yellow]note[/] {escape(text)}", highlight=False, soft_wrap=True)


def _written(out: Path) -> None:
    console.print(f"wrote {out} ({len(PoseStore.open(out))} rows)", highlight=False, soft_wrap=True)


def _noise(name: str) -> DetectorNoise | None:
    if name not in NOISES:
        raise ValueError(f"noise {name!r} is not known; use one of {', '.join(NOISES)}")
    return NOISES[name]


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not all(side.isascii() and side.isdigit() and 0 < int(side) <= LARGEST for side in (width, height)):
        raise ValueError(f"size {text!r}: give width x height in pixels, each up to {LARGEST}, e.g. 192x256")
    return int(width), int(height)


def _kinds(text: str) -> tuple[str, ...]:
    words = text.split(",")
    if unknown := [word for word in words if word not in KINDS]:
        raise ValueError(f"kinds: {unknown[0]!r} is not known; give some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in words)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    app()
