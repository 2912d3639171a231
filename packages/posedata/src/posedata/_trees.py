"""Joints and parents of the known skeletons: `joint<parent` words in joint order; the root is a bare word."""

_PANOPTIC15 = """
    shoulder_centre<pelvis nose<shoulder_centre pelvis
    L.shoulder<shoulder_centre L.elbow<L.shoulder L.wrist<L.elbow L.hip<pelvis L.knee<L.hip L.ankle<L.knee
    R.shoulder<shoulder_centre R.elbow<R.shoulder R.wrist<R.elbow R.hip<pelvis R.knee<R.hip R.ankle<R.knee
"""

_HAND = """
    S.thumb4<S.thumb3 S.thumb3<S.thumb2 S.thumb2<S.thumb1 S.thumb1<S.wrist
    S.index4<S.index3 S.index3<S.index2 S.index2<S.index1 S.index1<S.wrist
    S.middle4<S.middle3 S.middle3<S.middle2 S.middle2<S.middle1 S.middle1<S.wrist
    S.ring4<S.ring3 S.ring3<S.ring2 S.ring2<S.ring1 S.ring1<S.wrist
    S.little4<S.little3 S.little3<S.little2 S.little2<S.little1 S.little1<S.wrist
"""

TREES: dict[str, str] = {
    "h36m17": """
        pelvis R.hip<pelvis R.knee<R.hip R.ankle<R.knee L.hip<pelvis L.knee<L.hip L.ankle<L.knee
        spine<pelvis thorax<spine neck<thorax head<neck
        L.shoulder<thorax L.elbow<L.shoulder L.wrist<L.elbow
        R.shoulder<thorax R.elbow<R.shoulder R.wrist<R.elbow
        """,
    "coco17": """
        nose L.eye<nose R.eye<nose L.ear<L.eye R.ear<R.eye L.shoulder<L.ear R.shoulder<R.ear
        L.elbow<L.shoulder R.elbow<R.shoulder L.wrist<L.elbow R.wrist<R.elbow
        L.hip<L.shoulder R.hip<R.shoulder L.knee<L.hip R.knee<R.hip L.ankle<L.knee R.ankle<R.knee
        """,
    "mpi_inf_3dhp28": """
        spine3<spine2 spine4<spine3 spine2<spine spine<pelvis pelvis thorax<spine4 neck<thorax head<neck
        L.clavicle<thorax L.shoulder<L.clavicle L.elbow<L.shoulder L.wrist<L.elbow L.hand<L.wrist
        R.clavicle<thorax R.shoulder<R.clavicle R.elbow<R.shoulder R.wrist<R.elbow R.hand<R.wrist
        L.hip<pelvis L.knee<L.hip L.ankle<L.knee L.foot<L.ankle L.toe<L.foot
        R.hip<pelvis R.knee<R.hip R.ankle<R.knee R.foot<R.ankle R.toe<R.foot
        """,
    "smpl24": """
        pelvis L.hip<pelvis R.hip<pelvis lower_spine<pelvis L.knee<L.hip R.knee<R.hip
        middle_spine<lower_spine L.ankle<L.knee R.ankle<R.knee upper_spine<middle_spine
        L.foot<L.ankle R.foot<R.ankle thorax<upper_spine L.clavicle<upper_spine R.clavicle<upper_spine
        neck<thorax L.shoulder<L.clavicle R.shoulder<R.clavicle L.elbow<L.shoulder R.elbow<R.shoulder
        L.wrist<L.elbow R.wrist<R.elbow L.hand<L.wrist R.hand<R.wrist
        """,
    "itop15": """
        head_centre<shoulder_centre shoulder_centre<torso R.shoulder<shoulder_centre
        L.shoulder<shoulder_centre R.elbow<R.shoulder L.elbow<L.shoulder R.hand<R.elbow L.hand<L.elbow
        torso R.hip<torso L.hip<torso R.knee<R.hip L.knee<L.hip R.foot<R.knee L.foot<L.knee
        """,
    "panoptic15": _PANOPTIC15,
    "panoptic19": _PANOPTIC15 + "L.eye<nose L.ear<L.eye R.eye<nose R.ear<R.eye",
    "ntu25": """
        pelvis spine<pelvis neck<thorax head_centre<neck
        L.shoulder<thorax L.elbow<L.shoulder L.wrist<L.elbow L.hand<L.wrist
        R.shoulder<thorax R.elbow<R.shoulder R.wrist<R.elbow R.hand<R.wrist
        L.hip<pelvis L.knee<L.hip L.ankle<L.knee L.foot<L.ankle
        R.hip<pelvis R.knee<R.hip R.ankle<R.knee R.foot<R.ankle thorax<spine
        L.hand_tip<L.hand L.thumb<L.hand R.hand_tip<R.hand R.thumb<R.hand
        """,
    "openpose25": """
        nose<shoulder_centre shoulder_centre<pelvis
        R.shoulder<shoulder_centre R.elbow<R.shoulder R.wrist<R.elbow
        L.shoulder<shoulder_centre L.elbow<L.shoulder L.wrist<L.elbow
        pelvis R.hip<pelvis R.knee<R.hip R.ankle<R.knee L.hip<pelvis L.knee<L.hip L.ankle<L.knee
        R.eye<nose L.eye<nose R.ear<R.eye L.ear<L.eye
        L.big_toe<L.ankle L.small_toe<L.big_toe L.heel<L.ankle
        R.big_toe<R.ankle R.small_toe<R.big_toe R.heel<R.ankle
        """,
    "halpe26": """
        nose<shoulder_centre L.eye<nose R.eye<nose L.ear<L.eye R.ear<R.eye
        L.shoulder<shoulder_centre R.shoulder<shoulder_centre
        L.elbow<L.shoulder R.elbow<R.shoulder L.wrist<L.elbow R.wrist<R.elbow
        L.hip<pelvis R.hip<pelvis L.knee<L.hip R.knee<R.hip L.ankle<L.knee R.ankle<R.knee
        head<shoulder_centre shoulder_centre<pelvis pelvis
        L.big_toe<L.heel R.big_toe<R.heel L.small_toe<L.heel R.small_toe<R.heel
        L.heel<L.ankle R.heel<R.ankle
        """,
    "mediapipe33": """
        nose L.eye_inner<nose L.eye<L.eye_inner L.eye_outer<L.eye
        R.eye_inner<nose R.eye<R.eye_inner R.eye_outer<R.eye L.ear<L.eye_outer R.ear<R.eye_outer
        L.mouth<nose R.mouth<nose L.shoulder<L.ear R.shoulder<R.ear
        L.elbow<L.shoulder R.elbow<R.shoulder L.wrist<L.elbow R.wrist<R.elbow
        L.little1<L.wrist R.little1<R.wrist L.index1<L.wrist R.index1<R.wrist
        L.thumb2<L.wrist R.thumb2<R.wrist
        L.hip<L.shoulder R.hip<R.shoulder L.knee<L.hip R.knee<R.hip L.ankle<L.knee R.ankle<R.knee
        L.heel<L.ankle R.heel<R.ankle L.foot_index<L.heel R.foot_index<R.heel
        """,
    "interhand42": _HAND.replace("S.", "R.") + "R.wrist" + _HAND.replace("S.", "L.") + "L.wrist<R.wrist",
}
