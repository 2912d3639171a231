"""Lifters to be compared, behind one call: what each sees of a view, its own loss, its pose and hypotheses.

Each is a published network under its authors' loss, or one of ours. All take views in the person-centred
camera and the same standardisation; published ones see keypoints alone, ours the confidence and the box too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from posedata.views.bodies import Bodies
from posediff import Denoiser, NoisePrediction, NormalDecoder, PoseDecoder, ResidualMLP, Velocity
from posediff.convert import RelativeCondition
from posediff.sampler import dpmpp_2m_sde, euler, euler_maruyama, randn_like
from posediff.schedule import draw_straight, draw_times, geometric, straight, uniform_time
from posediff.sde import SubVP
from poseenc import MLPPoseEncoder, SimpleBaseline
from poseenc.lifters.dcgct import DCGCT
from poseenc.lifters.fmpose import FMPose3D
from poseenc.lifters.motionagformer import MotionAGFormer
from poseenc.lifters.semgcn import SemGCN
from poseenc.lifters.videopose import VideoPose3D
from torch import Tensor, nn

from polypose.network import POSE_SKELETON
from polypose.peer import JOINTS, MEAN_OF, Peer
from polypose.peer_d3dp import d3dp
from polypose.peer_vvipe import Embedded
from polypose.samples import Sample


class Regressor(Peer):
    """A published network that gives one pose, by squares, distances or absolute differences."""

    def __init__(self, network: nn.Module, loss: Literal["l2", "mpjpe"]) -> None:
        super().__init__()
        self.network, self.kind = network, loss

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        return self.restored(self.network(self.seen(sample)))

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        away = self(sample) - self.truth(sample)
        if self.kind == "mpjpe":
            return torch.linalg.vector_norm(away, dim=-1).mean()
        return (away / self.joints_std.clamp(min=1e-3)).square().mean()


class Video(Regressor):
    """VideoPose3D: the middle frame of clips of as many frames as its network takes."""

    def __init__(self, network: VideoPose3D) -> None:
        super().__init__(network, "mpjpe")
        self.frames = network.frames

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        return self.restored(self.network(self.seen(sample).unflatten(0, (-1, self.frames))))


class Motion(Peer):
    """MotionAGFormer: all frames of a clip, each with its confidence, taught by place and by velocity.

    The loss is the authors' (section 3.4) without its scale-normalised term.
    """

    VELOCITY = 20.0

    def __init__(self, network: nn.Module, frames: int) -> None:
        super().__init__()
        self.network, self.frames = network, frames

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        return self._clips(sample)[:, self.frames // 2]

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        away = self._clips(sample) - sample.joints.unflatten(0, (-1, self.frames))
        place, velocity = (torch.linalg.vector_norm(x, dim=-1).mean() for x in (away, away.diff(dim=1)))
        return place + self.VELOCITY * velocity

    def _clips(self, sample: Sample) -> Float[Tensor, "B T J 3"]:
        seen = torch.cat([self.seen(sample), sample.confidence[..., None]], -1)
        return self.restored(self.network(seen.unflatten(0, (-1, self.frames))))


class Denoised(Peer):
    """A published generative network, given keypoints and noisy joints.

    Args:
        network: of `posediff.Denoiser`, whose condition is what ``given`` makes of standardised keypoints.
        steps: network evaluations of a draw.
        few: draws at most, whose mean is the pose, by Euler-Maruyama's many steps.
    """

    def __init__(
        self,
        network: nn.Module,
        flow: bool,
        steps: int,
        given: Callable[[Tensor], Any] = lambda seen: seen,
        few: int | None = None,
    ) -> None:
        super().__init__()
        self.flow, self.steps, self.given, self.most = flow, steps, given, few
        self.denoiser = Denoiser(network, Velocity() if flow else NoisePrediction())

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        clean = ((sample.joints - self.joints_mean) / self.joints_std).flatten(1)
        sigma = self._levels(len(clean), generator).to(clean)
        noise = randn_like(clean, generator)
        return self.denoiser.loss(clean, sigma, noise, self.given(self.seen(sample))).mean()

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        generator = torch.Generator(sample.keypoints.device).manual_seed(0)
        return self.draw(sample, self.most or MEAN_OF, generator).mean(0)

    def draw(self, sample: Sample, count: int, generator: torch.Generator) -> Float[Tensor, "S B J 3"]:
        noise = randn_like(sample.joints.new_empty(count, len(sample), 3 * JOINTS), generator)
        given = self.given(self.seen(sample))

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            found: Tensor = self.denoiser(x, sigma, given)
            return found

        if self.flow:
            levels = straight(self.steps, 80.0).to(noise)
            drawn = euler(denoise, levels[0] * noise, levels)
        elif self.most:
            times, sde = uniform_time(self.steps).to(noise), SubVP()
            drawn = euler_maruyama(denoise, sde.std(times[0]) * noise, times, sde, generator=generator)
        else:
            levels = geometric(self.steps, 0.01, 80.0).to(noise)
            drawn = dpmpp_2m_sde(denoise, levels[0] * noise, levels, generator=generator)
        return self.restored(drawn.unflatten(-1, (JOINTS, 3)))

    def _levels(self, count: int, generator: torch.Generator) -> Tensor:
        if self.flow:
            return draw_straight(count, 0.002, 160.0, generator=generator)
        return SubVP().sigma(draw_times(count, generator=generator))


class Ours(Peer):
    """A residual MLP under L1, or with one of our decoders behind it."""

    def __init__(
        self, decoder: PoseDecoder | NormalDecoder | None, dim: int, hidden: int, blocks: int
    ) -> None:
        super().__init__()
        self.encoder = MLPPoseEncoder(JOINTS, 3, dim, hidden, blocks, box=True, norm="layer")
        self.decoder = decoder
        self._residual: Tensor | None = None

    def fit_scale(self, sample: Sample) -> None:
        super().fit_scale(sample)
        self.encoder.fit_scale(*self._inputs(sample)[:2])
        if self.decoder is not None:
            self.decoder.fit_scale(sample.joints)
        self.joints_std.fill_(float(sample.joints.std(0).square().mean().sqrt()))  # so that L1 is in metres

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        found = self.encoder(*self._inputs(sample))
        if self.decoder is None:
            return self.restored(found.unflatten(-1, (JOINTS, 3)))
        mean = self.decoder.mean(found, 0)
        return mean - mean[:, :1]

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        if self.decoder is None:
            return ((self(sample) - sample.joints) / self.joints_std).abs().mean()
        found = self.encoder(*self._inputs(sample))
        if isinstance(self.decoder, NormalDecoder):
            return self.decoder.loss(sample.joints, found, 0).mean()
        terms = self.decoder.terms(sample.joints, found, 0, generator=generator)
        self._residual = terms.residual
        return terms.loss.mean()

    def draw(self, sample: Sample, count: int, generator: torch.Generator) -> Float[Tensor, "S B J 3"] | None:
        if self.decoder is None:
            return None
        found = self.encoder(*self._inputs(sample))
        if isinstance(self.decoder, NormalDecoder):
            drawn = self.decoder.sample(found, 0, hypotheses=count, generator=generator)
        else:
            how: dict[str, Any] = (
                {"sampler": "flow", "steps": 3} if self.decoder.parametrisation == "flow" else {}
            )
            drawn = self.decoder.sample(found, 0, hypotheses=count, generator=generator, **how)
        return drawn - drawn[..., :1, :]

    def apart(self) -> Sequence[nn.Module]:
        if self.decoder is None:
            return ()
        if isinstance(self.decoder, NormalDecoder):
            return (self.decoder.covariance,)
        return (self.decoder.network,)

    def after_step(self) -> None:
        if isinstance(self.decoder, PoseDecoder) and self._residual is not None:
            self.decoder.follow(self._residual)

    def _inputs(self, sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
        points = torch.cat([sample.keypoints, sample.confidence[..., None]], -1)
        return points, sample.token, sample.confidence > 0


@dataclass(frozen=True)
class Entry:
    """A lifter of the table.

    Attributes:
        label: in tables; `source`: paper, venue.
        make: builds it.
        lr: that its tries begin from.
        evaluations: of its network for a hypothesis.
        frames: of the clips that it lifts.
        trained_as: the lifter whose weights it draws with, if another's.
        bodies: that half of its training views are seen on instead of the board's.
    """

    label: str
    source: str
    make: Callable[[], Peer]
    lr: float = 1e-3
    evaluations: int = 1
    frames: int = 1
    trained_as: str = ""
    bodies: Bodies | None = None


def _decoded(kind: str) -> Ours:
    shape: dict[str, Any] = {
        "condition_dim": 512,
        "hidden": 512,
        "modalities": ("2d",),
        "modality_token": False,
    }
    if kind == "normal":
        return Ours(NormalDecoder(JOINTS, 3, dropout=0.0, **shape), 512, 1024, 3)
    decoder = PoseDecoder(
        JOINTS, 3, parametrisation=kind, dropout=0.0, mean_loss="l1", regression=True, **shape
    )
    return Ours(decoder, 512, 1024, 3)


def _gfpose(steps: int, few: int | None = None) -> Denoised:
    def given(seen: Tensor) -> tuple[Tensor, Tensor]:
        known = seen.new_tensor([1.0, 1.0, 0.0]).repeat(JOINTS)
        return torch.nn.functional.pad(seen, (0, 1)).flatten(-2), known

    width = 3 * JOINTS
    network = RelativeCondition(ResidualMLP(width, width, dropout=0.25, groups=32))
    return Denoised(network, False, steps, given, few)


PEERS: dict[str, Entry] = {
    "simple_baseline": Entry(
        "SimpleBaseline", "Martinez et al., ICCV 2017", lambda: Regressor(SimpleBaseline(JOINTS), "l2")
    ),
    "poseaug": Entry(
        "SimpleBaseline, PoseAug's ranges drawn evenly",
        "Gong et al., CVPR 2021",
        lambda: Regressor(SimpleBaseline(JOINTS), "l2"),
        bodies=Bodies(mirror=0.5, bones=0.1, turn=37.0),  # 1 - cos 37° is the authors' 0.2
    ),
    "videopose3d": Entry(
        "VideoPose3D, 1 frame",
        "Pavllo et al., CVPR 2019",
        lambda: Video(VideoPose3D(JOINTS, (1, 1, 1))),
    ),
    "videopose3d_27": Entry(
        "VideoPose3D, 27 frames", "Pavllo et al., CVPR 2019", lambda: Video(VideoPose3D(JOINTS)), frames=27
    ),
    "motionagformer": Entry(
        "MotionAGFormer-XS, 27 frames",
        "Mehraban et al., WACV 2024",
        lambda: Motion(MotionAGFormer(POSE_SKELETON), 27),
        5e-4,
        frames=27,
    ),
    "semgcn": Entry("SemGCN", "Zhao et al., CVPR 2019", lambda: Regressor(SemGCN(POSE_SKELETON), "l2")),
    "dcgct": Entry("DC-GCT", "Kang et al., 2023", lambda: Regressor(DCGCT(POSE_SKELETON), "mpjpe")),
    "gfpose": Entry("GFPose, 10 steps", "Ci et al., CVPR 2023", lambda: _gfpose(10), 2e-4, 10),
    "gfpose_1000": Entry(
        "GFPose, 1000 steps",
        "Ci et al., CVPR 2023",
        lambda: _gfpose(1000, 5),
        2e-4,
        1000,
        trained_as="gfpose",
    ),
    "d3dp": Entry("D3DP, 1 frame, 5 steps", "Shan et al., ICCV 2023", d3dp, 6e-5, 5),
    "fmpose3d": Entry(
        "FMPose3D, 3 steps", "Wang et al., 2026", lambda: Denoised(FMPose3D(POSE_SKELETON), True, 3), 5e-4, 3
    ),
    "vvipe": Entry("V-VIPE's networks, as a lifter", "Levy and Shrivastava, 2024", Embedded),
    "residual_mlp": Entry("Ours: residual MLP, L1", "ours", lambda: Ours(None, 3 * JOINTS, 1024, 3)),
    "normal": Entry("Ours: with a normal", "ours", lambda: _decoded("normal")),
    "flow": Entry("Ours: with flow matching", "ours", lambda: _decoded("flow"), 1e-3, 3),
    "edm": Entry("Ours: with diffusion", "ours", lambda: _decoded("edm"), 1e-3, 7),
}
"""Lifters by name."""


def get_peer(name: str) -> Entry:
    """A lifter by name; ValueError lists those there are."""
    if name not in PEERS:
        raise ValueError(f"lifter {name!r} is not known; use one of {', '.join(PEERS)}")
    return PEERS[name]
