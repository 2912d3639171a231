"""BVH text as a tree of nodes and a table of channel values, and the tree's forward kinematics.

A node's place and turn, from its parent's (Meredith and Maddock, "Motion Capture File Formats Explained",
2001):

    G = G_parent R_1 R_2 R_3,   p = p_parent + G_parent t

R_i are rotations about the axes of its rotation channels, in their order. t is its OFFSET, or, axis by axis,
what its position channels say: they replace the offset, as in MotionBuilder and Blender, for the root and for
every other node. Where the positions of all nodes but the root lie nearer to zero than to the offsets, they
are displacements and are added.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from posedata.readers.files.text import motion_text

_MOST_NODES = 4096
_BLOCK = 4096
_MOTION = re.compile(r"(?:^|(?<=[\s}]))MOTION\s+(?=Frame)", re.IGNORECASE)
_FRAMES = re.compile(r"\s*Frames\s*:?[ \t]*(\S*)[^\n]*\n", re.IGNORECASE)
_TIME = re.compile(r"\s*Frame\s*Time\s*:?[ \t]*(\S*)[^\n]*(?:\n|$)", re.IGNORECASE)
_CHANNEL = re.compile(r"([xyz])_?(position|rotation)", re.IGNORECASE)
_SECONDS = (1e-4, 2.0)


@dataclass
class Node:
    """A joint or, `end` being true, an End Site. `channels` are (axis, turns) in the order of its values."""

    name: str
    parent: int
    end: bool = False
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: tuple[tuple[int, bool], ...] = ()
    column: int = 0


@dataclass(frozen=True)
class Motion:
    """A BVH file: nodes (parents first), channel values (T, C), frame numbers (T,), seconds a frame."""

    nodes: list[Node]
    values: np.ndarray
    frames: np.ndarray
    frame_time: float

    @cached_property
    def adds(self) -> bool:
        """Whether positions of nodes other than roots are displacements from the offsets."""
        from_offset = from_zero = 0.0
        for node in self.nodes:
            for k, (axis, turns) in enumerate(node.channels):
                if node.parent >= 0 and not turns:
                    middle = float(np.median(self.values[:, node.column + k]))
                    from_offset += abs(middle - float(node.offset[axis]))
                    from_zero += abs(middle)
        return from_zero < from_offset

    @cached_property
    def rest(self) -> Float[np.ndarray, "N 3"]:
        """Offsets from the parents: the file's, or the median of what position channels put there."""
        return np.stack([np.median(self._shift(node, self.values), axis=0) for node in self.nodes])

    def positions(self, wanted: Sequence[int]) -> Float[np.ndarray, "T K 3"]:
        """Where these nodes are, in the file's unit and axes; a few thousand frames are posed at a time."""
        needed = self._with_ancestors(wanted)
        out = np.empty((len(self.values), len(wanted), 3))
        for start in range(0, len(self.values), _BLOCK):
            block = slice(start, start + _BLOCK)
            placed = self._pose(self.values[block], needed)
            for k, i in enumerate(wanted):
                out[block, k] = placed[i]
        return out

    def chain(self, node: int) -> list[int]:
        """The node, its parent, and so on to the root."""
        nodes = [node]
        while (node := self.nodes[node].parent) >= 0:
            nodes.append(node)
        return nodes

    def _with_ancestors(self, wanted: Sequence[int]) -> list[int]:
        return sorted({i for node in wanted for i in self.chain(node)})

    def _pose(self, values: np.ndarray, needed: Sequence[int]) -> dict[int, np.ndarray]:
        turns: dict[int, np.ndarray] = {-1: np.broadcast_to(np.eye(3), (len(values), 3, 3))}
        places: dict[int, np.ndarray] = {-1: np.zeros((len(values), 3))}
        for i in needed:
            node = self.nodes[i]
            shift = self._shift(node, values)
            places[i] = places[node.parent] + np.einsum("tij,tj->ti", turns[node.parent], shift)
            turn = turns[node.parent]
            for k, (axis, rotates) in enumerate(node.channels):
                if rotates:
                    turn = turn @ about(axis, np.radians(values[:, node.column + k]))
            turns[i] = turn
        return places

    def _shift(self, node: Node, values: np.ndarray) -> np.ndarray:
        """(T, 3): where the node is, seen from its parent."""
        added = self.adds and node.parent >= 0
        shift = np.tile(node.offset, (len(values), 1))
        for k, (axis, turns) in enumerate(node.channels):
            if not turns:
                shift[:, axis] = values[:, node.column + k] + (node.offset[axis] if added else 0.0)
        return shift


def about(axis: int, angle: Float[np.ndarray, "*T"]) -> Float[np.ndarray, "*T 3 3"]:
    """Right-handed rotations about a coordinate axis by angles in radians."""
    turn = np.zeros((*np.shape(angle), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn[..., axis, axis] = 1.0
    turn[..., a, a] = turn[..., b, b] = np.cos(angle)
    turn[..., b, a] = np.sin(angle)
    turn[..., a, b] = -turn[..., b, a]
    return turn


def read_motion(path: Path, note: Callable[[str], None]) -> Motion:
    """Parse a BVH file; what can be lived with is told by `note`.

    Raises ValueError, naming the file and its line, joint or frame, for what is not a BVH file.
    """
    text = motion_text(path)
    found = _MOTION.search(text)
    if not text[:200].lstrip().upper().startswith("HIERARCHY") or found is None:
        lacks = "MOTION" if text[:200].lstrip().upper().startswith("HIERARCHY") else "HIERARCHY"
        raise ValueError(f"{path}: is not a BVH file that can be read (no {lacks}); export it again")
    nodes = _tree(path, text[: found.start()])
    frames, time = _FRAMES.match(text, found.end()), None
    if frames is not None:
        time = _TIME.match(text, frames.end())
    if frames is None or time is None:
        raise ValueError(
            f"{path}: is not a BVH file that can be read (no 'Frames:' and 'Frame Time:'); mend it"
        )
    seconds = _seconds(path, time.group(1))
    second = re.compile(r"^\s*HIERARCHY\b", re.IGNORECASE | re.MULTILINE).search(text, time.end())
    if second is not None:
        note(f"{path}: holds a second HIERARCHY, which is not read; put it in a file of its own")
    body = text[time.end() : second.start() if second else len(text)]
    values = _values(path, body, text.count("\n", 0, time.end()) + 1, nodes, frames.group(1), note)
    kept = _without_nan(path, values, nodes, note)
    return Motion(nodes, values[kept], np.flatnonzero(kept), seconds)


def _tree(path: Path, text: str) -> list[Node]:
    """Nodes of the hierarchy, in its order; values of a node stand in the columns from `column` on."""
    words = re.findall(r"[{}]|[^\s{}]+", text)
    nodes: list[Node] = []
    inside: list[int] = []
    at, column = 1, 0

    def fault(what: str) -> ValueError:
        where = f"joint {nodes[inside[-1]].name[:60]!r}: " if inside else ""
        return ValueError(
            f"{path}: is not a BVH file that can be read ({where}{what}); mend or export it again"
        )

    while at < len(words):
        word = words[at].upper()
        if word == "}":
            if not inside:
                raise fault("a '}' too many")
            inside.pop()
            at += 1
        elif word in ("ROOT", "JOINT", "END"):
            opened = next((k for k in range(at + 1, len(words)) if words[k] in "{}"), len(words))
            if opened == len(words) or words[opened] == "}" or (word == "ROOT") == bool(inside):
                raise fault(f"{words[at]} out of place")
            name = " ".join(words[at + 1 : opened])
            if len(nodes) == _MOST_NODES or (word != "END" and not name):
                raise fault("a joint without a name" if not name else f"over {_MOST_NODES} joints")
            nodes.append(Node(name, inside[-1] if inside else -1, end=word == "END"))
            inside.append(len(nodes) - 1)
            at = opened + 1
        elif word == "OFFSET" and inside:
            nodes[inside[-1]].offset = _numbers(words[at + 1 : at + 4], fault)
            at += 4
        elif word == "CHANNELS" and inside:
            count = words[at + 1] if at + 1 < len(words) else ""
            if not count.isascii() or not count.isdigit() or len(count) > 2:
                raise fault(f"CHANNELS {count[:20]}")
            given = words[at + 2 : at + 2 + int(count)]
            nodes[inside[-1]].channels = _channels(given, int(count), fault)
            nodes[inside[-1]].column = column
            column += int(count)
            at += 2 + int(count)
        else:
            raise fault(f"{words[at][:40]!r} where a joint is due")
    if inside or not nodes:
        raise fault("cut short" if nodes else "no ROOT")
    return nodes


def _numbers(words: Sequence[str], fault: Callable[[str], ValueError]) -> np.ndarray:
    try:
        offset = np.array([float(word) for word in words])
    except ValueError:
        offset = np.array([])
    if offset.shape != (3,) or not np.isfinite(offset).all():
        raise fault(f"OFFSET {' '.join(words)[:60]}")
    return offset


def _channels(
    words: Sequence[str], count: int, fault: Callable[[str], ValueError]
) -> tuple[tuple[int, bool], ...]:
    channels = []
    for word in words:
        found = _CHANNEL.fullmatch(word)
        if found is None:
            raise fault(f"channel {word[:40]!r} is not read, only positions and rotations are")
        channels.append(("xyz".index(found.group(1).lower()), found.group(2).lower() == "rotation"))
    if len(channels) != count or len({c for c in channels if not c[1]}) != sum(not c[1] for c in channels):
        raise fault(f"CHANNELS {count} {' '.join(words)[:80]}")
    return tuple(channels)


def _seconds(path: Path, word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        raise ValueError(
            f"{path}: 'Frame Time: {word[:40]}' is not the seconds of a frame;"
            " write them (0.0333333 at 30 frames/s)"
        )
    return seconds


def _values(
    path: Path, body: str, first: int, nodes: list[Node], declared: str, note: Callable[[str], None]
) -> np.ndarray:
    """(T, C); a last line that was cut off is left out, told."""
    width = sum(len(node.channels) for node in nodes)
    data, lines = array("d"), []
    for number, line in enumerate(body.split("\n"), start=first):
        words = line.split()
        try:
            data.extend(map(float, words))
        except ValueError:
            raise ValueError(_no_number(path, number, words)) from None
        if words:
            lines.append((number, len(words)))
    count = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 10 else -1
    odd = next((i for i, (_, found) in enumerate(lines) if found != width), None)
    if odd is not None and not 0 < len(data) == count * width:
        number, found = lines[odd]
        if odd != len(lines) - 1 or found > width or odd == 0:
            raise ValueError(
                f"{path}: line {number} has {found} values where the CHANNELS of its joints are {width};"
                " it is not a BVH file that can be read: export it again"
            )
        note(
            f"{path}: its last line (frame {odd + 1}) is cut off and left out; copy or export the file again"
        )
        del data[-found:]
    if not width or not len(data):
        raise ValueError(f"{path}: is not a BVH file that can be read (it has no frame); export it again")
    values = np.frombuffer(data, dtype=np.float64).reshape(-1, width)
    if count != len(values) and odd is None:
        note(f"{path}: says 'Frames: {declared[:20]}' and has {len(values)}, which are read; was it cut off?")
    return values


def _no_number(path: Path, number: int, words: Sequence[str]) -> str:
    for word in words:
        try:
            float(word)
        except ValueError:
            cure = "write decimal points" if re.fullmatch(r"-?\d+,\d+", word) else "mend it"
            return f"{path}: line {number}: {word[:40]!r} is not a number; {cure}, or export the file again"
    return f"{path}: line {number} cannot be read; export the file again"


def _without_nan(
    path: Path, values: np.ndarray, nodes: list[Node], note: Callable[[str], None]
) -> np.ndarray:
    """Which frames are whole numbers; others are left out, told by the first."""
    good = np.isfinite(values).all(axis=1)
    if good.all():
        return good
    frame = int(np.flatnonzero(~good)[0])
    column = int(np.flatnonzero(~np.isfinite(values[frame]))[0])
    node = next(n for n in nodes if n.column <= column < n.column + len(n.channels))
    text = f"{path}: frame {frame + 1}: a value of joint {node.name[:60]!r} is {values[frame, column]}"
    if not good.any():
        raise ValueError(f"{text}, and so in every frame; export the file again")
    note(f"{text}; {int((~good).sum())} such frames are left out: fill them where the recording was made")
    return good
