"""Poses and embeddings as files that say what is in them: .npz, or .csv for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from posedata.errors import check_new_file
from posedata.skeleton import Skeleton
from posedata.writing import write_npz, write_text

ENDINGS = (".npz", ".csv")


def check_ending(out: Path, picture: Path | None = None, more: Sequence[str] = ()) -> None:
    """Refuse what cannot be written, before any work.

    Args:
        out: an .npz or .csv to write, or with one of the endings `more`.
        picture: a .png to write.

    Raises:
        ValueError: another ending, or no file can be written there.
    """
    for path, endings in ((out, (*ENDINGS, *more)), (picture, (".png",))):
        if path is None:
            continue
        if path.suffix not in endings:
            raise ValueError(f"{path}: write to a file that ends in {' or '.join(endings)}")
        check_new_file(path)


def write_poses(
    out: Path,
    joints: np.ndarray,
    skeleton: Skeleton,
    frame: str,
    valid: np.ndarray | None = None,
    axes: Sequence[str] = ("frame",),
    *,
    sd: np.ndarray | None = None,
    translation: np.ndarray | None = None,
    rows: Mapping[str, np.ndarray] | None = None,
) -> tuple[int, ...]:
    """Write poses in metres; returns their shape.

    .npz: `joints`, `valid`, `joint_names`, `skeleton`, `unit`, `frame`; `sd` and `translation` where given.
    .csv: a row a pose, first its number along every axis and whether it is valid (1 or 0), then NAME_x_m,
    NAME_y_m, NAME_z_m of every joint, then NAME_sd_m of every joint and translation_x_m, ...; cells of a pose
    that is not valid are empty.

    Args:
        joints: (*axes, J, 3).
        frame: the frame of reference, in words.
        valid: (N,) along the axis "frame"; all, if left out. Other poses should be NaN.
        axes: what the leading axes count.
        sd: (*axes, J) standard deviations.
        translation: (*axes, 3) where the root is.
        rows: (N,) along the axis "frame": where each comes from, by name.
    """
    shape = joints.shape[:-2]
    if valid is None:
        valid = np.ones(shape[axes.index("frame")] if "frame" in axes else shape[0], bool)
    if out.suffix == ".csv":
        names = [f"{joint}_{axis}_m" for joint in skeleton.joints for axis in "xyz"]
        columns = [joints.reshape(*shape, -1)]
        if sd is not None:
            names += [f"{joint}_sd_m" for joint in skeleton.joints]
            columns.append(sd)
        if translation is not None:
            names += [f"translation_{axis}_m" for axis in "xyz"]
            columns.append(translation)
        _write_csv(out, np.concatenate(columns, -1), names, valid, axes, rows or {})
    else:
        about = {"skeleton": skeleton.name, "unit": "metre", "frame": frame}
        fields = {name: np.array(value) for name, value in about.items()}
        fields |= {k: v for k, v in (("sd", sd), ("translation", translation)) if v is not None}
        fields |= rows or {}
        write_npz(out, joints=joints, valid=valid, joint_names=np.array(skeleton.joints), **fields)
    return tuple(joints.shape)


def write_embeddings(
    out: Path, embeddings: Mapping[str, np.ndarray], valid: np.ndarray, about: Mapping[str, str] | None = None
) -> dict[str, tuple[int, ...]]:
    """Write embeddings by name, (N, D) each, and `valid` (N,); returns their shapes.

    .csv: a row each, with columns `row`, `valid` and NAME_0, NAME_1, ...

    Args:
        about: texts that an .npz has too, by name.
    """
    if out.suffix == ".csv":
        names = [f"{name}_{i}" for name, values in embeddings.items() for i in range(values.shape[1])]
        _write_csv(out, np.concatenate(list(embeddings.values()), axis=1), names, valid, ("row",), {})
    else:
        texts = {name: np.array(text) for name, text in (about or {}).items()}
        write_npz(out, **embeddings, valid=valid, **texts)
    return {name: values.shape for name, values in embeddings.items()}


def _write_csv(
    out: Path,
    values: np.ndarray,
    names: Sequence[str],
    valid: np.ndarray,
    axes: Sequence[str],
    rows: Mapping[str, np.ndarray],
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*axes, *rows, "valid", *names])
    at = axes.index("frame") if "frame" in axes else 0
    writer.writerows(_lines(values, valid, at, list(rows.values())))
    write_text(out, text.getvalue())


def _lines(
    values: np.ndarray, valid: np.ndarray, at: int, rows: Sequence[np.ndarray]
) -> Iterator[list[object]]:
    for index in np.ndindex(values.shape[:-1]):
        known = bool(valid[index[at]])
        cells = [f"{value:.7g}" for value in values[index].tolist()] if known else [""] * values.shape[-1]
        yield [*index, *(row[index[at]] for row in rows), int(known), *cells]
