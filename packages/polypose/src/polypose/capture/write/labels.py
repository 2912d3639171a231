"""What joints are called in marker files: the labels of Pose2Sim, which OpenSim's marker sets for it know.

Two of Human3.6M's joints have none there: the neck where the head turns is UpperNeck, since Pose2Sim's Neck
is the base of the neck (our thorax), and the spine is Spine. `posedata prepare trc` and `c3d` read them all.
"""

from posedata.skeleton import Skeleton

_OWN = {"pelvis": "CHip", "thorax": "Neck", "neck": "UpperNeck", "shoulder_centre": "Neck"}


def labels_of(skeleton: Skeleton) -> tuple[str, ...]:
    """A label for every joint: RKnee, LBigToe, CHip."""
    own = dict(_OWN)
    if "thorax" in skeleton.joints:
        own["shoulder_centre"] = "ShoulderCentre"
    return tuple(own.get(joint) or _camel(joint) for joint in skeleton.joints)


def _camel(joint: str) -> str:
    side, _, rest = joint.partition("_")
    parts = (side[0].upper(), rest) if side in ("left", "right") else ("", joint)
    return parts[0] + "".join(word.capitalize() for word in parts[1].split("_"))
