"""The `posedata` command line: make, prepare, view, render and inspect pose stores."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from posedata.errors import check_new_file, one_line
from posedata.prepare.cli import prepare_app
from posedata.store.names import KINDS, NOISES, RIGS
from posedata.terminal import Terminal, styled, visible

ALL_KINDS = ",".join(KINDS)
LARGEST = 8192
"""Pixels of an image's side."""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Pose stores: make, read, view, render, inspect."
)
console = Terminal(highlight=False, soft_wrap=True)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is a store.")]
Seed = Annotated[int, typer.Option(min=0, max=2**53, help="Decides everything random.")]
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
        pixels, kept = _size(size), _kinds(kinds)
        chosen, detector = _rig(rig), _noise(noise)
        from posedata.synthetic.people.build import build_synthetic

        build_synthetic(
            out,
            subjects=subjects,
            clips=clips,
            frames=frames,
            fps=fps,
            seed=seed,
            rig=chosen if views else None,
            per_frame=max(views, 1),
            noise=detector,
            images=pixels if render else None,
            kinds=kept,
            workers=workers or _cores(),
            overwrite=overwrite,
            progress=progress,
        )
    _written(out)


def _prepare(
    name: str,
    source: Path,
    out: Path,
    *,
    workers: int,
    strict: bool,
    shards: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    with _faults(), _progress(f"reading {source.name}") as progress:
        from posedata.prepare.run import prepare

        prepare(
            name,
            source,
            out,
            overwrite=overwrite,
            strict=strict,
            shards=shards,
            workers=workers or _cores(),
            progress=progress,
            say=_note,
            **options,
        )
    _written(out)


app.add_typer(prepare_app(_prepare), name="prepare")


@app.command()
def at(
    store: Annotated[Path, typer.Argument(help="A store made with --shards.")],
    url: Annotated[str, typer.Argument(help='Where its tar files are; "" for its own folder.')],
) -> None:
    """Read a store's pictures from elsewhere (http, s3, a mounted folder); images/*.tar may go then."""
    with _faults():
        from posedata.store.elsewhere import place

        place(store, url)
    _written(store)


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
    with _faults(), console.status(styled(f"placing cameras around {store}")):
        chosen, detector = _rig(rig), _noise(noise)
        import numpy as np

        from posedata.store.pose_store import PoseStore
        from posedata.views.writing import add_views

        add_views(
            store,
            out,
            chosen,
            per_frame,
            detector,
            seed,
            rows=np.arange(0, len(PoseStore.open(store)), every),
            overwrite=overwrite,
            say=_note,
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
        pixels, kept = _size(size), _kinds(kinds)
        import numpy as np

        from posedata.store.pose_store import PoseStore
        from posedata.synthetic.rendering import render_store

        source = PoseStore.open(store)
        rows = None if every == 1 else np.arange(0, len(source), every)
        render_store(
            source,
            out,
            rows=rows,
            size=pixels,
            seed=seed,
            workers=workers or _cores(),
            kinect=kinect,
            kinds=kept,
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
        if picture is not None and picture.suffix.lower() != ".png":
            raise ValueError(f"--picture {picture}: write to a file that ends in .png")
        check_new_file(json_file)
        check_new_file(picture)
        from posedata.inspection.report import contact_sheet, inspect_store
        from posedata.store.pose_store import PoseStore

        opened = PoseStore.open(store, verify=verify)
        report = inspect_store(opened)
        if json_file is not None:
            from posedata.writing import write_text

            write_text(json_file, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        if picture is not None:
            picture.parent.mkdir(parents=True, exist_ok=True)
            contact_sheet(opened).save(picture, format="PNG")
        _print(report)
    if report["faults"]:
        raise typer.Exit(1)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Column

    for key in ("path", "rows", "skeleton", "fps", "source", "licence", "fingerprint", "sequences"):
        _field(key, report[key])
    _field("cameras", report["cameras"]["count"])
    for key in (
        *("images", "depth", "not_finite", "invalid_joints", "units", "stature", "sides", "reprojection"),
        *("proportions", "knees", "motion"),
    ):
        if report.get(key) not in (None, {}):
            _field(key, report[key])
    if report["totals"]:
        counts = [
            (f"{t['what']} ({t['source']})", f"{t['published']:,}", f"{t['found']:,}", t["verdict"])
            for t in report["totals"]
        ]
        _table("totals", ("published count", "published", "found", "verdict"), counts)
    if 0 < len(report["cameras"].get("by_name", {})) <= 64:
        report["camera names"] = report["cameras"]["by_name"]
    for name in ("subjects", "actions", "camera names"):
        if report.get(name):
            _table(name, (name[:-1], "rows"), report[name].items())
    rows = [
        (label, bone["mean_mm"], f"{bone['typical_drift'] or 0:.2%}", f"{bone['drift']:.2%}", bone["worst"])
        for label, bone in report["bones"].items()
    ]
    header = (Column("bone", no_wrap=True), "mean mm", "typical drift", "largest drift", "in")
    _table("bone lengths", header, rows)
    for text in report["notes"]:
        _note(text)
    for text in report["faults"]:
        console.print(styled(("wrong ", "bold red"), text))
    for text in report["warnings"]:
        console.print(styled(("odd ", "bold yellow"), text))
    if not report["faults"]:
        nothing = f"nothing {'else ' if report['warnings'] else ''}wrong was found"
        console.print(styled((nothing, "green")))


def _field(key: str, value: object) -> None:
    console.print(styled((key, "bold"), f": {value}"))


def _table(title: str, header: Iterable[Any], rows: Iterable[Iterable[object]]) -> None:
    from rich.table import Table

    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table, soft_wrap=False)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """What the user can mend becomes one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo("posedata: " + visible(one_line(error)), err=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Any]:
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.TaskProgressColumn(),
    )
    times = (rich.TimeRemainingColumn(), rich.TimeElapsedColumn())
    with rich.Progress(*columns, *times, console=console) as bar:
        task = bar.add_task(visible(what), total=None, visible=False)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield update


def _note(text: str) -> None:
    console.print(styled(("note ", "yellow"), text))


def _written(out: Path) -> None:
    from posedata.store.pose_store import PoseStore

    console.print(f"wrote {out} ({len(PoseStore.open(out))} rows)")


def _rig(name: str) -> Any:
    if name not in RIGS:
        raise ValueError(f"rig {name!r} is not known; use one of {', '.join(RIGS)}")
    from posedata.views.rigs import get_rig

    return get_rig(name)


def _noise(name: str) -> Any:
    if name not in NOISES:
        raise ValueError(f"noise {name!r} is not known; use one of {', '.join(NOISES)}")
    from posedata.views.noise import NOISES as MODELS

    return MODELS[name]


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
