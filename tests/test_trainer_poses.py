"""From a data section to poses and to rows of different people."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import unihpr.data
import unihpr.recipe
import unipose.data
import unipose.recipe
import vvipe.data
import vvipe.recipe
from posedata.inspection.examine import examine
from posedata.source import SyntheticPeople, check_poses, open_poses
from posedata.splits import Elsewhere, part_rows, split_poses
from posedata.store import PoseStore, write_store

OWN_MM = Path(__file__).resolve().parents[1] / "../shared/cases/train_own_mm"

PEOPLE = SyntheticPeople(subjects=3, test_subjects=1, clips=1, frames=6)


@dataclass(frozen=True)
class Section:
    cache: Path
    format: str = "synthetic"
    path: Path | None = None
    split: Path | None = None
    accept_faults: bool = False
    synthetic: SyntheticPeople = PEOPLE


def test_the_last_people_are_held_out(tmp_path: Path) -> None:
    section, said = Section(tmp_path), []
    store = open_poses(section, "h36m17", said.append)
    parts = split_poses(section, store)
    people = np.asarray(store.column("subject"))
    assert set(people[parts["test"]]) == {2}
    assert set(people[parts["train"]]) == {0, 1}
    assert len(said) == 1
    assert open_poses(section, "h36m17", said.append).fingerprint == store.fingerprint
    assert len(said) == 1  # found again


def test_those_before_the_last_are_for_validation(tmp_path: Path) -> None:
    people = replace(PEOPLE, subjects=6, test_subjects=2, validation_subjects=3)
    section = Section(tmp_path, synthetic=people)
    store = open_poses(section, say=lambda text: None)
    parts = split_poses(section, store)
    subject = np.asarray(store.column("subject"))
    found = {name: sorted(set(subject[rows].tolist())) for name, rows in parts.items()}
    assert found == {"train": [0], "validation": [1, 2, 3], "test": [4, 5]}
    assert np.array_equal(part_rows(parts, "validation"), parts["validation"])
    with pytest.raises(ValueError, match=r"part 'validation' has no frames.*synthetic\.validation_subjects"):
        part_rows({"test": parts["test"]}, "validation")
    nobody = replace(section, synthetic=replace(people, validation_subjects=4))
    with pytest.raises(ValueError, match="test_subjects and validation_subjects are 6; leave some of 6"):
        open_poses(nobody)


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    section = Section(tmp_path)
    store = open_poses(section, say=lambda text: None)
    with pytest.raises(ValueError, match="skeleton is h36m17, coco17 is needed; convert"):
        open_poses(section, "coco17")
    everyone = replace(section, synthetic=replace(section.synthetic, test_subjects=3))
    with pytest.raises(ValueError, match=r"validation_subjects are 3; leave some of 3 to train"):
        open_poses(everyone)
    with pytest.raises(ValueError, match=r"data\.path is not set"):
        open_poses(replace(section, format="joints"))
    with pytest.raises(ValueError, match=r"data\.split is not set"):
        split_poses(replace(section, format="store"), store)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": list(store.names("subject")), "test": []}))
    with pytest.raises(ValueError, match="part 'test' has no frames"):
        split_poses(replace(section, split=split), store)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PoseStore:
    folder = tmp_path_factory.mktemp("people")
    section = Section(folder, synthetic=SyntheticPeople(subjects=3, test_subjects=1, clips=4, frames=12))
    return open_poses(section, say=lambda text: None)


def joints_file(path: Path, people: PoseStore, joints: np.ndarray) -> Path:
    columns = {"seq": "sequence", "subject": "subject", "action": "action"}
    index = {name: np.array(people.column(column)) for name, column in columns.items()}
    names = {f"{name}_names": np.array(people.names(column)) for name, column in columns.items()}
    np.savez(path, joints=joints, fps=30, **index, **names)
    return path


WRONG: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "millimetres": (
        lambda j: j * 1000,
        "a thigh of .* these look like millimetres; divide the joints by 1000",
    ),
    "y up": (lambda j: j[..., [0, 2, 1]] * np.float32([1, 1, -1]), "people stand along y, not along z"),
    "swapped": (lambda j: j[:, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]], "bend backwards"),
}


@pytest.mark.parametrize("case", WRONG)
def test_nonsense_stops_before_anything_is_made_of_it(people: PoseStore, tmp_path: Path, case: str) -> None:
    change, message = WRONG[case]
    file = joints_file(tmp_path / "poses.npz", people, change(np.array(people.column("joints"))))
    section, said = Section(tmp_path / "data", format="joints", path=file), []
    with pytest.raises(ValueError, match=message) as error:
        open_poses(section, say=said.append)
    assert str(error.value).startswith(f"{file}: ")
    assert str(error.value).endswith("set data.accept_faults=true")
    assert len(said) == 1  # that it is read
    with pytest.raises(ValueError, match=message):
        open_poses(section, say=said.append)
    store = open_poses(replace(section, accept_faults=True), say=said.append)
    whole = examine(store).faults
    assert all(fault.split(": ")[0] in str(error.value) for fault in whole)  # as inspect says


def test_what_is_right_is_not_spoken_of_and_what_is_odd_once(people: PoseStore, tmp_path: Path) -> None:
    joints, said = np.array(people.column("joints")), []
    file = joints_file(tmp_path / "poses.npz", people, joints)
    open_poses(Section(tmp_path / "data", format="joints", path=file), say=said.append)
    assert len(said) == 1
    joints[:12] = joints[0]
    file = joints_file(tmp_path / "still.npz", people, joints)
    section = Section(tmp_path / "data", format="joints", path=file)
    for _ in range(2):
        open_poses(section, say=said.append)
    assert len(said) == 3
    assert said[2].startswith(f"{file}: motion: 1 of 12 sequences stand still to the last bit")


def test_accepted_faults_are_said(people: PoseStore, tmp_path: Path) -> None:
    file = joints_file(tmp_path / "poses.npz", people, 100 * np.array(people.column("joints")))
    said: list[str] = []
    open_poses(Section(tmp_path, format="joints", path=file, accept_faults=True), say=said.append)
    assert "these look like centimetres" in said[1]


@pytest.mark.parametrize("app", ["unihpr", "vvipe", "unipose"])
def test_every_app_stops(people: PoseStore, tmp_path: Path, app: str) -> None:
    file = joints_file(tmp_path / "poses.npz", people, 1000 * np.array(people.column("joints")))
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"test": [people.names("subject")[-1]], "train": "all other subjects"}))
    section = {"format": "joints", "path": file, "split": split, "cache": tmp_path / "cache"}
    begin: dict[str, Callable[[], object]] = {
        "unihpr": lambda: unihpr.data.prepare_stores(unihpr.recipe.DataConfig(**section)),  # type: ignore[arg-type]
        "vvipe": lambda: vvipe.data.open_data(vvipe.recipe.DataConfig(**section)),  # type: ignore[arg-type]
        "unipose": lambda: unipose.data.prepare(unipose.recipe.DataConfig(**section)),  # type: ignore[arg-type]
    }
    with pytest.raises(ValueError, match="these look like millimetres"):
        begin[app]()
    assert [path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith("joints-")] == []


@pytest.mark.skipif(not OWN_MM.is_dir(), reason="needs ../shared/cases")
def test_own_joints_in_millimetres(tmp_path: Path) -> None:
    config = unihpr.recipe.DataConfig(
        format="joints", path=OWN_MM / "poses.npz", split=OWN_MM / "split.json", cache=tmp_path
    )
    with pytest.raises(
        ValueError, match=r"poses.npz: units: a thigh of 437 m is not human: these look like mil"
    ):
        unihpr.data.prepare_stores(config)


def test_other_counts_than_published_are_no_reason_to_stop(people: PoseStore, tmp_path: Path) -> None:
    from posedata.store import write_store

    rows = {name: np.array(people.column(name)) for name in ("joints", "subject", "sequence", "frame")}
    names = {name: people.meta[name] for name in ("subjects", "sequences")}
    names["subjects"] = ["S1", "S5", "S9"]
    meta = {"skeleton": "h36m17", "fps": 50, "source": "test", "licence": "none", "format": "h36m"}
    store = PoseStore.open(write_store(tmp_path / "part", rows, meta | names))
    assert any("published" in fault for fault in examine(store).faults)
    said: list[str] = []
    check_poses(store, store.path, False, said.append)
    assert any("96 rows where 389,938 are published" in text for text in said), said


def test_without_a_split_that_of_the_data_sets_reader_holds(people: PoseStore, tmp_path: Path) -> None:
    names = people.names("subject")
    columns = {name: np.array(people.column(name)) for name in people.columns}
    left = {"split": {"train": [*names[1:], "nobody"], "test": names[:1]}}
    store = PoseStore.open(write_store(tmp_path / "store", columns, people.meta | left))
    section = Section(tmp_path / "data", format="store", path=store.path)
    parts = split_poses(section, store)
    assert sorted(set(store.column("subject")[parts["train"]])) == [1, 2]
    assert set(store.column("subject")[parts["test"]]) == {0}
    assert np.array_equal(Elsewhere(store.path).rows(store, "test"), parts["test"])
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": names[:1], "test": names[1:]}))
    parts = split_poses(replace(section, split=split), store)
    assert set(store.column("subject")[parts["train"]]) == {0}
    alone = people.meta | {"split": {"train": names, "test": ["nobody"]}}
    store = PoseStore.open(write_store(tmp_path / "alone", columns, alone))
    with pytest.raises(ValueError, match=r"alone: has no part 'test'; it has train$"):
        Elsewhere(store.path).rows(store, "test")
    with pytest.raises(ValueError, match="part 'test' has no frames"):
        split_poses(replace(section, path=store.path), store)


def store_with_gaps(path: Path, people: PoseStore, gaps: np.ndarray) -> PoseStore:
    """Those poses as marker files give them: what was not seen is marked, and lies in the origin."""
    joints = np.where(gaps[..., None], 0, np.array(people.column("joints"))).astype(np.float32)
    columns = {c: np.array(people.column(c)) for c in ("subject", "sequence", "action", "frame")}
    write_store(path, columns | {"joints": joints, "valid": ~gaps}, people.meta)
    return PoseStore.open(path)


def test_poses_with_a_gap_are_neither_trained_nor_tested_on(people: PoseStore, tmp_path: Path) -> None:
    gaps = np.zeros((len(people), 17), bool)
    gaps[5::9, 16] = True
    store, said = store_with_gaps(tmp_path / "gaps", people, gaps), []
    split = tmp_path / "split.json"
    names = list(people.names("subject"))
    split.write_text(json.dumps({"train": names[:2], "test": names[2:]}))
    section = Section(tmp_path / "data", format="store", path=store.path, split=split)
    parts = split_poses(section, store, say=said.append)
    assert np.array_equal(np.sort(np.concatenate([*parts.values()])), np.flatnonzero(~gaps.any(1)))
    count = int(gaps.any(1).sum())
    assert said == [f"{store.path}: {count} of {len(store)} poses have a joint that is not valid; left out"]
    every = split_poses(section, store, whole=False)
    assert sum(map(len, every.values())) == len(store)  # for recorded RGB-D, which has no 3D
    recipe = replace(vvipe.recipe.DataConfig(), format="store", path=store.path, split=split)
    seen = vvipe.data.TrainingData(recipe, store)
    assert seen.taught.joints.norm(dim=-1).min() > 0
    whole = vvipe.data.TrainingData(recipe, people).body
    assert float(seen.body.lengths[16]) == pytest.approx(float(whole.lengths[16]), rel=0.01)  # a forearm


def test_of_joints_that_no_pose_has_the_name_is_told(people: PoseStore, tmp_path: Path) -> None:
    gaps = np.zeros((len(people), 17), bool)
    gaps[:, [9, 10]] = True
    store = store_with_gaps(tmp_path / "gaps", people, gaps)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": "all other subjects", "test": list(people.names("subject"))[:1]}))
    section = Section(tmp_path / "data", format="store", path=store.path, split=split)
    with pytest.raises(
        ValueError, match=r"no pose of part 'train' has all joints valid \(neck, head never are\)"
    ):
        split_poses(section, store)
