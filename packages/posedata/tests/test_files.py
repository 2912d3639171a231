"""Folders in one piece: at every moment, and after a kill at any step, a name stands for one whole folder."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from posedata.store import PoseStore, StoreWriter, files, write_store
from posedata.store.files import building, exchange, put, standing, sweep
from test_store import META, make_columns


def write(path: Path, value: float, rows: int = 12) -> Path:
    """A store all of whose numbers are the same."""
    columns = make_columns(rows) | {"keypoints_true": np.full((rows, 17, 3), value)}
    columns["joints"] = np.full((rows, 17, 3), value)
    return write_store(path, columns, META, overwrite=True)


def value_of(path: Path) -> float:
    """The number that a store is full of; its columns must agree."""
    store = PoseStore.open(path)
    found = {float(x) for name in ("joints", "keypoints_true") for x in np.unique(store.column(name))}
    assert len(found) == 1
    return found.pop()


REPLACE = """
    import json, os, shutil, signal, sys
    from pathlib import Path

    from posedata.store import files
    from test_files import value_of, write

    def die_at(left, way):
        if way == "renames":
            files.exchange = lambda one, other: False

        def before(step):
            def call(*args, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*args, **options)
            return call

        # what `put` and the clean-up after it are made of
        for module, names in ((Path, ["rename", "unlink"]), (os, ["rmdir", "unlink"]), (files, ["exchange"])):
            for name in names:
                setattr(module, name, before(getattr(module, name)))

    for way in ("exchange", "renames"):
        path = Path(sys.argv[1]) / way / "store"
        path.parent.mkdir()
        for step in range(40):
            write(path, 1.0)
            child = os.fork()  # no thread runs yet
            if not child:
                die_at(step, way)
                write(path, 2.0)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            print(json.dumps([way, status, value_of(path)]))
            if status == 0:
                break
        write(path, 3.0)
"""


def start(script: str, *words: str | Path) -> subprocess.Popen[str]:
    """A script in a process of its own, which may import this file."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, words)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    )


def test_overwriting_killed_at_any_step_leaves_the_old_store_or_the_new(tmp_path: Path) -> None:
    run = start(REPLACE, tmp_path)
    told = [json.loads(line) for line in run.communicate()[0].splitlines()]
    assert run.returncode == 0
    for way in ("exchange", "renames"):
        ended, seen = zip(*(rest for name, *rest in told if name == way), strict=True)
        assert {*ended[:-1]} == {signal.SIGKILL}
        assert ended[-1] == 0
        assert list(seen) == sorted(seen)  # old, old, ..., new, new: never nothing
        assert seen.count(1.0) >= 2
        assert seen.count(2.0) >= 3
        assert value_of(tmp_path / way / "store") == 3.0
        left = [p for p in (tmp_path / way).iterdir() if p.suffix != ".begun"]  # empty, and swept in a minute
        assert left == [tmp_path / way / "store"]


def test_a_reader_sees_one_store_or_the_other_while_one_is_replaced(tmp_path: Path) -> None:
    """However fast each of the two is: it is written until enough was read in between."""
    path, enough = write(tmp_path / "store", 0.0), tmp_path / "enough"
    script = """
        import sys
        from pathlib import Path
        from test_files import write
        value = 0
        while value < 30 or not Path(sys.argv[2]).exists():
            value += 1
            write(Path(sys.argv[1]), float(value), 12 + value % 30)
        print(value)
    """
    writer, seen = start(script, path, enough), [0.0]
    try:
        while writer.poll() is None:
            seen.append(value_of(path))
            if len(set(seen)) > 3:
                enough.touch()
    finally:
        enough.touch()
    assert writer.returncode == 0
    last = float(writer.communicate()[0])
    assert seen == sorted(seen)
    assert value_of(path) == last >= 30


def test_a_store_replaced_after_it_was_opened_is_read_as_it_was(tmp_path: Path) -> None:
    rgb = np.zeros((4, 2, 2, 3), np.uint8)
    for value in (1, 2):
        with StoreWriter(tmp_path / "s", META, overwrite=True, shard_images=2) as writer:
            writer.add_columns(make_columns(4) | {"image": np.arange(4)})
            writer.add_images(rgb + value)
        if value == 1:
            store = PoseStore.open(tmp_path / "s")
    np.testing.assert_array_equal(store.images(np.arange(4)), rgb + 1)
    np.testing.assert_array_equal(PoseStore.open(tmp_path / "s").images(np.arange(4)), rgb + 2)


def test_names_are_exchanged_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "was").write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system exchanges no names")
    assert [(tmp_path / name / "was").read_text() for name in ("a", "b")] == ["b", "a"]
    assert not exchange(tmp_path / "a", tmp_path / "absent")
    assert (tmp_path / "a" / "was").read_text() == "b"


@pytest.mark.parametrize("able", [True, False])
def test_a_link_is_replaced_and_what_it_leads_to_is_spared(
    tmp_path: Path, able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not able:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "kept").touch()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    with building(tmp_path / "near") as folder:
        (folder / "new").touch()
        put(folder, tmp_path / "near")
    assert not (tmp_path / "near").is_symlink()
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == [
        "far", "far/kept", "near", "near/new",
    ]  # fmt: skip


def test_what_stands_is_found_between_two_renames(tmp_path: Path) -> None:
    assert standing(tmp_path / "store") == tmp_path / "store"
    (tmp_path / ".store.replaced").mkdir()
    assert standing(tmp_path / "store") == tmp_path / ".store.replaced"
    (tmp_path / "store").mkdir()
    assert standing(tmp_path / "store") == tmp_path / "store"


def test_only_what_nobody_builds_any_more_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [tmp_path / f".{name}.0a1b2c3d.partial" for name in ("store", "other")]
    for folder in left:
        (folder / "images").mkdir(parents=True)
    with building(tmp_path / "store") as held:  # sweeps what was left of its own target
        assert [p.exists() for p in left] == [False, True]
        sweep(tmp_path)  # as of a cache: all
        assert held.is_dir()
        assert not left[1].exists()
        left[1].mkdir()
        monkeypatch.setattr(files, "_lock", lambda folder: None)  # a file system without locks
        sweep(tmp_path)
        assert left[1].is_dir()  # a day has not passed
        ago = time.time() - 25 * 3600
        os.utime(left[1], (ago, ago))
        os.utime(held, (ago, ago))
        (held / "grows").touch()
        sweep(tmp_path)
        assert not left[1].exists()
        assert held.is_dir()
    assert list(tmp_path.iterdir()) == []
