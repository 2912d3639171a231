"""What a trained V-VIPE does for a user's own data: embed, retrieve, lift, generate."""

from pathlib import Path
from typing import Any

import torch
from posedata.arrays import check_ending, write_embeddings, write_poses
from posedata.figures import gallery
from posedata.keypoint_files import TORSO, Say, tell_invalid
from posedata.keypoints import frames_told
from posedata.results import write_results
from posedata.scoring.metrics import pa_mpjpe_mm
from posedata.scoring.retrieval import Scores, in_words, score_retrieval
from posedata.terminal import print_line
from posedata.writing import write_png
from poseenc.canonical import POSE
from poseenc.euclidean import gallery_on_sphere, queries_for_sphere
from poseenc.index import EmbeddingIndex
from poseenc.vvipe import around, embed_views
from torch import Tensor

from vvipe import figures
from vvipe.embed import (
    embed_any,
    made_by,
    poses_of,
    read_file,
    require_encoder,
    require_own,
    require_vvipe,
)
from vvipe.task import open_run

INDEX = ".index"
MOST = 100.0
"""By which noise around a pose may be multiplied."""
BODY = "body: hips along y, the right one ahead, spine up z, looking along -x; relative to the pelvis"


def embed_source(
    run: Path, source: Path, out: Path, modality: str, keypoints: str, skeleton: str, say: Say = print_line
) -> tuple[int, ...]:
    """Embed a store or a file and write the embeddings, `embedding` and `valid`: an .npz or .csv, or an index
    to retrieve from (`.index`), which has no place for a row without a person.

    Returns: the shape written.
    """
    check_ending(out, more=(INDEX,))
    trained = open_run(run)
    embedded = embed_any(trained, source, modality, keypoints, skeleton, say)
    valid = embedded.isfinite().all(1)
    if out.suffix == INDEX:
        if not bool(valid.all()):
            rows = frames_told((~valid).nonzero()[:, 0].numpy())
            raise ValueError(f"{source}: {rows} cannot be embedded, and an index has no gaps; write an .npz")
        out.parent.mkdir(parents=True, exist_ok=True)
        EmbeddingIndex(gallery_on_sphere(embedded)).save(out, made_by(trained))
    else:
        write_embeddings(out, {"embedding": embedded.numpy()}, valid.numpy())
    return tuple(embedded.shape)


def retrieve(
    run: Path,
    queries: Path,
    gallery: Path,
    source: str,
    target: str,
    k: int,
    keypoints: str,
    skeleton: str,
    json: Path | None,
    say: Say = print_line,
) -> list[tuple[Any, ...]]:
    """Rows (query, gallery rows found, error of the first in mm where both are stores).

    Queries and rows of the gallery without a person are left out, and told.

    Args:
        k: how many to find; of a smaller gallery, all.
    """
    trained = open_run(run)
    query = embed_any(trained, queries, source, keypoints, skeleton, say)
    able = query.isfinite().all(1).nonzero()[:, 0]
    if gallery.suffix == INDEX:
        index = EmbeddingIndex.load(gallery)
        require_own(trained, index, gallery, say)
        there = torch.arange(len(index))
    else:
        known = embed_any(trained, gallery, target, keypoints, skeleton, say)
        there = known.isfinite().all(1).nonzero()[:, 0]
        index = EmbeddingIndex(gallery_on_sphere(known[there]))
    if not len(index):
        raise ValueError(f"{gallery}: has no rows; give a gallery to retrieve from")
    found = there[index.search(queries_for_sphere(query[able]), min(k, len(index))).row]
    scores: Scores = {"queries": 0}
    error: Tensor | None = None
    if queries.is_dir() and gallery.is_dir() and len(found):
        torso = trained.model.body.get().torso  # poses are of the universal skeleton, in torsos
        asked, kept = poses_of(trained, queries)[able], poses_of(trained, gallery)
        error = torso * pa_mpjpe_mm(kept[found[:, 0]], asked)
        scores = score_retrieval(torso * asked, torso * kept, found, POSE, sorted({1, 5, 10, 20, k}))
        say(in_words(scores))
    rows: list[tuple[Any, ...]] = [
        (query_row, " ".join(map(str, row)), "" if error is None else float(error[i]))
        for i, (query_row, row) in enumerate(zip(able.tolist(), found.tolist(), strict=True))
    ]
    if json:
        records = [
            {"query": rows[i][0], "gallery": row}
            | ({} if error is None else {"pa_mpjpe_mm": float(error[i])})
            for i, row in enumerate(found.tolist())
        ]
        write_results(json, records, overall=scores)
    return rows


@torch.no_grad()
def lift(
    run: Path,
    keypoints: Path,
    out: Path,
    skeleton: str,
    picture: Path | None,
    size: tuple[int, int] | None = None,
    say: Say = print_line,
) -> tuple[int, ...]:
    """Lift keypoints of a file and write `joints`, metres of the universal skeleton in the body frame, and
    `valid`: a frame without a person (`posedata.keypoints.holds_person`) has NaN joints.

    Args:
        size: width and height of the images, to check keypoints by; the model needs no camera.
    """
    check_ending(out, picture)
    if size is not None and min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: give pixels above 0")
    views = read_file(keypoints, skeleton, say, size)
    trained = open_run(run)
    require_encoder(trained)
    model = require_vvipe(trained)
    valid = views.valid
    tell_invalid(valid, "no pose", say, TORSO)
    joints = torch.full((len(valid), len(POSE), 3), torch.nan)
    if bool(valid.any()):
        embedded = embed_views(model, views[valid], trained.recipe.evaluation.batch)
        joints[valid] = model.body.get().torso * model.decode(embedded)
    shape = write_poses(out, joints.numpy(), POSE, BODY, valid.numpy())
    if picture and bool(valid.any()):
        shown = valid.nonzero()[:6, 0].tolist()
        rows = [[("2D", figures.flat(views.keypoints[i])), ("3D", figures.upright(joints[i]))] for i in shown]
        write_png(picture, gallery(rows), bbox_inches="tight")
    return shape


@torch.no_grad()
def generate(
    run: Path, out: Path, store: Path | None, row: int, amounts: list[float], count: int, seed: int
) -> tuple[int, ...]:
    """Poses around a pose of a store, or of the prior where no store is given; also a picture beside them.

    Around a pose: `count` directions z, each by the amounts α of μ + α z (section 4.6): (count, A, 17, 3).
    Of the prior: (count, 17, 3). Metres, in the body frame.
    """
    picture = out.with_suffix(".png")
    check_ending(out, picture)
    for amount in amounts:
        if not abs(amount) <= MOST:
            raise ValueError(f"--amount {amount:g}: give numbers up to {MOST:g}; the prior is 1 wide")
    trained = open_run(run)
    model = require_vvipe(trained)
    torso = model.body.get().torso
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, model.dim, generator=generator)
    if store is None:
        poses, axes = torso * model.decode(directions), ["sample"]
        cells = [[(f"sample {i + 1}", figures.upright(pose)) for i, pose in enumerate(poses[:8])]]
    else:
        start = poses_of(trained, store)
        if not 0 <= row < len(start):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(start) - 1}")
        if not bool(start[row].isfinite().all()):
            raise ValueError(f"{store}: row {row} has no whole pose; give another")
        poses, axes = torso * around(model, start[row], directions, amounts), ["direction", "amount"]
        cells = [
            [("pose", figures.upright(torso * start[row]))]
            + [(f"{a:g} z{i + 1}", figures.upright(p)) for a, p in zip(amounts, line, strict=True)]
            for i, line in enumerate(poses[:4])
        ]
    shape = write_poses(out, poses.numpy(), POSE, BODY, axes=axes)
    write_png(picture, gallery(cells), bbox_inches="tight")
    return shape
