"""What each weak loss, and the interaction with pictures, is worth: stage A with one left out at a time."""

from pointcloud_weak.losses import TERMS
from posetrain.ablation import Comparison

_ALONE = ("twins=false",)

WEAK_LOSSES = Comparison(
    "Teacher, held-out people",
    {
        "everything": _ALONE,
        **{f"no {term}": (*_ALONE, f"losses.{term}=0") for term in TERMS},
        "no interaction": (*_ALONE, "model.image=false"),
    },
    {"map": "mAP@10cm", "mpjpe_mm": "MPJPE mm", "relative_mpjpe_mm": "root-relative"},
    within="test.teacher",
    group="teacher",
)
