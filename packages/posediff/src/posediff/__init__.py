"""Score-matching diffusion for poses: denoisers, schedules, samplers."""

from posediff.decoder import PoseDecoder
from posediff.denoiser import EDM, Denoiser, NoisePrediction, ScaledScore
from posediff.draws import Whole
from posediff.mlp import MLPDecoder
from posediff.network import ResidualMLP
from posediff.sde import VE, VP, SubVP, score

__all__ = [
    "EDM",
    "VE",
    "VP",
    "Denoiser",
    "MLPDecoder",
    "NoisePrediction",
    "PoseDecoder",
    "ResidualMLP",
    "ScaledScore",
    "SubVP",
    "Whole",
    "score",
]
