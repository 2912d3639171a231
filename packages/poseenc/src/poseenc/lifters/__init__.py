"""Published networks that lift 2D keypoints to 3D, to compare with: each from its paper, on shared layers."""
