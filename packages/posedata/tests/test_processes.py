"""Plain scripts, without a main guard, may ask for workers; what goes wrong in one is one line."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from posedata.processes import in_processes
from posedata.store import PoseStore, write_store
from posedata.views import add_views, get_rig
from posedata.views.noise import DetectorNoise
from test_store import META, make_columns

PLAIN = """
    import sys
    from dataclasses import dataclass
    from pathlib import Path

    import numpy as np
    from posedata.prepare import run
    from posedata.readers.format import Clip, Format, Plan, Unit, register

    print("once", flush=True)
    out, run.ALONE_SECONDS = Path(sys.argv[1]), 0
    for workers in (1, 2):
        run.prepare("joints", out / "poses.npz", out / f"read-{workers}", workers=workers)

    @register
    @dataclass(frozen=True)
    class Here(Format):
        name, title, terms = "here", "Here", "none"

        def plan(self, source, context):
            return Plan([Unit("a", (source,)), Unit("b", (source,))], source="here", fps=10.0)

        def read(self, unit, context):
            yield Clip(np.ones((3, 17, 3), np.float32), subject="anna", sequence=unit.name, action="walk")

    run.prepare("here", out / "poses.npz", out / "here", workers=2)
"""


def test_a_plain_script_without_a_main_guard_works_with_workers_and_without(tmp_path: Path) -> None:
    from posedata.synthetic import generate_motion

    motion = generate_motion(2, 1, 8)
    np.savez(
        tmp_path / "poses.npz", joints=motion.joints, seq=motion.sequence, subject=motion.subject,
        action=motion.action, seq_names=np.array(motion.sequence_names), fps=30,
        subject_names=np.array(motion.subject_names), action_names=np.array(motion.action_names),
    )  # fmt: skip
    script = tmp_path / "plain.py"
    script.write_text(textwrap.dedent(PLAIN))
    ran = subprocess.run([sys.executable, script, tmp_path], check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "once\n", "")
    one, two = (PoseStore.open(tmp_path / f"read-{workers}") for workers in (1, 2))
    assert one.fingerprint == two.fingerprint
    assert len(PoseStore.open(tmp_path / "here")) == 6  # a format of the script itself: read in its process


def _nothing() -> None:
    pass


def _die(task: int) -> int:
    if task == 3:
        os._exit(9)
    return task


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"a worker process was killed.*run again with fewer workers"):
        list(in_processes(_die, range(6), 1, _nothing))


def test_rendering_a_store_that_was_replaced_is_refused(tmp_path: Path) -> None:
    from posedata.synthetic.rendering import render_store

    poses = write_store(tmp_path / "poses", make_columns() | {"valid": np.ones((12, 17), bool)}, META)
    views = add_views(poses, tmp_path / "views", get_rig("mocap"), 1, None, 0)
    opened = PoseStore.open(views)
    add_views(poses, views, get_rig("mocap"), 1, DetectorNoise(), 1, overwrite=True)
    with pytest.raises(ValueError, match="views: was replaced while pictures were made of it; run again"):
        render_store(opened, tmp_path / "seen", size=(24, 32))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["poses", "views"]
