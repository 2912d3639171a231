"""The parametric body: bone lengths by sex and stature, degrees of freedom and how far each of them goes.

Body frame: x forward, y left, z up. The rest pose stands upright with hanging arms.

Sources of the lengths, as fractions of stature (S):
- de Leva, "Adjustments to Zatsiorsky-Seluyanov's segment inertia parameters", J. Biomechanics 29(9), 1996,
  table 4: joint-centre distances of women (S 1.735 m) and men (S 1.741 m).
- Drillis and Contini, "Body segment parameters", 1966 (Winter, Biomechanics and Motor Control of Human
  Movement, 4th ed., fig. 4.1): thigh 0.245 S, ankle height 0.039 S. The two sources disagree on women's
  thighs (0.212 S and 0.245 S); the mean of both is used for either sex.
- Gordon et al., ANSUR II, 2014: stature 1.756 +- 0.069 m (men) and 1.629 +- 0.064 m (women); biacromial
  breadth 0.416 and 0.365 m. The shoulder's centre is taken 35 mm inside the acromion.
- Bell, Pedersen and Brand, J. Biomechanics 23(6), 1990: the hip's centre is 0.36 of the breadth between the
  iliac spines (about 0.25 m) from the midline.

Sources of the limits: American Academy of Orthopaedic Surgeons, Joint Motion, 1965, as tabulated by Norkin
and White, Measurement of Joint Motion: A Guide to Goniometry, 5th ed., appendix B; the split of trunk motion
between lumbar and thoracic spine follows Kapandji, The Physiology of the Joints, vol. 3.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

LENGTHS = (
    "thigh",
    "shank",
    "upper_arm",
    "forearm",
    "hip",
    "shoulder",
    "drop",
    "trunk",
    "neck",
    "head",
    "ankle",
)
"""What `Body.lengths` holds: metres; `hip` and `shoulder` are distances from the midline, `drop` is how far
the shoulders lie below the suprasternal notch, `ankle` the ankle's height above the sole."""

_FEMALE, _MALE = 1.735, 1.741
_RATIOS = torch.tensor(
    [  # women, men
        [(0.3685 / _FEMALE + 0.245) / 2, (0.4222 / _MALE + 0.245) / 2],
        [0.4323 / _FEMALE, 0.4340 / _MALE],
        [0.2751 / _FEMALE, 0.2817 / _MALE],
        [0.2643 / _FEMALE, 0.2689 / _MALE],
        [0.36 * 0.25 / 1.629, 0.36 * 0.25 / 1.756],
        [(0.3653 / 2 - 0.035) / 1.629, (0.4157 / 2 - 0.035) / 1.756],
        [(0.5293 - 0.4979) / _FEMALE, (0.5319 - 0.5155) / _MALE],
        [0.5293 / _FEMALE, 0.5319 / _MALE],
        [0.1100 / _FEMALE, 0.1100 / _MALE],
        [0.1700 / _FEMALE, 0.1760 / _MALE],
        [0.039, 0.039],
    ]
).T
_STATURE = torch.tensor([[1.629, 0.064], [1.756, 0.069]])
STATURE_RANGE = (1.5, 2.0)
SEGMENT_SPREAD = 0.03
"""Standard deviation of a segment's length about its ratio, as a fraction of the length."""

LIMITS_DEGREES: dict[str, tuple[float | int, float | int]] = {
    "lumbar_flexion": (-20, 50),
    "lumbar_bend": (-20, 20),
    "lumbar_twist": (-10, 10),
    "thoracic_flexion": (-15, 35),
    "thoracic_bend": (-20, 20),
    "thoracic_twist": (-35, 35),
    "neck_flexion": (-45, 45),
    "neck_bend": (-45, 45),
    "neck_twist": (-60, 60),
    **{
        f"{side}_{name}": limits
        for side in ("left", "right")
        for name, limits in {
            "shoulder_flexion": (-60, 180),
            "shoulder_abduction": (
                -65,
                180,
            ),  # below zero: horizontal adduction, 135 degrees at 90 of elevation
            "shoulder_rotation": (-90, 70),
            "elbow_flexion": (0, 150),
            "hip_flexion": (-30, 120),
            "hip_abduction": (-30, 45),
            "hip_rotation": (-45, 45),
            "knee_flexion": (0, 135),
        }.items()
    },
}
"""Name of each degree of freedom, in the order of the last axis of an angles tensor, and its range in
degrees. Rotation is positive inwards, abduction away from the midline, bend to the right, twist to the left.
Shoulders and hips also keep sqrt(flexion^2 + abduction^2), the elevation, at most 180 degrees."""

DOF: dict[str, int] = {name: index for index, name in enumerate(LIMITS_DEGREES)}


def limits() -> Float[Tensor, "dof 2"]:
    """Lowest and highest angle of each degree of freedom, radians."""
    return torch.tensor(list(LIMITS_DEGREES.values())) * (math.pi / 180)


def clamp_to_limits(angles: Float[Tensor, "*batch dof"]) -> Float[Tensor, "*batch dof"]:
    """Angles (radians) brought into `LIMITS_DEGREES`."""
    low, high = limits().to(angles).unbind(-1)
    return torch.minimum(torch.maximum(angles, low), high)


@dataclass(frozen=True)
class Body:
    """A batch of people: `male` (S,) 0 or 1, `stature` (S,) metres, `lengths` (S, 11) metres as in
    `LENGTHS`."""

    male: Int[Tensor, " people"]
    stature: Float[Tensor, " people"]
    lengths: Float[Tensor, "people lengths"]

    def __getitem__(self, people: Int[Tensor, " selected"]) -> "Body":
        return Body(self.male[people], self.stature[people], self.lengths[people])

    def length(self, name: str) -> Float[Tensor, " people"]:
        """One length of `LENGTHS`, metres."""
        return self.lengths[:, LENGTHS.index(name)]


def body_of(male: Int[Tensor, " people"], stature: Float[Tensor, " people"]) -> Body:
    """The average body of a sex (0 female, 1 male) and stature (metres)."""
    return Body(male, stature, _RATIOS[male] * stature[:, None])


def average_bodies() -> Body:
    """The average woman and the average man, of ANSUR II's mean statures."""
    return body_of(torch.tensor([0, 1]), _STATURE[:, 0])


def sample_bodies(count: int, generator: torch.Generator) -> Body:
    """`count` people: sex by a fair coin, stature by ANSUR II held within `STATURE_RANGE`, segments spread by
    `SEGMENT_SPREAD` about their ratios (both sides of a person alike)."""
    male = torch.randint(0, 2, (count,), generator=generator)
    mean, spread = _STATURE[male].unbind(-1)
    stature = (mean + spread * torch.randn(count, generator=generator)).clamp(*STATURE_RANGE)
    average = body_of(male, stature)
    spread = SEGMENT_SPREAD * torch.randn(count, len(LENGTHS), generator=generator).clamp(-2.5, 2.5)
    return Body(male, stature, average.lengths * (1 + spread))
