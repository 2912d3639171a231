"""The depth weights that polypose ships: UniPose's depth student, measured as a user gets it, on a card."""

from pathlib import Path

from pointcloud_weak.frames import Frames, predict_frames
from polypose.card import fill
from polypose.config import DepthSettings
from polypose.depth import DepthLifter, DepthNetwork
from polypose.depth_measuring import LEVELS, fitted_sd, measure
from polypose.loading import load
from posedata.results import write_results
from posedata.terminal import print_line
from posetrain.task import Say, Table

from unipose.recipe import Recipe
from unipose.task import UNIPOSE, open_run

TEMPLATE = Path(__file__).with_name("card.md")
METHOD = "student, depth (no 3D label)"


def release(source: Path, recipe: Recipe, weights: Path, json: Path, say: Say = print_line) -> Table:
    """Write a finished run's depth student, in float16, and its card; returns its errors on the test people.

    Args:
        source: the run.
        recipe: of releases; what counts is that which the run was trained by.
        weights: the .safetensors to write; the card goes beside it, as .md.
        json: the results file to write.

    Raises:
        FileNotFoundError, ValueError: there is no such run, it is of another skeleton, or the split has no
            validation people.
    """
    trained = open_run(source)
    data, recipe = trained.data, trained.recipe
    if recipe.data.skeleton != DepthLifter.skeleton.name:
        skeleton = DepthLifter.skeleton.name
        raise ValueError(f"{source}: data.skeleton is {recipe.data.skeleton}; a release has {skeleton}")
    student = trained.model.get_student("student_depth")
    held_out = Frames.of(clips := UNIPOSE.on(data, "validation", say).test)
    off = predict_frames(student, held_out, held_out.middle) - clips.truth().flatten(0, 1)
    network = DepthNetwork(student.net, off.shape[1])
    network.sd.copy_(fitted_sd(off))
    settings = DepthSettings(size=recipe.data.image_size, data=data.fingerprint)
    DepthLifter(network, recipe.student_model, settings).save(weights, half=True)
    frames, truth = Frames.of(data.test), data.test.truth().flatten(0, 1)
    people = data.test.store.tensors(["subject"], "cpu")["subject"]
    row = {"method": METHOD, **measure(load(weights), frames.person, frames.camera, truth, people)}
    write_results(json, [row], data=data.fingerprint, seeds=[recipe.loop.seed])
    shown = {key: f"{row[key]:.1f}" for key in ("mpjpe_mm", "map", "low_mm", "high_mm", "relative_mpjpe_mm")}
    held = {f"inside_{level}": f"{row[f'inside_{level}']:.0%}" for level in LEVELS}
    fill(TEMPLATE, weights, **shown, **held, views=row["views"], people=row["people"])
    return Table("Depth student, test subjects", tuple(shown), [tuple(shown.values())])
