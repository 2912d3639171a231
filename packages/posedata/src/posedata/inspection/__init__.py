"""What is wrong with a store or with keypoints, in words and pictures, and what mends it."""
