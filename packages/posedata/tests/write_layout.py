"""Write a licensed data set's own layout from synthetic people (`layouts`), for `posedata prepare`:

python packages/posedata/tests/write_layout.py h36m data/human36m --frames 24 --pace 6
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from layouts import Truth, write_3dhp, write_3dpw, write_h36m
from layouts.human36m import ROLES
from posedata.scoring.protocols import H36M_TEST, H36M_TRAIN

WRITERS: dict[str, Callable[..., Truth]] = {
    "h36m": write_h36m,
    "3dpw": write_3dpw,
    "mpi_inf_3dhp": write_3dhp,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=WRITERS, help="the data set, as `posedata prepare` calls it")
    parser.add_argument("folder", type=Path, help="made")
    parser.add_argument("--frames", type=int, default=24, help="of each sequence")
    parser.add_argument("--pace", type=float, default=6.0, help="how many times as fast as in life")
    parser.add_argument("--seed", type=int, default=0, help="decides everything random")
    parser.add_argument("--subjects", nargs="+", default=[*H36M_TRAIN, *H36M_TEST], help="of h36m")
    parser.add_argument("--actions", nargs="+", choices=ROLES, default=list(ROLES), help="of h36m")
    given = vars(parser.parse_args(arguments))
    write = WRITERS[given.pop("name")]
    if write is not write_h36m:
        del given["subjects"], given["actions"]
    write(**given)


if __name__ == "__main__":
    main()
