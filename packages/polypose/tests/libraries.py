"""Small libraries of motion capture, and the models that index them."""

from pathlib import Path

import numpy as np
from polypose.search.embedding import Embedder
from small_model import invariant, small


def embedder(seed: int = 0) -> Embedder:
    """Of random weights."""
    return Embedder(invariant(seed), small(seed))


def movement(seed: int, frames: int = 40) -> np.ndarray:
    """(frames, 17, 3) metres, z up: a standing person whose limbs swing, smoothly."""
    from people import people

    generator = np.random.default_rng(seed)
    first, last = people().joints[generator.integers(0, len(people().joints), 2)]
    phase = np.sin(np.linspace(0, 3, frames) + generator.random())[:, None, None]
    return (first + (last - first) * (0.5 + 0.5 * phase)).astype(np.float32)


def write_joints(path: Path, *seeds: int, frames: int = 40, fps: float = 30.0) -> Path:
    """A joints npz with a sequence for each seed."""
    every = [movement(seed, frames) for seed in seeds]
    index = np.repeat(np.arange(len(seeds)), frames)
    names = np.array([f"walk_{seed:02}" for seed in seeds])
    np.savez(
        path,
        joints=np.concatenate(every),
        seq=index,
        subject=index % 2,
        action=index * 0,
        seq_names=names,
        subject_names=np.array(["anna", "ben"]),
        action_names=np.array(["walk"]),
        fps=np.array(fps),
    )
    return path


def quiet(text: str) -> None:
    """Tell nobody."""


def files_of(index: Path) -> dict[str, bytes]:
    """What an index is, by the name of each file; the lock is none of it."""
    every = {path.relative_to(index).as_posix(): path for path in index.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(every.items()) if name != "lock"}
