"""Licensed data sets in their owners' own layouts, made small from synthetic people whose truth is known.

    from layouts import write_3dhp, write_3dpw, write_h36m

    truth = write_h36m(folder)    # CDF poses, videos, metadata.xml, VideoPose3D's npz of detections
    truth = write_3dpw(folder)    # sequenceFiles, imageFiles
    truth = write_3dhp(folder)    # S1/Seq1 with videos, TS1 with pictures

Same arguments, same files but for what libraries stamp with the time. Each returns a `Truth`.
"""

from layouts.human36m import write_h36m
from layouts.mpi_inf_3dhp import write_3dhp
from layouts.people import LEFT, RIGHT, Truth
from layouts.threedpw import write_3dpw

__all__ = ["LEFT", "RIGHT", "Truth", "write_3dhp", "write_3dpw", "write_h36m"]
