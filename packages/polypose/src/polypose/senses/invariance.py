"""The part of a space that depends on the pose alone: which poses are one to it, and whether it does.

Hit@k between cameras (PR-VIPE, section 4.1; V-VIPE, section 4.2) and what a linear probe knows of the camera.
"""

from __future__ import annotations

from itertools import permutations, product

import torch
from jaxtyping import Bool, Float, Int
from posedata.geometry.camera import Camera
from posedata.geometry.canonical import body_rotation
from posedata.scoring.metrics import nearest
from posedata.scoring.people import interval_by_person
from posedata.scoring.similar import distinct, within
from posedata.views.batch import TRUE, Views, see
from posedata.views.rigs import CHEST, CHEST_CAMERAS, STEEP, station_cameras
from poseenc import Embedded
from poseenc.canonical import Body
from poseenc.hit_rules import HitRules
from poseenc.parts import split
from torch import Tensor

from polypose.network import POSE_SKELETON
from polypose.senses.held_out import HeldOut, Row, embedded
from polypose.senses.network import Senses, shown

THRESHOLD = HitRules.threshold
DISTINCT = 0.02
"""Test poses as near as that are one (PR-VIPE, section 4.1)."""
RANKS = (1, 10)
SENSES = ("2d", "3d")
"""What views without pictures have: the galleries."""
PENALTY = 0.01
"""Of the probe, in mean variances of a feature."""
SEED = 7

Pairs = list[tuple[int, int]]


def alike(joints: Float[Tensor, "N J 3"], threshold: float = THRESHOLD) -> Bool[Tensor, "N N"]:
    """Which poses count as one: within so many torsos after Procrustes, either laid on the other.

    All are given the bones of one body, the mean of them, so that it goes by the pose alone.

    Args:
        joints: of `POSE_SKELETON`, any frame, finite.
    """
    pose = Body.mean_of(joints).pose(joints)
    found = within(pose, pose, threshold)
    return found | found.mT


@torch.no_grad()
def hits(network: Senses, found: Embedded, test: HeldOut, batch: int) -> list[Row]:
    """Hit@k of held-out poses, no two alike, between different cameras: a hit is a pose that is `alike`.

    Queries of every sense are as the views have them, galleries as V-VIPE's eleven cameras see the same
    poses; queries of 2D and 3D also as those see them: over all ordered pairs, and over those of a camera at
    chest height and a steep one. Keypoints are exact. By the whole embedding, and by the pose's part if the
    space has one.

    Args:
        found: of the test's views.
    """
    there = torch.stack([*found.present.values()]).all(0).nonzero()[:, 0]
    if not len(there):
        return []
    joints = test.joints[there]
    kept = distinct(Body.mean_of(joints).pose(joints), DISTINCT)
    rows, same = there[kept], alike(joints[kept])
    around = further(network, test.views[rows], batch)
    queries, people, table = found.at(rows), test.people[rows.cpu()], []
    for view in ("camera", "invariant") if found.invariant else ("camera",):
        asked, kept_by = (x.of_pose() if view == "invariant" else x for x in (queries, around))
        galleries = {
            name: kept_by.beliefs[name].mean.unflatten(0, (len(rows), -1))
            for name in SENSES
            if name in network.modalities
        }
        for source, target in product(network.modalities, galleries):
            query, gallery = asked.beliefs[source].mean[:, None], galleries[target]
            which = {"own": (query, [(0, camera) for camera in range(gallery.shape[1])])}
            if source in galleries:
                everywhere = list(permutations(range(gallery.shape[1]), 2))
                unseen = [(a, b) for a, b in everywhere if (a < CHEST_CAMERAS) != (b < CHEST_CAMERAS)]
                which |= {"all": (galleries[source], everywhere), "unseen": (galleries[source], unseen)}
            for cameras, (some, pairs) in which.items():
                row: Row = {"view": view, "from": source, "to": target, "cameras": cameras}
                table.append(row | {"gallery": len(rows)} | rates(some, gallery, pairs, same, people))
    return table


def rates(
    queries: Float[Tensor, "N A D"],
    gallery: Float[Tensor, "N C D"],
    pairs: Pairs,
    same: Bool[Tensor, "N N"],
    people: Int[Tensor, " N"],
) -> Row:
    """Hit@k in percent over pairs of a camera of the queries and one of the gallery, and the 95 % interval by
    person of the first."""
    ks = [k for k in RANKS if k <= len(same)]
    first = [same.gather(1, nearest(queries[:, a], gallery[:, b], max(ks))) for a, b in pairs]
    each = {k: 100 * torch.stack([hit[:, :k].any(1) for hit in first]).double().mean(0) for k in ks}
    low, high = interval_by_person(each[1].cpu(), people)
    return {f"hit{k}": float(values.mean()) for k, values in each.items()} | {"low": low, "high": high}


def further(network: Senses, views: Views, batch: int) -> Embedded:
    """What V-VIPE's eleven cameras see of the poses of views, those of a pose side by side; no pictures."""
    return embedded(network, _around(views), batch)


@torch.no_grad()
def leakage(network: Senses, found: Embedded, test: HeldOut, batch: int) -> list[Row]:
    """What a linear probe knows, of P and of V, of where the camera stands about the body (`azimuth`).

    Of 2D and 3D as eleven further cameras see the poses, of other senses as the views have them.
    """
    rows = []
    views = _around(test.views)
    seen = embedded(network, views, batch)
    many = test.people.repeat_interleave(len(views) // len(test.people))
    for name in network.modalities:
        some, where, people = (seen, views, many) if name in SENSES else (found, test.views, test.people)
        there = some.present[name]
        angle, whose = azimuth(where[there]), people[there.cpu()]
        parts = split(some.beliefs[name].mean[there], network.space.invariant)
        for part, features in zip(("pose", "view"), parts, strict=True):
            row: Row = {"part": part, "sense": name, "views": len(angle)}
            rows.append(row | probe(features.cpu(), angle.cpu(), whose))
    return rows


def azimuth(views: Views) -> Float[Tensor, " N"]:
    """Radians about the body's own vertical axis at which the camera stands, seen from the root."""
    local = views.local
    root = local[:, POSE_SKELETON.root]
    eye = (body_rotation(local, POSE_SKELETON) @ -root[..., None])[..., 0]
    return torch.atan2(eye[:, 1], eye[:, 0])


def probe(features: Float[Tensor, "N D"], angle: Float[Tensor, " N"], people: Int[Tensor, " N"]) -> Row:
    """How well sine and cosine of an angle are linear in features of other people.

    Fitted by `ridge` on every other person, tried on the rest, and the other way round.

    Returns:
        `azimuth_r2`, the share of their variance that is explained (chance is 0, or a little less), and
        `azimuth_deg`, the mean error of the angle (chance is 90); NaN of a single person.
    """
    wanted = torch.stack([angle.sin(), angle.cos()], dim=-1).double()
    first = torch.isin(people, people.unique()[::2])
    if first.all():
        return {"azimuth_r2": float("nan"), "azimuth_deg": float("nan")}
    said, level = torch.empty_like(wanted), torch.empty_like(wanted)
    for here in (first, ~first):
        weights, bias = ridge(features[here].double(), wanted[here])
        said[~here], level[~here] = features[~here].double() @ weights + bias, wanted[here].mean(0)
    left = (said - wanted).square().sum() / (level - wanted).square().sum()
    away = torch.atan2(said[:, 0], said[:, 1]) - angle
    away = torch.atan2(away.sin(), away.cos()).abs().mean().rad2deg()
    return {"azimuth_r2": float(1 - left), "azimuth_deg": float(away)}


def ridge(
    x: Float[Tensor, "N D"], y: Float[Tensor, "N K"], penalty: float = PENALTY
) -> tuple[Float[Tensor, "D K"], Float[Tensor, " K"]]:
    """W and b of least |x W + b - y|² + λ |W|², λ being `penalty` of the mean sum of squares of a feature
    about its mean."""
    middle, level = x.mean(0), y.mean(0)
    centred = x - middle
    gram = centred.mT @ centred
    lifted = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(lifted, centred.mT @ (y - level))
    return weights, level - middle @ weights


def _around(views: Views) -> Views:
    """The poses of views before further cameras."""
    assert views.joints is not None
    joints = views.joints.cpu()
    cameras = station_cameras(joints, (CHEST, STEEP), torch.Generator().manual_seed(SEED))
    camera = Camera.cat(cameras)
    order = torch.arange(len(camera)).view(len(cameras), -1).T.flatten()
    seen = see(joints.repeat_interleave(len(cameras), 0), camera[order], views.skeleton)
    return shown(seen, TRUE).to(views.box.device)
