"""What a run folder goes through: two trainings at once, interrupts, damaged files."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from nursery import NURSERY
from posetrain.errors import plain_errors
from posetrain.interrupts import resuming
from posetrain.lock import hold, release
from posetrain.loop import Trainer
from posetrain.runs import Run
from trainer_toy import Recipe, command, train

RECIPE = Recipe(pause=0.2)  # however slow the machine, it still trains when it is looked at


@contextlib.contextmanager
def training(path: Path, *arguments: str) -> Iterator[BaseProcess]:
    """A process that trains, past its first steps."""
    process = NURSERY.Process(
        target=command, args=(path, RECIPE, ["/bin/toy", "train", "--name", "a b", *arguments])
    )
    process.start()
    try:
        while process.is_alive() and not Run(path).curves():
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.join()


def test_a_second_training_of_a_run_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with training(path) as process:
        for existing in ("resume", "replace"):
            with pytest.raises(
                ValueError, match=rf"run: is being trained by process {process.pid} on .+ since"
            ):
                Trainer(Run(path), RECIPE.loop, data="points").start(RECIPE, existing)  # type: ignore[arg-type]
        assert process.is_alive()
        assert (path / "recipe.yaml").is_file()
    trainer = Trainer(Run(path), RECIPE.loop, data="points")  # killed, and the lock went with it
    trainer.start(RECIPE, "resume")
    trainer.close()


def test_a_run_folder_is_given_back(tmp_path: Path) -> None:
    hold(tmp_path / "a")
    hold(tmp_path / "a")
    release(tmp_path / "a")
    process = NURSERY.Process(target=hold, args=(tmp_path / "a",))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("sent", "word", "code"), [("SIGINT", "interrupted", 130), ("SIGTERM", "terminated", 143)]
)
def test_an_interrupt_ends_with_the_command_that_goes_on(
    tmp_path: Path, sent: str, word: str, code: int
) -> None:
    path = tmp_path / "run"
    with training(path, "--overwrite") as process:
        assert process.pid is not None
        os.kill(process.pid, getattr(signal, sent))
        process.join()
        assert process.exitcode == code
    (line,) = path.with_suffix(".err").read_text().splitlines()
    assert line == f"{word}; go on from the last checkpoint with: toy train --name 'a b' --resume"
    train(path, Recipe())


def test_a_script_is_resumed_by_python() -> None:
    assert resuming(["my train.py", "-r", "a.yaml"]) == "python 'my train.py' -r a.yaml --resume"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "toy"
    process = NURSERY.Process(target=train, args=(path, Recipe()))
    process.start()
    process.join()
    assert process.exitcode == 0
    return path


def flipped(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped": flipped,
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "no UTF-8": lambda content: b"\xff\xfe\xff" + content,
    "a list": lambda content: b"[1, 2]\n",
    "deep": lambda content: 100_000 * b"[" + b"\n",
    "a folder": lambda content: None,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["recipe.yaml", "card.json", "log.jsonl"])
def test_a_damaged_file_of_a_run_is_one_line(
    finished: Path, tmp_path: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Opened for use and resumed: a line that names the file and a cure, exit code 2; or no harm is done."""
    import shutil

    path = Path(shutil.copytree(finished, tmp_path / "toy"))
    file = path / name if name != "card.json" else Run(path).checkpoint("second") / name
    content = DAMAGES[damage](file.read_bytes())
    file.unlink()
    file.mkdir() if content is None else file.write_bytes(content)

    def use() -> None:
        run, _ = Run.open(path, Recipe, "toy")
        run.require({"second": 25}, "points")
        run.curves()

    codes = []
    for work in (use, lambda: train(path, Recipe())):
        try:
            with plain_errors():
                work()
            codes.append(0)
        except SystemExit as ended:
            codes.append(ended.code)
            line = capsys.readouterr().err.splitlines()[-1]
            assert str(path) in line
            assert (name if name != "card.json" else "card.json is not what was written") in line
            assert "delete" in line or "bring back" in line or "move it away" in line
            assert len(line) < 500
        release(path)
    # a log may be cut by a kill, and the toy's recipe is all defaults
    harmless = (name, damage) in {("log.jsonl", "empty"), ("log.jsonl", "cut"), ("recipe.yaml", "empty")}
    assert codes == ([0, 0] if harmless else [2, 2]), codes


def test_an_old_card_of_wrong_types_is_one_line(finished: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(finished, tmp_path / "toy"))
    for step in path.glob("checkpoints/first/*"):
        (step / "digests.json").unlink()
        (step / "card.json").write_text(
            '{"schema": 1, "step": 7, "data": "points", "optimizer": [], "best": {}}'
        )
    with pytest.raises(
        ValueError, match=r"damaged \(card.json is not what was written\); delete this folder"
    ):
        train(path, Recipe())
    release(path)


def test_results_say_what_to_do_about_a_damaged_file(tmp_path: Path) -> None:
    from posedata.results import render_tables

    page = tmp_path / "page.md"
    page.write_text("<!-- results: x -->\n<!-- /results -->\n")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    for content in (b"{", b"[]", b"\xff", 9999 * b"[", b'{"rows": 3}', b'{"rows": [1]}'):
        (tmp_path / "docs" / "results" / "x.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json: (is|holds) .*run the command that measures it"):
            render_tables(page)


def test_the_recipe_that_training_wrote_is_known_by_its_seal(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = finished / "recipe.yaml"
    whole = stored.read_bytes()
    try:
        stored.write_bytes(whole.replace(b"0.9", b"0.8"))
        with pytest.raises(
            ValueError, match=r"recipe.yaml: is damaged, or was changed .*loop.ema: 0.9 -> 0.8"
        ):
            Run.open(finished, Recipe, "toy")
        stored.write_bytes(b"# mine\n" + whole)
        Run.open(finished, Recipe, "toy")
        assert "recipe.yaml: was changed after training began: in its writing" in capsys.readouterr().err
    finally:
        stored.write_bytes(whole)
    assert json.loads((Run(finished).checkpoint("first") / "card.json").read_text())["precision"] in (
        "no",
        "bf16",
    )
