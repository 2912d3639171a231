"""Every format by its name."""

from __future__ import annotations

import dataclasses
from typing import Any

from posedata.readers import (  # noqa: F401  (each registers its format)
    alphapose,
    amass,
    asf_amc,
    bvh,
    c3d,
    coco,
    coco_results,
    h36m,
    h36m_npz,
    interhand,
    itop,
    joints,
    mmpose,
    mpi_inf_3dhp,
    ntu,
    openpose,
    panoptic,
    rgbd,
    tdpw,
    trc,
)
from posedata.readers.format import FORMATS, Format
from posedata.store.names import unknown_format

__all__ = ["FORMATS", "get_format"]


def get_format(name: str, **options: Any) -> Format:
    """The format of this name with these options.

    Raises ValueError for a format or an option that is not known, with the nearest that is, and for an fps
    that is no positive number.
    """
    if name not in FORMATS:
        raise unknown_format(name, FORMATS)
    known = [f.name for f in dataclasses.fields(FORMATS[name])]
    for given in options:
        if given not in known:
            raise ValueError(
                f"format {name} takes no --{given.replace('_', '-')}; it takes {', '.join(known)}"
            )
    return FORMATS[name](**options)
