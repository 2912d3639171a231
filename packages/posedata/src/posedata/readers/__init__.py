"""Readers: one module per format, each a `Format` that its module registers, made of what `format` describes.

A reader is a `Format`: one frozen dataclass, whose fields are the options that the
command line offers. It says in `plan` which units there are (a unit is one sequence, or whatever part can be
read by itself) and in `read` gives the clips of one of them. Nothing else is its business: processes, the
progress bar, resuming, checksums, camera table, name lists and the store's columns are the framework's.

    @register
    @dataclass(frozen=True)
    class Example(Format):
        name = "example"
        title = "Example: one text file a recording"
        terms = "as its source states"
        totals = (Total("training frames", 1_234, "Example paper, table 1", subjects=("S1",)),)

        unit: str = option("m", "metres per file unit")

        def plan(self, source, context):
            units = [Unit(file.stem, (file,)) for file in files_of(source, ".txt")]
            return Plan(units, source="Example", fps=50.0)

        def read(self, unit, context):
            yield Clip(joints, subject="anna", sequence=unit.name, action="walk")

What a reader keeps to:

- `plan` and `read` are run in different processes: what `read` needs travels in `Unit.detail` (plain data)
  or lies in `context.scratch`, where `context.unpacked` puts what a file that cannot be read in parts holds.
- `read` yields one clip a view (or a person) and is as lazy as the data allows: clips are written as they
  come, and `Clip.images` is an iterator that is drawn from batch by batch.
- Same source and options, same clips: no clock, no global random state, no order of a set.
- What is odd but can be lived with (a missing camera, a video shorter than its annotations, an unknown
  subject, fewer annotations than frames) is told by `context.note("FILE: what; cure")`. `--strict` makes
  notes errors; without it they are printed and kept in the store's `sources.json`. What is left out because
  the data set marks it so (a crowd in COCO) is told by `context.tell`, which is no error. Nothing that was
  found is left out without either; where it is many, one note counts them.
- Files are listed by `posedata.readers.listing`, which follows links and passes over what operating systems
  leave behind. A zip file as SRC is unpacked before `plan` is called.
- What cannot be read is a ValueError or FileNotFoundError of one line that names file, field and cure. One
  raised by `plan` ends the run; one raised by `read` is a note, unless no unit at all could be read.
- Paths that come out of a file (an image's name in an annotation) go through `inside`.

Then `posedata.readers.registry` imports the module, so that it is registered, and
`python -m posedata.prepare.offers` writes down the format's title and options for `posedata prepare --help`.

The `read_*` functions read small data sets into memory, by the same classes.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.readers.alphapose import AlphaPose
    from posedata.readers.amass import Amass
    from posedata.readers.asf_amc import read_asf_amc
    from posedata.readers.bvh import read_bvh
    from posedata.readers.c3d import read_c3d
    from posedata.readers.coco import Coco
    from posedata.readers.coco_results import CocoResults
    from posedata.readers.files.recording import RgbdFrame, RgbdSequence, open_rgbd
    from posedata.readers.format import (
        Clip,
        ClipCamera,
        Context,
        Format,
        Plan,
        Total,
        Unit,
        inside,
        option,
        register,
    )
    from posedata.readers.h36m import H36m
    from posedata.readers.h36m_npz import read_h36m_npz
    from posedata.readers.interhand import InterHandFormat
    from posedata.readers.itop import Itop
    from posedata.readers.joints import read_joints
    from posedata.readers.merge import Dataset
    from posedata.readers.mmpose import MMPose
    from posedata.readers.mpi_inf_3dhp import MpiInf3dhp
    from posedata.readers.ntu import Ntu
    from posedata.readers.openpose import OpenPose
    from posedata.readers.panoptic import Panoptic
    from posedata.readers.registry import FORMATS, get_format
    from posedata.readers.rgbd import Rgbd, read_coco_keypoints
    from posedata.readers.tdpw import Tdpw
    from posedata.readers.trc import read_trc

__all__ = [
    "FORMATS",
    "AlphaPose",
    "Amass",
    "Clip",
    "ClipCamera",
    "Coco",
    "CocoResults",
    "Context",
    "Dataset",
    "Format",
    "H36m",
    "InterHandFormat",
    "Itop",
    "MMPose",
    "MpiInf3dhp",
    "Ntu",
    "OpenPose",
    "Panoptic",
    "Plan",
    "Rgbd",
    "RgbdFrame",
    "RgbdSequence",
    "Tdpw",
    "Total",
    "Unit",
    "get_format",
    "inside",
    "open_rgbd",
    "option",
    "read_asf_amc",
    "read_bvh",
    "read_c3d",
    "read_coco_keypoints",
    "read_h36m_npz",
    "read_joints",
    "read_trc",
    "register",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
