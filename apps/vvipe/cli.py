"""The command line: `typer apps/vvipe train`, or `vvipe train` where the app is installed."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from trainer.errors import plain_errors
from trainer.options import (
    JsonOption,
    NameOption,
    Overwrite,
    PartOption,
    RecipeOption,
    Resume,
    RunArgument,
    RunsOption,
    SetOption,
    console,
    existing,
    print_recipe,
    print_table,
)
from trainer.poses import Part

from vvipe.recipe import RECIPES, Recipe

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

SourceHelp = "a store (posedata views), or an .npy of keypoints (N, K, 2 or 3) or joints (N, 17, 3)"
SourceArgument = Annotated[Path, typer.Argument(help=SourceHelp)]
Modality = Literal["2d", "3d"]
KeypointsOption = Annotated[str, typer.Option("--keypoints", help="the store's column: keypoints_NAME")]
SkeletonOption = Annotated[
    str, typer.Option("--skeleton", help="of an .npy: coco17, h36m17, openpose25, ...")
]
AmountOption = Annotated[list[float], typer.Option("--amount", help="of noise; may be repeated")]
SeedsOption = Annotated[int, typer.Option("--seeds", help="runs of each variant", min=1)]


@app.command()
@plain_errors()
def train(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    stage: Annotated[
        Literal["vae", "mapping", "all"], typer.Option(help="stop after stage 1, or do stage 2 alone")
    ] = "all",
    resume: Resume = False,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option(help="write report.html too")] = True,
    json: JsonOption = None,
) -> None:
    """Prepare data, train both stages, evaluate, and write the report."""
    loaded, found = _load(recipe, set_), existing(resume, overwrite)
    folder = runs / (name or f"vvipe-{Path(recipe).stem}")
    print_recipe(loaded)
    from vvipe.train import train as run_training

    trained, metrics = run_training(loaded, folder, found, stage, report=report)
    if metrics:
        _tell(trained, metrics, json)
    console.print(f"run {folder}" + (f", report {folder / 'report.html'}" if metrics and report else ""))


@app.command()
@plain_errors()
def evaluate(
    run: RunArgument,
    peer: Annotated[Path | None, typer.Option(help="a PR-VIPE run on the same data, for its row")] = None,
    protocol: Annotated[str | None, typer.Option(help="a paper's: prvipe-hit or prvipe-hit-3dhp")] = None,
    store: Annotated[Path | None, typer.Option(help="with --protocol: the data set's store")] = None,
    keypoints: Annotated[str, typer.Option(help="with --protocol: the column keypoints_NAME")] = "true",
    json: JsonOption = None,
    part: PartOption = "test",
) -> None:
    """Hit@1/10/20 over all ordered camera pairs, 3D error; rows of the peer and of bare keypoints."""
    if protocol or store:
        if not (protocol and store):
            raise ValueError("--protocol and --store go together; give both")
        if part != "test":
            raise ValueError("--protocol scores the whole --store; leave --part out")
        from vvipe.protocol import hit_protocol, score_hits
        from vvipe.train import open_run

        scored = hit_protocol(protocol)
        found = score_hits(open_run(run), store, scored, keypoints, json)
        header = ("method", "input", *scored.columns, "source")
        print_table(scored.title, header, [[row.get(key) or "" for key in header] for row in found])
        return
    from vvipe.train import measure, open_run

    trained = open_run(run)
    _tell(trained, measure(trained, part), json, peer, part)


@app.command()
@plain_errors()
def report(run: RunArgument) -> None:
    """Evaluate a finished run and write its report again."""
    from vvipe.report import write_report
    from vvipe.train import measure, open_run

    trained = open_run(run)
    console.print(f"report {write_report(trained, measure(trained))}")


@app.command()
@plain_errors()
def compare(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    seeds: SeedsOption = 1,
    beside: Annotated[
        str | None, typer.Option(help="another recipe, for rows of its own; --set changes both")
    ] = None,
    json: JsonOption = None,
) -> None:
    """V-VIPE, PR-VIPE, bare keypoints; exact and detector; with and without augmentation. Resumes."""
    folder = runs / (name or f"vvipe-{Path(recipe).stem}-compare")
    other = (Path(beside).stem, _load(beside, set_)) if beside else None
    loaded = _load(recipe, set_)
    from vvipe.compare import COLUMNS
    from vvipe.compare import compare as run_comparison

    rows = run_comparison(loaded, folder, seeds, json, other)
    print_table("Hit@k, percent", COLUMNS, rows)


@app.command()
@plain_errors()
def ablate(
    recipe: RecipeOption = "quickstart",
    set_: SetOption = [],  # noqa: B006
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    seeds: SeedsOption = 1,
    json: JsonOption = None,
) -> None:
    """The paper's section 5: no triplet, no alignment, no pre-trained decoder, no augmentation. Resumes."""
    loaded, folder = _load(recipe, set_), runs / (name or f"vvipe-{Path(recipe).stem}-ablation")
    from vvipe.ablate import ABLATION_COLUMNS
    from vvipe.ablate import ablate as run_ablation

    print_table("Ablation", ABLATION_COLUMNS, run_ablation(loaded, folder, seeds, json))


@app.command()
@plain_errors()
def embed(
    run: RunArgument,
    source: SourceArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv, or NAME.index to retrieve from")],
    modality: Annotated[Modality, typer.Option(help="of the source")] = "2d",
    keypoints: KeypointsOption = "true",
    skeleton: SkeletonOption = "coco17",
) -> None:
    """Embed views (2d) or poses (3d): `embedding` (N, D), compared by Euclidean distance."""
    from vvipe.use import embed_source

    console.print(f"{out}: {embed_source(run, source, out, modality, keypoints, skeleton)}")


@app.command()
@plain_errors()
def retrieve(
    run: RunArgument,
    queries: SourceArgument,
    gallery: Annotated[Path, typer.Argument(help=f"{SourceHelp}; or NAME.index made by embed")],
    source: Annotated[Modality, typer.Option("--from", help="modality of the queries")] = "2d",
    target: Annotated[Modality, typer.Option("--to", help="modality of the gallery")] = "2d",
    k: Annotated[int, typer.Option("--k", "-k", help="how many to retrieve", min=1)] = 5,
    show: Annotated[int, typer.Option(help="queries to print")] = 10,
    keypoints: KeypointsOption = "true",
    skeleton: SkeletonOption = "coco17",
    json: JsonOption = None,
) -> None:
    """The gallery's poses nearest to every query, whatever camera saw either."""
    from vvipe.use import retrieve as search

    rows = search(run, queries, gallery, source, target, k, keypoints, skeleton, json)
    print_table(f"{source} to {target}", ("query", "gallery rows", "PA-MPJPE mm of the first"), rows[:show])


@app.command()
@plain_errors()
def lift(
    run: RunArgument,
    keypoints: Annotated[Path, typer.Argument(help=".npy (N, K, 2 or 3): x, y and confidence")],
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write")],
    skeleton: SkeletonOption = "coco17",
    picture: Annotated[Path | None, typer.Option(help="a PNG of the first poses")] = None,
) -> None:
    """Lift 2D keypoints to 3D: `joints` (N, 17, 3) of the universal skeleton, metres, body frame.

    `valid` (N,) tells the frames that show a hip and a shoulder; the joints of others are NaN.
    """
    from vvipe.use import lift as lift_file

    console.print(f"{out}: joints {lift_file(run, keypoints, out, skeleton, picture)}")


@app.command()
@plain_errors()
def generate(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(help="an .npz or .csv to write; a PNG goes beside it")],
    around: Annotated[Path | None, typer.Option(help="a store or an .npy of joints; none: the prior")] = None,
    row: Annotated[int, typer.Option(help="which of its poses")] = 0,
    amount: AmountOption = [0.2, 0.3, 0.4, 0.5],  # noqa: B006
    count: Annotated[int, typer.Option(help="directions, or samples of the prior", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="decides the noise", min=0, max=2**63 - 1)] = 0,
) -> None:
    """New poses: noise around the embedding of a pose, or samples of the prior, decoded."""
    from vvipe.use import generate as make

    console.print(f"{out}: joints {make(run, out, around, row, amount, count, seed)}")


def _load(recipe: str, overrides: list[str]) -> Recipe:
    from trainer.recipe import load_recipe

    return load_recipe(recipe, Recipe, overrides, RECIPES)


def _tell(
    trained: Any, metrics: dict[str, Any], json: Path | None, peer: Path | None = None, part: Part = "test"
) -> None:
    from vvipe.train import rows, save_results

    table = rows(trained, metrics, peer, part)
    ks = list(table[-1]["all"])
    cells = [(rig, k) for rig in ("same_rig", "all", "unseen") for k in ks]
    lines = [(f"{rig.replace('_', ' ')} {k}", *(r[rig][k] for r in table)) for rig, k in cells]
    header = ("", *(r["method"] for r in table))
    print_table(f"Hit@k, percent, {part} subjects", header, lines)
    if "mpjpe_mm" in metrics["same_rig"]:
        console.print(f"3D error on the training rig {metrics['same_rig']['mpjpe_mm']:.1f} mm")
    if json:
        save_results(json, trained, table, part)
        console.print(f"results {json}")


if __name__ == "__main__":
    app()
