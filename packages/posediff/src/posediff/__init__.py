"""Score-matching diffusion for poses: denoisers, schedules, samplers."""

from posediff.decoder import PoseDecoder
from posediff.denoiser import EDM, Denoiser, NoisePrediction, ScaledScore, Velocity
from posediff.draws import Whole
from posediff.mlp import MLPDecoder
from posediff.network import ResidualMLP
from posediff.normal import NormalDecoder
from posediff.sde import VE, VP, SubVP, score

__all__ = [
    "EDM",
    "VE",
    "VP",
    "Denoiser",
    "MLPDecoder",
    "NoisePrediction",
    "NormalDecoder",
    "PoseDecoder",
    "ResidualMLP",
    "ScaledScore",
    "SubVP",
    "Velocity",
    "Whole",
    "score",
]
