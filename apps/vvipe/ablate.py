"""V-VIPE's section 5: what the triplet, the alignment, the pre-trained decoder and augmentation are worth."""

from posetrain.ablation import Comparison

COMPONENTS = Comparison(
    "Ablation",
    {
        "whole": (),
        "no triplet": ("vae.triplet=0", "mapping.triplet=0"),
        "no alignment": ("vae.align=false",),
        "no pre-trained decoder": ("mapping.pretrained=false",),
        "no augmentation": ("augment.share=0",),
    },
    {
        "all.hit1": "all, Hit@1",
        "unseen.hit1": "unseen, Hit@1",
        "unseen.hit10": "unseen, Hit@10",
        "same_rig.hit1": "same rig, Hit@1",
        "same_rig.pa_mpjpe_mm": "PA-MPJPE mm",
    },
    # on all pairs of MPI-INF-3DHP with detected keypoints, trained without augmentation
    published={
        "whole": {"paper_hit1": 23.5},
        "no triplet": {"paper_hit1": 17.41},
        "no alignment": {"paper_hit1": 18.0},
        "no pre-trained decoder": {"paper_hit1": 23.4},
        "no augmentation": {"paper_hit1": None},
    },
    headings={"paper_hit1": "paper, Hit@1"},
)
