"""`polypose senses`: files of any senses of some people, several at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from posedata.terminal import print_line

from polypose.console import console, taking

if TYPE_CHECKING:
    from polypose.senses.model import SensesModel, Understood

app = typer.Typer(no_args_is_help=True, help="Any of image, keypoints, pose, depth and cloud, together.")
READ = {
    "image": "RGB crops (N, H, W, 3) in an .npy",
    "keypoints": "pixels, in .npy, .npz, .csv or a detector's .json",
    "pose": "joints (N, 17, 3) of h36m17 in an .npy, metres in the camera's frame",
    "depth": "depth crops (N, H, W) in an .npy, metres or uint16 millimetres",
    "cloud": "points (N, P, 3) of people in an .npy, metres in the camera's frame",
}
"""What is read of each sense."""

OutArgument = Annotated[Path, typer.Argument(help="an .npz to write")]
ViewOption = Annotated[
    Literal["invariant", "camera"],
    typer.Option("--view", help="invariant: the pose alone, whoever saw it; camera: as a camera sees it"),
]


@dataclass(frozen=True, kw_only=True)
class People:
    """Files of some people, and the model that is shown them: options of every command."""

    model: Annotated[str, typer.Option("--model", "-m", help="a run of a recipe of senses, or its file")]
    image: Annotated[Path | None, typer.Option(help=READ["image"])] = None
    keypoints: Annotated[Path | None, typer.Option(help=READ["keypoints"])] = None
    pose: Annotated[Path | None, typer.Option(help=READ["pose"])] = None
    depth: Annotated[Path | None, typer.Option(help=READ["depth"])] = None
    cloud: Annotated[Path | None, typer.Option(help=READ["cloud"])] = None
    skeleton: Annotated[str | None, typer.Option(help="of the keypoints, where the file does not tell")] = (
        None
    )
    size: Annotated[tuple[int, int] | None, typer.Option(help="width and height of the pictures, pixels")] = (
        None
    )
    intrinsics: Annotated[
        tuple[float, float, float, float] | None, typer.Option(help="fx fy cx cy of the pictures, pixels")
    ] = None

    def understood(self, out: Path, view: Literal["invariant", "camera"] = "camera") -> Understood:
        """What their files say, once it is known that it can be written; which senses were used is said.

        Raises:
            FileNotFoundError, ValueError: no file, none that can be read as what it is given for, or another
                number of people in each.
        """
        from polypose.reading import read_people

        model, skeleton = _model(self.model, out), self.skeleton
        handed: dict[str, Any] = {}
        for name in READ:
            path: Path | None = getattr(self, name)
            if path is None:
                continue
            if name == "keypoints":
                people = read_people(path, skeleton, print_line)
                handed[name], skeleton = people.values, people.skeleton
            else:
                handed[name] = _array(path, name)
        camera = {"size": self.size, "intrinsics": self.intrinsics}
        found = model.understand(**handed, **camera, skeleton=skeleton, view=view, say=print_line)
        print_line(str(found))
        return found


@app.command()
@taking(People)
def embed(people: People, out: OutArgument, view: ViewOption = "camera") -> None:
    """Unit embeddings (N, D): `fused` of all that is given, with `concentration`, and each sense's own."""
    from posedata.arrays import write_embeddings

    found = people.understood(out, view)
    by = {"fused": found.vectors, **found.by, "concentration": found.concentration}
    arrays = {name: x.numpy() for name, x in by.items()}
    write_embeddings(out, arrays, (found.concentration > 0).numpy())
    console.print(f"{out}: fused {tuple(found.vectors.shape)}")


@app.command()
@taking(People)
def lift(people: People, out: OutArgument) -> None:
    """3D poses (N, 17, 3), metres about the pelvis in the camera's frame, and their sd."""
    from posedata.arrays import write_poses

    from polypose.network import POSE_SKELETON
    from polypose.samples import CAMERA

    found = people.understood(out)
    valid = (found.concentration > 0).numpy()
    write_poses(out, found.joints.numpy(), POSE_SKELETON, CAMERA, valid, sd=found.sd.numpy())
    console.print(f"{out}: joints {tuple(found.joints.shape)}")


@app.command()
@taking(People)
def retrieve(
    people: People,
    gallery: Annotated[Path, typer.Argument(help="an .npz that embed wrote")],
    out: OutArgument,
    target: Annotated[str, typer.Option("--to", help="of the gallery: fused, or a sense by name")] = "fused",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="how many of each")] = 10,
    view: ViewOption = "camera",
) -> None:
    """The nearest of a gallery for what is given, fused: `row` and `cosine` (N, K), best first."""
    import torch
    from posedata.arrays import write_embeddings

    from polypose.files import embedded_in
    from polypose.searching import retrieve as search

    kept, rule = embedded_in(gallery, target)
    found = people.understood(out, view)
    if kept.shape[1] != found.vectors.shape[1]:
        raise ValueError(
            f"{gallery}: {target} has {kept.shape[1]} numbers a row, embeddings of --view {view} by this"
            f" model {found.vectors.shape[1]}; embed the gallery by the same model and --view"
        )
    near = search(found.vectors, torch.tensor(kept), k, rule)
    told = {"row": near.row.numpy(), rule.name: rule.told(near.similarity).numpy()}
    write_embeddings(out, told, told["row"][:, 0] >= 0)
    console.print(f"{out}: rows {told['row'].shape}")


def _model(source: str, out: Path) -> SensesModel:
    from posedata.arrays import check_ending

    from polypose.loading import load
    from polypose.senses.model import SensesModel

    check_ending(out)
    if out.suffix != ".npz":
        raise ValueError(f"{out}: write to a file that ends in .npz")
    model = load(source)
    if not isinstance(model, SensesModel):
        raise ValueError(f"{source}: is a model of {model.kind}, not of senses; train --recipe senses")
    return model


def _array(path: Path, name: str) -> Any:
    from posedata.keypoint_files import read_array

    if path.suffix != ".npy":
        raise ValueError(f"{path}: --{name} reads {READ[name]}")
    return read_array(path, name)
