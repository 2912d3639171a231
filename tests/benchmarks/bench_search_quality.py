"""Whether an index finds what a person would want: poses of others, movements, the same instant in films.

    python tests/benchmarks/bench_search_quality.py data/mocap/open_joints.npz data/mocap/split.json \
        --films Pose2Sim/Demo_SinglePerson/videos --json docs/results/search_quality.json

Queries are of the split's test people, the gallery is of all others. A found pose counts where it is within
0.1 torsos of the query's after Procrustes (`poseenc.hit_rules`). Queries are seen by cameras that look down,
galleries by others at chest height; keypoints are exact. Matching by 2D angles is what public search engines
for poses do. Images and depth are of rendered people (`search_pictures.py`), the first of the queries.
A movement counts where it has the query's action.
"""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from polypose.invariant import ViewInvariant
from polypose.search.adding import add
from polypose.search.embedding import VIEWS, Embedder, View
from polypose.search.index import PoseIndex
from polypose.search.movement import search_movement
from polypose.search.reading import Options
from polypose.search.rows import Rows
from polypose.search.where import Where
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.results import write_results
from posedata.scoring.similar import within
from posedata.skeleton import get_skeleton
from posedata.views.rigs import CHEST, STEEP, Rig, sample_cameras
from poseenc.hit_rules import HitRules
from poseenc.seen import Normalised
from rich.console import Console
from search_pictures import by_image, by_pose, lifted
from torch import Tensor

RULES = HitRules()
H36M = get_skeleton("h36m17")
ANGLES = [
    ("left_shoulder", "left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow", "right_wrist"),
    ("left_hip", "left_shoulder", "left_elbow"),
    ("right_hip", "right_shoulder", "right_elbow"),
    ("left_shoulder", "left_hip", "left_knee"),
    ("right_shoulder", "right_hip", "right_knee"),
    ("left_hip", "left_knee", "left_ankle"),
    ("right_hip", "right_knee", "right_ankle"),
]
"""Joints that public engines compare by their angle in the picture."""
CLIP, CLIPS = 3.0, 120
FRAMES = 5
console = Console()
Row = dict[str, Any]


def main(
    mocap: Annotated[Path, typer.Argument(help="a joints npz")],
    split: Annotated[Path, typer.Argument(help="its split by people")],
    films: Annotated[
        Path | None, typer.Option(help="a folder of cam01.mp4 to cam04.mp4, synchronised")
    ] = None,
    index: Annotated[Path | None, typer.Option(help="keep the index of the films there")] = None,
    every: Annotated[int, typer.Option(help="of the gallery's frames each n-th")] = 6,
    queries: Annotated[int, typer.Option(help="poses that are asked for")] = 1000,
    pictures: Annotated[int, typer.Option(help="of these are asked for by image and depth too")] = 300,
    pr_vipe: Annotated[
        Path | None, typer.Option(help="a run of vvipe with method: prvipe, for a row of its own")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Measure Hit@k of poses and movements, and of films."""
    import json as text

    test = set(text.loads(split.read_text())["test"])
    embedder = Embedder.load()
    rows: list[Row] = []

    def told(more: list[Row]) -> None:
        for row in more:
            console.print(row)
        rows.extend(more)
        if json:
            write_results(json, rows, data=mocap.name, seeds=[0, 1])

    with tempfile.TemporaryDirectory() as folder:
        if films is not None:
            told(instants(films, index or Path(folder) / "films", embedder))
        told(movements(mocap, test, Path(folder) / "index", embedder))
        told(poses(mocap, test, embedder, every, (queries, pictures), pr_vipe))


def poses(
    mocap: Path, test: set[str], embedder: Embedder, every: int, count: tuple[int, int], pr_vipe: Path | None
) -> list[Row]:
    """Hit@k of test people's poses among those of others; of the first of them by image and depth too."""
    with np.load(mocap) as held:
        joints, names = torch.from_numpy(held["joints"]), held["subject_names"][held["subject"]]
    asked = np.flatnonzero(np.isin(names, list(test)))
    asked = asked[np.random.default_rng(0).permutation(len(asked))[: count[0]]]
    others = np.flatnonzero(~np.isin(names, list(test)))[::every]
    body = embedder.invariant.network.body.get()
    query, gallery = joints[asked], joints[others]
    hit = within(body.pose(query), body.pose(gallery), RULES.threshold)
    seen, kept = views(query, STEEP, 0), views(gallery, CHEST, 1)
    invariant = embedder.invariant
    by_2d, by_3d = placed(embedder, seen, "invariant"), invariant.embed_joints(query)
    gallery_2d, gallery_3d = placed(embedder, kept, "invariant"), invariant.embed_joints(gallery)
    camera_2d = placed(embedder, kept, "camera")
    tried: dict[str, tuple[Tensor, Tensor]] = {
        "invariant, 2D in 2D": (by_2d, gallery_2d),
        "invariant, 2D in 3D": (by_2d, gallery_3d),
        "invariant, 3D in 2D": (by_3d, gallery_2d),
        "invariant, 3D in 3D": (by_3d, gallery_3d),
        "camera, 2D in 2D": (placed(embedder, seen, "camera"), camera_2d),
        "2D joint angles": (angles(seen[0]), angles(kept[0])),
        "2D directions of bones": (directions(seen[0]), directions(kept[0])),
        "2D keypoints": (keypoints(embedder, seen[0]), keypoints(embedder, kept[0])),
    }
    if pr_vipe is not None:
        peer = peer_of(pr_vipe)
        tried["PR-VIPE, 2D in 2D"] = tuple(matched(peer, points) for points, _ in (seen, kept))
    if some := min(count[1], len(query)):
        first = query[:some], seen[1][:some]
        local = lifted(*first)
        by_depth = by_pose(embedder, local, "invariant")
        tried |= {
            "camera, image in 2D": (by_image(embedder, *first), camera_2d),
            "invariant, depth in 2D": (by_depth, gallery_2d),
            "invariant, depth in 3D": (by_depth, gallery_3d),
            "camera, depth in 2D": (by_pose(embedder, local, "camera"), camera_2d),
        }
    rows = []
    for name, (q, g) in tried.items():
        mine = hit[: len(q)]
        able = mine.any(1)
        told = {"queries": len(q), "gallery": len(g), "answerable": round(float(able.float().mean()), 4)}
        rows.append({"what": "poses", "method": name, **told, **hits(q, g, mine, able)})
    return rows


def peer_of(run: Path) -> ViewInvariant:
    """PR-VIPE, trained: typer apps/vvipe train --set method=prvipe."""
    peer = polypose.load(str(run))
    if not isinstance(peer, ViewInvariant) or "3d" in peer.modalities:
        raise typer.BadParameter(f"{run}: is no run of PR-VIPE; train one: --set method=prvipe")
    return peer


def matched(peer: ViewInvariant, points: Tensor) -> Tensor:
    """The middles of what PR-VIPE says of keypoints."""
    return peer.embed_points(convert_keypoints(points, H36M, peer.takes))


def views(joints: Tensor, rig: Rig, seed: int) -> tuple[Tensor, Camera]:
    """(N, 17, 3) pixels of poses, each seen by one camera of a rig, and those cameras."""
    camera = sample_cameras(joints, rig, torch.Generator().manual_seed(seed))
    pixels = camera.project(joints)
    return torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1), camera


def placed(embedder: Embedder, seen: tuple[Tensor, Camera], view: View) -> Tensor:
    """Places of keypoints."""
    points, camera = seen
    eye = camera.replace(rotation=torch.eye(3), translation=torch.zeros(3))
    frame = np.arange(len(points))
    found = embedder.embed(Rows(frame / 30, frame, points=points, skeleton=H36M, seen_by=eye))
    return torch.from_numpy(found[view])


def angles(points: Tensor) -> Tensor:
    """Cosines and sines of the angles at elbows, shoulders, hips and knees, in the picture."""
    out = []
    for first, middle, last in ANGLES:
        a, b, c = (points[:, H36M.index(name), :2] for name in (first, middle, last))
        one, two = a - b, c - b
        angle = torch.atan2(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], (one * two).sum(-1)).abs()
        out.append(angle)
    return torch.stack(out, 1)


def directions(points: Tensor) -> Tensor:
    """Unit vectors of all bones, in the picture."""
    bones = torch.stack([points[:, child, :2] - points[:, parent, :2] for child, parent in H36M.edges], 1)
    return torch.nn.functional.normalize(bones, dim=-1).flatten(1)


def keypoints(embedder: Embedder, points: Tensor) -> Tensor:
    """Keypoints about the hips, in units of the torso."""
    return Normalised.of(convert_keypoints(points, H36M, embedder.invariant.takes)).keypoints.flatten(1)


def hits(query: Tensor, gallery: Tensor, hit: Tensor, able: Tensor) -> Row:
    """Hit@k and average precision in percent, of the queries that have an answer at all."""
    found = torch.cat([torch.cdist(q, gallery).topk(10, largest=False).indices for q in query.split(256)])
    right = hit.gather(1, found)[able]
    told = {f"hit{k}": round(100 * float(right[:, :k].float().amax(1).mean()), 2) for k in (1, 10)}
    return {**told, "map10": round(100 * float(np.mean([precision(r) for r in right.tolist()])), 2)}


def movements(mocap: Path, test: set[str], path: Path, embedder: Embedder) -> list[Row]:
    """How often what is found has the query's action, by clips of test people among those of others."""
    add(path, [mocap], embedder, Options(), say=lambda text: None)
    index = PoseIndex.open(path)
    (segment,) = index.segments
    code, people = segment.words("person")
    action, actions = segment.words("action")
    time, edges = segment.numbers("time"), segment.tracks
    others = Where.parse([f"person={name}" for name in people if name not in test])
    known = {
        int(a) for a in np.unique(action[~np.isin(code, [people.index(n) for n in test if n in people])])
    }
    tracks = [
        (b, e)
        for b, e in pairwise(edges)
        if people[code[b]] in test and int(action[b]) in known and time[e - 1] - time[b] >= CLIP
    ]
    chosen = np.random.default_rng(0).permutation(len(tracks))[:CLIPS]
    tried: dict[str, list[list[bool]]] = {"pooled": [], "dtw": []}
    for number in chosen:
        begin, end = tracks[number]
        middle = begin + (end - begin) // 2
        rows = np.arange(begin, end)
        rows = rows[np.abs(time[rows] - time[middle]) <= CLIP / 2]
        for method, right in tried.items():
            clips = search_movement(
                index, segment.places["invariant"][rows], time[rows], 10, others, method=method
            )
            right.append([clip.place.action == actions[action[begin]] for clip in clips])
    shares = np.bincount(action, minlength=len(actions)) / len(action)
    chance = float(np.mean([shares[action[tracks[n][0]]] for n in chosen]))
    return [
        {
            "what": "movements",
            "method": method,
            "queries": len(right),
            "hit1": round(100 * float(np.mean([r[0] for r in right])), 2),
            "hit10": round(100 * float(np.mean([any(r) for r in right])), 2),
            "map10": round(100 * float(np.mean([precision(r) for r in right])), 2),
            "chance": round(100 * chance, 2),
        }
        for method, right in tried.items()
    ]


def precision(right: list[bool]) -> float:
    """Average precision of the first ten."""
    found = np.cumsum(right) / (1 + np.arange(len(right)))
    return float((found * right).sum() / max(1, sum(right)))


def instants(films: Path, path: Path, embedder: Embedder) -> list[Row]:
    """How often the same instant in the other cameras is among the first ten of a moment of the first."""
    add(path, [films], embedder, Options(rate=60.0), say=lambda text: None)
    index = PoseIndex.open(path)
    names = [segment.entry.name for segment in index.segments]
    out = []
    for view in ("invariant", "camera"):
        for first in range(len(names)):
            out.append(
                {"what": "films", "method": view, "camera": names[first], **_instants(index, first, view)}
            )
    for view in VIEWS:
        mine = [row for row in out if row["method"] == view]
        keys = ("any", "all", "each", "nearest", "chance_any", "chance_nearest")
        means = {key: round(float(np.mean([row[key] for row in mine])), 2) for key in keys}
        out.append({"what": "films", "method": view, "camera": "mean", **means})
    return out


def _instants(index: PoseIndex, first: int, view: View) -> Row:
    """Percent: `any`, `all` and `each` of the others among the first ten, `nearest`: the best of each."""
    segment = index.segments[first]
    frame = segment.numbers("frame")
    queries = torch.from_numpy(np.array(segment.places[view]))
    names = [s.entry.name for s in index.segments]
    others = [n for n in range(len(names)) if n != first]
    where = Where.parse([f"source={names[n]}" for n in others])
    every = np.concatenate([s.numbers("frame") for s in index.segments])
    found = index.search(queries, 10, view, where).row.numpy()
    near = np.abs(every[found] - frame[:, None]) <= FRAMES
    which = index.segment_of(found)
    by = np.stack([(near & (which == n)).any(1) for n in others], 1)
    best, chance, lucky = [], [], []
    for n in others:
        row = index.search(queries, 1, view, Where.parse([f"source={names[n]}"])).row.numpy()[:, 0]
        best.append(np.abs(every[row] - frame) <= FRAMES)
        theirs = index.segments[n].numbers("frame")
        lucky.append((np.abs(theirs - frame[:, None]) <= FRAMES).sum(1))
        chance.append(lucky[-1] / len(theirs))
    total = sum(len(index.segments[n]) for n in others)
    missed = np.prod([(total - sum(lucky) - i) / (total - i) for i in range(10)], axis=0)
    return {
        "queries": len(frame),
        "any": round(100 * float(by.any(1).mean()), 2),
        "all": round(100 * float(by.all(1).mean()), 2),
        "each": round(100 * float(by.mean()), 2),
        "nearest": round(100 * float(np.mean(best)), 2),
        "chance_any": round(100 * float(1 - missed.mean()), 2),
        "chance_nearest": round(100 * float(np.mean(chance)), 2),
    }


if __name__ == "__main__":
    typer.run(main)
