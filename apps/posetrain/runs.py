"""The run folder: one training run's recipe, checkpoints, logs, metrics and report.

runs/NAME/recipe.yaml     the whole recipe, every value spelled out
runs/NAME/log.jsonl       one JSON object a line: stage, step, loss, ...: the curves
runs/NAME/starts.jsonl    likewise, whenever training was begun or resumed: when, where, by how many
runs/NAME/metrics.json    what was measured on the test; metrics-validation.json on validation people
runs/NAME/.recipe.yaml.sha256    by which a changed or damaged recipe is noticed
runs/NAME/checkpoints/    see `posetrain.checkpoint`
runs/NAME/model.safetensors    what `polypose.load` takes, of tasks that pack their model
runs/NAME/tensorboard/    the tracker's files
runs/.NAME.lock           held by the process that trains (`posetrain.lock`)
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from posedata.readers.files.safe_text import read_bytes
from posedata.terminal import visible
from posedata.writing import append, write_text

from posetrain.checkpoint import CheckpointStore, load_card
from posetrain.recipe import differences, load_recipe, to_yaml

Existing = Literal["refuse", "resume", "replace"]
Schema = TypeVar("Schema")


class UnfinishedError(ValueError):
    """A run has steps to go."""


class Run:
    """A run folder. Open a new or resumed one with `Run.start`, a finished one with `Run.open`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.log_file = self.path / "log.jsonl"

    @classmethod
    def start(cls, path: Path, recipe: Any, existing: Existing = "refuse") -> "Run":
        """Make the folder and store the recipe in it: when all else that can go wrong at once has been tried.

        A folder without a checkpoint holds no run yet. What only evaluation reads may change on resuming.

        Args:
            path: the folder, `runs/NAME`.
            recipe: the dataclass that was loaded.
            existing: what to do with a folder that holds a run: "refuse", "resume" (start where there is
                none) or "replace" (delete it first).

        Raises:
            ValueError: the folder holds a run (refuse), or a run of another recipe (resume).
        """
        run = cls(path)
        if int(os.environ.get("RANK", "0")) != 0:
            return run
        stored = run.path / "recipe.yaml"
        if stored.exists() and any(run.path.glob("checkpoints/*/step-*")):
            if existing == "refuse":
                raise ValueError(f"{path} holds a run: pass --resume to go on, --overwrite or another --name")
            if existing == "resume":
                _same_recipe(stored, recipe, run._card() or {})
            else:
                shutil.rmtree(run.path)
        else:
            run.log_file.unlink(missing_ok=True)
        run.path.mkdir(parents=True, exist_ok=True)
        text = to_yaml(recipe)
        write_text(stored, text)
        write_text(_seal(stored), hashlib.sha256(text.encode()).hexdigest() + "\n")
        return run

    @classmethod
    def open(cls, path: Path, schema: type[Schema], app: str) -> "tuple[Run, Schema]":
        """A run that an app has trained, and its recipe.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is another app's.
        """
        stored = path / "recipe.yaml"
        if not stored.exists():
            raise FileNotFoundError(f"{stored}: no such run; train one first, or name its folder")
        run = cls(path)
        card = run._card()
        found = card.get("app", app) if card else app
        if found != app:
            raise ValueError(
                f"{path}: was trained by {str(found)[:80]}; name a run of {app}, or use that one's command"
            )
        return run, run._at_home(_read_recipe(stored, schema, card or {}))

    def _at_home(self, recipe: Schema) -> Schema:
        """The recipe, with paths that are relative to where training began."""
        file = self.path / "starts.jsonl"
        starts = map(_parsed, read_bytes(file).splitlines()) if file.is_file() else ()
        home = next((Path(str(start["folder"])) for start in starts if start and "folder" in start), None)
        return recipe if home in (None, Path.cwd()) else _below(recipe, home)

    def checkpoints(self, stage: str, keep: int = 2) -> CheckpointStore:
        """The checkpoints of one stage."""
        return CheckpointStore(self.path / "checkpoints" / stage, keep)

    def checkpoint(self, stage: str) -> Path:
        """Folder of a stage's last checkpoint.

        Raises:
            FileNotFoundError: there is none.
        """
        path = self.checkpoints(stage).path()
        if path is None:
            raise FileNotFoundError(f"{self.path}: no last checkpoint of stage {stage}; train first")
        return path

    def precision(self) -> str | None:
        """What the run's checkpoints were computed in: `no`, `bf16` or `fp16`; None where there is none."""
        card = self._card() or {}
        config = card.get("config")
        found = card.get("precision", config.get("precision") if isinstance(config, dict) else None)
        return None if found is None else str(found)

    def _card(self) -> dict[str, Any] | None:
        """A card of this run, the first that is not damaged; None where there is no checkpoint.

        Raises:
            ValueError: all of them are damaged.
        """
        broken: ValueError | None = None
        for step in sorted(self.path.glob("checkpoints/*/step-*")):
            try:
                return load_card(step)
            except FileNotFoundError:
                continue
            except ValueError as error:
                broken = broken or error
        if broken:
            raise broken
        return None

    def require(self, steps: Mapping[str, int], data: str | None = None) -> None:
        """Raise unless these stages (those of 0 steps aside) are finished, and were trained on these data.

        Args:
            data: the fingerprint of what its recipe gives now; None where they do not matter.

        Raises:
            FileNotFoundError: a stage has no checkpoint.
            UnfinishedError: a stage has steps to go.
            ValueError: it was trained on other data.
        """
        for stage, wanted in steps.items():
            if not wanted:
                continue
            card = load_card(self.checkpoint(stage))
            if card["step"] < wanted:
                raise UnfinishedError(
                    f"{self.path}: stage {stage} is at step {card['step']} of {wanted}; go on with --resume"
                )
            if data is not None and card.get("data") != data:
                raise ValueError(
                    f"{self.path}: was trained on other data than its recipe gives now (fingerprint"
                    f" {card.get('data', '')[:12]}, now {data[:12]}); bring those back, or train again"
                )

    def finished(self, steps: Mapping[str, int], data: str) -> bool:
        """Whether these stages are finished; ValueError if they were trained on other data (`require`)."""
        try:
            self.require(steps, data)
        except (FileNotFoundError, UnfinishedError):
            return False
        return True

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to log.jsonl."""
        append(self.log_file, json.dumps(record).encode() + b"\n")

    def log_start(self, record: dict[str, Any]) -> None:
        """Append one line to starts.jsonl."""
        append(self.path / "starts.jsonl", json.dumps(record).encode() + b"\n")

    def curves(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The records of log.jsonl, of one stage or of all; a last line cut short by a kill is left out.

        Raises:
            ValueError: another line is damaged.
        """
        if not self.log_file.exists():
            return []
        content = read_bytes(self.log_file)
        lines = content.splitlines()
        records = []
        for number, line in enumerate(lines, 1):
            record = _record(line)
            if record is not None:
                records.append(record)
            elif line.strip() and (number < len(lines) or content.endswith(b"\n")):
                raise ValueError(
                    f"{self.log_file}: line {number} is damaged; delete that line, only curves need it"
                )
        return [record for record in records if stage in (None, record["stage"])]

    def seconds(self) -> dict[str, float]:
        """How long each stage was trained, by the log."""
        return {record["stage"]: record["seconds"] for record in self.curves()}

    def truncate(self, stage: str, step: int) -> None:
        """Forget what the log says of `stage` after `step`."""
        records = [r for r in self.curves() if r["stage"] != stage or r["step"] <= step]
        if self.log_file.is_file():
            write_text(self.log_file, "".join(json.dumps(record) + "\n" for record in records))

    def write_metrics(self, metrics: dict[str, Any], part: str = "test") -> Path:
        """Write what was measured on a part of the split."""
        path = self.metrics_file(part)
        write_text(path, json.dumps(metrics, indent=1) + "\n")
        return path

    def metrics_file(self, part: str = "test") -> Path:
        """metrics.json, or metrics-PART.json of a part that is not the test."""
        return self.path / ("metrics.json" if part == "test" else f"metrics-{part}.json")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line, or None where it is damaged."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _below(value: Any, home: Path) -> Any:
    """A recipe whose relative paths are below a folder."""
    if isinstance(value, Path):
        return value if value.is_absolute() else home / value
    if isinstance(value, tuple):
        return tuple(_below(item, home) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _below(getattr(value, f.name), home) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line of the log says, or None where it is damaged."""
    record = _parsed(line)
    if record is None or not isinstance(record.get("stage"), str):
        return None
    numbers = (record.get("step"), record.get("seconds", 0.0))
    return record if all(isinstance(x, int | float) for x in numbers) else None


def _seal(stored: Path) -> Path:
    return stored.with_name(f".{stored.name}.sha256")


def _read_recipe(stored: Path, schema: type[Schema], card: Mapping[str, Any]) -> Schema:
    """A run's recipe.yaml; where it is not what training wrote, what has changed is told.

    Runs of earlier versions have nothing to tell by.

    Raises:
        ValueError: it is damaged, or changed in what nobody would notice: not the evaluation, nor the data,
            which have a fingerprint.
    """
    seal, content = _seal(stored), read_bytes(stored)
    if not seal.is_file() or hashlib.sha256(content).hexdigest().encode() == read_bytes(seal).strip():
        return load_recipe(stored, schema, tell=False)

    def damaged(why: str) -> ValueError:
        return ValueError(
            f"{stored}: is damaged, or was changed after training began ({why[:200]}); bring back what"
            " it was: the recipe in checkpoints/*/*/card.json"
        )

    try:
        recipe = load_recipe(stored, schema, tell=False)
    except ValueError as error:
        raise damaged(str(error).removeprefix(f"{stored}: ")) from None
    changed = differences(card.get("recipe", {}), recipe)
    wrong = [text for text in changed if not text.startswith(("evaluation.", "data."))]
    if wrong:
        raise damaged("; ".join(wrong))
    said = "; ".join(changed) or "in its writing alone"
    print(visible(f"note: {stored}: was changed after training began: {said}"), file=sys.stderr)
    return recipe


def precisions(folder: Path) -> str:
    """What the runs below a folder were computed in."""
    found = {Run(file.parent).precision() for file in folder.rglob("recipe.yaml")}
    return " and ".join(sorted(name for name in found if name))


def _same_recipe(stored: Path, recipe: Any, card: Mapping[str, Any]) -> None:
    found = differences(_read_recipe(stored, type(recipe), card), recipe)
    # what `auto` stands for was decided when the run began
    changed = [text for text in found if not re.match(r"evaluation\.|loop\.precision: \w+ -> auto", text)]
    if changed:
        raise ValueError(
            f"{stored}: cannot resume with another recipe ({'; '.join(changed)}); use another --name"
        )
