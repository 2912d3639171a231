"""BlazePose (Bazarevsky et al., 2020) for several people: MediaPipe's two networks, run by LiteRT.

A detector finds people in the whole picture and in square tiles of it; a landmark network reads each person
from a crop that is turned upright about the hips. A person's landmarks tell where to crop in the next
picture, so the detector only has to look for newcomers: once in a few pictures, one part of it at a time.

What is MediaPipe's is told by its graphs (0.10.14): `pose_detection_cpu`, `pose_landmark_by_roi_cpu`,
`pose_landmarks_to_roi`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from polypose.capture.detectors.detector import Detections, box_around
from polypose.capture.detectors.network import Network
from polypose.capture.detectors.ssd import decode, suppressed

INPUT, CROP = 224, 256
_READ = (0, 1, 3)
"""Of the landmark network's outputs: landmarks, score and heat maps; not silhouette and world landmarks."""
_BETTER, _LONG = 1.25, 2.0
"""A crop's side: so much of the circle about the hips that the detector's scale point lies on."""
_HELD, _NEW = 0.5, 0.75
"""Score of the landmark network above which a crop holds a person, and one who was not there before."""
_SAME = 0.15
"""Distance of two crops' centres, in sides, below which they are of one person."""
_CLOSE, _HIPS = 0.12, 0.1
"""Mean distance of landmarks, and that of hips, in sides of crops, below which two readings are of one person
(of two people who hide each other: hips 0.095 apart and more; of one person read from two crops: 0.09)."""
_WAITS = 32
"""Pictures for which a crop that read somebody else is tried again where it was."""
_EVERY = 4
"""Pictures from one look for newcomers to the next."""
_MOST = 12


class Region(NamedTuple):
    """A square crop: its centre and side in pixels, and by how much it is turned, radians with the clock."""

    x: float
    y: float
    side: float
    turn: float


class BlazePose:
    """The detector `blazepose`. Its memory is where people were in the picture before.

    Args:
        detector, landmarks: the networks' files.
        threads: of each network.
        most: people at once.
    """

    skeleton = "mediapipe33"

    def __init__(self, detector: Path, landmarks: Path, threads: int = 1, most: int = _MOST) -> None:
        self._detector = Network(detector, threads)
        self._landmarks = Network(landmarks, threads, _READ)
        self._most = most
        self._regions: list[Region] = []
        self._hidden: list[tuple[Region, int]] = []
        self._since = -1

    @property
    def memory(self) -> np.ndarray:
        """(1 + P, 5): how long ago newcomers were looked for; the regions, and how long each still waits."""
        known = [(*region, 0) for region in self._regions]
        hidden = [(*region, waits) for region, waits in self._hidden]
        return np.array([(self._since, 0, 0, 0, 0), *known, *hidden], np.float64)

    @memory.setter
    def memory(self, values: np.ndarray) -> None:
        first, *rows = values.tolist() if len(values) else [[-1.0]]
        self._since = int(first[0])
        self._regions = [Region(*row) for *row, waits in rows if not waits]
        self._hidden = [(Region(*row), int(waits)) for *row, waits in rows if waits]

    def detect(self, image: np.ndarray) -> Detections:
        """Everybody in the next picture of a film, (H, W, 3) uint8 RGB."""
        known = self._read(image, self._regions)
        lost = len(known) < len(self._regions)
        new = self._read(image, self._newcomers(image, known, lost), _NEW)
        back = self._read(image, [region for region, waits in self._hidden if waits % _EVERY == 0], _NEW)
        people = [*known, *new, *back]
        gone = _mistaken(people)
        self._hidden = [(region, waits - 1) for region, waits in self._hidden if waits > 1]
        self._hidden += [(one.region, _WAITS) for i, one in enumerate(known) if i in gone]
        people = [person for i, person in enumerate(people) if i not in gone][: self._most]
        seen = [person.region for person in people]
        self._hidden = [(region, waits) for region, waits in self._hidden if region not in seen]
        self._regions = [person.next for person in people]
        if not people:
            return Detections.none(33)
        keypoints = np.stack([person.points for person in people])
        return Detections(keypoints.astype(np.float32), box_around(keypoints, image.shape))

    def _newcomers(self, image: np.ndarray, known: list[_Person], lost: bool) -> list[Region]:
        """Regions of people that are not known yet."""
        self._since += 1
        tiles, turn = _tiles(image.shape), self._since // _EVERY
        if self._since == 0 or lost or not known:
            now = tiles
        elif self._since % _EVERY == 0:
            now = tiles[turn % len(tiles) :][:1]
        else:
            return []
        scores: list[float] = []
        regions: list[Region] = []
        for number, tile in enumerate(now):
            alone = not (self._since == 0 or known or lost or regions)
            if alone and number not in (0, 1 + self._since % max(len(tiles) - 1, 1)):
                continue  # where nobody is, the whole and a part of it are enough until somebody comes
            for score, region in self._look(image, *tile):
                scores.append(score)
                regions.append(region)
        found: list[Region] = []
        taken = [person.next for person in known]
        for index in np.argsort(scores)[::-1].tolist():
            if not any(_alike(regions[index], other) for other in [*taken, *found]):
                found.append(regions[index])
        return found[: max(0, self._most - len(known))]

    def _look(self, image: np.ndarray, left: float, top: float, side: float) -> list[tuple[float, Region]]:
        """Scores and regions of people in a square of the picture."""
        square = cut(image, Region(left + side / 2 - 0.5, top + side / 2 - 0.5, side, 0.0), INPUT)
        boxes, scores = self._detector(square.astype(np.float32) / 127.5 - 1)
        values, sure = decode(boxes[0], scores[0, :, 0])
        values, sure = suppressed(values, sure)
        out = []
        for value, score in zip(values, sure, strict=True):
            hips, edge = value[4:6] * side + (left, top), value[6:8] * side + (left, top)
            out.append((float(score), _region(hips - 0.5, edge - 0.5)))
        return out

    def _read(self, image: np.ndarray, regions: list[Region], least: float = _HELD) -> list[_Person]:
        """The people in these regions, of such a score at least."""
        out = []
        for region in regions:
            if not 8 < region.side < 8 * max(image.shape):
                continue
            crop = cut(image, region, CROP)
            values, score, heat = self._landmarks(crop.astype(np.float32) / 255)
            if score[0, 0] < least:
                continue
            marks = values.reshape(39, 5)
            places = _refined(marks[:, :2] / CROP, heat[0])
            pixels = _back(places, region)
            points = np.concatenate([pixels[:33], _sigmoid(marks[:33, 3:4])], axis=1)
            out.append(_Person(float(score[0, 0]), region, points, _region(pixels[33], pixels[34])))
        return out


class _Person(NamedTuple):
    score: float
    region: Region
    points: np.ndarray
    next: Region

    @property
    def jump(self) -> float:
        """From its crop to where its hips are, in sides of the crop."""
        return float(np.hypot(self.next.x - self.region.x, self.next.y - self.region.y)) / self.region.side


def _tiles(shape: tuple[int, ...]) -> list[tuple[float, float, float]]:
    """Left, top and side of the squares that are looked into: the whole, then overlapping ones along it."""
    height, width = shape[:2]
    long, short = max(height, width), min(height, width)
    whole = ((width - long) / 2, (height - long) / 2, float(long))
    count = 1 + int(np.ceil((long - short) / (short / 2)))
    if long < 1.2 * short:
        return [whole]
    starts = np.linspace(0, long - short, count).tolist()
    return [whole, *((at, 0.0, float(short)) if width > height else (0.0, at, float(short)) for at in starts)]


def _region(hips: np.ndarray, edge: np.ndarray) -> Region:
    """The crop of a person: about the hips, `edge` straight above them."""
    x, y = edge - hips
    turn = float(np.arctan2(x, -y))
    return Region(float(hips[0]), float(hips[1]), float(_LONG * _BETTER * np.hypot(x, y)), turn)


def cut(image: np.ndarray, region: Region, size: int) -> np.ndarray:
    """A region as an upright square picture of this size; black outside the image."""
    cos, sin = np.cos(region.turn), np.sin(region.turn)
    reach = region.side / 2 * (abs(cos) + abs(sin)) + 2
    x0, y0 = max(0, int(region.x - reach)), max(0, int(region.y - reach))
    x1, y1 = int(region.x + reach) + 1, int(region.y + reach) + 1
    part = image[y0 : max(y1, 0), x0 : max(x1, 0)]
    if not part.size:
        return np.zeros((size, size, 3), np.uint8)
    picture, scale = Image.fromarray(part), region.side / size
    x, y = region.x + 0.5 - x0, region.y + 0.5 - y0
    if (shrink := int(scale)) > 1:  # or thin limbs fall between the samples
        picture = picture.reduce(shrink)
        x, y, scale = x / shrink, y / shrink, scale / shrink
    a, b, middle = cos * scale, -sin * scale, size / 2
    plan = (a, b, x - a * middle - b * middle, -b, a, y + b * middle - a * middle)
    cut = picture.transform((size, size), Image.Transform.AFFINE, plan, Image.Resampling.BILINEAR)
    return np.asarray(cut)


def _back(places: np.ndarray, region: Region) -> np.ndarray:
    """Places in a region, 0 to 1, as pixels of the image."""
    x, y = ((places - 0.5) * region.side).T
    cos, sin = np.cos(region.turn), np.sin(region.turn)
    return np.stack([region.x + cos * x - sin * y, region.y + sin * x + cos * y], axis=1)


def _refined(places: np.ndarray, heat: np.ndarray, kernel: int = 7, least: float = 0.5) -> np.ndarray:
    """Landmarks moved to the centre of mass of their heat maps (H, W, K) nearby, where these are sure."""
    height, width, count = heat.shape
    column, row = (places * (width, height)).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    half = kernel // 2
    padded = np.pad(heat, ((half, half), (half, half), (0, 0)), constant_values=-1e9)
    offsets = np.arange(kernel)
    rows = np.where(inside, row, 0)[:, None, None] + offsets[:, None]
    columns = np.where(inside, column, 0)[:, None, None] + offsets[None, :]
    sure = _sigmoid(padded[rows, columns, np.arange(count)[:, None, None]])
    total = sure.sum((1, 2))
    use = inside & (sure.max((1, 2)) >= least) & (total > 0)
    total = np.where(use, total, 1)
    x = (sure * (columns - half)).sum((1, 2)) / total / width
    y = (sure * (rows - half)).sum((1, 2)) / total / height
    return np.where(use[:, None], np.stack([x, y], axis=1), places)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


def _alike(one: Region, other: Region, least: float = _SAME) -> bool:
    """Whether two crops are about the same hips."""
    return float(np.hypot(one.x - other.x, one.y - other.y)) < least * max(one.side, other.side)


def _mistaken(people: list[_Person]) -> set[int]:
    """Of crops that read the same person those that jumped there from farther, by number; late ones before.

    Two who stand in each other's way may share limbs and are still two while their hips are apart.
    """
    gone: set[int] = set()
    for i, one in enumerate(people):
        for j in range(i + 1, len(people)):
            other = people[j]
            if not gone & {i, j} and _alike(one.next, other.next, _HIPS) and _together(one, other):
                gone.add(j if one.jump <= other.jump else i)
    return gone


def _together(one: _Person, other: _Person) -> bool:
    """Whether the landmarks of two are in the same places."""
    weight = one.points[:, 2] * other.points[:, 2]
    apart = np.linalg.norm(one.points[:, :2] - other.points[:, :2], axis=1)
    mean = (weight * apart).sum() / max(weight.sum(), 1e-9)
    return bool(mean < _CLOSE * min(one.next.side, other.next.side))
