"""What capture gives: people in 3D over time, the cameras that saw them, and what the user must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton, get_skeleton

LONE_FRAME_RATE = 30.0
"""Frames a second said of a motion of one frame, where files want a number."""


@dataclass(frozen=True, eq=False)
class View:
    """One film or picture as the motion's camera saw it.

    Attributes:
        name: of the camera, unique in a motion.
        camera: a single one, world-to-camera of the motion's world.
        path: the film or picture, where there is one.
        times: (F,) seconds of those of its frames that were looked at, on the motion's clock, ascending.
        begins: seconds of the motion's clock at which the film itself begins.
        rate: frames a second of a folder of photos that is a film; else 0.
    """

    name: str
    camera: Camera
    path: Path | None
    times: np.ndarray
    begins: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if self.camera.shape:
            raise ValueError(f"view {self.name!r}: camera is a batch {tuple(self.camera.shape)}; give one")
        _keep(self, "times", _clock(self.times, f"view {self.name!r}"))
        if not np.isfinite(self.begins) or not 0 <= self.rate < 1e5:
            raise ValueError(
                f"view {self.name!r}: begins at {self.begins} s, {self.rate} a second; mend them"
            )


@dataclass(frozen=True, eq=False)
class Person:
    """One person in contiguous frames. Joints are float64, the rest float32: an hour of film is kept.

    Attributes:
        id: stable, from 1.
        first: index of its first frame in `Motion.times`.
        joints: (T, J, 3) metres in the motion's world; NaN where not known.
        sd: (T, J) metres along one axis; NaN where joints are.
        covariance: (T, J, 3, 3) square metres, or None.
        keypoints: by a view's name, (T, J, 3) pixels and confidence (0 where not seen), of the skeleton.
    """

    id: int
    first: int
    joints: np.ndarray
    sd: np.ndarray
    covariance: np.ndarray | None = None
    keypoints: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        who = f"person {self.id}"
        if self.id < 1 or self.first < 0:
            raise ValueError(f"{who}: first is {self.first}; ids count from 1, frames from 0")
        _keep(self, "joints", np.asarray(self.joints, np.float64))
        if self.joints.ndim != 3 or self.joints.shape[2] != 3 or not len(self.joints):
            raise ValueError(f"{who}: joints has shape {self.joints.shape}, want (T, J, 3) and a frame")
        frames, joints = self.joints.shape[:2]
        _keep(self, "sd", _shaped(self.sd, (frames, joints), f"{who}: sd"))
        if self.covariance is not None:
            _keep(self, "covariance", _shaped(self.covariance, (frames, joints, 3, 3), f"{who}: covariance"))
        seen = {
            view: _shaped(points, (frames, joints, 3), f"{who}: keypoints of {view!r}")
            for view, points in self.keypoints.items()
        }
        _keep(self, "keypoints", seen)

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def frames(self) -> slice:
        """Its frames in `Motion.times`."""
        return slice(self.first, self.first + len(self))


@dataclass(frozen=True, eq=False)
class Motion:
    """People over time. World: right-handed, z up, metres, the floor at z = 0 where it is known.

    Attributes:
        times: (F,) seconds, ascending; the clock of all.
        people: by ascending id; one without a frame is left out.
        views: the cameras, if any.
        skeleton: of every person's joints and keypoints.
        notes: what the user must know: "camera assumed level", "focal length assumed (60 degrees)".

    Raises:
        ValueError: shapes disagree, an id or a view repeats, a person leaves the clock.
    """

    times: np.ndarray
    people: tuple[Person, ...] = ()
    views: tuple[View, ...] = ()
    skeleton: Skeleton = field(default_factory=lambda: get_skeleton("h36m17"))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _keep(self, "times", _clock(self.times, "motion"))
        for name in ("people", "views", "notes"):
            _keep(self, name, tuple(getattr(self, name)))
        views, ids = [view.name for view in self.views], [person.id for person in self.people]
        for what, names in (("views", views), ("people", ids)):
            if len(set(names)) != len(names):
                raise ValueError(f"motion: {what} repeat a name, they are {names}; name each once")
        for person in self.people:
            self._check(person, views)

    def _check(self, person: Person, views: list[str]) -> None:
        who = f"person {person.id}"
        if person.joints.shape[1] != len(self.skeleton):
            raise ValueError(
                f"{who}: has {person.joints.shape[1]} joints, {self.skeleton.name} has {len(self.skeleton)}"
            )
        if person.frames.stop > len(self.times):
            raise ValueError(
                f"{who}: frames {person.first} to {person.frames.stop - 1}, the motion ends at"
                f" {len(self.times) - 1}"
            )
        if unknown := set(person.keypoints) - set(views):
            raise ValueError(f"{who}: keypoints of {sorted(unknown)}, which is no view of {views}")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def rate(self) -> float:
        """Frames a second, the median; of a single frame `LONE_FRAME_RATE`."""
        return float(1 / np.median(np.diff(self.times))) if len(self.times) > 1 else LONE_FRAME_RATE

    def save(self, path: str | Path) -> Path:
        """Write by the suffix: .npz .csv .trc .c3d .bvh .glb .html (`polypose.capture.write`).

        Of a format that holds one person (.trc, .bvh) NAME.bvh is the first, NAME.person2.bvh of id 2.

        Returns:
            the first file written.

        Raises:
            ValueError, OSError: another suffix, nobody to write, no place to write to.
        """
        from polypose.capture.write.saving import save

        return save(self, Path(path))[0]

    @classmethod
    def load(cls, path: str | Path) -> Motion:
        """Read what `save` wrote as .npz; all of it is there.

        Raises:
            ValueError, OSError: no such file, or no motion in it.
        """
        from polypose.capture.write.npz import read_fields

        fields = read_fields(Path(path))
        try:
            fields["people"] = tuple(Person(**person) for person in fields["people"])
            fields["views"] = tuple(View(**view) for view in fields["views"])
            return cls(**fields)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; write it again") from None


def _keep(of: object, name: str, value: object) -> None:
    object.__setattr__(of, name, value)


def _clock(times: np.ndarray, who: str) -> np.ndarray:
    times = np.asarray(times, np.float64)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(f"{who}: times, shape {times.shape}, are not ascending seconds of a frame or more")
    return times


def _shaped(values: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if values.shape != shape:
        raise ValueError(f"{what} has shape {values.shape}, want {shape}")
    return values
