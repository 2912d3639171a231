"""UniPose: 3D joints of people in RGB-D, taught without 3D labels; and two interacting hands."""
