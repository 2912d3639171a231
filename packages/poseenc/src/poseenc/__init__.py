"""Pose encoders: image, 2D keypoints, 3D joints; the embedding index."""
