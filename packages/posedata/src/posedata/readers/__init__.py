"""Readers: one module per format, each a `posedata.prepare.Format` that its module registers.

The `read_*` functions read small data sets into memory, by the same classes.
"""

from __future__ import annotations

from posedata.prepare.format import FORMATS
from posedata.prepare.merge import Dataset
from posedata.prepare.run import prepare
from posedata.readers.alphapose import AlphaPose
from posedata.readers.amass import Amass
from posedata.readers.asf_amc import read_asf_amc
from posedata.readers.bvh import read_bvh
from posedata.readers.c3d import read_c3d
from posedata.readers.coco import Coco
from posedata.readers.coco_results import CocoResults
from posedata.readers.h36m import H36m
from posedata.readers.h36m_npz import read_h36m_npz
from posedata.readers.interhand import InterHandFormat
from posedata.readers.itop import Itop
from posedata.readers.joints import read_joints
from posedata.readers.mmpose import MMPose
from posedata.readers.mpi_inf_3dhp import MpiInf3dhp
from posedata.readers.ntu import Ntu
from posedata.readers.openpose import OpenPose
from posedata.readers.panoptic import Panoptic
from posedata.readers.rgbd import Rgbd, RgbdFrame, RgbdSequence, open_rgbd
from posedata.readers.tdpw import Tdpw
from posedata.readers.trc import read_trc

__all__ = [
    "FORMATS",
    "AlphaPose",
    "Amass",
    "Coco",
    "CocoResults",
    "Dataset",
    "H36m",
    "InterHandFormat",
    "Itop",
    "MMPose",
    "MpiInf3dhp",
    "Ntu",
    "OpenPose",
    "Panoptic",
    "Rgbd",
    "RgbdFrame",
    "RgbdSequence",
    "Tdpw",
    "open_rgbd",
    "prepare",
    "read_asf_amc",
    "read_bvh",
    "read_c3d",
    "read_h36m_npz",
    "read_joints",
    "read_trc",
]
