"""Where the cameras stand: four that record training, and eleven that only the test has.

The first are Human3.6M's: at chest height, in the corners of a room. The others follow MPI-INF-3DHP as V-VIPE
uses it (section 4.3): five at chest height around the person, six looking down.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from posedata.views import Rig, get_rig, sample_cameras
from torch import Tensor

TRAIN = get_rig("h36m")
CHEST = replace(TRAIN, stations=tuple(math.radians(18 + 72 * i) for i in range(5)))
STEEP = replace(
    TRAIN,
    stations=tuple(math.radians(60 * i) for i in range(6)),
    elevation=(math.radians(25), math.radians(45)),
)
CHEST_CAMERAS = len(CHEST.stations)


def record(joints: Float[Tensor, "N J 3"], rigs: Sequence[Rig], generator: torch.Generator) -> list[Camera]:
    """For every camera of the rigs, where it stands to each pose: `Camera` of batch (N,).

    The person walks about: azimuth, elevation and distance vary within the rig's ranges about each station.
    """
    cameras = []
    for rig in rigs:
        for station in range(len(rig.stations)):
            place = torch.full((len(joints),), station)
            cameras.append(sample_cameras(joints, rig, generator, station=place))
    return cameras
