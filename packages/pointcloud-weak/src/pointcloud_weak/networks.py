"""Point-cloud networks: a clip of clouds in, joints in the camera's own frame out, in metres.

Both move the clip to its centroid before they look and back afterwards, and divide by nothing: what they give
needs no centre, no scale and no root depth from elsewhere.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from poseenc.attention import Block
from torch import Tensor, nn

from .ops import ball_query, farthest_points, gather

Interact = Callable[[Tensor, Tensor], Tensor]
"""(tokens, places) -> tokens."""


class Neighbourhood(nn.Module):
    """A feature for each of a few points, made from the points around it: the largest value of a small MLP.

    Args:
        inputs: features a point has besides its place.
        widths: of the MLP.
        radius: metres within which points are around one.
        neighbours: at most so many of them.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], radius: float, neighbours: int) -> None:
        super().__init__()
        self.radius, self.neighbours = radius, neighbours
        self.mlp = nn.Sequential(_mlp(3 + inputs, *widths[:-1]), nn.Linear(widths[-2], widths[-1]))

    def forward(
        self,
        points: Float[Tensor, "B N 3"],
        index: Int[Tensor, "B M"],
        features: Float[Tensor, "B N inputs"] | None = None,
    ) -> Float[Tensor, "B M width"]:
        centres = gather(points, index)
        near = ball_query(points, centres, self.radius, min(self.neighbours, points.shape[1]))
        # in units of the radius, so that one initialisation serves all scales
        around = (gather(points, near) - centres[:, :, None]) / self.radius
        if features is not None:
            around = torch.cat([around, gather(features, near)], dim=-1)
        return self.mlp(around).amax(2).relu()


class ClipTransformer(nn.Module):
    """SPiKE's idea, scaled down: tokens of local geometry from each frame of a clip, and attention among all.

    Per frame, farthest points with their neighbourhoods become tokens that know their place and time; a
    transformer relates them across the clip. SPiKE (Ballester et al., 2024) pools all tokens and regresses
    the last frame; here every token of a frame votes for that frame's joints with an offset from its own
    place and a weight, as anchors do in A2J, which gives all T frames.

    Args:
        joints: J.
        dim, layers, heads: of the transformer.
        references: tokens a frame.
        neighbours: points a token is made of, at most.
        radius: metres around it.
    """

    def __init__(
        self,
        joints: int,
        *,
        dim: int = 192,
        layers: int = 3,
        heads: int = 6,
        references: int = 32,
        neighbours: int = 16,
        radius: float = 0.2,
    ) -> None:
        super().__init__()
        self.joints, self.references, self.dim = joints, references, dim
        self.local = Neighbourhood(0, (48, dim), radius, neighbours)
        self.place = nn.Linear(4, dim)
        self.layers = nn.ModuleList(Block(dim, heads, expand=2) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.vote = nn.Linear(dim, 4 * joints)
        nn.init.zeros_(self.vote.weight)
        nn.init.zeros_(self.vote.bias)
        # no softmax sees what is added to all its inputs: the bias of the weights would learn from rounding
        told = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(joints)
        self.vote.bias.register_hook(lambda gradient: gradient * told.to(gradient))

    def forward(
        self, points: Float[Tensor, "B T N 3"], interact: Interact | None = None
    ) -> Float[Tensor, "B T J 3"]:
        """Joints of every frame, camera frame, metres.

        Args:
            points: camera frame, metres.
            interact: called with the tokens (B, T M, dim) and their places (B, T M, 3) before the
                transformer, gives new tokens: attention to another modality.
        """
        clips, frames = points.shape[:2]
        middle = points.mean((1, 2), keepdim=True)
        cloud = (points - middle).flatten(0, 1)
        index = farthest_points(cloud, self.references)
        places = gather(cloud, index).view(clips, -1, 3)
        time = torch.arange(frames, device=points.device).repeat_interleave(self.references) / max(frames, 1)
        where = torch.cat([places, time.expand(clips, -1)[..., None].to(places)], dim=-1)
        tokens = self.local(cloud, index).view(clips, -1, self.dim) + self.place(where)
        if interact is not None:
            tokens = interact(tokens, places + middle[:, 0])
        for layer in self.layers:
            tokens = layer(tokens)
        votes = self.vote(self.norm(tokens)).float().view(clips, frames, self.references, self.joints, 4)
        weight = votes[..., 3].softmax(dim=2)[..., None]
        voted = places.view(clips, frames, self.references, 1, 3) + votes[..., :3]
        return (weight * voted).sum(2) + middle


class PointTrunk(nn.Module):
    """PointNet++ with single-scale grouping (Qi et al., NeurIPS 2017): a cloud to one vector of 8 ``width``.

    N points, 128 with what is within 0.2 m, 32 with what is within 0.4 m, the largest value of each feature.

    Args:
        width: of the first level's features; the others follow from it.
    """

    def __init__(self, *, width: int = 64, radius: float = 0.2, neighbours: int = 32) -> None:
        super().__init__()
        self.counts = (128, 32)
        self.dim = 4 * width  # of the features that `interact` is given
        self.near = Neighbourhood(0, (width, width, 2 * width), radius, neighbours)
        self.far = Neighbourhood(2 * width, (2 * width, 2 * width, 4 * width), 2 * radius, neighbours)
        self.whole = _mlp(3 + 4 * width, 4 * width, 8 * width)

    def describe(
        self,
        cloud: Float[Tensor, "B N 3"],
        interact: Interact | None = None,
    ) -> Float[Tensor, "B features"]:
        """One vector a cloud, metres about its middle; `interact` acts on the second level's features."""
        features: Tensor | None = None
        for level, count in zip((self.near, self.far), self.counts, strict=True):
            index = farthest_points(cloud, min(count, cloud.shape[1]))
            features = level(cloud, index, features)
            cloud = gather(cloud, index)
        assert features is not None
        if interact is not None:
            features = interact(features, cloud)
        return self.whole(torch.cat([cloud.to(features), features], dim=-1)).amax(1)


class PointNet2(PointTrunk):
    """`PointTrunk` and three layers, frame by frame.

    Args:
        joints: J.
        width: of the first level's features; the others follow from it.
    """

    def __init__(self, joints: int, *, width: int = 64, radius: float = 0.2, neighbours: int = 32) -> None:
        super().__init__(width=width, radius=radius, neighbours=neighbours)
        self.joints = joints
        self.head = nn.Sequential(_mlp(8 * width, 4 * width, 4 * width), nn.Linear(4 * width, 3 * joints))

    def forward(
        self, points: Float[Tensor, "B T N 3"], interact: Interact | None = None
    ) -> Float[Tensor, "B T J 3"]:
        """Joints of every frame, camera frame, metres; `interact` acts on the points of the second level."""
        clips, frames = points.shape[:2]
        middle = points.mean((1, 2), keepdim=True)

        def told(features: Tensor, places: Tensor) -> Tensor:
            assert interact is not None
            joined = features.view(clips, -1, features.shape[-1])
            return interact(joined, places.view(clips, -1, 3) + middle[:, 0]).view_as(features)

        cloud = (points - middle).flatten(0, 1)
        joints = self.head(self.describe(cloud, None if interact is None else told)).float()
        return joints.view(clips, frames, self.joints, 3) + middle


class CloudEncoder(PointTrunk):
    """`PointTrunk` and a linear layer: a cloud to an embedding.

    Args:
        dim: width of the embedding.
        width: as in `PointTrunk`.
    """

    def __init__(self, dim: int, *, width: int = 64) -> None:
        super().__init__(width=width)
        self.out = nn.Linear(8 * width, dim)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B embedding"]:
        """Embedding, not normalised, of points about the person (`posedata.views.crops`), metres."""
        return self.out(self.describe(points))


def _mlp(*widths: int) -> nn.Sequential:
    """Linear layers, each with layer norm and ReLU: normalised by itself, so a batch can be of any size."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
    return nn.Sequential(*layers)
