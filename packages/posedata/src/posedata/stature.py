"""Where the joints of a standing person are, in centimetres: what bones should measure, roughly.

Round numbers, from motion capture's medians where it has the joint (Human3.6M's seventeen) and from a
person's proportions elsewhere. x to the person's left, y ahead, z up; sided joints are given for the left.
"""

STANDING: dict[str, tuple[float, float, float]] = {
    "pelvis": (0, 0, 93),
    "hip": (12, 0, 93),
    "knee": (12, 0, 51),
    "ankle": (12, 0, 9),
    "foot": (12, 10, 3),
    "heel": (12, -5, 3),
    "toe": (12, 18, 3),
    "big_toe": (11, 19, 3),
    "small_toe": (17, 15, 3),
    "foot_index": (12, 19, 3),
    "spine": (0, 0, 117),
    "torso": (0, 0, 117),
    "thorax": (0, 0, 141),
    "shoulder_centre": (0, 0, 141),
    "shoulder": (17, 0, 141),
    "elbow": (20, 0, 113),
    "wrist": (22, 2, 87),
    "hand": (22, 3, 79),
    "hand_tip": (22, 4, 70),
    "thumb": (22, 8, 80),
    "thumb2": (22, 6, 83),
    "index1": (22, 6, 78),
    "little1": (22, 0, 79),
    "neck": (0, 5, 152),
    "head": (0, 4, 164),
    "head_centre": (0, 4, 158),
    "nose": (0, 11, 156),
    "eye": (3.2, 9, 160),
    "eye_inner": (2, 9, 160),
    "eye_outer": (4.5, 8, 160),
    "mouth": (2.5, 10, 152),
    "ear": (7.5, 0, 158),
}


def standing(joint: str) -> tuple[float, float, float] | None:
    """Metres; None for a joint that is not known."""
    side, _, part = joint.partition("_")
    sign = {"left": 1.0, "right": -1.0}.get(side, 0.0)
    place = STANDING.get(part if sign else joint)
    return None if place is None else (sign * place[0] / 100, place[1] / 100, place[2] / 100)
