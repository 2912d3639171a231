"""`polypose index`, `polypose search` and `polypose serve`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polypose.console import console, faults, taking

if TYPE_CHECKING:
    from polypose.search.asking import Asked
    from polypose.search.embedding import Embedder
    from polypose.search.index import PoseIndex
    from polypose.search.making import Maker
    from polypose.search.reading import Options

index_app = typer.Typer(no_args_is_help=True, help="A library of poses: films, pictures, motion capture.")

ViewName = Literal["invariant", "camera"]
IndexArgument = Annotated[Path, typer.Argument(metavar="INDEX", help="the index, a folder")]
InvariantOption = Annotated[
    str | None, typer.Option("--invariant-model", help="a run of V-VIPE; else the package's")
]
CameraOption = Annotated[str | None, typer.Option("--camera-model", help="a run of UniHPR; likewise")]
DetectorOption = Annotated[str, typer.Option(help="blazepose or rtmlib")]
NetworkOption = Annotated[Literal["lite", "full", "heavy"], typer.Option(help="of BlazePose")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", "-w", help="recording=walk*, person=1, action=, camera=, source=, time=10..20"),
]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read, and by which models they are embedded: options of `add` and of `search`."""

    form: Annotated[
        str | None, typer.Option("--format", help="of posedata prepare, where names do not tell")
    ] = None
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="width and height of the images of keypoints, pixels")
    ] = None
    skeleton: Annotated[str | None, typer.Option(help="of keypoints, where the file does not tell")] = None
    detector: DetectorOption = "blazepose"
    network: NetworkOption = "full"
    invariant: InvariantOption = None
    camera: CameraOption = None

    def options(self, **more: Any) -> Options:
        """What is read of files, and `more` of it."""
        from polypose.search.reading import Options

        read = ("form", "size", "skeleton", "detector", "network")
        return Options(**{name: getattr(self, name) for name in read}, **more)


@index_app.command()
@taking(Reading)
def add(
    reading: Reading,
    index: IndexArgument,
    paths: Annotated[
        list[Path], typer.Argument(help="films, pictures, motion capture, stores, keypoints, folders of them")
    ],
    rate: Annotated[float, typer.Option(help="poses a second of everybody that are kept, at most")] = 30.0,
    cameras: Annotated[int, typer.Option(help="virtual ones that see motion capture, for --view camera")] = 0,
    photos: Annotated[
        float | None, typer.Option(help="a folder of photos is a film of so many a second")
    ] = None,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="who reads and embeds: this process, or a Ray cluster's")
    ] = "here",
    address: Annotated[
        str | None, typer.Option(help="of the cluster, HOST:PORT; else RAY_ADDRESS, else this machine alone")
    ] = None,
) -> None:
    """Add to an index; what has changed replaces what it gave; a run that was stopped goes on."""
    from polypose.capture.progress import bars
    from polypose.search.adding import add as run

    options = reading.options(rate=rate, cameras=cameras, photos=photos)
    models = (reading.invariant, reading.camera)
    embedder = _embedder(*models) if any(models) else None
    with bars(console) as watch, _maker(engine, address) as maker:
        added = run(index, paths, embedder, options, maker=maker, say=console.print, watch=watch)
    if not added:
        console.print(f"{index}: nothing is new")
    _grown(index)


@index_app.command()
def remove(
    index: IndexArgument, names: Annotated[list[str], typer.Argument(help="of sources, or their paths")]
) -> None:
    """Take sources out of an index and leave the rest alone."""
    with faults():
        from polypose.search.adding import remove as run

        for entry in run(index, names):
            console.print(f"{entry.name}: {entry.rows:,} poses are removed")


@index_app.command()
def info(
    index: IndexArgument,
    verify: Annotated[bool, typer.Option("--verify", help="read all of it, and compare the digests")] = False,
) -> None:
    """What an index holds."""
    with faults():
        from polypose.search.manifest import Manifest

        manifest = Manifest.read(index)
        if verify:
            from polypose.search.index import PoseIndex

            PoseIndex.open(index, verify=True)
        for entry in manifest.entries:
            told = f"{entry.kind}, {entry.rows:,} poses, {entry.recordings} recordings, {entry.seconds:.1f} s"
            console.print(f"{entry.name}: {told}; {entry.path}")
        for view, model in manifest.models.items():
            console.print(f"{view}: by {model['run']} (weights {model['weights'][:12]})")
        rows = sum(entry.rows for entry in manifest.entries)
        whole = ", and all of it is as it was written" if verify else ""
        console.print(f"{rows:,} poses of {len(manifest.entries)} sources{whole}")


@index_app.command()
def build(
    index: IndexArgument,
    view: Annotated[ViewName, typer.Option(help="which places")] = "invariant",
    factory: Annotated[str | None, typer.Option(help="of FAISS, IVF4096_HNSW32,PQ16 for instance")] = None,
) -> None:
    """An approximate index of a large one, by FAISS; `add` makes it from ten million poses on."""
    with faults():
        from polypose.search.index import PoseIndex
        from polypose.search.ivf import build as run

        about = run(PoseIndex.open(index), view, factory)
        told = f"{about.probes} lists a query, recall@10 {about.recall:.4f} over {about.asked} queries"
        console.print(f"{index}: {about.factory}, {told}")


@taking(Reading)
def search(
    reading: Reading,
    index: IndexArgument,
    query: Annotated[
        Path | None, typer.Argument(help="a picture, a film, motion capture, keypoints, an .npy of a 3D pose")
    ] = None,
    at: Annotated[float | None, typer.Option(help="seconds of the query")] = None,
    until: Annotated[float | None, typer.Option(help="all from --at to there: find a movement")] = None,
    person: Annotated[str | None, typer.Option(help="of the query, by name; else the largest")] = None,
    like: Annotated[int | None, typer.Option(help="a row of the index, instead of a query")] = None,
    view: Annotated[
        ViewName, typer.Option(help="the pose from any side, or as the camera sees it")
    ] = "invariant",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="how many to find")] = 10,
    where: WhereOption = None,
    gap: Annotated[float, typer.Option(min=0.0, help="seconds that part two hits of one person")] = 1.0,
    method: Annotated[Literal["dtw", "pooled"], typer.Option(help="how movements are compared")] = "dtw",
    exact: Annotated[
        bool, typer.Option("--exact", help="look at every pose, however large the index")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="a .csv or .json of what is found")] = None,
) -> None:
    """Where in an index a pose is, or with --until a movement."""
    from polypose.search.index import PoseIndex
    from polypose.search.tables import check_out, moments, movements, shown, write
    from polypose.search.where import Where

    check_out(out)
    chosen = Where.parse(where or ())
    opened = PoseIndex.open(index)
    asked = _asked(opened, query, like, at, until, person, reading)
    console.print(f"asked: {asked.told}")
    if until is not None:
        from polypose.search.movement import search_movement

        clips = search_movement(opened, asked.places["invariant"], asked.time, k, chosen, method=method)
        rows = movements(clips)
    else:
        from polypose.search.finding import search as find

        place = asked.place(view)
        rows = moments(find(opened, place, k, view, chosen, gap=gap, exact=exact), view)
    console.print(shown(rows))
    if out is not None:
        write(out, rows)


def serve(
    index: IndexArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free")] = 8765,
    show: Annotated[bool, typer.Option("--open", help="open the page in the browser")] = False,
    detector: DetectorOption = "blazepose",
    network: NetworkOption = "full",
    invariant: InvariantOption = None,
    camera: CameraOption = None,
) -> None:
    """A page on this machine that searches an index by photos and by a figure that is posed."""
    with faults():
        from polypose.search.serving.run import serve as run

        run(index, _embedder(invariant, camera), port, detector, network, show, console.print)


def _asked(
    index: PoseIndex,
    query: Path | None,
    like: int | None,
    at: float | None,
    until: float | None,
    person: str | None,
    reading: Reading,
) -> Asked:
    from polypose.search.adding import require_own
    from polypose.search.asking import ask, ask_index

    if (query is None) == (like is None):
        raise ValueError("give a file to ask with, or --like ROW, one of them")
    if like is not None:
        return ask_index(index, like, 0.0 if until is None else until)
    assert query is not None
    embedder = _embedder(reading.invariant, reading.camera)
    require_own(index.path, index.manifest, embedder)
    options = reading.options()
    return ask(query, embedder, at=at, until=until, person=person, options=options, say=console.print)


def _maker(engine: str, address: str | None) -> AbstractContextManager[Maker | None]:
    if engine == "ray":
        from polypose.search.on_ray import RayCluster

        return RayCluster(address)
    if address is not None:
        raise ValueError(f"--address {address}: is of a cluster; give --engine ray with it")
    return nullcontext()


def _embedder(invariant: str | None, camera: str | None) -> Embedder:
    from polypose.search.embedding import Embedder

    return Embedder.load(invariant, camera)


def _grown(index: Path) -> None:
    """Build what a large index needs, where it has outgrown what it has."""
    from polypose.search.index import PoseIndex
    from polypose.search.ivf import LARGE, build, uncovered

    opened = PoseIndex.open(index)
    if len(opened) >= LARGE and uncovered(opened, "invariant") >= LARGE // 4:
        console.print(f"{index}: {len(opened):,} poses; an approximate index is built")
        build(opened)
