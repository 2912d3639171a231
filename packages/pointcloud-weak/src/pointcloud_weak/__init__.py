"""Point-cloud pose networks taught by 2D detections."""
