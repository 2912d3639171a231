"""What people do, by name."""

from posedata.synthetic.people.course import Action
from posedata.synthetic.people.curves import RUN, WALK
from posedata.synthetic.people.gait import Gait
from posedata.synthetic.people.jump import Jump
from posedata.synthetic.people.stance import Stance

ACTIONS: dict[str, Action] = {
    "walk": Gait(WALK, (0.7, 1.1), (0.6, 1.25), (-2, 8), 25, (8, 32), (10, 40)),
    "run": Gait(RUN, (1.15, 1.5), (0.7, 1.15), (4, 14), 25, (20, 45), (60, 105), aloft=0.13),
    "turn": Gait(WALK, (0.6, 1.0), (0.05, 0.3), (-3, 10), 110, (0, 15), (10, 60)),
    "wave": Stance(arms={"hang": 2, "high": 2, "side": 2, "bent": 0.5}, rate=(0.4, 1.0)),
    "reach": Stance(
        height=(0.8, 0.985),
        tilt=(-5, 30),
        roll=(-12, 12),
        yaw=(-35, 35),
        spine=(-8, 20),
        twist=(-30, 30),
        fore=(-0.12, 0.08),
        side=(-0.12, 0.12),
        stagger=(-0.3, 0.3),
        arms={"front": 3, "high": 2, "side": 1, "hang": 1},
    ),
    "gesture": Stance(twist=(-25, 25), yaw=(-20, 20), rate=(0.4, 1.0)),
    "sit": Stance(
        height=(0.4, 0.58),
        fore=(-0.42, -0.3),
        tilt=(-18, 15),
        spine=(-5, 22),
        width=(0.0, 0.3),
        starts_bent=0.6,
        twist=(-20, 20),
        stagger=(-0.15, 0.15),
        rate=(0.3, 0.8),
    ),
    "squat": Stance(
        height=(0.38, 0.75),
        fore=(-0.22, -0.08),
        tilt=(5, 45),
        spine=(-5, 18),
        width=(0.08, 0.4),
        arms={"front": 3, "high": 1, "hang": 1, "side": 1, "bent": 1},
    ),
    "bend": Stance(
        height=(0.86, 0.97),
        fore=(-0.2, -0.08),
        tilt=(20, 75),
        roll=(-10, 10),
        spine=(5, 32),
        twist=(-25, 25),
        arms={"front": 3, "hang": 1, "side": 1, "bent": 0.5, "high": 0.7},
    ),
    "lunge": Stance(
        height=(0.55, 0.85),
        stagger=(0.5, 0.95),
        fore=(-0.08, 0.1),
        tilt=(-5, 25),
        side=(-0.03, 0.03),
        width=(-0.05, 0.15),
        twist=(-20, 20),
    ),
    "straddle": Stance(height=(0.6, 0.95), width=(0.3, 0.65), side=(-0.13, 0.13), tilt=(0, 40), roll=(-8, 8)),
    "kick": Stance(
        lift=((-0.45, 0.7), (0.0, 0.4), (0.12, 0.6)), tilt=(-15, 20), roll=(-8, 8), rate=(0.7, 1.5)
    ),
    "jump": Jump(),
    "free": Stance(
        height=(0.5, 0.98),
        fore=(-0.2, 0.1),
        side=(-0.15, 0.15),
        tilt=(-12, 50),
        roll=(-15, 15),
        yaw=(-40, 40),
        spine=(-12, 28),
        twist=(-30, 30),
        width=(0.0, 0.5),
        stagger=(-0.5, 0.5),
        starts_bent=0.5,
        rate=(0.4, 1.3),
    ),
}
