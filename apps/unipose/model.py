"""Teachers and students as a recipe has them."""

from __future__ import annotations

import torch
from pointcloud_weak.scores import Models
from pointcloud_weak.students import KINDS, Kind, Student
from pointcloud_weak.teacher import Teacher
from polypose.depth import anchor_network
from posedata.skeleton import get_skeleton
from torch import nn

from unipose.recipe import Recipe


def make_teacher(recipe: Recipe) -> Teacher:
    """An untrained teacher."""
    config, size = recipe.model, recipe.data.image_size if recipe.data.rgb else None
    return Teacher.of(config, get_skeleton(recipe.data.skeleton), size)


def make_student(recipe: Recipe, kind: Kind, trained: bool = False) -> Student:
    """A student.

    Args:
        trained: to be filled from a checkpoint: the weights that its backbone began from are not looked for.
    """
    net = anchor_network(recipe.student_model, recipe.data.skeleton, recipe.data.image_size, trained=trained)
    return Student(net, kind)


def student_kinds(recipe: Recipe) -> tuple[Kind, ...]:
    """Students that there are pictures for."""
    return KINDS if recipe.data.rgb else ("depth",)


def build(recipe: Recipe, trained: bool = False) -> Models:
    """All models of a recipe.

    Args:
        trained: to be filled from checkpoints (`make_student`).
    """
    torch.manual_seed(recipe.loop.seed)
    models: dict[str, nn.Module] = {name: make_teacher(recipe) for name in ("teacher", "teacher_twin")}
    for twin in ("", "_twin"):
        models |= {
            f"student_{kind}{twin}": make_student(recipe, kind, trained) for kind in student_kinds(recipe)
        }
    return Models({name: model for name, model in models.items() if recipe.twins or "_twin" not in name})
