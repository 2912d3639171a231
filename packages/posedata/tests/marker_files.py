"""Writes C3D and TRC files of people whose joints are known; for C3D also a reader of records one by one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from posedata.readers.format import Clip, Context
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton

PROCESSORS = {"<": 84, "vax": 85, ">": 86}


def float_bytes(values: np.ndarray, order: str) -> bytes:
    """float32 in a processor's way; DEC's are four times as large with their halves exchanged."""
    if order != "vax":
        return np.asarray(values, order + "f4").tobytes()
    scaled = (np.asarray(values, np.float32) * np.float32(4)).view("<u2").reshape(-1, 2)[:, ::-1]
    return np.ascontiguousarray(scaled).tobytes()


def write_c3d(
    path: Path,
    labels: Sequence[str],
    places: np.ndarray,
    *,
    rate: float = 100.0,
    unit: str = "mm",
    scale: float = -1.0,
    order: str = "<",
    analogue: int = 3,
    first: int = 1,
    used: int | None = None,
    trial: bool = False,
) -> Path:
    """Places (T, M, 3) in `unit`, NaN where a point was not seen; integers if `scale` is above zero.

    `analogue` values stand after each frame. `trial` puts the true end of a long recording into TRIAL.
    """
    count, points = places.shape[:2]
    end = ">" if order == ">" else "<"
    wide = max(len(label) for label in labels)

    def parameter(group: int, name: str, kind: int, sizes: Sequence[int], body: bytes) -> bytes:
        inner = struct.pack(f"bB{len(sizes)}B", kind, len(sizes), *sizes) + body + b"\0"
        head = struct.pack("bb", len(name), group) + name.encode()
        return head + struct.pack(end + "H", len(inner) + 2) + inner

    def group(number: int, name: str) -> bytes:
        return struct.pack("bb", len(name), -number) + name.encode() + struct.pack(end + "H", 3) + b"\0"

    seen = np.isfinite(places).all(axis=-1)
    names = "".join(label.ljust(wide) for label in labels).encode()
    last = first + count - 1
    records = group(1, "POINT") + parameter(1, "USED", 2, (), struct.pack(end + "H", used or points))
    records += parameter(1, "SCALE", 4, (), float_bytes(np.array([scale]), order))
    records += parameter(1, "RATE", 4, (), float_bytes(np.array([rate]), order))
    for start in range(0, len(labels), 255):
        part = names[start * wide : (start + 255) * wide]
        name = "LABELS" if start == 0 else f"LABELS{1 + start // 255}"
        records += parameter(1, name, -1, (wide, len(part) // wide), part)
    records += parameter(1, "UNITS", -1, (len(unit),), unit.encode())
    if trial:
        records += group(2, "TRIAL")
        for name, frame in (("ACTUAL_START_FIELD", first), ("ACTUAL_END_FIELD", last)):
            records += parameter(2, name, 2, (2,), struct.pack(end + "2H", frame & 0xFFFF, frame >> 16))
    blocks = -(-(len(records) + 6) // 512)
    section = struct.pack("4B", 1, 0x50, blocks, PROCESSORS[order]) + records
    header = struct.pack("2B", 2, 0x50)
    header += struct.pack(end + "5H", points, analogue, min(first, 0xFFFF), min(last, 0xFFFF), 10)
    header += float_bytes(np.array([scale]), order) + struct.pack(end + "2H", 2 + blocks, 1)
    header += float_bytes(np.array([rate]), order)
    table = np.concatenate([np.where(seen[..., None], places, 0), np.where(seen, 0, -1)[..., None]], axis=-1)
    frames = np.concatenate([table.reshape(count, -1), np.full((count, analogue), 7.0)], axis=1)
    if scale > 0:
        frames[:, : 4 * points] /= np.tile([scale] * 3 + [1], points)
        body = np.rint(frames).astype(end + "i2").tobytes()
    else:
        body = float_bytes(frames.ravel(), order)
    path.write_bytes(header.ljust(512, b"\0") + section.ljust(512 * blocks, b"\0") + body)
    return path


def naive_c3d(path: Path) -> np.ndarray:
    """(T, M, 3) of little-endian floats, one `struct.unpack` a point; NaN where the residual is negative.

    Raises ValueError for other files.
    """
    raw = path.read_bytes()
    if raw[(raw[0] - 1) * 512 + 3] != PROCESSORS["<"] or struct.unpack_from("<f", raw, 12)[0] > 0:
        raise ValueError(path.name)
    points, analogue, first, last = struct.unpack_from("<4H", raw, 2)
    (block,) = struct.unpack_from("<H", raw, 16)
    at, frames = (block - 1) * 512, []
    for _ in range(last - first + 1):
        frame = []
        for _ in range(points):
            x, y, z, residual = struct.unpack_from("<4f", raw, at)
            frame.append((x, y, z) if residual >= 0 else (np.nan,) * 3)
            at += 16
        at += 4 * analogue
        frames.append(frame)
    return np.array(frames)


def write_trc(
    path: Path,
    labels: Sequence[str],
    places: np.ndarray,
    *,
    rate: float = 60.0,
    unit: str = "m",
    first: int = 1,
    missing: str = "",
) -> Path:
    """Places (T, M, 3) in `unit`; `missing` is written where they are NaN."""
    count = len(places)
    keys = (
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
    )
    lines = [f"PathFileType\t4\t(X/Y/Z)\t{path.name}", keys]
    lines.append(f"{rate:g}\t{rate:g}\t{count}\t{len(labels)}\t{unit}\t{rate:g}\t{first}\t{count}")
    lines.append("Frame#\tTime\t" + "\t\t\t".join(labels) + "\t\t")
    lines.append("\t\t" + "\t".join(f"{axis}{k + 1}" for k in range(len(labels)) for axis in "XYZ"))
    for n, frame in enumerate(places):
        cells = [missing if np.isnan(value) else f"{value:.6f}" for value in frame.ravel()]
        lines.append("\t".join([str(first + n), f"{(first + n - 1) / rate:.5f}", *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def naive_trc(path: Path) -> np.ndarray:
    """(T, M, 3) by splitting lines at their tabs; cells that are empty or no number are NaN."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    count = len([cell for cell in lines[3].split("\t") if cell.strip()]) - 2
    frames = []
    for line in lines[5:]:
        cells = line.split("\t")[2 : 2 + 3 * count]
        if line.strip():
            cells += [""] * (3 * count - len(cells))
            frames.append([float(cell) if cell.strip() else np.nan for cell in cells])
    places = np.array(frames).reshape(len(frames), count, 3)
    places[np.isnan(places).any(axis=-1)] = np.nan
    return places


H36M = get_skeleton("h36m17").joints
POSE = {
    "left_hip": (0.09, 0.0, 0.92), "left_knee": (0.1, 0.03, 0.5), "left_ankle": (0.1, -0.02, 0.08),
    "left_shoulder": (0.18, -0.02, 1.42), "left_elbow": (0.22, -0.03, 1.12), "left_wrist": (0.24, 0.05, 0.87),
    "thorax": (0.0, -0.01, 1.45), "neck": (0.0, 0.02, 1.53), "head": (0.0, 0.03, 1.72),
}  # fmt: skip
"""A standing person in metres, z up, facing -y; the right side is the left one mirrored."""
PARTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")


def person(frames: int = 4) -> dict[str, np.ndarray]:
    """Joints (T, 3) of somebody who walks on along -y, 1 cm a frame."""
    whole = dict(POSE) | {n.replace("left", "right"): (-p[0], *p[1:]) for n, p in POSE.items() if "left" in n}
    on = np.arange(frames)[:, None] * np.array([0, -0.01, 0])
    return {name: np.array(place) + on for name, place in whole.items()}


def y_up(places: np.ndarray) -> np.ndarray:
    """(x, y, z) with z up to y up, as OpenSim has it."""
    return np.stack([places[..., 0], places[..., 2], -places[..., 1]], axis=-1)


def stacked(named: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(named.values()), axis=1)


def centres(true: dict[str, np.ndarray], form: str) -> dict[str, np.ndarray]:
    """Joint centres with the labels of a model."""
    words = {
        "vicon": dict(zip(PARTS, ("{L}FEP", "{L}FEO", "{L}TIO", "{L}CLO", "{L}HUO", "{L}RAO"), strict=True)),
        "hjc": {part: "{L}" + part[0].upper() + "JC" for part in PARTS},
        "opensim": {part: "{L}_" + part[0].upper() + "JC" for part in PARTS},
        "ours": {part: "{side}_" + part for part in PARTS},
        "words": {part: "{Side}" + part.title() for part in PARTS},
        "dotted": {part: "{Side}." + part.title() for part in PARTS},
    }[form]
    out = {}
    for side in ("left", "right"):
        for part, label in words.items():
            out[label.format(L=side[0].upper(), side=side, Side=side.title())] = true[f"{side}_{part}"]
    return out | {"Head": true["head"], "Neck": true["neck"]}


def read(form: str, path: Path, **options: object) -> tuple[list[Clip], list[str]]:
    notes: list[str] = []
    reader, context = get_format(form, **options), Context(path.parent, notes.append)
    clips = [clip for unit in reader.plan(path, context).units for clip in reader.read(unit, context)]
    return clips, notes


def check(clip: Clip, true: dict[str, np.ndarray], names: Sequence[str], atol: float = 1e-6) -> None:
    for name in names:
        np.testing.assert_allclose(clip.joints[:, H36M.index(name)], true[name], atol=atol, err_msg=name)
